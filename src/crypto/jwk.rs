//! Public keys of others (RFC 7517, RFC 7518 §6, RFC 8037): parsed strictly, once, and then ready to verify.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ECDSA_P384_SHA384_FIXED, ED25519, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde_json::{Map, Value, json};

use super::hash::sha256_base64url;
use super::provider;
use crate::types::{Algorithm, KeyEncryption, json};

/// More than any client has, in all states of rotation.
const MOST_KEYS: usize = 32;

/// The longest `kid` that is looked at.
const LONGEST_KID: usize = 256;

/// Members that stand in private and symmetric keys alone (RFC 7518 §6.2.2, §6.3.2, §6.4.1).
const PRIVATE: [&str; 9] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"];

/// Why keys are not taken: words for whoever registered them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    #[error("not a JWK Set: {0}")]
    NotASet(String),
    #[error("a JWK lacks {0}, or it is not what it should be")]
    Member(&'static str),
    /// Whoever published it has to make another.
    #[error("a JWK is private or symmetric: it has the member {0:?}, and must be replaced")]
    Private(&'static str),
    /// Of use to nobody but those who know it.
    #[error("a JWK is symmetric: it has the kty oct, and is no public key")]
    Symmetric,
    #[error("an RSA key must have 2048 to 8192 bits, and an odd exponent of at most 32 bits")]
    RsaSize,
    #[error("two keys have the kid {0:?}")]
    TwoOfOneName(String),
    /// Not an error in a set, where others may be fit.
    #[error("a key type or curve that is not known here")]
    Unknown,
}

impl JwkError {
    fn is_unknown(&self) -> bool {
        matches!(self, Self::Unknown)
    }

    /// RFC 7517 §5: "missing required members, or for which values are out of the supported ranges".
    fn is_of_no_use_here(&self) -> bool {
        matches!(self, Self::Unknown | Self::Member(_) | Self::RsaSize | Self::Symmetric)
    }
}

/// The public keys of somebody.
#[derive(Clone, Debug, Default)]
pub struct JwkSet(Vec<PublicKey>);

impl JwkSet {
    /// Reads a JWK Set document of somebody who is told what is wrong with it.
    ///
    /// # Errors
    /// When it is none, or a key in it is not sound. Keys of types that are not known are passed over (RFC 7517 §5).
    pub fn parse(document: &[u8]) -> Result<Self, JwkError> {
        Self::read(&strict(document)?, JwkError::is_unknown)
    }

    /// Reads one that is published, perhaps for others as well: what is of no use here does not spoil the rest.
    ///
    /// # Errors
    /// When it is none, two keys have one name, or a private key stands in it.
    pub fn published(document: &[u8]) -> Result<Self, JwkError> {
        Self::read(&strict(document)?, JwkError::is_of_no_use_here)
    }

    /// As `parse`, of a value whose text was read strictly.
    ///
    /// # Errors
    /// As `parse`.
    pub fn from_value(document: &Value) -> Result<Self, JwkError> {
        Self::read(document, JwkError::is_unknown)
    }

    fn read(document: &Value, passed_over: fn(&JwkError) -> bool) -> Result<Self, JwkError> {
        let not = |why: &str| JwkError::NotASet(why.to_owned());
        let keys = document.get("keys").and_then(Value::as_array).ok_or_else(|| not("it has no list \"keys\""))?;
        if keys.len() > MOST_KEYS {
            return Err(not("it has too many keys"));
        }
        let mut set: Vec<PublicKey> = Vec::with_capacity(keys.len());
        for key in keys {
            let key = match PublicKey::from_value(key) {
                Err(why) if passed_over(&why) => {
                    tracing::debug!(%why, "a key of a set is passed over");
                    continue;
                }
                key => key?,
            };
            // RFC 7517 §4.5: one name for several is for equivalents of other types.
            if let Some(kid) = &key.kid
                && set.iter().any(|other| other.kid.as_ref() == Some(kid) && other.same_type(&key))
            {
                return Err(JwkError::TwoOfOneName(kid.clone()));
            }
            set.push(key);
        }
        Ok(Self(set))
    }

    pub fn keys(&self) -> &[PublicKey] {
        &self.0
    }

    /// The key that something is encrypted to: one that says that it is for that before one that says nothing.
    pub fn encrypting(&self, algorithm: KeyEncryption) -> Option<&PublicKey> {
        let mut fitting: Vec<_> = self.0.iter().filter(|key| key.encrypts(algorithm)).collect();
        fitting.sort_by_key(|key| key.purpose.is_none());
        fitting.first().copied()
    }

    pub fn has(&self, kid: &str) -> bool {
        self.0.iter().any(|key| key.kid() == Some(kid))
    }
}

/// A public key, with what its owner says it is for.
#[derive(Clone)]
pub struct PublicKey {
    kid: Option<String>,
    /// `use` (RFC 7517 §4.2).
    purpose: Option<String>,
    /// `key_ops` (RFC 7517 §4.3).
    operations: Option<Vec<String>>,
    algorithm: Option<String>,
    material: Material,
    decoding: DecodingKey,
}

/// What the key is, its numbers as bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Material {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    P256 { x: Vec<u8>, y: Vec<u8> },
    P384 { x: Vec<u8>, y: Vec<u8> },
    Ed25519 { x: Vec<u8> },
}

