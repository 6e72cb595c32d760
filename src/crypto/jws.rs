//! Signed JWTs of others (RFC 7515, RFC 7519), read with the caution of RFC 8725: client assertions, request objects,
//! DPoP proofs.
//!
//! [`Unverified::parse`] looks at the header alone; the claims come from [`Unverified::verify`], and from nothing else
//! that is believed. Our own tokens are read by [`super::jwt`].

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::jwk::PublicKey;
use super::keys::jose;
use super::provider;
use crate::types::{Algorithm, json};

/// Longer than any that we read, in bytes; what is longer is not even parsed.
const MAX_LENGTH: usize = 32 * 1024;

/// More than any header has, in characters of base64url: DPoP's holds an RSA key.
const MAX_HEADER: usize = 8 * 1024;

/// Why a JWT is not believed: words for the developer who made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// Not three parts, not base64url, JSON with a member twice, or too long.
    #[error("it is not a signed JWT in compact form")]
    Malformed,
    /// `none` is one of them.
    #[error("its alg is none, or not one that is taken here")]
    WrongAlgorithm,
    /// RFC 7515 §4.1.11: what must be understood is not understood here.
    #[error("its header has crit, or b64")]
    Critical,
    /// Perhaps a newer set has it.
    #[error("no key of the signer is for its kid and alg")]
    UnknownKey,
    #[error("its signature is wrong")]
    BadSignature,
    #[error("its claims are not what they should be")]
    BadClaims,
}

/// What the header says (RFC 7515 §4.1), of which nothing but `jwk` of a DPoP proof ever is a key: `jku`, `x5u` and `x5c`
/// are not read (ASVS 9.1.3).
#[derive(Clone, Debug)]
pub struct Header {
    pub algorithm: Algorithm,
    pub kid: Option<String>,
    /// A media type; `is_type` compares it.
    pub typ: Option<String>,
    /// The key in the header, for whom the specification makes it one (RFC 9449 §4.2).
    pub jwk: Option<Value>,
}

#[derive(Deserialize)]
struct RawHeader {
    alg: String,
    kid: Option<String>,
    typ: Option<String>,
    jwk: Option<Value>,
}

impl Header {
    /// Whether `typ` names this type: in any case, with or without `application/` (RFC 7515 §4.1.9).
    pub fn is_type(&self, expected: &str) -> bool {
        const PREFIX: &str = "application/";
        self.typ.as_deref().is_some_and(|typ| {
            let short = match typ.split_at_checked(PREFIX.len()) {
                Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
                _ => typ,
            };
            short.eq_ignore_ascii_case(expected)
        })
    }
}

/// A JWT whose signature nobody has checked yet.
pub struct Unverified<'t> {
    pub header: Header,
    /// Header and claims, as they were signed.
    message: &'t str,
    claims: &'t str,
    signature: &'t str,
}

impl<'t> Unverified<'t> {
    /// Takes a compact JWS apart, and reads its header.
    ///
    /// # Errors
    /// When it is none, or not one whose algorithm is among those that are taken.
    pub fn parse(token: &'t str, algorithms: &[Algorithm]) -> Result<Self, JwsError> {
        if token.len() > MAX_LENGTH {
            return Err(JwsError::Malformed);
        }
        let (message, signature) = token.rsplit_once('.').ok_or(JwsError::Malformed)?;
        let (header, claims) = message.split_once('.').ok_or(JwsError::Malformed)?;
        if claims.contains('.') || header.len() > MAX_HEADER {
            return Err(JwsError::Malformed);
        }
        let header = URL_SAFE_NO_PAD.decode(header).map_err(|_| JwsError::Malformed)?;
        let header = json::strict(&header).map_err(|_| JwsError::Malformed)?;
        if header.get("crit").is_some() || header.get("b64").is_some() {
            return Err(JwsError::Critical);
        }
        let header: RawHeader = serde_json::from_value(header).map_err(|_| JwsError::Malformed)?;
        // RFC 8725 §3.1, §3.2: an allow-list, on which `none` never stands.
        let algorithm = algorithms.iter().copied().find(|known| known.is_named(&header.alg));
        let algorithm = algorithm.ok_or(JwsError::WrongAlgorithm)?;
        let header = Header { algorithm, kid: header.kid, typ: header.typ, jwk: header.jwk };
        Ok(Self { header, message, claims, signature })
    }

