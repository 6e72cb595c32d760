//! The keys of clients: registered, or fetched; and what was signed with them.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantor::crypto::jws::{JwsError, Unverified};
use grantor::crypto::{KeyRing, SigningKey, SystemRandom};
use grantor::oauth::ClientKeys;
use grantor::oauth::client_keys::{ClientKeysError, check};
use grantor::outgoing::{Options, Outgoing};
use grantor::types::{Algorithm, Client, ClientMetadata, Timestamp};
use http::StatusCode;
use serde_json::{Value, json};

use crate::support::website::Website;

const PUBLIC: [Algorithm; 2] = [Algorithm::Es256, Algorithm::EdDsa];

fn key(kid: &str) -> SigningKey {
    let material = SigningKey::generate(Algorithm::EdDsa, &SystemRandom::new()).unwrap();
    SigningKey::parse(kid.into(), Algorithm::EdDsa, &material).unwrap()
}

fn signed(key: &SigningKey) -> String {
    let header = json!({"alg": "EdDSA", "kid": key.kid()}).to_string();
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode("{}"));
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).unwrap()))
}

fn client(jwks: Option<Value>, jwks_uri: Option<String>) -> Client {
    Client {
        id: "web".parse().unwrap(),
        secret_hash: None,
        secret_sealed: None,
        metadata: ClientMetadata { jwks, jwks_uri, ..ClientMetadata::default() },
        created_at: at(0),
        updated_at: at(0),
        disabled_at: None,
        registration: None,
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + seconds)
}

fn client_keys() -> ClientKeys {
    let options = Options {
        allow: vec!["127.0.0.1".parse().unwrap()],
        extra_ca: None,
        timeout: Duration::from_secs(2),
        max_bytes: 10_000,
    };
    let ring = KeyRing::parse(&KeyRing::generate(&SystemRandom::new())).unwrap();
    ClientKeys::new(Outgoing::new(&options).unwrap(), Duration::from_secs(3_600), Arc::new(ring), None)
}

fn set(keys: &[&SigningKey]) -> Value {
    json!({"keys": keys.iter().map(|key| key.public_jwk()).collect::<Vec<_>>()})
}

async fn verify(keys: &ClientKeys, client: &Client, by: &SigningKey, now: Timestamp) -> Result<Value, ClientKeysError> {
    let token = signed(by);
    keys.verify(client, &Unverified::parse(&token, &PUBLIC).unwrap(), now).await
}

/// A site that publishes whatever is put there.
fn publisher(first: Response<String>) -> (Website, Arc<Mutex<Response<String>>>) {
    let document = Arc::new(Mutex::new(first));
    let shown = document.clone();
    let site = Website::start(move |_| shown.lock().unwrap().clone().into_response());
    (site, document)
}

#[tokio::test]
async fn registered_keys_verify_what_the_client_signed_and_nothing_else() {
    let (own, other) = (key("k1"), key("k1"));
    let web = client(Some(set(&[&own])), None);
    let keys = client_keys();
    assert_eq!(verify(&keys, &web, &own, at(0)).await, Ok(json!({})));
    assert_eq!(verify(&keys, &web, &other, at(0)).await, Err(ClientKeysError::Jws(JwsError::BadSignature)));
    assert_eq!(verify(&keys, &web, &key("k2"), at(0)).await, Err(ClientKeysError::Jws(JwsError::UnknownKey)));
    assert_eq!(verify(&keys, &client(None, None), &own, at(0)).await, Err(ClientKeysError::None));
}