impl PublicKey {
    /// Reads one JWK.
    ///
    /// # Errors
    /// When it is not sound, is not public, or is of a type that is not known here.
    pub fn from_value(jwk: &Value) -> Result<Self, JwkError> {
        provider::install();
        let members = jwk.as_object().ok_or(JwkError::Member("members"))?;
        if members.get("kty").is_some_and(|kty| kty == "oct") {
            return Err(JwkError::Symmetric);
        }
        if let Some(name) = PRIVATE.into_iter().find(|name| members.contains_key(*name)) {
            return Err(JwkError::Private(name));
        }
        let material = Material::read(members)?;
        let decoding = match &material {
            Material::Rsa { n, e } => DecodingKey::from_rsa_raw_components(n, e),
            Material::P256 { .. } | Material::P384 { .. } => DecodingKey::from_ec_der(&material.subject_public_key()),
            Material::Ed25519 { x } => DecodingKey::from_ed_der(x),
        };
        let kid = text(members, "kid")?.filter(|kid| !kid.is_empty());
        if kid.as_ref().is_some_and(|kid| kid.len() > LONGEST_KID) {
            return Err(JwkError::Member("kid"));
        }
        Ok(Self {
            kid,
            purpose: text(members, "use")?,
            operations: operations(members)?,
            algorithm: text(members, "alg")?,
            material,
            decoding,
        })
    }

    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// The `alg` that its owner wants it used with.
    pub fn algorithm(&self) -> Option<&str> {
        self.algorithm.as_deref()
    }

    pub fn material(&self) -> &Material {
        &self.material
    }

    /// Whether its owner lets it be used for that: `sig` and `verify`, or `enc` and the operation of it.
    pub fn is_for(&self, purpose: &str, operation: &str) -> bool {
        self.purpose.as_ref().is_none_or(|own| own == purpose)
            && self.operations.as_ref().is_none_or(|own| own.iter().any(|own| own == operation))
    }

    /// Whether signatures of this algorithm can be of this key (RFC 8725 §3.1).
    pub fn verifies(&self, algorithm: Algorithm) -> bool {
        let fits = match self.material {
            Material::Rsa { .. } => matches!(algorithm, Algorithm::Rs256 | Algorithm::Ps256),
            Material::P256 { .. } => algorithm == Algorithm::Es256,
            Material::P384 { .. } => algorithm == Algorithm::Es384,
            Material::Ed25519 { .. } => algorithm == Algorithm::EdDsa,
        };
        fits && self.is_for("sig", "verify") && self.algorithm().is_none_or(|own| algorithm.is_named(own))
    }

    /// Whether something can be encrypted to it by this algorithm (RFC 7517 §4.2, §4.3, §4.4).
    pub fn encrypts(&self, algorithm: KeyEncryption) -> bool {
        let (fits, operations): (bool, &[&str]) = match self.material {
            Material::Rsa { .. } => (algorithm == KeyEncryption::RsaOaep256, &["encrypt", "wrapKey"]),
            // The operations are those of the private half: browsers write none for the public one.
            Material::P256 { .. } | Material::P384 { .. } => {
                (algorithm != KeyEncryption::RsaOaep256, &["deriveKey", "deriveBits"])
            }
            Material::Ed25519 { .. } => (false, &[]),
        };
        let is_for = |own: &Vec<String>| {
            let no_own = own.is_empty() && algorithm != KeyEncryption::RsaOaep256;
            no_own || own.iter().any(|own| operations.contains(&own.as_str()))
        };
        fits && self.purpose.as_deref().is_none_or(|own| own == "enc")
            && self.operations.as_ref().is_none_or(is_for)
            && self.algorithm().is_none_or(|own| own == algorithm.as_str())
    }

