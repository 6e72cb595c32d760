//! A scope, as a request has it.
#![no_main]

use grantor::oauth::engine;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(scope) = engine::scope(text) {
        let again = engine::scope(scope.as_str()).expect("what we write, we read");
        assert_eq!(scope, again);
    }
});
