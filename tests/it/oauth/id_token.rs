//! ID tokens (OpenID Connect Core §2), access tokens (RFC 9068), and the keys that prove them (RFC 7517).

use std::collections::HashSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantor::crypto::sha256;
use grantor::types::{Algorithm, Clock};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};
use serde_json::{Value, json};

use crate::each_database;
use crate::support::party::decode;
use crate::support::{Pkce, TestApp};

each_database!(
    an_id_token_says_who_signed_in_when_and_how,
    an_id_token_is_signed_as_its_client_asked,
    an_id_token_is_for_openid_requests_alone,
    an_access_token_is_a_jwt_of_rfc_9068,
    the_published_keys_verify_and_give_nothing_away,
    lifetimes_are_what_was_configured_and_never_beyond_the_ceiling,
);

/// What a stranger makes of a token with nothing but the published keys.
pub async fn verified(app: &TestApp, token: &str, audience: &str) -> Result<Value, jsonwebtoken::errors::Error> {
    grantor::crypto::install();
    let keys: JwkSet = serde_json::from_str(&app.get("/oauth/jwks").await.body).expect("a JWK set");
    let header = jsonwebtoken::decode_header(token)?;
    let key = keys.find(header.kid.as_deref().expect("a kid")).expect("the key is published");
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[audience]);
    validation.set_issuer(&[app.issuer()]);
    Ok(jsonwebtoken::decode::<Value>(token, &DecodingKey::from_jwk(key)?, &validation)?.claims)
}

fn names(claims: &Value) -> Vec<&str> {
    claims.as_object().expect("claims are an object").keys().map(String::as_str).collect()
}

async fn an_id_token_says_who_signed_in_when_and_how(app: TestApp) {
    let ada = app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let signed_in_at = app.clock.now().secs();
    rp.sign_in_with(&person, "ada", &[]).await;
    app.clock.advance(Duration::from_secs(7));

    let scope = ("scope", "openid profile email offline_access");
    let code = rp.code(&person, "ada", &pkce, &[("nonce", "n-0S6_WzA2Mj \"&<"), scope]).await;
    let tokens = rp.redeem(&code, &pkce).await.expect_tokens();
    // OpenID Connect Core §3.1.3.7, with nothing but the published keys.
    let claims = verified(&app, tokens.id_token(), "web").await.expect("the signature is right");
    assert_eq!(claims["iss"], app.issuer());
    assert_eq!(claims["sub"], ada.to_string());
    assert_eq!(claims["aud"], "web");
    assert_eq!(claims["iat"], signed_in_at + 7);
    assert_eq!(claims["exp"], signed_in_at + 7 + 600);
    assert_eq!(claims["auth_time"], signed_in_at);
    assert_eq!(claims["nonce"], "n-0S6_WzA2Mj \"&<");
    assert_eq!(claims["acr"], "1");
    assert_eq!(claims["amr"], json!(["pwd"]));
    assert!(claims["sid"].as_str().is_some_and(|sid| sid.len() == 36), "{claims}");
    // OpenID Connect Core §3.1.3.6: the left half of the hash of the token's ASCII octets.
    assert_eq!(claims["at_hash"], URL_SAFE_NO_PAD.encode(&sha256(tokens.access_token().as_bytes())[..16]));
    // §5.4: with an access token, what the scopes ask for is at UserInfo.
    let expected = ["acr", "amr", "at_hash", "aud", "auth_time", "exp", "iat", "iss", "nonce", "sid", "sub"];
    assert_eq!(names(&claims), expected);

    // No nonce was sent, so there is none.
    let code = rp.code(&person, "ada", &pkce, &[("nonce", "")]).await;
    let without = rp.redeem(&code, &pkce).await.expect_tokens();
    assert_eq!(decode(without.id_token()).1.get("nonce"), None);
    assert_eq!(decode(without.id_token()).1["sid"], claims["sid"]);

    // §12.2: the refreshed one is about the same person and the same authentication, and its at_hash about the new token.
    app.clock.advance(Duration::from_secs(60));
    let again = rp.refresh(&tokens).await.expect_tokens();
    let refreshed = verified(&app, again.id_token(), "web").await.expect("the signature is right");
    for same in ["iss", "sub", "aud", "auth_time", "acr", "amr", "sid"] {
        assert_eq!(refreshed[same], claims[same], "{same}");
    }
    assert_eq!(refreshed["iat"], signed_in_at + 67);
    assert_eq!(refreshed.get("nonce"), None, "§12.2: SHOULD NOT have a nonce");
    assert_eq!(refreshed["at_hash"], URL_SAFE_NO_PAD.encode(&sha256(again.access_token().as_bytes())[..16]));

    // A stranger's check does fail on what is not so.
    verified(&app, tokens.id_token(), "other").await.expect_err("another audience");
    let (signed, signature) = tokens.id_token().rsplit_once('.').expect("a JWT");
    let flipped = if signature.starts_with('A') { "B" } else { "A" };
    let forged = format!("{signed}.{flipped}{}", &signature[1..]);
    verified(&app, &forged, "web").await.expect_err("another signature");
}