    /// The claims, if one of these keys made the signature: the one that `kid` names, or without a `kid` any that fits.
    ///
    /// Time, issuer and audience are the caller's to check.
    ///
    /// # Errors
    /// `UnknownKey` when no key fits; otherwise what is wrong.
    pub fn verify<C: DeserializeOwned>(&self, keys: &[PublicKey]) -> Result<C, JwsError> {
        self.verify_signature(keys)?;
        self.read()
    }

    /// Whether one of these keys made the signature, whatever it was made over.
    ///
    /// # Errors
    /// As `verify`.
    pub fn verify_signature(&self, keys: &[PublicKey]) -> Result<(), JwsError> {
        let named = |key: &&PublicKey| self.header.kid.is_none() || key.kid() == self.header.kid.as_deref();
        let mut fitting = keys.iter().filter(named).filter(|key| key.verifies(self.header.algorithm)).peekable();
        if fitting.peek().is_none() {
            return Err(JwsError::UnknownKey);
        }
        if !fitting.any(|key| self.is_signed_by(key.decoding())) {
            return Err(JwsError::BadSignature);
        }
        // What is not base64url was not signed as what it says (RFC 7515 §5.2 (6)).
        URL_SAFE_NO_PAD.decode(self.claims).map(|_| ()).map_err(|_| JwsError::Malformed)
    }

    /// The claims, if whoever knows this secret made the signature. A public key never comes here, so none is ever taken
    /// for a secret (RFC 8725 §2.1).
    ///
    /// # Errors
    /// When it is not HS256, or the signature is wrong.
    pub fn verify_with_secret<C: DeserializeOwned>(&self, secret: &[u8]) -> Result<C, JwsError> {
        if self.header.algorithm != Algorithm::Hs256 {
            return Err(JwsError::WrongAlgorithm);
        }
        provider::install();
        if !self.is_signed_by(&DecodingKey::from_secret(secret)) {
            return Err(JwsError::BadSignature);
        }
        self.read()
    }

    /// The claims, of which nothing is to be believed: for finding out whose keys verify.
    ///
    /// # Errors
    /// When they cannot be read.
    pub fn peek<C: DeserializeOwned>(&self) -> Result<C, JwsError> {
        self.read()
    }

    fn is_signed_by(&self, key: &DecodingKey) -> bool {
        let algorithm = jose(self.header.algorithm);
        matches!(jsonwebtoken::crypto::verify(self.signature, self.message.as_bytes(), key, algorithm), Ok(true))
    }

