//! Randomness is an argument: what needs it takes a `&dyn Random`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::SecretString;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::types::Timestamp;

/// Bytes that nobody can guess.
pub trait Random: Send + Sync + 'static {
    fn fill(&self, bytes: &mut [u8]);
}

/// The randomness of the operating system.
#[derive(Clone, Debug, Default)]
pub struct SystemRandom;

impl SystemRandom {
    pub fn new() -> Self {
        Self
    }
}

impl Random for SystemRandom {
    /// # Panics
    ///
    /// If the operating system has no randomness: nothing that we do is safe then.
    #[allow(clippy::disallowed_methods, reason = "the one place where the ambient randomness is taken")]
    fn fill(&self, bytes: &mut [u8]) {
        assert!(getrandom::fill(bytes).is_ok(), "the operating system gives no randomness");
    }
}

/// What aws-lc's functions ask for as ring's do, and do not use: their nonces and salts are of its own generator.
#[allow(clippy::disallowed_methods, reason = "nothing is taken from it")]
pub(super) fn of_the_engine() -> aws_lc_rs::rand::SystemRandom {
    aws_lc_rs::rand::SystemRandom::new()
}

/// `N` random bytes.
pub fn bytes<const N: usize>(rng: &dyn Random) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill(&mut bytes);
    bytes
}

/// So many random bytes as base64url without padding.
pub fn token(rng: &dyn Random, bytes: usize) -> String {
    let mut random = Zeroizing::new(vec![0; bytes]);
    rng.fill(&mut random);
    URL_SAFE_NO_PAD.encode(&*random)
}

/// 256 random bits as base64url: 43 characters.
pub fn secret(rng: &dyn Random) -> SecretString {
    token(rng, 32).into()
}

/// Whether a text has the form of a secret.
pub fn is_secret(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// A random UUID (RFC 9562 §5.4).
pub fn uuid_v4(rng: &dyn Random) -> Uuid {
    uuid::Builder::from_random_bytes(bytes(rng)).into_uuid()
}

/// A UUID that sorts by the millisecond of `now` (RFC 9562 §5.7). A time before 1970 counts as 1970.
pub fn uuid_v7(rng: &dyn Random, now: Timestamp) -> Uuid {
    let millis = u64::try_from(now.millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &bytes(rng)).into_uuid()
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;
    use uuid::{Variant, Version};

    use super::*;
    use crate::types::TokenId;

    #[test]
    fn a_token_is_base64url_of_as_many_bytes_as_asked() {
        let rng = SystemRandom::new();
        for bytes in [0, 1, 16, 32, 33] {
            assert_eq!(URL_SAFE_NO_PAD.decode(token(&rng, bytes)).unwrap().len(), bytes);
        }
    }

    #[test]
    fn no_two_secrets_are_the_same() {
        let rng = SystemRandom::new();
        let (one, other) = (secret(&rng), secret(&rng));
        assert_eq!(one.expose_secret().len(), 43);
        assert_ne!(one.expose_secret(), other.expose_secret());
        assert!(!format!("{one:?}").contains(one.expose_secret()));
    }

    #[test]
    fn uuids_say_their_version() {
        let rng = SystemRandom::new();
        for (uuid, version) in
            [(uuid_v4(&rng), Version::Random), (uuid_v7(&rng, Timestamp::from_secs(9)), Version::SortRand)]
        {
            assert_eq!(uuid.get_version(), Some(version));
            assert_eq!(uuid.get_variant(), Variant::RFC4122);
        }
    }

    #[test]
    fn a_uuid_v7_tells_its_millisecond() {
        let now = Timestamp::from_micros(1_767_225_600_123_456);
        let id = TokenId::new(uuid_v7(&SystemRandom::new(), now));
        assert_eq!(id.minted_millis(), now.millis());
    }

    #[test]
    fn a_uuid_v7_of_a_time_before_the_epoch_is_of_the_epoch() {
        let id = TokenId::new(uuid_v7(&SystemRandom::new(), Timestamp::from_secs(-5)));
        assert_eq!(id.minted_millis(), 0);
    }
}
