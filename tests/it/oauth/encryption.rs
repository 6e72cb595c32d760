//! What is signed and encrypted to its client (OpenID Connect Core §5.3.2, §10, Registration §2).

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::response::IntoResponse as _;
use grantor::oauth::client_keys;
use grantor::types::{Algorithm, ClientMetadata, ContentEncryption, KeyEncryption};
use serde_json::{Value, json};

use super::id_token::verified;
use super::registration::{OPEN, party, register, registered};
use crate::each_database;
use crate::support::jwe::{self, Recipient, published, recipient};
use crate::support::party::{Builder, decode};
use crate::support::receiver::{self, NEARBY, Receiver, Reply};
use crate::support::website::Website;
use crate::support::{Party, Pkce, TestApp};

each_database!(
    an_id_token_is_encrypted_to_the_client_that_wants_it,
    userinfo_is_signed_and_encrypted_as_the_client_wants_it,
    what_goes_wrong_at_userinfo_is_told_in_clear,
    a_logout_token_is_encrypted_as_id_tokens_are,
    a_signed_userinfo_is_no_id_token,
    a_key_is_fetched_where_the_client_publishes_it,
    nothing_is_spent_where_nothing_can_be_encrypted,
    a_client_that_uses_no_id_token_needs_no_key,
    a_client_that_registers_itself_says_what_it_wants,
);

/// For whom each algorithm is.
const RECIPIENTS: [(&str, KeyEncryption); 5] = [
    ("rsa", KeyEncryption::RsaOaep256),
    ("p256", KeyEncryption::EcdhEs),
    ("p384", KeyEncryption::EcdhEs),
    ("p256", KeyEncryption::EcdhEsA256Kw),
    ("p384", KeyEncryption::EcdhEsA256Kw),
];

fn encrypted<'a>(app: &'a TestApp, id: &str, to: &Recipient, alg: KeyEncryption) -> Builder<'a> {
    let jwks = published(&[&to.public]);
    app.client(id).with(|client| {
        client.jwks = Some(jwks);
        client.protection.id_token_encrypted_response_alg = Some(alg);
    })
}

async fn an_id_token_is_encrypted_to_the_client_that_wants_it(app: TestApp) {
    let ada = app.user("ada").await.to_string();
    let person = app.person();
    for (at, (kid, alg)) in RECIPIENTS.into_iter().enumerate() {
        for enc in [None, Some(ContentEncryption::A128CbcHs256), Some(ContentEncryption::A256Gcm)] {
            let (id, to) = (format!("web-{at}-{}", enc.map_or("default", ContentEncryption::as_str)), recipient(kid));
            let rp = encrypted(&app, &id, &to, alg);
            let rp = rp.with(|client| client.protection.id_token_encrypted_response_enc = enc).create().await;
            let first = rp.sign_in_with(&person, "ada", &[]).await;
            let again = rp.refresh(&first).await.expect_tokens();
            for token in [first.id_token(), again.id_token()] {
                let (header, signed) = to.read(token);
                assert_eq!((&header["alg"], &header["kid"]), (&json!(alg.as_str()), &json!(kid)));
                // Registration §2: the default.
                assert_eq!(header["enc"], enc.unwrap_or(ContentEncryption::A128CbcHs256).as_str());
                // RFC 7519 §5.2
                assert_eq!(header["cty"], "JWT");
                // Core §2: signed first, as ever.
                assert_eq!(verified(&app, &signed, &id).await.expect("it is ours")["sub"], ada);
                // Nothing of it is outside.
                assert!(!header.to_string().contains(&ada), "{header}");
            }
            // Access tokens are for others to read.
            assert_eq!(decode(first.access_token()).1["sub"], ada);

            // §3.1.2.1: "the Client MUST decrypt the signed ID Token" before it is a hint.
            let (_, signed) = to.read(first.id_token());
            let silent = |hint| [("prompt", "none"), ("id_token_hint", hint)];
            rp.authorize(&person, &Pkce::new(), &silent(&signed)).await.code();
            let page = rp.authorize(&person, &Pkce::new(), &silent(first.id_token())).await;
            assert_eq!(page.param("error").as_deref(), Some("invalid_request"), "{page:?}");
        }
    }
}

