//! What lies encrypted in the database: signing keys, TOTP seeds, upstream secrets (ASVS 13.3.1, 11.3.2).
//!
//! The keys for it come from outside the database, as text: one `id:base64` a line, 32 bytes each, `#` for
//! comments. The first seals, every one opens; so a key is replaced by putting a new one above it, sealing
//! everything again, and then taking the old one away.
//!
//! A nonce is 96 random bits, which NIST SP 800-38D §8.3 allows for 2^32 messages under one key. We seal a few a day.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use super::Random;
use super::random::{self, token};

/// The layout: this byte, the length of the id, the id, the nonce, the ciphertext with its tag.
const VERSION: u8 = 1;
const KEY_BYTES: usize = 32;
const MAX_ID: usize = 64;

/// AES-256-GCM keys by their ids, the one that seals first.
pub struct KeyRing {
    sealing: RingKey,
    older: Vec<RingKey>,
}

struct RingKey {
    id: String,
    key: LessSafeKey,
}

/// Why something sealed stays shut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Sealed under a key that is not in the ring.
    #[error("sealed under the key {0:?}, which is not in the key ring")]
    UnknownKey(String),
    /// Altered, cut short, or sealed for another purpose.
    #[error("sealed data is damaged, or was sealed for another purpose")]
    Broken,
}

impl KeyRing {
    /// Reads a ring. The error names the line, never what stands in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys: Vec<RingKey> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let key = RingKey::parse(line).map_err(|why| format!("key ring, line {}: {why}", index + 1))?;
            if keys.iter().any(|earlier| earlier.id == key.id) {
                return Err(format!("key ring, line {}: the id {:?} stands here twice", index + 1, key.id));
            }
            keys.push(key);
        }
        let mut keys = keys.into_iter();
        let sealing = keys.next().ok_or("key ring: no key in it")?;
        Ok(Self { sealing, older: keys.collect() })
    }

    /// The text of a new ring with one new key.
    pub fn generate(rng: &dyn Random) -> Zeroizing<String> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        rng.fill(key.as_mut_slice());
        let key = Zeroizing::new(STANDARD.encode(key.as_slice()));
        Zeroizing::new(format!("{}:{}\n", token(rng, 6), *key))
    }

    /// Seals `plain` for one purpose: only [`open`](Self::open) with the same `context` gives it back.
    pub fn seal(&self, rng: &dyn Random, context: &str, plain: &[u8]) -> Vec<u8> {
        let RingKey { id, key } = &self.sealing;
        let nonce: [u8; NONCE_LEN] = random::bytes(rng);

        let mut sealed = Vec::with_capacity(2 + id.len() + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        sealed.push(VERSION);
        sealed.extend(u8::try_from(id.len()));
        sealed.extend_from_slice(id.as_bytes());
        let aad = aad(&sealed, context);
        sealed.extend_from_slice(&nonce);

        let body = sealed.len();
        sealed.extend_from_slice(plain);
        let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed[body..]);
        // Refused only beyond 64 GiB.
        #[allow(clippy::expect_used, reason = "no plaintext in memory is that long")]
        sealed.extend_from_slice(tag.expect("plaintext within the limit of AES-GCM").as_ref());
        sealed
    }

    /// What [`seal`](Self::seal) sealed under any key of this ring for this `context`.
    pub fn open(&self, context: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, OpenError> {
        let id = id_of(sealed).ok_or(OpenError::Broken)?;
        let ring_key = self.keys().find(|key| key.id == id).ok_or_else(|| OpenError::UnknownKey(id.to_owned()))?;

        let (header, rest) = sealed.split_at(2 + id.len());
        let (nonce, body) = rest.split_first_chunk::<NONCE_LEN>().ok_or(OpenError::Broken)?;
        let mut plain = Zeroizing::new(body.to_vec());
        let length = ring_key
            .key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), aad(header, context), &mut plain)
            .map_err(|_| OpenError::Broken)?
            .len();
        plain.truncate(length);
        Ok(plain)
    }

    fn keys(&self) -> impl Iterator<Item = &RingKey> {
        std::iter::once(&self.sealing).chain(&self.older)
    }
}

