//! `private_key_jwt` and `client_secret_jwt` (RFC 7523 §3, RFC 10070, OpenID Connect Core §9).

use std::sync::{Arc, Mutex};

use aws_lc_rs::hmac;
use axum::response::IntoResponse as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantor::types::{Algorithm, AuthMethod};
use serde_json::{Value, json};

use super::registration::register;
use crate::each_database;
use crate::support::assertion::{Assertion, Signer};
use crate::support::behind::at_once;
use crate::support::party::SECRET;
use crate::support::website::Website;
use crate::support::{Answer, TestApp};

each_database!(
    a_client_proves_itself_with_a_key_of_its_own,
    a_client_proves_itself_with_a_mac_of_its_secret,
    an_assertion_that_is_not_for_us_now_is_refused,
    an_assertion_that_was_signed_by_anybody_else_is_refused,
    an_assertion_works_once,
    of_many_who_show_one_assertion_at_two_nodes_one_is_let_in,
    the_audience_of_before_is_taken_where_that_is_configured,
    a_method_is_not_taken_for_another,
    the_registered_algorithm_is_the_only_one,
    keys_are_fetched_where_the_client_publishes_them,
    keys_of_no_use_do_not_spoil_a_published_set,
    used_assertions_are_forgotten_when_they_have_expired,
);

async fn token_with(app: &TestApp, assertion: &Assertion, more: &[(&str, &str)]) -> Answer {
    let fields = [&[("grant_type", "client_credentials")], &assertion.fields()[..], more].concat();
    app.post("/oauth/token", &fields).await
}

async fn token(app: &TestApp, assertion: &Assertion) -> Answer {
    token_with(app, assertion, &[]).await
}

async fn a_client_proves_itself_with_a_key_of_its_own(app: TestApp) {
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::Rs256, Algorithm::Ps256, Algorithm::EdDsa] {
        let signer = Signer::new(&format!("web-{algorithm}"), algorithm);
        app.client(&signer.id).signing(&signer).create().await;
        let tokens = token(&app, &signer.assertion(&app)).await.expect_tokens();
        // RFC 7521 §4.2: client_id is optional, and must be that of the assertion.
        token_with(&app, &signer.assertion(&app), &[("client_id", &signer.id)]).await.expect_tokens();
        let other = token_with(&app, &signer.assertion(&app), &[("client_id", "nobody")]).await;
        other.expect_error("invalid_client").expect_status(401);

        // ASVS 10.4.10: at the other endpoints as well.
        for path in ["/oauth/introspect", "/oauth/revoke"] {
            let assertion = signer.assertion(&app);
            let fields = [&[("token", tokens.access_token())], &assertion.fields()[..]].concat();
            app.post(path, &fields).await.expect_status(200);
        }
    }
    // RFC 10070 §4: explicitly typed, or of no type in particular.
    let signer = Signer::new("typed", Algorithm::Es256);
    app.client("typed").signing(&signer).create().await;
    for (typ, taken) in [
        (json!("client-authentication+jwt"), true),
        (json!("application/client-authentication+jwt"), true),
        (json!("JWT"), true),
        (Value::Null, true),
        (json!("at+jwt"), false),
        (json!("dpop+jwt"), false),
        (json!("oauth-authz-req+jwt"), false),
        (json!("logout+jwt"), false),
        (json!(""), false),
    ] {
        let mut header = signer.header();
        header["typ"] = typ.clone();
        if typ.is_null() {
            header.as_object_mut().unwrap().remove("typ");
        }
        let assertion = Assertion(signer.sign(&header, &signer.claims(&app).to_string()));
        assert_eq!(token(&app, &assertion).await.status == 200, taken, "{typ}");
    }
    // A time may have a fraction (RFC 7519 §2).
    let now = signer.claims(&app)["iat"].as_i64().unwrap() as f64;
    let fraction = signer.assertion_with(&app, &[("exp", json!(now + 59.5)), ("iat", json!(now - 0.5))]);
    token(&app, &fraction).await.expect_tokens();
}

async fn a_client_proves_itself_with_a_mac_of_its_secret(app: TestApp) {
    let signer = Signer::with_secret("mac");
    let rp = app.client("mac").signing(&signer).create().await;
    token(&app, &signer.assertion(&app)).await.expect_tokens();
    // The secret itself proves nothing, for it never leaves the client.
    rp.client_credentials("").await.expect_error("invalid_client").expect_status(401);
    let mut forged = signer.assertion(&app).0;
    forged.truncate(forged.len() - 4);
    token(&app, &Assertion(forged + "AAAA")).await.expect_error("invalid_client").expect_status(401);
    // It is not kept in clear, and not as a hash either.
    assert_eq!(app.count("clients WHERE id = 'mac' AND secret_hash IS NULL AND secret_sealed IS NOT NULL").await, 1);
    let held = app.store.client(&"mac".parse().unwrap()).await.unwrap().unwrap().secret_sealed.clone().unwrap();
    assert!(!held.windows(SECRET.len()).any(|part| part == SECRET.as_bytes()));
}

