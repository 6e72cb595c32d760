//! A form, and what is read of it is what a reading without our strictness gives.
#![no_main]

use grantor::types::Params;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(params) = Params::parse(bytes) else { return };
    for (name, value) in params.pairs() {
        assert!(!name.contains('\0') && !value.contains('\0'));
        // One that may not repeat is there once.
        if !matches!(name.as_str(), "resource" | "audience") {
            assert_eq!(params.pairs().iter().filter(|(other, _)| other == name).count(), 1);
        }
    }
});