impl RingKey {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let (id, key) = line.split_once(':').ok_or("not of the form id:base64")?;
        let id_is_fine = (1..=MAX_ID).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !id_is_fine {
            return Err("an id is 1 to 64 letters, digits, dots, dashes and underscores");
        }
        let key = Zeroizing::new(STANDARD.decode(key.trim()).map_err(|_| "the key is not base64")?);
        let key = UnboundKey::new(&AES_256_GCM, &key).map_err(|_| "a key is 32 bytes")?;
        Ok(Self { id: id.to_owned(), key: LessSafeKey::new(key) })
    }
}

/// The id of the key under which this was sealed; `None` if the layout is not ours.
fn id_of(sealed: &[u8]) -> Option<&str> {
    let [VERSION, length, rest @ ..] = sealed else { return None };
    std::str::from_utf8(rest.get(..usize::from(*length))?).ok()
}

/// The header tells its own length, so no two pairs of header and context read the same.
fn aad(header: &[u8], context: &str) -> Aad<Vec<u8>> {
    Aad::from([header, context.as_bytes()].concat())
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys().map(|key| &key.id)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SystemRandom;

    const NEW: &str = "new:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    const OLD: &str = "old:Hx4dHBsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=";

    fn ring(lines: &[&str]) -> KeyRing {
        KeyRing::parse(&lines.join("\n")).unwrap()
    }

    #[test]
    fn what_was_sealed_opens_again() {
        let rng = SystemRandom::new();
        let ring = KeyRing::parse(&KeyRing::generate(&rng)).unwrap();
        for plain in [b"".as_slice(), b"x", &[7; 2_000]] {
            let sealed = ring.seal(&rng, "totp", plain);
            assert_eq!(*ring.open("totp", &sealed).unwrap(), plain);
        }
    }

    #[test]
    fn the_same_thing_is_never_sealed_alike() {
        let rng = SystemRandom::new();
        let ring = ring(&[NEW]);
        assert_ne!(ring.seal(&rng, "totp", b"seed"), ring.seal(&rng, "totp", b"seed"));
    }

    #[test]
    fn the_first_line_seals_and_every_line_opens() {
        let rng = SystemRandom::new();
        let sealed = ring(&[OLD]).seal(&rng, "totp", b"seed");

        let both = ring(&["# replaced in May", NEW, "", OLD]);
        assert_eq!(*both.open("totp", &sealed).unwrap(), b"seed");

        let again = both.seal(&rng, "totp", b"seed");
        assert_eq!(*ring(&[NEW]).open("totp", &again).unwrap(), b"seed");
        assert_eq!(ring(&[OLD]).open("totp", &again), Err(OpenError::UnknownKey("new".into())));
    }

    #[test]
    fn what_was_sealed_for_one_purpose_opens_for_no_other() {
        let ring = ring(&[NEW]);
        let sealed = ring.seal(&SystemRandom::new(), "totp:ada", b"seed");
        for other in ["totp:bob", "totp:ad", "", "wtotp:ada"] {
            assert_eq!(ring.open(other, &sealed), Err(OpenError::Broken));
        }
    }

    #[test]
    fn nothing_altered_or_cut_short_opens() {
        let ring = ring(&[NEW, OLD]);
        let sealed = ring.seal(&SystemRandom::new(), "totp", b"seed");
        for at in 0..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert!(ring.open("totp", &altered).is_err(), "byte {at}");
            assert!(ring.open("totp", &sealed[..at]).is_err(), "{at} bytes");
        }
        // The id of another key in the ring, of the same length, in place of the right one.
        let mut other_key = sealed;
        other_key[2..5].copy_from_slice(b"old");
        assert_eq!(ring.open("totp", &other_key), Err(OpenError::Broken));
    }

    #[test]
    fn a_ring_that_is_not_one_is_refused_without_telling_its_keys() {
        for text in [
            "",
            "# nothing",
            "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            ":AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "a b:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
            "short:AAECAwQFBgcICQoLDA0ODw==",
            "not64:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8!",
            "twice:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\ntwice:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        ] {
            let why = KeyRing::parse(text).unwrap_err();
            assert!(!why.contains("AAEC"), "{why}");
        }
    }

    #[test]
    fn a_ring_prints_its_ids_alone() {
        assert_eq!(format!("{:?}", ring(&[NEW, OLD])), r#"["new", "old"]"#);
    }
}
