//! Token introspection (RFC 7662).

use grantor::types::{Algorithm, ClientId, Clock};
use serde_json::{Value, json};

use crate::each_database;
use crate::support::TestApp;
use crate::support::behind::{encoded, signed};
use crate::support::party::{SECRET, basic, decode};

each_database!(
    a_resource_server_is_told_of_any_access_token,
    any_other_client_is_told_of_its_own_tokens_alone,
    a_token_that_was_shown_before_is_judged_anew,
    a_refresh_token_is_for_its_own_client_and_while_it_is_current,
    an_id_token_is_not_for_introspection,
    what_is_not_good_is_inactive_and_no_more,
    a_time_of_life_is_kept,
    whoever_asks_must_authenticate,
    a_hint_is_a_hint,
    a_token_that_is_missing_is_told,
);

async fn a_resource_server_is_told_of_any_access_token(app: TestApp) {
    let ada = app.user("ada").await;
    let rp = app.client("web").create().await;
    let spa = app.client("spa").public().create().await;
    let person = app.person();
    let scope = [("scope", "openid notes:read")];
    let tokens = rp.sign_in_with(&person, "ada", &scope).await;

    // RFC 7662 §2.2, RFC 9068 §2.2: what is in the token, and `active` and `token_type` beside it.
    let answer = app.introspect(tokens.access_token()).await.expect_status(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let told = answer.expect_active();
    let (_, mut claims) = decode(tokens.access_token());
    claims["active"] = json!(true);
    claims["token_type"] = json!("Bearer");
    assert_eq!(told, claims);
    for (name, value) in [
        ("sub", json!(ada.to_string())),
        ("client_id", json!("web")),
        ("scope", json!("notes:read openid")),
        ("iss", json!(app.issuer())),
        ("aud", json!(app.issuer())),
        ("sid", json!(app.session_of(tokens.id_token()).to_string())),
        ("iat", json!(app.clock.now().secs())),
        ("exp", json!(app.clock.now().secs() + 600)),
        ("amr", json!(["pwd"])),
    ] {
        assert_eq!(told[name], value, "{name}");
    }

    let others = spa.sign_in_with(&person, "ada", &[]).await;
    assert_eq!(app.introspect(others.access_token()).await.expect_active()["client_id"], "spa");
    let own = rp.client_credentials("").await.expect_tokens();
    assert_eq!(app.introspect(own.access_token()).await.expect_active()["sub"], "web");
}

/// That its signature is good is remembered, and nothing else.
async fn a_token_that_was_shown_before_is_judged_anew(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let other = app.client("other").create().await;
    let (lives, revoked) = (rp.sign_in("ada").await, rp.sign_in("ada").await);
    for tokens in [&lives, &revoked] {
        app.introspect(tokens.access_token()).await.expect_active();
    }
    for _ in 0..2 {
        other.introspect(lives.access_token()).await.expect_inactive();
        rp.introspect(lives.access_token()).await.expect_active();
    }
    rp.revoke(revoked.access_token()).await.expect_status(200);
    app.introspect(revoked.access_token()).await.expect_inactive();
    rp.userinfo(revoked.access_token()).await.expect_status(401);

    app.advance(599);
    app.introspect(lives.access_token()).await.expect_active();
    app.advance(1);
    app.introspect(lives.access_token()).await.expect_inactive();
}

async fn any_other_client_is_told_of_its_own_tokens_alone(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let other = app.client("other").create().await;
    let tokens = rp.sign_in("ada").await;
    let own = rp.client_credentials("").await.expect_tokens();
    for token in [tokens.access_token(), own.access_token()] {
        rp.introspect(token).await.expect_active();
        // RFC 7662 §4: not even that there is such a token.
        other.introspect(token).await.expect_inactive();
    }
}

async fn a_refresh_token_is_for_its_own_client_and_while_it_is_current(app: TestApp) {
    let ada = app.user("ada").await;
    let rp = app.client("web").create().await;
    let other = app.client("other").create().await;
    let first = rp.sign_in("ada").await;

    let told = rp.introspect(first.refresh_token()).await.expect_active();
    let (_, claims) = decode(first.refresh_token());
    let expected = json!({
        "active": true, "token_type": "refresh_token", "iss": app.issuer(), "client_id": "web",
        "scope": "offline_access openid", "sub": ada.to_string(), "iat": claims["iat"], "exp": claims["exp"],
    });
    assert_eq!(told, expected);
    app.introspect(first.refresh_token()).await.expect_inactive();
    other.introspect(first.refresh_token()).await.expect_inactive();

    // To ask of a token is not to use it.
    let second = rp.refresh(&first).await.expect_tokens();
    rp.introspect(first.refresh_token()).await.expect_inactive();
    rp.introspect(second.refresh_token()).await.expect_active();
    rp.refresh(&first).await.expect_tokens();

    rp.revoke(second.refresh_token()).await.expect_status(200);
    rp.introspect(second.refresh_token()).await.expect_inactive();

    // A resource server that signs people in itself asks of its own.
    let both = app.client("both").with(|client| client.resource_server = true).create().await;
    let tokens = both.sign_in("ada").await;
    both.introspect(tokens.refresh_token()).await.expect_active();
    both.introspect(tokens.access_token()).await.expect_active();
}

async fn an_id_token_is_not_for_introspection(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let es256 = app.client("es").with(|client| client.id_token_signed_response_alg = Algorithm::Es256).create().await;
    for client in [&rp, &es256] {
        let tokens = client.sign_in("ada").await;
        client.introspect(tokens.id_token()).await.expect_inactive();
        app.introspect(tokens.id_token()).await.expect_inactive();
        client.introspect(tokens.access_token()).await.expect_active();
    }
}

async fn what_is_not_good_is_inactive_and_no_more(app: TestApp) {
    let rp = app.client("web").create().await;
    let good = rp.client_credentials("").await.expect_tokens();
    let good = good.access_token();
    app.introspect(good).await.expect_active();
    let (header, claims) = decode(good);
    let key = app.signing_key(Algorithm::Es256).await;
    let with = |part: &Value, name: &str, value: Value| {
        let mut part = part.clone();
        part[name] = value;
        part
    };
    let (first, rest) = good.split_once('.').expect("it is a JWT");
    for (what, token) in [
        ("garbage", "garbage".to_owned()),
        ("a control character", "a\tb".to_owned()),
        ("dots", "..".to_owned()),
        ("many dots", ".".repeat(5_000)),
        ("a part too many", format!("{good}.x")),
        ("no signature", good.rsplit_once('.').expect("it has one").0.to_owned()),
        ("an empty signature", format!("{}.", good.rsplit_once('.').expect("it has one").0)),
        ("a padded signature", format!("{good}=")),
        ("white space", format!(" {good}")),
        ("a header that is no JSON", format!("e30x.{rest}")),
        (
            "other claims under the signature",
            format!(
                "{first}.{}.{}",
                encoded(&with(&claims, "sub", json!("admin"))),
                rest.rsplit_once('.').expect("it has one").1
            ),
        ),
        ("another issuer", signed(&key, &header, &with(&claims, "iss", json!("https://evil.example")))),
        ("claims that are none", signed(&key, &header, &json!(["not", "claims"]))),
        ("no key id", signed(&key, &json!({"alg": "ES256", "typ": "at+jwt"}), &claims)),
        ("an unknown key id", signed(&key, &with(&header, "kid", json!("x")), &claims)),
        ("a critical extension", signed(&key, &with(&header, "crit", json!(["b64"])), &claims)),
    ] {
        let answer = app.introspect(&token).await;
        assert_eq!((answer.status.as_u16(), &*answer.body), (200, r#"{"active":false}"#), "{what}");
    }
    // The forger's tools work: what is changed in nothing passes.
    app.introspect(&signed(&key, &header, &claims)).await.expect_active();
}

async fn a_time_of_life_is_kept(app: TestApp) {
    let rp = app.client("web").create().await;
    let tokens = rp.client_credentials("").await.expect_tokens();
    app.advance(599);
    app.introspect(tokens.access_token()).await.expect_active();
    app.advance(1);
    app.introspect(tokens.access_token()).await.expect_inactive();

    // ASVS 9.2.1: `iat` too; the clocks of two nodes may differ a little, and no more.
    let key = app.signing_key(Algorithm::Es256).await;
    let (header, mut claims) = decode(tokens.access_token());
    let now = app.clock.now().secs();
    for (iat, exp, active) in
        [(now - 5, now + 5, true), (now + 20, now + 60, true), (now + 120, now + 180, false), (now - 5, now, false)]
    {
        (claims["iat"], claims["exp"]) = (json!(iat), json!(exp));
        let told = app.introspect(&signed(&key, &header, &claims)).await.json();
        assert_eq!(told["active"], active, "{iat} {exp}");
    }
}

async fn whoever_asks_must_authenticate(app: TestApp) {
    let rp = app.client("web").create().await;
    let api = app.resource_server().await;
    app.client("spa").public().create().await;
    let tokens = rp.client_credentials("").await.expect_tokens();
    let token = tokens.access_token();
    let form = ("content-type", "application/x-www-form-urlencoded");
    let (right, wrong, public) = (basic("api", SECRET), basic("api", "wrong"), basic("spa", ""));
    let bearer = format!("Bearer {token}");

    // RFC 7662 §2.1, §2.3; RFC 6749 §5.2: "no client authentication included" is invalid_client.
    for (headers, body) in [
        (vec![form], format!("token={token}")),
        (vec![form], format!("token={token}&client_id=api")),
        (vec![form], format!("token={token}&client_id=spa")),
        (vec![form], format!("token={token}&client_id=nobody&client_secret=x")),
        (vec![form, ("authorization", &*wrong)], format!("token={token}")),
        (vec![form, ("authorization", &*public)], format!("token={token}")),
        (vec![form, ("authorization", &*bearer)], format!("token={token}")),
        (vec![form, ("authorization", "Basic")], format!("token={token}")),
    ] {
        let answer = app.post_raw("/oauth/introspect", &headers, body.clone()).await;
        assert!(!answer.body.contains("active"), "{headers:?}: {}", answer.body);
        answer.expect_error("invalid_client").expect_status(401);
    }
    let answer = app.post_raw("/oauth/introspect", &[form, ("authorization", &right)], format!("token={token}")).await;
    answer.expect_active();
    let body = format!("token={token}&client_id=api&client_secret={SECRET}");
    app.post_raw("/oauth/introspect", &[form], body).await.expect_active();

    // Never by GET: the token would stand in logs.
    app.get(&format!("/oauth/introspect?token={token}")).await.expect_status(405);

    let id: ClientId = "api".parse().expect("an id");
    app.change(async |tx| tx.disable_client(&id, app.clock.now()).await).await;
    api.introspect(token).await.expect_error("invalid_client").expect_status(401);
}

async fn a_hint_is_a_hint(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in("ada").await;
    for token in [tokens.access_token(), tokens.refresh_token()] {
        for hint in ["access_token", "refresh_token", "id_token", "nonsense", ""] {
            let fields = [("token", token), ("token_type_hint", hint)];
            rp.post("/oauth/introspect", &fields).await.expect_active();
        }
    }
}

async fn a_token_that_is_missing_is_told(app: TestApp) {
    let api = app.resource_server().await;
    for fields in [&[][..], &[("token", "")], &[("Token", "x")], &[("access_token", "x")]] {
        api.post("/oauth/introspect", fields).await.expect_error("invalid_request").expect_status(400);
    }
    let twice = [("token", "x"), ("token", "y")];
    api.post("/oauth/introspect", &twice).await.expect_error("invalid_request").expect_status(400);
}
