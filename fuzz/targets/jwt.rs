//! A token of ours, as anybody may send one: only what we signed is believed.
#![no_main]

use std::sync::LazyLock;

use grantor::crypto::{SigningKey, SystemRandom, TokenType, jwt};
use grantor::types::Algorithm;
use libfuzzer_sys::fuzz_target;

static KEY: LazyLock<SigningKey> = LazyLock::new(|| {
    let material = SigningKey::generate(Algorithm::Es256, &SystemRandom::new()).expect("a key");
    SigningKey::parse("k".into(), Algorithm::Es256, &material).expect("it is one of ours")
});

fuzz_target!(|token: &str| {
    for typ in [TokenType::AccessToken, TokenType::IdToken, TokenType::RefreshToken] {
        let claims = jwt::verify::<serde_json::Value>(token, typ, |_| Some(KEY.verifying()));
        assert!(claims.is_err(), "nobody has signed this");
    }
});