async fn an_assertion_that_is_not_for_us_now_is_refused(app: TestApp) {
    let signer = Signer::new("web", Algorithm::Es256);
    app.client("web").signing(&signer).create().await;
    app.client("other").create().await;
    let now = signer.claims(&app)["iat"].as_i64().unwrap();
    let endpoint = format!("{}/oauth/token", app.issuer());
    for (name, value, why) in [
        // RFC 7523 §3 (1), (2)
        ("iss", json!("other"), "iss and sub"),
        ("iss", json!(null), "claims"),
        ("sub", json!(null), "assertion"),
        ("sub", json!(["web"]), "assertion"),
        // RFC 7523 §3 (3), RFC 10070 §4: the issuer, as a single string.
        ("aud", json!(null), "claims"),
        ("aud", json!(endpoint), "aud must be"),
        ("aud", json!([app.issuer()]), "aud must be"),
        ("aud", json!([app.issuer(), "https://other.example"]), "aud must be"),
        ("aud", json!(format!("{}/", app.issuer())), "aud must be"),
        ("aud", json!("https://other.example"), "aud must be"),
        ("aud", json!(""), "aud must be"),
        // RFC 7523 §3 (4)
        ("exp", json!(null), "claims"),
        ("exp", json!(now), "expired"),
        ("exp", json!(now - 300), "expired"),
        ("exp", json!(now + 700), "exp is more than"),
        ("exp", json!("soon"), "claims"),
        ("exp", json!(-1), "claims"),
        ("exp", json!((now + 60) * 1_000), "claims"),
        // RFC 7523 §3 (5), (6)
        ("nbf", json!(now + 61), "ahead"),
        ("iat", json!(now + 61), "ahead"),
        // OpenID Connect Core §9: REQUIRED.
        ("jti", json!(null), "claims"),
        ("jti", json!(7), "claims"),
    ] {
        let answer = token(&app, &signer.assertion_with(&app, &[(name, value.clone())])).await;
        let answer = answer.expect_error("invalid_client").expect_status(401);
        assert!(answer.body.contains(why), "{name} {value}: {}", answer.body);
    }
    // What was refused was not used up, and nobody else's client is let in by it.
    let other = signer.assertion_with(&app, &[("iss", json!("other")), ("sub", json!("other"))]);
    token(&app, &other).await.expect_error("invalid_client");
    assert_eq!(app.count("replays").await, 0);
    // FAPI 2.0 §5.3.2.1: a clock that is a little ahead is no fault.
    let ahead = [("nbf", json!(now + 10)), ("iat", json!(now + 10))];
    token(&app, &signer.assertion_with(&app, &ahead)).await.expect_tokens();
    token(&app, &signer.assertion_with(&app, &[("iat", json!(null)), ("exp", json!(now + 600))])).await.expect_tokens();
}

async fn an_assertion_that_was_signed_by_anybody_else_is_refused(app: TestApp) {
    let (signer, stranger) = (Signer::new("web", Algorithm::Es256), Signer::new("web", Algorithm::Es256));
    app.client("web").signing(&signer).create().await;
    let claims = signer.claims(&app).to_string();
    let unsigned = |alg: &str| {
        let header = json!({"alg": alg, "kid": signer.header()["kid"]}).to_string();
        format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(&claims))
    };
    // The public key as the secret of a MAC (RFC 8725 §2.1).
    let public = signer.jwks()["keys"][0]["x"].as_str().unwrap().to_owned();
    let message = unsigned("HS256");
    let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, public.as_bytes()), message.as_bytes());
    let confused = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.as_ref()));
    let mut own_key = signer.header();
    own_key["jwk"] = stranger.jwks()["keys"][0].clone();
    let mut critical = signer.header();
    critical["crit"] = json!(["exp"]);
    for forged in [
        stranger.assertion(&app).0,
        stranger.sign(&signer.header(), &claims),
        stranger.sign(&own_key, &claims),
        signer.sign(&critical, &claims),
        signer.sign(&signer.header(), &claims.replacen('{', "{\"sub\":\"web\",", 1)),
        format!("{}.", unsigned("none")),
        format!("{}.", unsigned("ES256")),
        confused,
        "x".to_owned(),
        "x.y.z".to_owned(),
    ] {
        let answer = token_with(&app, &Assertion(forged.clone()), &[("client_id", "web")]).await;
        answer.expect_error("invalid_client").expect_status(401);
    }
    assert_eq!(app.count("replays").await, 0);
}