    /// RFC 7638, with SHA-256.
    pub fn thumbprint(&self) -> String {
        // The required members in the order of their names, which is that of `Map`, without spaces.
        let base64 = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
        let required = match &self.material {
            Material::Rsa { n, e } => json!({"e": base64(e), "kty": "RSA", "n": base64(n)}),
            Material::P256 { x, y } => json!({"crv": "P-256", "kty": "EC", "x": base64(x), "y": base64(y)}),
            Material::P384 { x, y } => json!({"crv": "P-384", "kty": "EC", "x": base64(x), "y": base64(y)}),
            Material::Ed25519 { x } => json!({"crv": "Ed25519", "kty": "OKP", "x": base64(x)}),
        };
        sha256_base64url(required.to_string().as_bytes())
    }

    /// The key as `jsonwebtoken` takes it.
    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.decoding
    }

    fn same_type(&self, other: &Self) -> bool {
        std::mem::discriminant(&self.material) == std::mem::discriminant(&other.material)
    }
}

impl std::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PublicKey").field("kid", &self.kid).field("thumbprint", &self.thumbprint()).finish()
    }
}

impl Material {
    fn read(members: &Map<String, Value>) -> Result<Self, JwkError> {
        let kty = text(members, "kty")?.ok_or(JwkError::Member("kty"))?;
        let crv = text(members, "crv")?;
        Ok(match (&*kty, crv.as_deref()) {
            ("RSA", _) => rsa(bytes(members, "n")?, bytes(members, "e")?)?,
            ("EC", Some("P-256")) => {
                let key = Self::P256 { x: coordinate(members, "x", 32)?, y: coordinate(members, "y", 32)? };
                let point = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, key.subject_public_key());
                point.map(|_| key).map_err(|_| JwkError::Member("a point of its curve"))?
            }
            ("EC", Some("P-384")) => {
                let key = Self::P384 { x: coordinate(members, "x", 48)?, y: coordinate(members, "y", 48)? };
                let point = ParsedPublicKey::new(&ECDSA_P384_SHA384_FIXED, key.subject_public_key());
                point.map(|_| key).map_err(|_| JwkError::Member("a point of its curve"))?
            }
            ("OKP", Some("Ed25519")) => {
                let x = coordinate(members, "x", 32)?;
                ParsedPublicKey::new(&ED25519, &x).map_err(|_| JwkError::Member("a point of its curve"))?;
                Self::Ed25519 { x }
            }
            ("EC" | "OKP", None) => return Err(JwkError::Member("crv")),
            _ => return Err(JwkError::Unknown),
        })
    }

    /// An RSA key with its type, as certificates have it (RFC 5280 §4.1.2.7, RFC 8017 §A.1).
    pub(super) fn rsa_public_key_info(&self) -> Option<Vec<u8>> {
        // rsaEncryption, 1.2.840.113549.1.1.1, without parameters.
        const TYPE: [u8; 15] = [0x30, 13, 0x06, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 1, 0x05, 0];
        // A string of bits, of which none is left over.
        let bits = der(0x03, &[&[0], &self.subject_public_key()[..]].concat());
        matches!(self, Self::Rsa { .. }).then(|| der(0x30, &[&TYPE[..], &bits].concat()))
    }

    /// What a certificate holds as its `subjectPublicKey` (RFC 5480 §2.2, RFC 8017 §A.1.1, RFC 8410 §4).
    pub fn subject_public_key(&self) -> Vec<u8> {
        match self {
            Self::P256 { x, y } | Self::P384 { x, y } => [&[4][..], x, y].concat(),
            Self::Ed25519 { x } => x.clone(),
            Self::Rsa { n, e } => der(0x30, &[der_number(n), der_number(e)].concat()),
        }
    }
}

fn strict(document: &[u8]) -> Result<Value, JwkError> {
    json::strict(document).map_err(|why| JwkError::NotASet(why.to_string()))
}

