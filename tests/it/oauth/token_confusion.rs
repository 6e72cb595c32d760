//! One kind of token is never taken for another, and no forger's token for ours (RFC 8725, RFC 9068 §5, ASVS V9).

use aws_lc_rs::hmac;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantor::crypto::{SigningKey, SystemRandom};
use grantor::types::Algorithm;
use serde_json::{Value, json};

use crate::each_database;
use crate::support::behind::{encoded, signed};
use crate::support::party::decode;
use crate::support::{Party, TestApp, Tokens};

each_database!(
    a_token_of_one_kind_is_not_one_of_another,
    our_own_signature_under_another_type_is_worth_nothing,
    a_strangers_key_under_our_name_is_worth_nothing,
    no_algorithm_but_that_of_the_key_is_believed,
    a_header_never_chooses_the_key,
    a_token_of_another_server_is_worth_nothing,
    a_token_longer_than_any_of_ours_is_not_even_read,
);

/// As an access token it opens neither UserInfo nor a resource server.
async fn expect_no_access(rp: &Party<'_>, token: &str, what: &str) {
    let answer = rp.userinfo(token).await;
    assert_eq!(answer.status.as_u16(), 401, "{what} at UserInfo: {}", answer.body);
    let answer = rp.app.introspect(token).await;
    assert_eq!(answer.body, r#"{"active":false}"#, "{what} at introspection");
}

async fn signed_in(app: &TestApp) -> (Party<'_>, Tokens) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in("ada").await;
    (rp, tokens)
}

fn with(part: &Value, changes: &[(&str, Value)]) -> Value {
    let mut part = part.clone();
    for (name, value) in changes {
        part[*name] = value.clone();
    }
    part
}

async fn a_token_of_one_kind_is_not_one_of_another(app: TestApp) {
    let (rp, tokens) = signed_in(&app).await;
    let code = {
        let pkce = crate::support::Pkce::new();
        rp.code(&app.person(), "ada", &pkce, &[]).await
    };
    expect_no_access(&rp, tokens.id_token(), "an ID token").await;
    expect_no_access(&rp, tokens.refresh_token(), "a refresh token").await;
    expect_no_access(&rp, &code, "a code").await;
    for (what, token) in [("access", tokens.access_token()), ("ID", tokens.id_token()), ("code", &code)] {
        let answer = rp.refresh_with(token, &[]).await;
        assert_eq!(answer.status.as_u16(), 400, "{what}: {}", answer.body);
        answer.expect_error("invalid_grant");
    }
    for (what, token) in [("access", tokens.access_token()), ("refresh", tokens.refresh_token())] {
        let page = app.person().get(&format!("/oauth/logout?id_token_hint={token}")).await;
        assert_eq!(page.status.as_u16(), 400, "{what} token as a hint");
        let pkce = crate::support::Pkce::new();
        let page = rp.authorize(&app.person(), &pkce, &[("id_token_hint", token), ("prompt", "none")]).await;
        assert!(page.param("code").is_none(), "{}", page.url);
    }
    // None of this was a use of the code, nor of the refresh token.
    rp.refresh(&tokens).await.expect_tokens();
}

async fn our_own_signature_under_another_type_is_worth_nothing(app: TestApp) {
    let (rp, tokens) = signed_in(&app).await;
    let es256 = app.signing_key(Algorithm::Es256).await;
    let rs256 = app.signing_key(Algorithm::Rs256).await;
    let hs256 = app.signing_key(Algorithm::Hs256).await;
    let (access_header, access) = decode(tokens.access_token());
    let (id_header, id) = decode(tokens.id_token());
    let (refresh_header, refresh) = decode(tokens.refresh_token());

    // RFC 9068 §4: "at+jwt" and nothing else; RFC 8725 §3.11.
    for typ in [json!("JWT"), json!("rt+jwt"), json!("at+jwt "), json!(""), Value::Null, json!(7), json!("logout+jwt")]
    {
        let token = signed(&es256, &with(&access_header, &[("typ", typ.clone())]), &access);
        expect_no_access(&rp, &token, &format!("typ {typ}")).await;
    }
    let untyped = json!({ "alg": "ES256", "kid": access_header["kid"] });
    expect_no_access(&rp, &signed(&es256, &untyped, &access), "no typ").await;
    expect_no_access(&rp, &signed(&rs256, &with(&id_header, &[("typ", json!("at+jwt"))]), &id), "ID claims").await;
    let header = with(&refresh_header, &[("typ", json!("at+jwt"))]);
    expect_no_access(&rp, &signed(&hs256, &header, &refresh), "refresh claims").await;
    expect_no_access(&rp, &signed(&hs256, &header, &access), "a symmetric access token").await;

    for (what, token) in [
        ("asymmetric", signed(&es256, &with(&access_header, &[("typ", json!("rt+jwt"))]), &refresh)),
        ("typ JWT", signed(&hs256, &with(&refresh_header, &[("typ", json!("JWT"))]), &refresh)),
        ("typ at+jwt", signed(&hs256, &header, &refresh)),
        (
            "another audience",
            signed(&hs256, &refresh_header, &with(&refresh, &[("aud", json!("https://api.example"))])),
        ),
        ("another issuer", signed(&hs256, &refresh_header, &with(&refresh, &[("iss", json!("https://evil.example"))]))),
        ("another client", signed(&hs256, &refresh_header, &with(&refresh, &[("client_id", json!("admin"))]))),
        ("expired", signed(&hs256, &refresh_header, &with(&refresh, &[("exp", json!(1))]))),
    ] {
        let answer = rp.refresh_with(&token, &[]).await;
        assert_eq!((answer.status.as_u16(), &answer.json()["error"]), (400, &json!("invalid_grant")), "{what}");
    }
    // UserInfo is for tokens whose audience has the issuer (RFC 9068 §4).
    let elsewhere = signed(&es256, &access_header, &with(&access, &[("aud", json!("https://api.example"))]));
    rp.userinfo(&elsewhere).await.expect_error("invalid_token").expect_status(401);

    // The tools work: unchanged, each is good.
    rp.userinfo(&signed(&es256, &access_header, &access)).await.expect_status(200);
    rp.refresh_with(&signed(&hs256, &refresh_header, &refresh), &[]).await.expect_tokens();
}

async fn a_strangers_key_under_our_name_is_worth_nothing(app: TestApp) {
    let (rp, tokens) = signed_in(&app).await;
    let stranger = |algorithm, kid: &Value| {
        let material = SigningKey::generate(algorithm, &SystemRandom::new()).expect("a key");
        SigningKey::parse(kid.as_str().expect("text").to_owned(), algorithm, &material).expect("a key")
    };
    let (header, claims) = decode(tokens.access_token());
    let same = stranger(Algorithm::Es256, &header["kid"]);
    expect_no_access(&rp, &signed(&same, &header, &claims), "the same kid").await;
    let other = stranger(Algorithm::EdDsa, &header["kid"]);
    let eddsa = with(&header, &[("alg", json!("EdDSA"))]);
    expect_no_access(&rp, &signed(&other, &eddsa, &claims), "the same kid, another algorithm").await;
    expect_no_access(&rp, &signed(&other, &header, &claims), "another algorithm under our header").await;

    let (header, claims) = decode(tokens.refresh_token());
    let secret = stranger(Algorithm::Hs256, &header["kid"]);
    rp.refresh_with(&signed(&secret, &header, &claims), &[]).await.expect_error("invalid_grant");
    rp.revoke(&signed(&secret, &header, &claims)).await.expect_status(200);
    rp.introspect(&signed(&secret, &header, &claims)).await.expect_inactive();
    rp.refresh(&tokens).await.expect_tokens();
}

fn hs256(secret: &[u8], header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(tag))
}