async fn userinfo_is_signed_and_encrypted_as_the_client_wants_it(app: TestApp) {
    let ada = app.user("ada").await.to_string();
    let (person, to) = (app.person(), recipient("p256"));
    let plain = json!({"sub": ada, "email": "ada@example.org", "email_verified": true});
    let (signed, encrypted) = (Some(Algorithm::Es256), Some(KeyEncryption::EcdhEs));
    for (at, (sign, encrypt)) in
        [(None, None), (signed, None), (None, encrypted), (signed, encrypted)].into_iter().enumerate()
    {
        let id = format!("web-{at}");
        let jwks = published(&[&to.public]);
        let rp = app.client(&id).with(|client| {
            client.jwks = Some(jwks);
            client.protection.userinfo_signed_response_alg = sign;
            client.protection.userinfo_encrypted_response_alg = encrypt;
            client.protection.userinfo_encrypted_response_enc = encrypt.map(|_| ContentEncryption::A256Gcm);
        });
        let rp = rp.create().await;
        let tokens = rp.sign_in_with(&person, "ada", &[("scope", "openid email")]).await;
        let answer = rp.userinfo(tokens.access_token()).await.expect_status(200);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        // §5.3.2: "the content-type of the HTTP response MUST be application/json" if it is text, and else
        // application/jwt.
        let jwt = sign.is_some() || encrypt.is_some();
        assert_eq!(answer.header("content-type"), Some(if jwt { "application/jwt" } else { "application/json" }));
        let mut body = answer.body.clone();
        if encrypt.is_some() {
            let (header, inner) = to.read(&body);
            assert_eq!((&header["alg"], &header["enc"]), (&json!("ECDH-ES"), &json!("A256GCM")));
            assert_eq!(header.get("cty"), sign.map(|_| json!("JWT")).as_ref());
            body = inner;
        }
        let claims = if sign.is_some() {
            assert_eq!(decode(&body).0["alg"], "ES256");
            let mut claims = without_expiry(&app, &body, &id).await;
            // §5.3.2: iss and aud are there, and are these.
            let members = claims.as_object_mut().unwrap();
            assert_eq!(members.remove("iss"), Some(json!(app.issuer())));
            assert_eq!(members.remove("aud"), Some(json!(id)));
            claims
        } else {
            serde_json::from_str(&body).unwrap()
        };
        assert_eq!(claims, plain);
        // The ID token of this client is signed, and no more.
        assert_eq!(decode(tokens.id_token()).1["sub"], ada);
    }
}

/// The claims of a JWT that never expires, checked by the published keys.
pub async fn without_expiry(app: &TestApp, token: &str, audience: &str) -> Value {
    let keys: jsonwebtoken::jwk::JwkSet = serde_json::from_str(&app.get("/oauth/jwks").await.body).unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    let key = jsonwebtoken::DecodingKey::from_jwk(keys.find(header.kid.as_deref().unwrap()).unwrap()).unwrap();
    let mut validation = jsonwebtoken::Validation::new(header.alg);
    validation.set_audience(&[audience]);
    validation.set_required_spec_claims(&["iss", "aud"]);
    jsonwebtoken::decode(token, &key, &validation).unwrap().claims
}

async fn what_goes_wrong_at_userinfo_is_told_in_clear(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").with(|client| client.protection.userinfo_signed_response_alg = Some(Algorithm::Rs256));
    let rp = rp.create().await;
    let tokens = rp.sign_in("ada").await;
    rp.userinfo(tokens.access_token()).await.expect_status(200);
    rp.revoke(tokens.access_token()).await.expect_status(200);
    let answer = rp.userinfo(tokens.access_token()).await.expect_error("invalid_token");
    assert_eq!(answer.header("content-type"), Some("application/json"));

    // Nothing that it could be encrypted to: the client can mend its keys, and what is away may come back.
    let tokens = rp.sign_in("ada").await;
    app.reregister("web", |client| {
        client.jwks = Some(published(&[]));
        client.protection.userinfo_encrypted_response_alg = Some(KeyEncryption::EcdhEs);
    })
    .await;
    rp.userinfo(tokens.access_token()).await.expect_error("invalid_request").expect_status(400);
    app.reregister("web", |client| {
        client.jwks = None;
        client.jwks_uri = Some("http://127.0.0.1:1/jwks".into());
    })
    .await;
    rp.userinfo(tokens.access_token()).await.expect_error("temporarily_unavailable").expect_status(503);
}