/// RFC 7518 §3.3: 2048 bits or more; and no more than what is verified in good time.
fn rsa(n: Vec<u8>, e: Vec<u8>) -> Result<Material, JwkError> {
    let bits = |number: &[u8]| number.first().map_or(0, |first| number.len() * 8 - first.leading_zeros() as usize);
    let odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    // RFC 7518 §2: no zero octets before the number; a key has one thumbprint.
    if n.first() == Some(&0) || e.first() == Some(&0) {
        return Err(JwkError::Member("n and e without leading zeros"));
    }
    if !(2048..=8192).contains(&bits(&n)) || !(2..=32).contains(&bits(&e)) || !odd(&n) || !odd(&e) {
        return Err(JwkError::RsaSize);
    }
    Ok(Material::Rsa { n, e })
}

fn text(members: &Map<String, Value>, name: &'static str) -> Result<Option<String>, JwkError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(JwkError::Member(name)),
    }
}

/// RFC 7517 §4.3: "Duplicate key operation values MUST NOT be present".
fn operations(members: &Map<String, Value>) -> Result<Option<Vec<String>>, JwkError> {
    let Some(value) = members.get("key_ops") else { return Ok(None) };
    let refused = JwkError::Member("key_ops");
    let Ok(operations) = serde_json::from_value::<Vec<String>>(value.clone()) else { return Err(refused) };
    let repeated = operations.iter().enumerate().any(|(at, own)| operations[..at].contains(own));
    if repeated { Err(refused) } else { Ok(Some(operations)) }
}

