//! Introspection responses in a JWT (RFC 9701).

use std::sync::{Arc, Mutex};

use axum::response::IntoResponse as _;
use grantor::types::{Algorithm, Clock, ContentEncryption, KeyEncryption};
use serde_json::{Value, json};

use super::encryption::without_expiry;
use crate::each_database;
use crate::support::jwe::{published, recipient};
use crate::support::party::{Answer, SECRET, basic, decode};
use crate::support::receiver::NEARBY;
use crate::support::website::Website;
use crate::support::{Party, TestApp};

each_database!(
    who_asks_for_a_jwt_is_told_the_same_under_a_signature,
    what_is_not_good_is_inactive_under_a_signature_too,
    it_is_signed_and_encrypted_as_its_reader_is_registered,
    what_goes_wrong_is_told_in_clear,
    where_there_is_no_key_to_encrypt_to_its_reader_hears_what_to_do,
    an_answer_is_no_token,
);

const JWT: &str = "application/token-introspection+jwt";

async fn ask(party: &Party<'_>, token: &str) -> Answer {
    let headers = [
        ("content-type", "application/x-www-form-urlencoded"),
        ("authorization", &*basic(&party.id, SECRET)),
        ("accept", JWT),
    ];
    party.app.post_raw("/oauth/introspect", &headers, format!("token={token}")).await
}

/// The claims of the answer, whose signature and audience are right.
async fn told(party: &Party<'_>, token: &str) -> Value {
    let answer = ask(party, token).await.expect_status(200);
    assert_eq!(answer.header("content-type"), Some(JWT));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    without_expiry(party.app, &answer.body, &party.id).await
}

async fn who_asks_for_a_jwt_is_told_the_same_under_a_signature(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let api = app.resource_server().await;
    let tokens = rp.sign_in("ada").await;

    let answer = ask(&api, tokens.access_token()).await;
    let header = decode(&answer.body).0;
    // §5, §6: the type of its own, and the default algorithm.
    assert_eq!((&header["typ"], &header["alg"]), (&json!("token-introspection+jwt"), &json!("RS256")));
    let plain = api.introspect(tokens.access_token()).await;
    assert_eq!(plain.header("content-type"), Some("application/json"));
    // §5: iss, aud, iat and the answer; neither sub nor exp beside them.
    let expected = json!({
        "iss": app.issuer(), "aud": "api", "iat": app.clock.now().secs(), "token_introspection": plain.expect_active(),
    });
    assert_eq!(told(&api, tokens.access_token()).await, expected);

    // Whoever may ask at all may ask so: here a client of its own tokens.
    for token in [tokens.access_token(), tokens.refresh_token()] {
        let claims = told(&rp, token).await;
        assert_eq!(claims["aud"], "web");
        assert_eq!(claims["token_introspection"], rp.introspect(token).await.expect_active());
    }
}

async fn what_is_not_good_is_inactive_under_a_signature_too(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let other = app.client("other").create().await;
    let api = app.resource_server().await;
    let tokens = rp.sign_in("ada").await;
    let inactive = json!({ "active": false });

    // §5: "not intended for the calling resource server" is as good as unknown.
    for (party, token) in [(&api, "nonsense"), (&other, tokens.access_token()), (&api, tokens.refresh_token())] {
        assert_eq!(told(party, token).await["token_introspection"], inactive, "{}", party.id);
    }
    assert_eq!(told(&api, tokens.access_token()).await["token_introspection"]["active"], true);
    rp.revoke(tokens.access_token()).await.expect_status(200);
    assert_eq!(told(&api, tokens.access_token()).await["token_introspection"], inactive);
}

async fn it_is_signed_and_encrypted_as_its_reader_is_registered(app: TestApp) {
    let rp = app.client("web").create().await;
    let tokens = rp.client_credentials("notes:read").await.expect_tokens();
    let token = tokens.access_token();
    for (at, (kid, alg)) in
        [("rsa", KeyEncryption::RsaOaep256), ("p256", KeyEncryption::EcdhEs), ("p384", KeyEncryption::EcdhEsA256Kw)]
            .into_iter()
            .enumerate()
    {
        for enc in [None, Some(ContentEncryption::A256Gcm)] {
            let (to, id) = (recipient(kid), format!("api-{at}-{}", enc.is_some()));
            let jwks = published(&[&to.public]);
            let api = app.client(&id).grants(&[]).with(|client| {
                client.resource_server = true;
                client.jwks = Some(jwks);
                client.protection.introspection_signed_response_alg = Some(Algorithm::Es256);
                client.protection.introspection_encrypted_response_alg = Some(alg);
                client.protection.introspection_encrypted_response_enc = enc;
            });
            let api = api.create().await;
            let answer = ask(&api, token).await.expect_status(200);
            let (header, signed) = to.read(&answer.body);
            assert_eq!((&header["alg"], &header["cty"]), (&json!(alg.as_str()), &json!("JWT")));
            // §6: the default.
            assert_eq!(header["enc"], enc.unwrap_or(ContentEncryption::A128CbcHs256).as_str());
            assert_eq!(decode(&signed).0["alg"], "ES256");
            let claims = without_expiry(&app, &signed, &id).await;
            // JSON stays JSON: what is registered is about JWTs.
            assert_eq!(claims["token_introspection"], api.introspect(token).await.expect_active());
        }
    }
}