async fn no_algorithm_but_that_of_the_key_is_believed(app: TestApp) {
    let (rp, tokens) = signed_in(&app).await;
    let (header, claims) = decode(tokens.access_token());
    let signature = tokens.access_token().rsplit_once('.').expect("it has one").1;

    // RFC 8725 §2.1: `none`, however it is spelled, with any signature or none.
    for alg in ["none", "None", "NONE", "nOnE", "", "ES384", "RS256", "HS256", "PS256", "EdDSA", "es256"] {
        let message = format!("{}.{}", encoded(&with(&header, &[("alg", json!(alg))])), encoded(&claims));
        for signature in ["", signature, "AA"] {
            expect_no_access(&rp, &format!("{message}.{signature}"), &format!("alg {alg:?}")).await;
        }
    }
    // The public key, in each form that a library might take for a secret.
    let jwks: Value = app.get("/oauth/jwks").await.json();
    let keys = jwks["keys"].as_array().expect("keys");
    let mut secrets = vec![b"".to_vec(), jwks.to_string().into_bytes()];
    for key in keys {
        assert_ne!(key["kty"], "oct", "a symmetric key is never published");
        assert_eq!(key.get("d"), None, "nor a private one");
        secrets.push(key.to_string().into_bytes());
        for member in ["x", "y", "n"] {
            if let Some(text) = key[member].as_str() {
                secrets.push(text.as_bytes().to_vec());
                secrets.push(URL_SAFE_NO_PAD.decode(text).expect("base64url"));
            }
        }
    }
    for secret in &secrets {
        for key in keys {
            let forged = with(&header, &[("alg", json!("HS256")), ("kid", key["kid"].clone())]);
            expect_no_access(&rp, &hs256(secret, &forged, &claims), "HS256 with a public key").await;
        }
    }
    let (header, claims) = decode(tokens.refresh_token());
    for secret in [&b""[..], b"secret", header["kid"].as_str().expect("text").as_bytes()] {
        rp.refresh_with(&hs256(secret, &header, &claims), &[]).await.expect_error("invalid_grant");
    }
    rp.refresh(&tokens).await.expect_tokens();
}

