//! API tokens as texts: a prefix by which a scanner finds one that has leaked, 160 random bits, and a checksum by which it
//! knows that it is one: the first four bytes of the SHA-256 of all that stands before it. All in lower-case hexadecimal.

use std::fmt::Write as _;

use secrecy::SecretString;
use zeroize::Zeroizing;

use super::{Digest, Random, random, sha256};

const PREFIXES: [&str; 3] = ["gr_pat_", "gr_key_", "gr_url_"];

const RANDOM: usize = 20;
const CHECKSUM: usize = 4;

/// A new one, which begins so.
pub fn make(prefix: &'static str, rng: &dyn Random) -> SecretString {
    let mut text = String::with_capacity(prefix.len() + 2 * (RANDOM + CHECKSUM));
    text.push_str(prefix);
    push(&mut text, &*Zeroizing::new(random::bytes::<RANDOM>(rng)));
    let checksum = sha256(text.as_bytes());
    push(&mut text, &checksum[..CHECKSUM]);
    text.into()
}

/// Under what it is kept; `None` for what was never made here.
pub fn hash(text: &str) -> Option<Digest> {
    let hex = PREFIXES.iter().find_map(|prefix| text.strip_prefix(prefix))?;
    let is_one = hex.len() == 2 * (RANDOM + CHECKSUM) && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !is_one {
        return None;
    }
    let (before, checksum) = text.split_at(text.len() - 2 * CHECKSUM);
    let mut expected = String::with_capacity(2 * CHECKSUM);
    push(&mut expected, &sha256(before.as_bytes())[..CHECKSUM]);
    (expected == checksum).then(|| sha256(text.as_bytes()))
}

fn push(text: &mut String, bytes: &[u8]) {
    for byte in bytes {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::crypto::SystemRandom;

    #[test]
    fn what_was_made_here_is_known_by_its_checksum() {
        for prefix in PREFIXES {
            let made = make(prefix, &SystemRandom::new());
            let text = made.expose_secret();
            assert!(text.starts_with(prefix) && text.len() == 55, "{text}");
            assert_eq!(hash(text), Some(sha256(text.as_bytes())));
        }
        // As documented, so that others can compute it.
        let example = "gr_pat_000102030405060708090a0b0c0d0e0f10111213";
        let checksum: String = sha256(example.as_bytes())[..4].iter().map(|byte| format!("{byte:02x}")).collect();
        assert!(hash(&format!("{example}{checksum}")).is_some());
    }

    #[test]
    fn what_was_never_made_here_is_not_looked_up() {
        let made = make("gr_pat_", &SystemRandom::new());
        let text = made.expose_secret();
        let other = text.replacen("gr_pat_", "gr_key_", 1);
        let upper = text.to_uppercase();
        let (start, last) = text.split_at(54);
        let wrong = format!("{start}{}", if last == "0" { "1" } else { "0" });
        for bad in ["", "gr_pat_", &other, &upper, &wrong, &text[..54], &format!("{text}0"), &format!(" {text}")] {
            assert_eq!(hash(bad), None, "{bad}");
        }
    }
}