fn bytes(members: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, JwkError> {
    let encoded = text(members, name)?.ok_or(JwkError::Member(name))?;
    URL_SAFE_NO_PAD.decode(encoded).map_err(|_| JwkError::Member(name))
}

/// RFC 7518 §6.2.1.2: "MUST be the full size of a coordinate for the curve".
fn coordinate(members: &Map<String, Value>, name: &'static str, size: usize) -> Result<Vec<u8>, JwkError> {
    Some(bytes(members, name)?).filter(|bytes| bytes.len() == size).ok_or(JwkError::Member(name))
}

fn der_number(number: &[u8]) -> Vec<u8> {
    // A number whose first bit is set would be negative.
    let zero: &[u8] = if number.first().is_some_and(|first| first & 0x80 != 0) { &[0] } else { &[] };
    der(0x02, &[zero, number].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len().to_be_bytes();
    let length = &length[length.iter().position(|byte| *byte != 0).unwrap_or(length.len() - 1)..];
    let mut encoded = vec![tag];
    match length {
        [short @ 0..=0x7f] => encoded.push(*short),
        long => {
            encoded.push(0x80 | long.len() as u8);
            encoded.extend_from_slice(long);
        }
    }
    encoded.extend_from_slice(content);
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{SigningKey, SystemRandom};

    fn ours(algorithm: Algorithm) -> Value {
        let material = SigningKey::generate(algorithm, &SystemRandom::new()).unwrap();
        SigningKey::parse("k1".into(), algorithm, &material).unwrap().public_jwk().unwrap()
    }

    fn with(mut jwk: Value, name: &str, value: Value) -> Value {
        jwk[name] = value;
        jwk
    }

    #[test]
    fn a_key_of_each_type_is_read_and_verifies_its_own_algorithm_alone() {
        for algorithm in Algorithm::ASYMMETRIC {
            let key = PublicKey::from_value(&ours(algorithm)).unwrap();
            assert_eq!(key.kid(), Some("k1"));
            let verifies: Vec<_> = Algorithm::ALL.into_iter().filter(|other| key.verifies(*other)).collect();
            assert_eq!(verifies, [algorithm]);
        }
        // Without `alg` an RSA key serves both.
        let mut rsa = ours(Algorithm::Rs256);
        rsa.as_object_mut().unwrap().remove("alg");
        let rsa = PublicKey::from_value(&rsa).unwrap();
        assert!(rsa.verifies(Algorithm::Rs256) && rsa.verifies(Algorithm::Ps256) && !rsa.verifies(Algorithm::Hs256));
    }

    #[test]
    fn what_its_owner_says_it_is_for_counts() {
        let jwk = ours(Algorithm::Es256);
        for (name, value, verifies) in [
            ("use", json!("sig"), true),
            ("use", json!("enc"), false),
            ("key_ops", json!(["verify"]), true),
            ("key_ops", json!(["sign", "verify"]), true),
            ("key_ops", json!(["encrypt"]), false),
            ("key_ops", json!([]), false),
            ("alg", json!("ES384"), false),
            ("alg", json!("ECDH-ES"), false),
            ("alg", json!("Ed25519"), false),
        ] {
            let key = PublicKey::from_value(&with(jwk.clone(), name, value.clone())).unwrap();
            assert_eq!(key.verifies(Algorithm::Es256), verifies, "{name}: {value}");
        }
        for (name, verifies) in [("EdDSA", true), ("Ed25519", true), ("ed25519", false), ("Ed448", false)] {
            let key = PublicKey::from_value(&with(ours(Algorithm::EdDsa), "alg", json!(name))).unwrap();
            assert_eq!(key.verifies(Algorithm::EdDsa), verifies, "{name}");
        }
    }

    #[test]
    fn a_key_that_is_not_sound_is_refused() {
        let (ec, rsa, ed) = (ours(Algorithm::Es256), ours(Algorithm::Rs256), ours(Algorithm::EdDsa));
        let modulus = |bytes: usize, first: u8, last: u8| {
            let mut n = vec![0xa5; bytes];
            n[0] = first;
            n[bytes - 1] = last;
            json!(URL_SAFE_NO_PAD.encode(n))
        };
        for jwk in [
            json!("a string"),
            json!({}),
            json!({"kty": "EC"}),
            json!({"kty": "RSA"}),
            json!({"kty": 1}),
            json!({"kty": "oct", "k": "c2VjcmV0"}),
            json!({"kty": "oct"}),
            with(ec.clone(), "d", json!("AQ")),
            with(rsa.clone(), "d", json!(null)),
            with(rsa.clone(), "p", json!("AQ")),
            with(ed.clone(), "d", json!("")),
            with(ec.clone(), "x", json!("AQ")),
            with(ec.clone(), "x", ec["y"].clone()),
            with(ec.clone(), "y", json!(format!("{}=", ec["y"].as_str().unwrap()))),
            with(ec.clone(), "y", json!(7)),
            with(ec.clone(), "crv", json!("P-384")),
            with(ec.clone(), "kid", json!(7)),
            with(ec.clone(), "kid", json!("k".repeat(257))),
            with(ec.clone(), "use", json!(["sig"])),
            with(ec.clone(), "key_ops", json!("verify")),
            with(ec.clone(), "key_ops", json!(["verify", "verify"])),
            with(ed.clone(), "x", json!("AQ")),
            // 1024, 2040 and 2047 bits, 8200 bits, even, with a zero before it.
            with(rsa.clone(), "n", modulus(128, 0xa5, 1)),
            with(rsa.clone(), "n", modulus(255, 0xa5, 1)),
            with(rsa.clone(), "n", modulus(256, 0x7f, 1)),
            with(rsa.clone(), "n", modulus(1025, 0xa5, 1)),
            with(rsa.clone(), "n", modulus(256, 0xa5, 2)),
            with(rsa.clone(), "n", modulus(257, 0, 1)),
            // 1, 0, even, too large.
            with(rsa.clone(), "e", json!("AQ")),
            with(rsa.clone(), "e", json!("")),
            with(rsa.clone(), "e", json!("AQAA")),
            with(rsa.clone(), "e", json!("AQAAAAE")),
        ] {
            assert!(matches!(PublicKey::from_value(&jwk), Err(why) if why != JwkError::Unknown), "{jwk}");
        }
    }

    #[test]
    fn a_set_is_read_whole_and_types_that_are_not_known_are_passed_over() {
        let set = json!({"keys": [
            ours(Algorithm::Es256),
            {"kty": "AKP", "alg": "ML-DSA-44", "pub": "AQ"},
            {"kty": "EC", "crv": "secp256k1", "x": "AQ", "y": "AQ"},
            with(ours(Algorithm::EdDsa), "kid", json!("k2")),
        ]});
        let set = JwkSet::parse(set.to_string().as_bytes()).unwrap();
        assert_eq!(set.keys().len(), 2);
        assert!(set.has("k1") && set.has("k2") && !set.has("k3"));

        let many: Vec<_> = (0..33).map(|n| with(ours(Algorithm::EdDsa), "kid", json!(n.to_string()))).collect();
        let one_name = [ours(Algorithm::Es256), ours(Algorithm::Es256)];
        for document in [
            "[]".to_owned(),
            "{}".to_owned(),
            json!({"keys": {}}).to_string(),
            json!({"keys": many}).to_string(),
            json!({"keys": one_name}).to_string(),
            json!({"keys": [with(ours(Algorithm::Es256), "d", json!("AQ"))]}).to_string(),
            r#"{"keys": [], "keys": []}"#.to_owned(),
            r#"{"keys": [{"kty": "EC", "kty": "RSA"}]}"#.to_owned(),
        ] {
            assert!(JwkSet::parse(document.as_bytes()).is_err(), "{document}");
        }
        // RFC 7517 §4.5: equivalents of other types may share a name.
        let equivalents = json!({"keys": [ours(Algorithm::Es256), ours(Algorithm::EdDsa)]});
        assert!(JwkSet::from_value(&equivalents).is_ok());
    }

    /// RFC 7517 §5.
    #[test]
    fn a_published_set_is_not_spoilt_by_what_is_of_no_use_here() {
        let (ec, rsa) = (ours(Algorithm::Es256), ours(Algorithm::Rs256));
        let mut without_curve = ec.clone();
        without_curve.as_object_mut().unwrap().remove("crv");
        let small = with(rsa.clone(), "n", json!(URL_SAFE_NO_PAD.encode([0xa5; 128])));
        let set = |keys: &[&Value]| json!({ "keys": keys }).to_string();
        for useless in [
            json!({"kty": "oct", "k": "c2VjcmV0"}),
            json!({"kty": "oct", "kid": "k1"}),
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AQ"}),
            json!({"kid": "k1"}),
            without_curve,
            small,
            with(ec.clone(), "x", json!("AQ")),
            with(ec.clone(), "x", ec["y"].clone()),
            with(ec.clone(), "kid", json!(7)),
            with(ec.clone(), "key_ops", json!(["verify", "verify"])),
        ] {
            for keys in [[&useless, &ec], [&ec, &useless]] {
                let read = JwkSet::published(set(&keys).as_bytes()).unwrap();
                assert_eq!(read.keys().len(), 1, "{useless}");
                assert!(read.has("k1") && read.keys()[0].verifies(Algorithm::Es256), "{useless}");
            }
            assert_eq!(JwkSet::published(set(&[&useless]).as_bytes()).unwrap().keys().len(), 0, "{useless}");
            // Whoever registers it is told, but for what may be a newer type.
            assert_eq!(JwkSet::parse(set(&[&useless, &ec]).as_bytes()).is_ok(), useless["kty"] == "AKP", "{useless}");
        }
        // What is given away must be replaced, and of two keys of one name neither is the right one.
        for bad in [
            with(ec.clone(), "d", json!("AQ")),
            with(rsa.clone(), "p", json!("AQ")),
            with(rsa.clone(), "d", json!(null)),
            with(json!({"kty": "AKP"}), "priv", json!("AQ")),
            ours(Algorithm::Es256),
        ] {
            assert!(JwkSet::published(set(&[&ec, &bad]).as_bytes()).is_err(), "{bad}");
        }
        for no_set in ["[]", "{}", r#"{"keys": {}}"#, r#"{"keys": [], "keys": []}"#] {
            assert!(JwkSet::published(no_set.as_bytes()).is_err(), "{no_set}");
        }
    }

    #[test]
    fn thumbprints_are_those_of_the_specifications() {
        let rsa = json!({
            "kty": "RSA",
            "n": "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc\
                _BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQ\
                R0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bF\
                TWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw",
            "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"
        });
        let ed = json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"});
        for (jwk, thumbprint) in [
            (rsa, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"), // RFC 7638 §3.1
            (ed, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"),  // RFC 8037 §A.3
        ] {
            assert_eq!(PublicKey::from_value(&jwk).unwrap().thumbprint(), thumbprint);
        }
        for algorithm in Algorithm::ASYMMETRIC {
            let jwk = ours(algorithm);
            let theirs: jsonwebtoken::jwk::Jwk = serde_json::from_value(jwk.clone()).unwrap();
            let theirs = theirs.thumbprint(jsonwebtoken::jwk::ThumbprintHash::SHA256).unwrap();
            assert_eq!(PublicKey::from_value(&jwk).unwrap().thumbprint(), theirs);
        }
    }
}
