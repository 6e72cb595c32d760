//! The `authorization_details` parameter.
#![no_main]

use grantor::types::AuthorizationDetails;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(details) = AuthorizationDetails::parse(text) {
        // What was read can be kept and read again.
        let kept = serde_json::to_string(&details).expect("it is JSON");
        assert_eq!(serde_json::from_str::<AuthorizationDetails>(&kept).expect("it is what was kept"), details);
    }
});
