//! What a client does with what is encrypted to it (RFC 7516), by keys of its own. `vectors.rs` shows that it reads right.

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, ECDH_P384, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::cipher::{AES_128, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{self, AesBlockCipher, KeyEncryptionKey, KeyWrap as _};
use aws_lc_rs::rsa::{
    KeyPair, KeyPairComponents, OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey,
    PrivateDecryptingKey, PublicKeyComponents,
};
use aws_lc_rs::{digest, hmac};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// What a client publishes of a private key, and keeps.
pub struct Recipient {
    pub private: Value,
    pub public: Value,
}

/// A key of the vectors.
pub fn recipient(kid: &str) -> Recipient {
    let vectors: Value = serde_json::from_str(include_str!("../../vectors/json_web_encryption.json")).unwrap();
    let group = vectors["testGroups"].as_array().unwrap().iter().find(|group| group["private"]["kid"] == kid).unwrap();
    Recipient { private: group["private"].clone(), public: group["public"].clone() }
}

impl Recipient {
    /// The header and what is in it.
    pub fn read(&self, token: &str) -> (Value, String) {
        let plain = decrypt(&self.private, token).unwrap_or_else(|| panic!("{token} cannot be read"));
        let header = URL_SAFE_NO_PAD.decode(token.split('.').next().unwrap()).unwrap();
        (serde_json::from_slice(&header).unwrap(), String::from_utf8(plain).unwrap())
    }
}

/// The set that a client publishes.
pub fn published(keys: &[&Value]) -> Value {
    json!({ "keys": keys })
}

/// What a token in compact form says to the owner of a private key, if it was made for them and nobody altered it.
pub fn decrypt(private: &Value, token: &str) -> Option<Vec<u8>> {
    let parts: Vec<&str> = token.split('.').collect();
    let [header, encrypted_key, iv, ciphertext, tag] = parts[..] else { return None };
    let protected: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).ok()?).ok()?;
    let key = content_key(private, &protected, &bytes(encrypted_key)?)?;
    let (iv, ciphertext, tag) = (bytes(iv)?, bytes(ciphertext)?, bytes(tag)?);
    if key.len() != 32 || tag.len() != 16 {
        return None;
    }
    match protected["enc"].as_str()? {
        "A128CBC-HS256" => {
            let aad = header.as_bytes();
            let covered = [aad, &iv, &ciphertext, &(aad.len() as u64 * 8).to_be_bytes()].concat();
            let expected = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key[..16]), &covered);
            if expected.as_ref()[..16] != tag {
                return None;
            }
            let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_128, &key[16..]).ok()?).ok()?;
            let context = DecryptionContext::Iv128(FixedLength::<16>::try_from(&iv[..]).ok()?);
            let mut plain = ciphertext;
            key.decrypt(&mut plain, context).ok().map(|plain| plain.to_vec())
        }
        "A256GCM" => {
            let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &key).ok()?);
            let mut sealed = [ciphertext, tag].concat();
            let nonce = Nonce::try_assume_unique_for_key(&iv).ok()?;
            key.open_in_place(nonce, Aad::from(header), &mut sealed).ok().map(|plain| plain.to_vec())
        }
        _ => None,
    }
}

fn content_key(private: &Value, header: &Value, encrypted: &[u8]) -> Option<Vec<u8>> {
    match header["alg"].as_str()? {
        "RSA-OAEP" => oaep(private, &OAEP_SHA1_MGF1SHA1, encrypted),
        "RSA-OAEP-256" => oaep(private, &OAEP_SHA256_MGF1SHA256, encrypted),
        "A128KW" => unwrap(&key_wrap::AES_128, &member(private, "k")?, encrypted),
        "ECDH-ES" if encrypted.is_empty() => agreed(private, header, header["enc"].as_str()?),
        "ECDH-ES+A256KW" => unwrap(&key_wrap::AES_256, &agreed(private, header, "ECDH-ES+A256KW")?, encrypted),
        _ => None,
    }
}

fn oaep(private: &Value, how: &'static aws_lc_rs::rsa::OaepAlgorithm, encrypted: &[u8]) -> Option<Vec<u8>> {
    let part = |name: &str| member(private, name);
    let pair = KeyPair::from_components(&KeyPairComponents {
        public_key: PublicKeyComponents { n: part("n")?, e: part("e")? },
        d: part("d")?,
        p: part("p")?,
        q: part("q")?,
        dP: part("dp")?,
        dQ: part("dq")?,
        qInv: part("qi")?,
    });
    let pkcs8 = AsDer::<Pkcs8V1Der>::as_der(&pair.ok()?).ok()?;
    let key = OaepPrivateDecryptingKey::new(PrivateDecryptingKey::from_pkcs8(pkcs8.as_ref()).ok()?).ok()?;
    let mut plain = vec![0; key.min_output_size()];
    key.decrypt(how, encrypted, &mut plain, None).ok().map(|plain| plain.to_vec())
}

/// 256 bits, for parties without names (RFC 7518 §4.6).
fn agreed(private: &Value, header: &Value, purpose: &str) -> Option<Vec<u8>> {
    let curve = match private["crv"].as_str()? {
        "P-256" => &ECDH_P256,
        "P-384" => &ECDH_P384,
        _ => return None,
    };
    let epk = &header["epk"];
    if epk["crv"] != private["crv"] || header.get("apu").is_some() || header.get("apv").is_some() {
        return None;
    }
    let point = [vec![4], member(epk, "x")?, member(epk, "y")?].concat();
    let own = PrivateKey::from_private_key(curve, &member(private, "d")?).ok()?;
    agreement::agree(&own, UnparsedPublicKey::new(curve, point), (), |secret| {
        let length = |text: &str| (text.len() as u32).to_be_bytes();
        let info = [&length(purpose)[..], purpose.as_bytes(), &[0; 8], &256_u32.to_be_bytes()].concat();
        let input = [&1_u32.to_be_bytes()[..], secret, &info].concat();
        Ok(digest::digest(&digest::SHA256, &input).as_ref().to_vec())
    })
    .ok()
}

fn unwrap(cipher: &'static AesBlockCipher, key: &[u8], wrapped: &[u8]) -> Option<Vec<u8>> {
    let mut plain = vec![0; wrapped.len()];
    let key = KeyEncryptionKey::new(cipher, key).ok()?;
    key.unwrap(wrapped, &mut plain).ok().map(|plain| plain.to_vec())
}

fn member(key: &Value, name: &str) -> Option<Vec<u8>> {
    bytes(key[name].as_str()?)
}

fn bytes(part: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(part).ok()
}