    fn read<C: DeserializeOwned>(&self) -> Result<C, JwsError> {
        let claims = URL_SAFE_NO_PAD.decode(self.claims).map_err(|_| JwsError::Malformed)?;
        let claims = json::strict(&claims).map_err(|_| JwsError::Malformed)?;
        serde_json::from_value(claims).map_err(|_| JwsError::BadClaims)
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::hmac;
    use serde_json::json;

    use super::*;
    use crate::crypto::{JwkSet, SigningKey, SystemRandom};

    fn fresh(algorithm: Algorithm, kid: &str) -> SigningKey {
        let material = SigningKey::generate(algorithm, &SystemRandom::new()).unwrap();
        SigningKey::parse(kid.into(), algorithm, &material).unwrap()
    }

    fn set(keys: &[&SigningKey]) -> JwkSet {
        let keys: Vec<_> = keys.iter().map(|key| key.public_jwk().unwrap()).collect();
        JwkSet::from_value(&json!({"keys": keys})).unwrap()
    }

    fn signed(key: &SigningKey, header: &str, claims: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).unwrap());
        format!("{message}.{signature}")
    }

    fn read(token: &str, keys: &JwkSet) -> Result<Value, JwsError> {
        Unverified::parse(token, &Algorithm::ASYMMETRIC)?.verify(keys.keys())
    }

    #[test]
    fn what_a_key_signed_is_read_with_it() {
        for algorithm in Algorithm::ASYMMETRIC {
            let (key, other) = (fresh(algorithm, "k1"), fresh(algorithm, "k2"));
            let keys = set(&[&other, &key]);
            for header in [
                json!({"alg": algorithm.as_str(), "kid": "k1"}),
                json!({"alg": algorithm.as_str(), "kid": "k1", "typ": "JWT", "x5u": "https://x.example", "x": [1]}),
                // Without a name each that fits is tried.
                json!({"alg": algorithm.as_str()}),
            ] {
                let token = signed(&key, &header.to_string(), r#"{"sub":"web"}"#);
                assert_eq!(read(&token, &keys), Ok(json!({"sub": "web"})), "{header}");
            }
        }
    }

    #[test]
    fn what_another_key_signed_is_refused() {
        let (key, other) = (fresh(Algorithm::Es256, "k1"), fresh(Algorithm::Es256, "k1"));
        let token = signed(&other, r#"{"alg":"ES256","kid":"k1"}"#, "{}");
        assert_eq!(read(&token, &set(&[&key])), Err(JwsError::BadSignature));
        let nameless = signed(&other, r#"{"alg":"ES256"}"#, "{}");
        assert_eq!(read(&nameless, &set(&[&key])), Err(JwsError::BadSignature));
        let stranger = signed(&other, r#"{"alg":"ES256","kid":"k2"}"#, "{}");
        assert_eq!(read(&stranger, &set(&[&key])), Err(JwsError::UnknownKey));
        // Its own key in the header, or where to find it, changes nothing.
        let jwk = other.public_jwk().unwrap();
        let own = json!({"alg": "ES256", "kid": "k1", "jwk": jwk, "jku": "https://evil.example", "x5c": ["AA"]});
        assert_eq!(read(&signed(&other, &own.to_string(), "{}"), &set(&[&key])), Err(JwsError::BadSignature));
        let altered = signed(&key, r#"{"alg":"ES256","kid":"k1"}"#, r#"{"sub":"a"}"#);
        let parts: Vec<&str> = altered.split('.').collect();
        let altered = format!("{}.{}.{}", parts[0], URL_SAFE_NO_PAD.encode(r#"{"sub":"b"}"#), parts[2]);
        assert_eq!(read(&altered, &set(&[&key])), Err(JwsError::BadSignature));
    }

    #[test]
    fn the_algorithm_is_one_that_is_taken_and_that_of_the_key() {
        let (ec, rsa) = (fresh(Algorithm::Es256, "k1"), fresh(Algorithm::Rs256, "k1"));
        for alg in ["none", "None", "NONE", "HS256", "HS512", "RS1", "ES256K", "es256", "ed25519", "Ed448", ""] {
            let header = json!({"alg": alg, "kid": "k1"}).to_string();
            assert_eq!(read(&signed(&ec, &header, "{}"), &set(&[&ec])), Err(JwsError::WrongAlgorithm), "{alg}");
        }
        for alg in ["ES384", "RS256", "EdDSA", "Ed25519"] {
            let header = json!({"alg": alg, "kid": "k1"}).to_string();
            assert_eq!(read(&signed(&ec, &header, "{}"), &set(&[&ec])), Err(JwsError::UnknownKey), "{alg}");
        }
        // The key says RS256.
        let header = json!({"alg": "PS256", "kid": "k1"}).to_string();
        assert_eq!(read(&signed(&rsa, &header, "{}"), &set(&[&rsa])), Err(JwsError::UnknownKey));
        // Allowed for others, not here.
        let token = signed(&rsa, r#"{"alg":"RS256","kid":"k1"}"#, "{}");
        assert!(matches!(Unverified::parse(&token, &[Algorithm::Ps256]), Err(JwsError::WrongAlgorithm)));
    }

    #[test]
    fn a_public_key_is_never_a_secret() {
        for algorithm in Algorithm::ASYMMETRIC {
            let key = fresh(algorithm, "k1");
            let jwk = key.public_jwk().unwrap();
            let public = URL_SAFE_NO_PAD.decode(jwk.get("n").unwrap_or(&jwk["x"]).as_str().unwrap()).unwrap();
            let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"k1"}"#);
            let message = format!("{header}.{}", URL_SAFE_NO_PAD.encode("{}"));
            let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), message.as_bytes());
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.as_ref()));
            assert_eq!(read(&token, &set(&[&key])), Err(JwsError::WrongAlgorithm));
            let unverified = Unverified::parse(&token, &Algorithm::ALL).unwrap();
            assert_eq!(unverified.verify::<Value>(set(&[&key]).keys()), Err(JwsError::UnknownKey));
        }
    }

    #[test]
    fn a_secret_verifies_hs256_and_nothing_else() {
        let secret = [7; 32];
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256"}"#), URL_SAFE_NO_PAD.encode("{}"));
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), message.as_bytes());
        let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.as_ref()));
        let unverified = Unverified::parse(&token, &[Algorithm::Hs256]).unwrap();
        assert_eq!(unverified.verify_with_secret(&secret), Ok(json!({})));
        assert_eq!(unverified.verify_with_secret::<Value>(&[8; 32]), Err(JwsError::BadSignature));
        let asymmetric = signed(&fresh(Algorithm::Es256, "k1"), r#"{"alg":"ES256"}"#, "{}");
        let unverified = Unverified::parse(&asymmetric, &Algorithm::ASYMMETRIC).unwrap();
        assert_eq!(unverified.verify_with_secret::<Value>(&secret), Err(JwsError::WrongAlgorithm));
    }

    #[test]
    fn what_can_be_read_in_two_ways_or_not_at_all_is_refused() {
        let key = fresh(Algorithm::EdDsa, "k1");
        let keys = set(&[&key]);
        let header = r#"{"alg":"EdDSA","kid":"k1"}"#;
        let good = signed(&key, header, r#"{"sub":"web"}"#);
        let parts: Vec<&str> = good.split('.').collect();
        let deep = format!("{{\"a\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
        for token in [
            String::new(),
            ".".to_owned(),
            "..".to_owned(),
            parts[..2].join("."),
            format!("{}.{}.", parts[0], parts[1]),
            format!("{good}."),
            format!("{good}.x.y"),
            format!("{good}="),
            format!(" {good}"),
            good.replace('.', ".\n"),
            signed(&key, r#"{"alg":"EdDSA","alg":"EdDSA","kid":"k1"}"#, "{}"),
            signed(&key, r#"{"alg":"EdDSA","kid":["k1"]}"#, "{}"),
            signed(&key, r#"["EdDSA"]"#, "{}"),
            signed(&key, r#"{"kid":"k1"}"#, "{}"),
            signed(&key, header, r#"{"sub":"web","sub":"other"}"#),
            signed(&key, header, r#"{"a":{"b":1,"b":2}}"#),
            signed(&key, header, &deep),
            signed(&key, header, "no JSON"),
            signed(&key, header, &format!("{{\"a\":\"{}\"}}", "x".repeat(MAX_LENGTH))),
            signed(&key, &json!({"alg": "EdDSA", "kid": "k1", "x": "x".repeat(MAX_HEADER)}).to_string(), "{}"),
        ] {
            assert!(read(&token, &keys).is_err(), "{}", &token[..token.len().min(200)]);
        }
        for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!(null)] {
            let header = json!({"alg": "EdDSA", "kid": "k1", "crit": crit}).to_string();
            assert_eq!(read(&signed(&key, &header, "{}"), &keys), Err(JwsError::Critical));
        }
        let unencoded = signed(&key, r#"{"alg":"EdDSA","kid":"k1","b64":false}"#, "{}");
        assert_eq!(read(&unencoded, &keys), Err(JwsError::Critical));
    }

    #[test]
    fn a_type_is_a_media_type_in_any_case() {
        let key = fresh(Algorithm::EdDsa, "k1");
        let is_type = |typ: &str| {
            let token = signed(&key, &json!({"alg": "EdDSA", "typ": typ}).to_string(), "{}");
            Unverified::parse(&token, &Algorithm::ASYMMETRIC).unwrap().header.is_type("dpop+jwt")
        };
        assert!(is_type("dpop+jwt") && is_type("DPoP+JWT") && is_type("application/dpop+jwt"));
        assert!(!is_type("JWT") && !is_type("") && !is_type("text/dpop+jwt"));
    }
}