async fn an_assertion_works_once(app: TestApp) {
    let (web, shop) = (Signer::new("web", Algorithm::EdDsa), Signer::new("shop", Algorithm::EdDsa));
    app.client("web").signing(&web).create().await;
    app.client("shop").signing(&shop).create().await;
    let jti = [("jti", json!("one"))];
    let assertion = web.assertion_with(&app, &jti);
    token(&app, &assertion).await.expect_tokens();
    let again = token(&app, &assertion).await.expect_error("invalid_client").expect_status(401);
    assert!(again.body.contains("jti"), "{}", again.body);
    // Another assertion with the jti of the first is as bad; that of another client is not.
    token(&app, &web.assertion_with(&app, &[("jti", json!("one")), ("nbf", json!(1))]))
        .await
        .expect_error("invalid_client");
    token(&app, &shop.assertion_with(&app, &jti)).await.expect_tokens();
    // At another endpoint it is the same.
    let fields = [&[("token", "x")], &assertion.fields()[..]].concat();
    app.post("/oauth/revoke", &fields).await.expect_error("invalid_client");
    app.post("/oauth/introspect", &fields).await.expect_error("invalid_client");
    // When it would have expired, the name is free.
    app.advance(61);
    token(&app, &assertion).await.expect_error("invalid_client");
    token(&app, &web.assertion_with(&app, &jti)).await.expect_tokens();
}

async fn of_many_who_show_one_assertion_at_two_nodes_one_is_let_in(app: TestApp) {
    let signer = Signer::new("web", Algorithm::EdDsa);
    app.client("web").signing(&signer).create().await;
    let other = app.second_node().await;
    for _ in 0..5 {
        let assertion = signer.assertion(&app);
        let asked = (0..8).map(|n| token(if n % 2 == 0 { &app } else { &other }, &assertion));
        let answers = at_once(asked).await;
        let let_in = answers.iter().filter(|answer| answer.status == 200).count();
        assert_eq!(let_in, 1);
        assert!(answers.iter().all(|answer| matches!(answer.status.as_u16(), 200 | 401)));
    }
}

async fn the_audience_of_before_is_taken_where_that_is_configured(app: TestApp) {
    let app = app.another("[client_authentication]\nendpoint_audience = true").await;
    let signer = Signer::new("web", Algorithm::Es256);
    app.client("web").signing(&signer).create().await;
    let endpoint = format!("{}/oauth/token", app.issuer());
    for (audience, taken) in [
        (json!(app.issuer()), true),
        (json!(endpoint), true),
        (json!([endpoint]), true),
        (json!(["https://other.example", app.issuer()]), true),
        (json!(["https://other.example"]), false),
        (json!([]), false),
        (json!([[endpoint]]), false),
        (json!(format!("{endpoint}/")), false),
        (json!(format!("{}/oauth/jwks", app.issuer())), false),
    ] {
        let answer = token(&app, &signer.assertion_with(&app, &[("aud", audience.clone())])).await;
        assert_eq!(answer.status == 200, taken, "{audience}");
    }
}

async fn a_method_is_not_taken_for_another(app: TestApp) {
    let signer = Signer::new("signer", Algorithm::Es256);
    let rp = app.client("signer").signing(&signer).create().await;
    assert_eq!(rp.secret, None);
    // It has a key, so neither a secret nor its name alone will do.
    rp.client_credentials("").await.expect_error("invalid_client").expect_status(401);
    let secret = [("grant_type", "client_credentials"), ("client_id", "signer"), ("client_secret", SECRET)];
    app.post("/oauth/token", &secret).await.expect_error("invalid_client").expect_status(401);
    // It has a secret, and a key for other things: an assertion by either will not do.
    for method in [AuthMethod::ClientSecretBasic, AuthMethod::ClientSecretPost] {
        let id = method.as_str();
        let (own, mac) = (Signer::new(id, Algorithm::Es256), Signer::with_secret(id));
        let builder = app.client(id).signing(&own).with(|client| client.token_endpoint_auth_method = method);
        builder.create().await.client_credentials("").await.expect_tokens();
        for assertion in [own.assertion(&app), mac.assertion(&app)] {
            token(&app, &assertion).await.expect_error("invalid_client").expect_status(401);
        }
    }
    let spa = Signer::new("spa", Algorithm::Es256);
    app.client("spa").public().with(|client| client.jwks = Some(spa.jwks())).create().await;
    token(&app, &spa.assertion(&app)).await.expect_error("invalid_client").expect_status(401);
    // Disabled is disabled.
    app.disable_client("signer").await;
    token(&app, &signer.assertion(&app)).await.expect_error("invalid_client").expect_status(401);
}

