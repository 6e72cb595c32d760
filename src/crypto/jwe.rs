//! What one reader alone can read: JWE in compact form (RFC 7516), which we make and never read.
//!
//! A new content key each time, so no nonce meets a key twice. aws-lc makes the ephemeral key of an agreement and the
//! seed of OAEP from its own generator.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::cipher::{AES_128, AES_CBC_IV_LEN, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{self, KeyEncryptionKey, KeyWrap as _};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::PublicKey;
use super::jwk::Material;
use super::random::{self, Random};
use crate::types::{ContentEncryption, Encryption, KeyEncryption};

/// All that we use have 256 bits: one for the content, one that wraps it, one that is agreed on.
const KEY_BYTES: usize = 32;

/// Of both kinds of content encryption.
const TAG_BYTES: usize = 16;

type Key = Zeroizing<[u8; KEY_BYTES]>;

/// Why nothing was encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JweError {
    #[error("the key is not one for {0}")]
    WrongKey(KeyEncryption),
    #[error("encryption failed")]
    Failed(#[from] Unspecified),
}

/// Encrypts to a key. `header` holds what stands in the header beside `alg`, `enc`, `kid` and `epk`.
///
/// # Errors
/// When the key is not for it, or the engine fails.
pub fn encrypt(
    rng: &dyn Random,
    (key, how): (&PublicKey, Encryption),
    mut header: Map<String, Value>,
    plain: &[u8],
) -> Result<String, JweError> {
    header.insert("alg".into(), how.key.as_str().into());
    header.insert("enc".into(), how.content.as_str().into());
    if let Some(kid) = key.kid() {
        header.insert("kid".into(), kid.into());
    }
    let (content_key, encrypted_key) = match how.key {
        KeyEncryption::RsaOaep256 => {
            let content_key = new_key(rng);
            let encrypted = oaep(key.material(), content_key.as_slice())?;
            (content_key, encrypted)
        }
        // RFC 7518 §4.6: what was agreed on is the content key, and nothing is encrypted.
        KeyEncryption::EcdhEs => {
            let (epk, agreed) = agree(key.material(), how.content.as_str(), how.key)?;
            header.insert("epk".into(), epk);
            (agreed, Vec::new())
        }
        KeyEncryption::EcdhEsA256Kw => {
            let (epk, agreed) = agree(key.material(), how.key.as_str(), how.key)?;
            header.insert("epk".into(), epk);
            let content_key = new_key(rng);
            let wrapped = wrap(&agreed, &content_key)?;
            (content_key, wrapped)
        }
    };
    // RFC 7516 §5.1 (14): the header as it is written is what the tag covers beside the content.
    let header = URL_SAFE_NO_PAD.encode(Value::Object(header).to_string());
    let (iv, sealed) = match how.content {
        ContentEncryption::A128CbcHs256 => {
            let iv = random::bytes::<AES_CBC_IV_LEN>(rng);
            (iv.to_vec(), a128cbc_hs256(&content_key, iv, header.as_bytes(), plain)?)
        }
        ContentEncryption::A256Gcm => {
            let iv = random::bytes::<NONCE_LEN>(rng);
            (iv.to_vec(), a256gcm(&content_key, iv, header.as_bytes(), plain)?)
        }
    };
    let (ciphertext, tag) = sealed.split_at(sealed.len() - TAG_BYTES);
    let [encrypted_key, iv, ciphertext, tag] =
        [&encrypted_key, &iv[..], ciphertext, tag].map(|part| URL_SAFE_NO_PAD.encode(part));
    Ok(format!("{header}.{encrypted_key}.{iv}.{ciphertext}.{tag}"))
}

fn new_key(rng: &dyn Random) -> Key {
    Zeroizing::new(random::bytes(rng))
}

/// RFC 7518 §4.3
fn oaep(material: &Material, plain: &[u8]) -> Result<Vec<u8>, JweError> {
    let info = material.rsa_public_key_info().ok_or(JweError::WrongKey(KeyEncryption::RsaOaep256))?;
    let key = PublicEncryptingKey::from_der(&info).map_err(|_| JweError::WrongKey(KeyEncryption::RsaOaep256))?;
    let key = OaepPublicEncryptingKey::new(key)?;
    let mut encrypted = vec![0; key.ciphertext_size()];
    let length = key.encrypt(&OAEP_SHA256_MGF1SHA256, plain, &mut encrypted, None)?.len();
    encrypted.truncate(length);
    Ok(encrypted)
}

