//! The `Authorization` header and the body, from which a client's id and proof are read.
#![no_main]

use grantor::oauth::client_auth;
use grantor::types::Params;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (&str, &str)| {
    let (header, body) = input;
    let Ok(params) = Params::parse(body.as_bytes()) else { return };
    for authorization in [None, Some(header)] {
        let _ = client_auth::claimed_id(&client_auth::Presented { authorization, certificate: None, address: None, params: &params });
    }
});
