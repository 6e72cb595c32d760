//! A registration: each member that a document names, and the keys.
#![no_main]

use grantor::crypto::JwkSet;
use grantor::oauth::client_keys;
use grantor::types::{ClientMetadata, json};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|document: &[u8]| {
    let _ = JwkSet::parse(document);
    let Ok(serde_json::Value::Object(members)) = json::strict(document) else { return };
    let mut client = ClientMetadata::default();
    for (name, value) in members {
        let _ = client.set(&name, value);
    }
    if client.validate().is_ok() && client_keys::check(&client).is_ok() {
        let written = serde_json::to_value(&client).expect("what was read can be written");
        assert_eq!(serde_json::from_value::<ClientMetadata>(written).expect("and read again"), client);
    }
});