async fn a_logout_token_is_encrypted_as_id_tokens_are(app: TestApp) {
    let (app, receiver) = (app.another(NEARBY).await, Receiver::start(Reply::Status(200)).await);
    let (ada, to) = (app.user("ada").await, recipient("rsa"));
    let uri = receiver.uri();
    let rp = encrypted(&app, "web", &to, KeyEncryption::RsaOaep256);
    let rp = rp.with(|client| client.backchannel_logout_uri = Some(uri)).create().await;
    let person = app.person();
    rp.sign_in_with(&person, "ada", &[]).await;
    person.sign_out().await;
    let (header, signed) = to.read(&receiver.hears(1).await[0]);
    // Back-Channel Logout §2.4: "it SHOULD replicate the iss (issuer) claim in the JWT Header".
    assert_eq!((&header["iss"], &header["cty"]), (&json!(app.issuer()), &json!("JWT")));
    assert_eq!(receiver::verified(&app, &signed, "web").await.1["sub"], ada.to_string());
}

async fn a_signed_userinfo_is_no_id_token(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").with(|client| client.protection.userinfo_signed_response_alg = Some(Algorithm::Rs256));
    let (rp, person) = (rp.create().await, app.person());
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    let userinfo = rp.userinfo(tokens.access_token()).await.expect_status(200).body;
    let silent = |hint| [("prompt", "none"), ("id_token_hint", hint)];
    rp.authorize(&person, &Pkce::new(), &silent(tokens.id_token())).await.code();
    let page = rp.authorize(&person, &Pkce::new(), &silent(&userinfo)).await;
    assert_eq!(page.param("error").as_deref(), Some("invalid_request"), "{page:?}");
    rp.userinfo(&userinfo).await.expect_error("invalid_token");
    app.introspect(&userinfo).await.expect_inactive();
}

/// A client that publishes its keys, and what stands there.
async fn publishing<'a>(app: &'a TestApp, first: Value) -> (Party<'a>, Website, Arc<Mutex<Value>>) {
    let document = Arc::new(Mutex::new(first));
    let shown = document.clone();
    let site = Website::start(move |_| shown.lock().unwrap().to_string().into_response());
    let uri = format!("{}/jwks", site.url);
    let rp = app.client("web").with(|client| {
        client.jwks_uri = Some(uri);
        client.protection.id_token_encrypted_response_alg = Some(KeyEncryption::EcdhEs);
    });
    (rp.create().await, site, document)
}

async fn a_key_is_fetched_where_the_client_publishes_it(app: TestApp) {
    let app = app.another(NEARBY).await;
    app.user("ada").await;
    let (rsa, ec) = (recipient("rsa"), recipient("p256"));
    let (rp, site, document) = publishing(&app, published(&[&rsa.public, &ec.public])).await;
    let person = app.person();
    for _ in 0..3 {
        ec.read(rp.sign_in_with(&person, "ada", &[]).await.id_token());
    }
    assert_eq!(site.asked(), 1);
    // The set that is remembered has none for what the client wants now, and a newer one does.
    app.reregister("web", |client| {
        client.protection.id_token_encrypted_response_alg = Some(KeyEncryption::RsaOaep256);
    })
    .await;
    rsa.read(rp.sign_in_with(&person, "ada", &[]).await.id_token());
    *document.lock().unwrap() = published(&[&ec.public]);
    rsa.read(rp.sign_in_with(&person, "ada", &[]).await.id_token());
    assert_eq!(site.asked(), 1);
}