async fn an_id_token_is_signed_as_its_client_asked(app: TestApp) {
    app.user("ada").await;
    let rsa = app.client("web").create().await;
    let ec = app.client("ec").with(|client| client.id_token_signed_response_alg = Algorithm::Es256).create().await;
    for (rp, algorithm) in [(&rsa, "RS256"), (&ec, "ES256")] {
        let tokens = rp.sign_in("ada").await;
        // OpenID Connect Registration §2: "The default, if omitted, is RS256."
        let (header, _) = decode(tokens.id_token());
        assert_eq!((&header["alg"], &header["typ"]), (&json!(algorithm), &json!("JWT")));
        let claims = verified(&app, tokens.id_token(), &rp.id).await.expect("the signature is right");
        assert_eq!(claims["at_hash"], URL_SAFE_NO_PAD.encode(&sha256(tokens.access_token().as_bytes())[..16]));
        // The access token is for resource servers, whatever the client likes.
        assert_eq!(decode(tokens.access_token()).0["alg"], "ES256");
    }
}

async fn an_id_token_is_for_openid_requests_alone(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in_with(&app.person(), "ada", &[("scope", "profile notes:read")]).await;
    assert_eq!(tokens.0.get("id_token"), None);
    let tokens = rp.client_credentials("openid notes:read").await.expect_tokens();
    assert_eq!((tokens.0.get("id_token"), tokens.scope()), (None, "notes:read"));
}

async fn an_access_token_is_a_jwt_of_rfc_9068(app: TestApp) {
    let ada = app.user("ada").await;
    let rp = app.client("web").create().await;
    let now = app.clock.now().secs();
    let tokens = rp.sign_in_with(&app.person(), "ada", &[("scope", "openid notes:read")]).await;
    assert_eq!(tokens.0["token_type"], "Bearer");
    assert_eq!(tokens.0["expires_in"], 600);

    // RFC 9068 §2.1, §2.2
    let (header, _) = decode(tokens.access_token());
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("ES256")));
    assert_eq!(names(&header), ["alg", "kid", "typ"]);
    let claims = verified(&app, tokens.access_token(), app.issuer()).await.expect("the signature is right");
    assert_eq!(claims["sub"], ada.to_string());
    assert_eq!(claims["client_id"], "web");
    assert_eq!((&claims["iat"], &claims["exp"]), (&json!(now), &json!(now + 600)));
    assert_eq!(claims["scope"], "notes:read openid");
    assert_eq!((&claims["auth_time"], &claims["acr"], &claims["amr"]), (&json!(now), &json!("1"), &json!(["pwd"])));
    assert_eq!(claims["sid"], decode(tokens.id_token()).1["sid"]);
    // RFC 9562 §5.7: its id tells the millisecond of minting.
    let jti = claims["jti"].as_str().expect("a jti").replace('-', "");
    assert_eq!(i64::from_str_radix(&jti[..12], 16).expect("a UUIDv7") / 1000, now);

    // OIDC Back-Channel Logout §2.7: what offline_access granted does not follow the session.
    let offline = rp.sign_in("ada").await;
    assert_eq!(decode(offline.access_token()).1.get("sid"), None);

    // RFC 9068 §2.2: a client that acts for itself is its own subject, and there was no sign-in to tell of.
    let machine = rp.client_credentials("notes:read").await.expect_tokens();
    let claims = verified(&app, machine.access_token(), app.issuer()).await.expect("the signature is right");
    assert_eq!((&claims["sub"], &claims["client_id"]), (&json!("web"), &json!("web")));
    assert_eq!(names(&claims), ["aud", "client_id", "exp", "iat", "iss", "jti", "scope", "sub"]);
    let second = rp.client_credentials("notes:read").await.expect_tokens();
    assert_ne!(claims["jti"], decode(second.access_token()).1["jti"]);

    // RFC 8725 §3.11: each is one kind of token, and passes for no other.
    verified(&app, tokens.access_token(), "web").await.expect_err("it is not for the client");
    rp.userinfo(tokens.id_token()).await.expect_status(401);
    app.introspect(tokens.id_token()).await.expect_inactive();
}