#[tokio::test]
async fn published_keys_are_fetched_once_and_again_for_a_kid_that_nobody_knows() {
    let (first, second, stranger) = (key("k1"), key("k2"), key("k3"));
    let (site, document) = publisher(Response::new(set(&[&first]).to_string()));
    let web = client(None, Some(format!("{}/jwks", site.url)));
    let keys = client_keys();
    for _ in 0..3 {
        assert_eq!(verify(&keys, &web, &first, at(0)).await, Ok(json!({})));
    }
    assert_eq!(site.asked(), 1);

    // The client rotates: its new key counts at once, and the old one no more.
    *document.lock().unwrap() = Response::new(set(&[&second]).to_string());
    assert_eq!(verify(&keys, &web, &second, at(1)).await, Ok(json!({})));
    assert_eq!(site.asked(), 2);
    assert_eq!(verify(&keys, &web, &first, at(2)).await, Err(ClientKeysError::Jws(JwsError::UnknownKey)));

    // A stranger names keys that do not exist.
    for second in 3..50 {
        let refused = verify(&keys, &web, &stranger, at(second)).await;
        assert_eq!(refused, Err(ClientKeysError::Jws(JwsError::UnknownKey)));
    }
    assert_eq!(site.asked(), 2);
    assert!(verify(&keys, &web, &stranger, at(61)).await.is_err());
    assert_eq!(site.asked(), 3);
    // A signature that is merely wrong asks nobody.
    assert!(verify(&keys, &web, &key("k2"), at(200)).await.is_err());
    assert_eq!(site.asked(), 3);
}

#[tokio::test]
async fn what_is_no_set_or_gives_a_secret_away_is_not_used() {
    let own = key("k1");
    let mut private = set(&[&own]);
    private["keys"][0]["d"] = json!("AQ");
    let text = set(&[&own]).to_string();
    let missing = Response::builder().status(StatusCode::NOT_FOUND).body(text.clone()).unwrap();
    let away = Response::builder().status(StatusCode::FOUND).header("location", "/other").body(text.clone()).unwrap();
    let twice = format!("{{\"keys\":[],{}", &text[1..]);
    for document in [
        missing,
        away,
        Response::new(private.to_string()),
        Response::new(twice),
        Response::new("<html>".to_owned()),
        Response::new(json!({"keys": [], "padding": "x".repeat(10_000)}).to_string()),
    ] {
        let (site, _) = publisher(document);
        let web = client(None, Some(site.url.clone()));
        let refused = verify(&client_keys(), &web, &own, at(0)).await.unwrap_err();
        // What the client's developer is told says nothing of our network.
        assert!(matches!(refused, ClientKeysError::Fetch(_)), "{refused:?}");
        assert_eq!(refused.to_string(), "the keys at the client's jwks_uri cannot be fetched or read");
        assert_eq!(site.asked(), 1);
    }
}

#[test]
fn keys_are_registered_in_one_way_and_sound() {
    let own = set(&[&key("k1")]);
    let metadata = |jwks: Option<Value>, uri: Option<&str>| ClientMetadata {
        client_name: "Web".into(),
        jwks,
        jwks_uri: uri.map(str::to_owned),
        ..ClientMetadata::default()
    };
    for (good, jwks, uri) in [
        (true, Some(own.clone()), None),
        (true, None, Some("https://app.example/jwks")),
        (true, None, Some("http://127.0.0.1:8000/jwks")),
        // RFC 7591 §2: "MUST NOT both be present in the same request or response".
        (false, Some(own.clone()), Some("https://app.example/jwks")),
        (false, None, Some("ftp://app.example/jwks")),
        (false, None, Some("/jwks")),
        (false, None, Some("https://app.example/jwks#k1")),
    ] {
        assert_eq!(metadata(jwks, uri).validate().is_ok(), good, "{uri:?}");
    }
    assert_eq!(check(&metadata(Some(own.clone()), None)), Ok(()));
    let mut private = own;
    private["keys"][0]["d"] = json!("AQ");
    // RFC 7517 §5 is for sets of others: whoever registers one is told of each key that is of no use.
    let with_a_symmetric_one = json!({"keys": [key("k1").public_jwk(), {"kty": "oct", "k": "c2VjcmV0"}]});
    let unfit = [json!({"keys": [{"kty": "AKP"}]}), private, with_a_symmetric_one];
    for jwks in [json!([]), json!({}), json!({"keys": []})].into_iter().chain(unfit) {
        assert!(check(&metadata(Some(jwks.clone()), None)).is_err(), "{jwks}");
    }
}