async fn nothing_is_spent_where_nothing_can_be_encrypted(app: TestApp) {
    let app = app.another(&format!("{NEARBY}[authorization]\ncode_lifetime = \"10m\"")).await;
    app.user("ada").await;
    let (rsa, ec) = (recipient("rsa"), recipient("p256"));
    let (rp, site, document) = publishing(&app, published(&[&rsa.public])).await;
    let (person, pkce) = (app.person(), Pkce::new());
    let code = rp.code(&person, "ada", &pkce, &[]).await;
    let refused = rp.redeem(&code, &pkce).await.expect_error("invalid_request");
    assert!(refused.body.contains("ECDH-ES"), "{}", refused.body);
    // The client notices, and publishes one: its code is good yet.
    *document.lock().unwrap() = published(&[&rsa.public, &ec.public]);
    app.clock.advance(Duration::from_secs(60));
    let tokens = rp.redeem(&code, &pkce).await.expect_tokens();
    ec.read(tokens.id_token());
    let asked = site.asked();
    // Away again: the refresh token is spent as little.
    app.reregister("web", |client| {
        client.jwks_uri = Some("http://127.0.0.1:1/jwks".into());
    })
    .await;
    rp.refresh(&tokens).await.expect_error("invalid_request");
    let uri = format!("{}/jwks", site.url);
    app.reregister("web", |client| client.jwks_uri = Some(uri)).await;
    ec.read(rp.refresh(&tokens).await.expect_tokens().id_token());
    assert_eq!(site.asked(), asked);
}

async fn a_client_that_uses_no_id_token_needs_no_key(app: TestApp) {
    let to = recipient("p256");
    let rp = encrypted(&app, "web", &to, KeyEncryption::EcdhEs).create().await;
    app.reregister("web", |client| client.jwks = Some(published(&[]))).await;
    rp.client_credentials("notes:read").await.expect_tokens();
}

async fn a_client_that_registers_itself_says_what_it_wants(app: TestApp) {
    let app = app.another(OPEN).await;
    app.user("ada").await;
    let to = recipient("p384");
    let mut document = json!({
        "redirect_uris": ["https://app.example/callback"], "grant_types": ["authorization_code", "refresh_token"],
        "jwks": published(&[&to.public]), "id_token_encrypted_response_alg": "ECDH-ES",
        "id_token_encrypted_response_enc": "A256GCM", "userinfo_signed_response_alg": "ES256",
    });
    let information = registered(&app, &document).await;
    for name in ["id_token_encrypted_response_alg", "id_token_encrypted_response_enc", "userinfo_signed_response_alg"] {
        assert_eq!(information[name], document[name]);
    }
    let rp = party(&app, &information);
    let tokens = rp.sign_in_with(&app.person(), "ada", &[("scope", "openid")]).await;
    let (header, signed) = to.read(tokens.id_token());
    assert_eq!((&header["alg"], &header["enc"]), (&json!("ECDH-ES"), &json!("A256GCM")));
    let claims = verified(&app, &signed, &rp.id).await.expect("it is ours");
    let userinfo = rp.userinfo(tokens.access_token()).await.expect_status(200).body;
    assert_eq!(without_expiry(&app, &userinfo, &rp.id).await["sub"], claims["sub"]);
    // What it would count on and cannot have is refused.
    for (name, value) in [
        ("id_token_encrypted_response_alg", "RSA-OAEP-256"),
        ("id_token_encrypted_response_enc", "A192GCM"),
        ("userinfo_signed_response_alg", "ES512"),
        ("userinfo_encrypted_response_alg", "RSA1_5"),
    ] {
        let good = std::mem::replace(&mut document[name], json!(value));
        register(&app, None, &document).await.expect_error("invalid_client_metadata");
        document[name] = good;
    }
    document["id_token_encrypted_response_alg"] = Value::Null;
    register(&app, None, &document).await.expect_error("invalid_client_metadata");
}

#[test]
fn the_key_is_the_one_that_is_for_encryption() {
    let ec = recipient("p256").public;
    let other = recipient("p384").public;
    let changed = |key: &Value, members: Value| {
        let mut key = key.clone();
        for (name, value) in members.as_object().unwrap() {
            key[name] = value.clone();
        }
        key.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        key
    };
    let found = |keys: &[&Value]| {
        let set = grantor::crypto::JwkSet::from_value(&published(keys)).unwrap();
        set.encrypting(KeyEncryption::EcdhEs).map(|key| key.kid().unwrap_or_default().to_owned())
    };
    let nothing_said = changed(&ec, json!({"use": null}));
    // What browsers export of a public key (Web Cryptography §23.7).
    let of_a_browser = changed(&nothing_said, json!({"key_ops": [], "ext": true}));
    for key in [&ec, &nothing_said, &of_a_browser, &changed(&ec, json!({"alg": "ECDH-ES"}))] {
        assert_eq!(found(&[key]).as_deref(), Some("p256"), "{key}");
    }
    // The one that says so is taken before one that says nothing, wherever it stands.
    assert_eq!(found(&[&nothing_said, &other]).as_deref(), Some("p384"));
    for key in [
        changed(&ec, json!({"use": "sig"})),
        changed(&ec, json!({"alg": "ES256"})),
        changed(&ec, json!({"alg": "ECDH-ES+A256KW"})),
        changed(&nothing_said, json!({"key_ops": ["verify"]})),
        recipient("rsa").public,
    ] {
        assert_eq!(found(&[&key]), None, "{key}");
    }
}