async fn the_registered_algorithm_is_the_only_one(app: TestApp) {
    let signer = Signer::new("web", Algorithm::Es256);
    let only = |algorithm| {
        app.client(if algorithm == Algorithm::Es256 { "web" } else { "strict" })
            .signing(&signer)
            .with(|client| client.token_endpoint_auth_signing_alg = Some(algorithm))
    };
    only(Algorithm::Es256).create().await;
    only(Algorithm::Ps256).create().await;
    token(&app, &signer.assertion(&app)).await.expect_tokens();
    let strict = [("iss", json!("strict")), ("sub", json!("strict"))];
    let answer = token(&app, &signer.assertion_with(&app, &strict)).await.expect_error("invalid_client");
    assert!(answer.body.contains("alg"), "{}", answer.body);
}

async fn keys_are_fetched_where_the_client_publishes_them(app: TestApp) {
    let app = app.another("[outgoing]\nallow = [\"127.0.0.1\"]").await;
    let (old, new) = (Signer::new("web", Algorithm::Es256), Signer::new("web", Algorithm::Es256));
    let published = Arc::new(Mutex::new(old.jwks()));
    let shown = published.clone();
    let site = Website::start(move |_| shown.lock().unwrap().to_string().into_response());
    let uri = format!("{}/jwks", site.url);
    let builder = app.client("web").signing(&old).with(|client| {
        client.jwks = None;
        client.jwks_uri = Some(uri);
    });
    builder.create().await;
    for _ in 0..3 {
        token(&app, &old.assertion(&app)).await.expect_tokens();
    }
    assert_eq!(site.asked(), 1);
    // The client rotates its keys without telling anybody.
    *published.lock().unwrap() = new.jwks();
    token(&app, &new.assertion(&app)).await.expect_tokens();
    token(&app, &old.assertion(&app)).await.expect_error("invalid_client");
    assert_eq!(site.asked(), 2);

    // Where private addresses are not named, nobody asks there, and the client is not told why.
    let closed = app.another("").await;
    let uri = format!("{}/jwks", site.url);
    let builder = closed.client("web").signing(&new).with(|client| {
        client.jwks = None;
        client.jwks_uri = Some(uri);
    });
    builder.create().await;
    let answer = token(&closed, &new.assertion(&closed)).await.expect_error("invalid_client").expect_status(401);
    assert!(answer.body.contains("jwks_uri") && !answer.body.contains("address"), "{}", answer.body);
    assert_eq!(site.asked(), 2);
}

/// RFC 7517 §5.
async fn keys_of_no_use_do_not_spoil_a_published_set(app: TestApp) {
    let app = app.another("[outgoing]\nallow = [\"127.0.0.1\"]\n[registration]\nmode = \"open\"").await;
    let small = URL_SAFE_NO_PAD.encode([0xa5; 128]);
    let mut leaked = Signer::new("", Algorithm::Es256).jwks()["keys"][0].clone();
    leaked["d"] = json!("AQ");
    for (id, beside, taken) in [
        ("small", json!({"kty": "RSA", "n": small, "e": "AQAB"}), true),
        ("symmetric", json!({"kty": "oct", "k": "c2VjcmV0"}), true),
        ("incomplete", json!({"kty": "EC", "x": "AQ", "y": "AQ"}), true),
        // A private half was given away: the set must be replaced.
        ("leaked", leaked, false),
    ] {
        let signer = Signer::new(id, Algorithm::Es256);
        let jwks = json!({"keys": [beside, signer.jwks()["keys"][0]]});
        let shown = jwks.to_string();
        let site = Website::start(move |_| shown.clone().into_response());
        let uri = format!("{}/jwks", site.url);
        let builder = app.client(id).signing(&signer).with(|client| {
            client.jwks = None;
            client.jwks_uri = Some(uri);
        });
        builder.create().await;
        let answer = token(&app, &signer.assertion(&app)).await;
        assert_eq!(answer.status == 200, taken, "{id}: {}", answer.body);
        // Whoever registers such a set is told.
        let document = json!({
            "redirect_uris": ["https://app.example/callback"],
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks": jwks,
        });
        let refused = register(&app, None, &document).await.expect_error("invalid_client_metadata");
        assert!(refused.body.contains("jwks"), "{id}: {}", refused.body);
    }
}

async fn used_assertions_are_forgotten_when_they_have_expired(app: TestApp) {
    let signer = Signer::new("web", Algorithm::EdDsa);
    app.client("web").signing(&signer).create().await;
    token(&app, &signer.assertion(&app)).await.expect_tokens();
    app.sweep().await;
    assert_eq!(app.count("replays").await, 1);
    app.advance(120);
    app.sweep().await;
    assert_eq!(app.count("replays").await, 0);
}
