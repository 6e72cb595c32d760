//! The `claims` parameter.
#![no_main]

use std::sync::LazyLock;

use grantor::oauth::authorize;
use grantor::types::{Client, ClientMetadata, Params, Timestamp};
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

fuzz_target!(|claims: &str| {
    let params = Params::from_pairs(vec![("claims".to_owned(), claims.to_owned())]);
    let _ = authorize::read_claims(&CLIENT, &params);
});