#[test]
fn a_registration_that_cannot_be_served_is_refused() {
    let (rsa, ec) = (recipient("rsa").public, recipient("p256").public);
    let checked = |members: Value, keys: &[&Value]| {
        let mut client = ClientMetadata { client_name: "x".into(), ..ClientMetadata::default() };
        client.jwks = (!keys.is_empty()).then(|| published(keys));
        for (name, value) in members.as_object().unwrap() {
            client.set(name, value.clone())?;
        }
        client.validate()?;
        client_keys::check(&client)
    };
    for (members, keys) in [
        (json!({"userinfo_signed_response_alg": "ES256"}), &[][..]),
        (json!({"id_token_encrypted_response_alg": "RSA-OAEP-256"}), &[&rsa]),
        (json!({"userinfo_encrypted_response_alg": "ECDH-ES", "userinfo_encrypted_response_enc": "A256GCM"}), &[&ec]),
        (json!({"id_token_encrypted_response_alg": "ECDH-ES+A256KW"}), &[&rsa, &ec]),
    ] {
        assert_eq!(checked(members.clone(), keys), Ok(()), "{members}");
    }
    for (members, keys, why) in [
        (json!({"id_token_encrypted_response_enc": "A256GCM"}), &[&rsa][..], "id_token_encrypted_response_alg"),
        (json!({"userinfo_encrypted_response_enc": "A256GCM"}), &[&rsa], "userinfo_encrypted_response_alg"),
        (json!({"id_token_encrypted_response_alg": "RSA-OAEP-256"}), &[], "jwks"),
        (json!({"userinfo_encrypted_response_alg": "ECDH-ES"}), &[&rsa], "ECDH-ES"),
        (json!({"id_token_encrypted_response_alg": "RSA-OAEP-256"}), &[&ec], "RSA-OAEP-256"),
        (json!({"authorization_encrypted_response_enc": "A256GCM"}), &[&rsa], "authorization_encrypted_response_alg"),
        (json!({"authorization_encrypted_response_alg": "ECDH-ES"}), &[], "jwks"),
        (json!({"userinfo_signed_response_alg": "HS256"}), &[], "asymmetric"),
        (json!({"userinfo_signed_response_alg": "none"}), &[], "none"),
        (json!({"introspection_encrypted_response_enc": "A256GCM"}), &[&rsa], "introspection_encrypted_response_alg"),
        (json!({"introspection_encrypted_response_alg": "ECDH-ES"}), &[], "jwks"),
        (json!({"introspection_signed_response_alg": "HS256"}), &[], "introspection_signed_response_alg"),
        // RFC 8725 §3.2, RFC 7518 §4.2: not with the padding of Bleichenbacher's attack.
        (json!({"id_token_encrypted_response_alg": "RSA1_5"}), &[&rsa], "RSA1_5"),
        (json!({"id_token_encrypted_response_alg": "dir"}), &[&rsa], "dir"),
    ] {
        let refused = checked(members.clone(), keys).expect_err(&members.to_string());
        assert!(refused.contains(why), "{members}: {refused}");
    }
}

#[test]
fn a_reader_that_lacks_the_key_reads_nothing() {
    // What the tests above rest on.
    let token = include_str!("../../vectors/json_web_encryption.json");
    let vectors: Value = serde_json::from_str(token).unwrap();
    let groups = vectors["testGroups"].as_array().unwrap();
    let token = |kid: &str| {
        let group = groups.iter().find(|group| group["private"]["kid"] == kid).unwrap();
        group["tests"][0]["jwe"].as_str().unwrap()
    };
    for (own, other) in [("rsa", "p256"), ("p256", "p384"), ("p384", "rsa")] {
        assert!(jwe::decrypt(&recipient(own).private, token(own)).is_some());
        assert!(jwe::decrypt(&recipient(other).private, token(own)).is_none());
    }
}
