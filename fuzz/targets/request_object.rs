//! A request object: its JWT, and the parameters in one that the client has signed.
#![no_main]

use std::sync::LazyLock;

use grantor::crypto::jws::Unverified;
use grantor::oauth::authorize::{self, REQUEST_OBJECT_ALGORITHMS};
use grantor::types::{Client, ClientMetadata, Timestamp, json};
use libfuzzer_sys::fuzz_target;

static CLIENT: LazyLock<Client> = LazyLock::new(|| Client {
    id: "web".parse().expect("an id"),
    secret_hash: None,
    secret_sealed: None,
    metadata: ClientMetadata::default(),
    created_at: Timestamp::from_secs(0),
    updated_at: Timestamp::from_secs(0),
    disabled_at: None,
    registration: None,
});

fuzz_target!(|input: (&str, &[u8])| {
    let (token, claims) = input;
    if let Ok(token) = Unverified::parse(token, &REQUEST_OBJECT_ALGORITHMS) {
        assert!(token.verify::<serde_json::Value>(&[]).is_err(), "there is no key for it");
    }
    let Ok(serde_json::Value::Object(claims)) = json::strict(claims) else { return };
    if let Ok(params) = authorize::parameters_of_request_object(&CLIENT, &claims) {
        assert_eq!(params.get("client_id"), Some("web"), "it is the client's own");
    }
});