async fn the_published_keys_verify_and_give_nothing_away(app: TestApp) {
    let answer = app.get("/oauth/jwks").await.expect_status(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let document = answer.json();
    let keys = document["keys"].as_array().expect("keys");
    let mut kids = HashSet::new();
    let mut algorithms = HashSet::new();
    for key in keys {
        // RFC 7517 §4, RFC 7518 §6: what is public of a key, and only that.
        let allowed: &[&str] = match key["kty"].as_str() {
            Some("EC") => &["alg", "crv", "kid", "kty", "use", "x", "y"],
            Some("RSA") => &["alg", "e", "kid", "kty", "n", "use"],
            other => panic!("a key of type {other:?}"),
        };
        assert_eq!(names(key), allowed);
        assert_eq!(key["use"], "sig");
        assert!(kids.insert(key["kid"].as_str().expect("a kid")), "a kid twice");
        algorithms.insert(key["alg"].as_str().expect("an alg"));
    }
    // ASVS 9.1.2: the symmetric keys of refresh tokens are nobody's business.
    assert_eq!(algorithms, HashSet::from(["ES256", "RS256"]));
    app.user("ada").await;
    let tokens = app.client("web").create().await.sign_in("ada").await;
    let refresh_key = decode(tokens.refresh_token()).0["kid"].as_str().expect("a kid").to_owned();
    assert!(!kids.contains(refresh_key.as_str()));
}

async fn lifetimes_are_what_was_configured_and_never_beyond_the_ceiling(app: TestApp) {
    let app = app.another("[tokens]\naccess_token_lifetime = \"2m\"\nid_token_lifetime = \"3m\"").await;
    app.user("ada").await;
    for (id, own, expected) in [("servers", None, 120), ("own", Some(30), 30), ("greedy", Some(86_400), 3_600)] {
        let lifetime = own.map(Duration::from_secs);
        let rp = app.client(id).with(|client| client.access_token_lifetime = lifetime).create().await;
        for tokens in [rp.sign_in("ada").await, rp.client_credentials("notes:read").await.expect_tokens()] {
            let (_, claims) = decode(tokens.access_token());
            assert_eq!(tokens.0["expires_in"], expected, "{id}");
            assert_eq!(claims["exp"].as_i64(), claims["iat"].as_i64().map(|iat| iat + expected), "{id}");
        }
        let (_, claims) = decode(rp.sign_in("ada").await.id_token());
        assert_eq!(claims["exp"].as_i64(), claims["iat"].as_i64().map(|iat| iat + 180));
    }
    // ASVS 9.2.1: to the second, not a second longer.
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in("ada").await;
    app.clock.advance(Duration::from_secs(118));
    app.introspect(tokens.access_token()).await.expect_active();
    app.clock.advance(Duration::from_secs(2));
    app.introspect(tokens.access_token()).await.expect_inactive();
    rp.userinfo(tokens.access_token()).await.expect_status(401);
}