async fn what_goes_wrong_is_told_in_clear(app: TestApp) {
    let api = app.resource_server().await;
    for (secret, body, error, status) in
        [("wrong", "token=x", "invalid_client", 401), (SECRET, "", "invalid_request", 400)]
    {
        let headers = [
            ("content-type", "application/x-www-form-urlencoded"),
            ("authorization", &*basic(&api.id, secret)),
            ("accept", JWT),
        ];
        let answer = app.post_raw("/oauth/introspect", &headers, body).await;
        assert_eq!(answer.header("content-type"), Some("application/json"));
        answer.expect_error(error).expect_status(status);
    }
}

async fn where_there_is_no_key_to_encrypt_to_its_reader_hears_what_to_do(app: TestApp) {
    let app = app.another(NEARBY).await;
    let to = recipient("p256");
    let shown = Arc::new(Mutex::new((404, String::new())));
    let document = shown.clone();
    let site = Website::start(move |_| {
        let (status, body) = document.lock().unwrap().clone();
        (http::StatusCode::from_u16(status).unwrap(), body).into_response()
    });
    let uri = format!("{}/jwks", site.url);
    let api = app.client("api").grants(&[]).with(|client| {
        client.resource_server = true;
        client.jwks_uri = Some(uri);
        client.protection.introspection_encrypted_response_alg = Some(KeyEncryption::EcdhEs);
    });
    let api = api.create().await;
    let rp = app.client("web").create().await;
    let tokens = rp.client_credentials("notes:read").await.expect_tokens();
    // It may be there in a moment; why it is not is in our log alone.
    let away = ask(&api, tokens.access_token()).await.expect_status(503).expect_error("temporarily_unavailable");
    assert!(away.header("retry-after").is_some() && !away.body.contains("127.0.0.1"), "{away:?}");
    // Whoever does not want a JWT needs no key.
    api.introspect(tokens.access_token()).await.expect_active();

    // There, but for something else: nobody but the reader can put that right.
    *shown.lock().unwrap() = (200, published(&[&recipient("rsa").public]).to_string());
    app.advance(60);
    let refused = ask(&api, tokens.access_token()).await.expect_status(400).expect_error("invalid_request");
    assert!(refused.body.contains("ECDH-ES"), "{}", refused.body);
    *shown.lock().unwrap() = (200, published(&[&to.public]).to_string());
    app.advance(60);
    let answer = ask(&api, tokens.access_token()).await.expect_status(200);
    assert_eq!(decode(&to.read(&answer.body).1).0["typ"], "token-introspection+jwt");
    // The same of keys that are registered.
    app.reregister("api", |client| {
        client.jwks_uri = None;
        client.jwks = Some(published(&[]));
    })
    .await;
    ask(&api, tokens.access_token()).await.expect_status(400).expect_error("invalid_request");
}

/// §8.1: cross-JWT confusion.
async fn an_answer_is_no_token(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let api = app.resource_server().await;
    let tokens = rp.sign_in("ada").await;
    let (own, others) = (ask(&rp, tokens.access_token()).await.body, ask(&api, tokens.access_token()).await.body);
    for answer in [&own, &others] {
        rp.userinfo(answer).await.expect_status(401);
        api.introspect(answer).await.expect_inactive();
        rp.introspect(answer).await.expect_inactive();
        rp.refresh_with(answer, &[]).await.expect_error("invalid_grant");
        let hint = [("prompt", "none"), ("id_token_hint", answer.as_str())];
        let page = rp.authorize(&app.person(), &crate::support::Pkce::new(), &hint).await;
        assert_eq!(page.param("error").as_deref(), Some("invalid_request"), "{page:?}");
    }
}