/// A key that the reader can come to as well, with what they need for it (RFC 7518 §4.6): `purpose` is what it is for.
fn agree(material: &Material, purpose: &str, how: KeyEncryption) -> Result<(Value, Key), JweError> {
    let (curve, name, size) = match material {
        Material::P256 { .. } => (&ECDH_P256, "P-256", 32),
        Material::P384 { .. } => (&ECDH_P384, "P-384", 48),
        Material::Rsa { .. } | Material::Ed25519 { .. } => return Err(JweError::WrongKey(how)),
    };
    let ephemeral = PrivateKey::generate(curve)?;
    let public = ephemeral.compute_public_key()?;
    // An uncompressed point: 4, x, y.
    let (x, y) = public.as_ref()[1..].split_at(size);
    let epk = json!({"kty": "EC", "crv": name, "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)});
    let theirs = UnparsedPublicKey::new(curve, material.subject_public_key());
    let key = agreement::agree(&ephemeral, theirs, Unspecified, |secret| {
        Ok(concat_kdf(secret, purpose, [b"", b""], KEY_BYTES))
    })?;
    Ok((epk, key))
}

/// One round of the Concat KDF, which gives as much as we ever need (RFC 7518 §4.6.2). The parties have no names here.
fn concat_kdf(secret: &[u8], purpose: &str, parties: [&[u8]; 2], bytes: usize) -> Key {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(&1_u32.to_be_bytes());
    context.update(secret);
    for text in [purpose.as_bytes(), parties[0], parties[1]] {
        context.update(&(text.len() as u32).to_be_bytes());
        context.update(text);
    }
    context.update(&(bytes as u32 * 8).to_be_bytes());
    let mut key = Key::default();
    key.copy_from_slice(context.finish().as_ref());
    key
}

/// RFC 3394
fn wrap(with: &Key, plain: &Key) -> Result<Vec<u8>, Unspecified> {
    let mut wrapped = vec![0; KEY_BYTES + 8];
    KeyEncryptionKey::new(&key_wrap::AES_256, with.as_slice())?.wrap(plain.as_slice(), &mut wrapped)?;
    Ok(wrapped)
}

/// Ciphertext and tag (RFC 7518 §5.2.2.1): the first half of the key is for the tag.
fn a128cbc_hs256(key: &Key, iv: [u8; AES_CBC_IV_LEN], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let (for_tag, for_content) = key.split_at(KEY_BYTES / 2);
    let mut sealed = plain.to_vec();
    PaddedBlockEncryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_128, for_content)?)?
        .less_safe_encrypt(&mut sealed, EncryptionContext::Iv128(FixedLength::from(iv)))?;
    let mut tag = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, for_tag));
    for part in [aad, &iv, &sealed, &(aad.len() as u64 * 8).to_be_bytes()] {
        tag.update(part);
    }
    sealed.extend_from_slice(&tag.sign().as_ref()[..TAG_BYTES]);
    Ok(sealed)
}

/// Ciphertext and tag (RFC 7518 §5.3).
fn a256gcm(key: &Key, iv: [u8; NONCE_LEN], aad: &[u8], plain: &[u8]) -> Result<Vec<u8>, Unspecified> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key.as_slice())?);
    let mut sealed = plain.to_vec();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(iv), Aad::from(aad), &mut sealed)?;
    Ok(sealed)
}

/// Against the appendices of the specifications; `tests/it/oauth/encryption.rs` reads the whole of it.
#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;
    use crate::crypto::{JwkSet, SystemRandom};

    #[derive(Deserialize)]
    struct KnownAnswer {
        operation: String,
        source: String,
        /// Hexadecimal, all of them.
        key: String,
        #[serde(default)]
        iv: String,
        #[serde(default)]
        aad: String,
        input: String,
        output: String,
    }

    fn bytes(hex: &str) -> Vec<u8> {
        assert_eq!(hex.len() % 2, 0);
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }

    fn fixed<const N: usize>(hex: &str) -> [u8; N] {
        bytes(hex).try_into().unwrap()
    }

    #[test]
    fn each_step_gives_what_the_specifications_say() {
        let known: Vec<KnownAnswer> =
            serde_json::from_str(include_str!("../../tests/vectors/jwe_known_answers.json")).unwrap();
        let mut operations = Vec::new();
        for KnownAnswer { operation, source, key, iv, aad, input, output } in &known {
            let (aad, input) = (bytes(aad), bytes(input));
            let found = match operation.as_str() {
                "A128CBC-HS256" => a128cbc_hs256(&Key::from(fixed(key)), fixed(iv), &aad, &input).unwrap(),
                "A256GCM" => a256gcm(&Key::from(fixed(key)), fixed(iv), &aad, &input).unwrap(),
                "A256KW" => wrap(&Key::from(fixed(key)), &Key::from(fixed(&hex(&input)))).unwrap(),
                // Of 128 bits for Alice and Bob, as RFC 7518 has it; the point is the input.
                "ECDH-ES" => {
                    let own = PrivateKey::from_private_key(&ECDH_P256, &bytes(key)).unwrap();
                    let theirs = UnparsedPublicKey::new(&ECDH_P256, input);
                    let derive =
                        |secret: &[u8]| Ok(concat_kdf(secret, "A128GCM", [b"Alice", b"Bob"], 16)[..16].to_vec());
                    agreement::agree(&own, theirs, Unspecified, derive).unwrap()
                }
                other => panic!("{other}"),
            };
            assert_eq!(hex(&found), *output, "{operation} of {source}");
            operations.push(operation.as_str());
        }
        operations.sort_unstable();
        operations.dedup();
        assert_eq!(operations, ["A128CBC-HS256", "A256GCM", "A256KW", "ECDH-ES"]);
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[test]
    fn a_key_of_another_kind_encrypts_nothing() {
        let keys = |jwk: Value| JwkSet::from_value(&json!({ "keys": [jwk] })).unwrap();
        let ec = keys(json!({
            "kty": "EC", "crv": "P-256", "x": "weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
            "y": "e8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck",
        }));
        let content = ContentEncryption::default();
        let encrypted = |key: KeyEncryption| {
            let how = Encryption { key, content };
            encrypt(&SystemRandom::new(), (&ec.keys()[0], how), Map::new(), b"x")
        };
        assert_eq!(encrypted(KeyEncryption::RsaOaep256), Err(JweError::WrongKey(KeyEncryption::RsaOaep256)));
        // Never alike.
        assert_ne!(encrypted(KeyEncryption::EcdhEs).unwrap(), encrypted(KeyEncryption::EcdhEs).unwrap());
    }
}