async fn a_header_never_chooses_the_key(app: TestApp) {
    let (rp, tokens) = signed_in(&app).await;
    let (header, claims) = decode(tokens.access_token());
    let material = SigningKey::generate(Algorithm::Es256, &SystemRandom::new()).expect("a key");
    let kid = SigningKey::kid_of(Algorithm::Es256, &material).expect("a thumbprint");
    let evil = SigningKey::parse(kid.clone(), Algorithm::Es256, &material).expect("a key");
    let jwk = evil.public_jwk().expect("it has a public half");
    // ASVS 9.1.3: the forger brings the key along.
    for kid in [header["kid"].clone(), json!(kid)] {
        for (name, value) in [
            ("jwk", jwk.clone()),
            ("jku", json!("https://evil.example/jwks")),
            ("x5u", json!("https://evil.example/cert.pem")),
            ("x5c", json!(["MIIB"])),
        ] {
            let header = with(&header, &[(name, value), ("kid", kid.clone())]);
            expect_no_access(&rp, &signed(&evil, &header, &claims), name).await;
        }
    }
}

async fn a_token_of_another_server_is_worth_nothing(app: TestApp) {
    let (rp, tokens) = signed_in(&app).await;
    // The same keys (tests share a template), and another issuer: all that tells them apart is `iss` and `aud`.
    let mut other = TestApp::spawn(app.engine()).await;
    other.user("ada").await;
    let there = other.client("web").create().await;
    let theirs = there.sign_in("ada").await;
    assert_eq!(decode(theirs.access_token()).0, decode(tokens.access_token()).0);
    expect_no_access(&rp, theirs.access_token(), "another issuer's").await;
    rp.refresh(&theirs).await.expect_error("invalid_grant");
    rp.introspect(theirs.refresh_token()).await.expect_inactive();
    there.refresh(&theirs).await.expect_tokens();
    other.stop().await;
}

async fn a_token_longer_than_any_of_ours_is_not_even_read(app: TestApp) {
    let (rp, tokens) = signed_in(&app).await;
    let key = app.signing_key(Algorithm::Es256).await;
    let (header, claims) = decode(tokens.access_token());
    let padded = |length: usize| signed(&key, &header, &with(&claims, &[("padding", json!("x".repeat(length)))]));
    // Signed by ourselves: it is the length alone that is refused.
    app.introspect(&padded(1_000)).await.expect_active();
    app.introspect(&padded(20_000)).await.expect_inactive();
    // As a header it is longer than any HTTP server takes, or refused like any other.
    let answer = rp.userinfo(&padded(20_000)).await;
    assert!(answer.status.is_client_error(), "{answer:?}");
    // A form beyond the limit does not reach the endpoint at all.
    app.introspect(&padded(60_000)).await.expect_status(413);
}
