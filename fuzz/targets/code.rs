//! An authorization code, as anybody may send one.
#![no_main]

use grantor::oauth::authorize::Code;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Some(code) = Code::parse(text) {
        let _ = code.hash();
    }
});
