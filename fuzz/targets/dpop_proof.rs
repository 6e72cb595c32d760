//! A DPoP proof: nobody has signed what the fuzzer makes up.
#![no_main]

use grantor::oauth::dpop;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|proof: &str| {
    assert!(dpop::read(proof, &dpop::ALGORITHMS).is_err(), "nobody has signed this");
});
