//! What only who has the secret can compute: keyed hashes of what must not be guessed, and marks of what is ours.

use aws_lc_rs::hmac;

use super::Digest;

/// HMAC-SHA256.
#[derive(Clone)]
pub struct Mac(hmac::Key);

impl Mac {
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// Of several texts, none of which runs into the next. The first says what it is for.
    pub fn of(&self, parts: &[&str]) -> Digest {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part.as_bytes());
        }
        let mut digest = [0; 32];
        digest.copy_from_slice(context.sign().as_ref());
        digest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_depends_on_the_secret_and_on_each_part() {
        let (one, other) = (Mac::new(b"one"), Mac::new(b"other"));
        assert_eq!(one.of(&["a", "bc"]), Mac::new(b"one").of(&["a", "bc"]));
        for parts in [&["ab", "c"][..], &["a", "b", "c"], &["abc"], &["a", "bc", ""], &["a", "bd"]] {
            assert_ne!(one.of(&["a", "bc"]), one.of(parts), "{parts:?}");
        }
        assert_ne!(one.of(&["a", "bc"]), other.of(&["a", "bc"]));
    }
}
