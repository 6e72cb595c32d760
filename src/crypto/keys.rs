//! Signing keys: parsed once, then ready to sign; and the halves that verify.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::error::{KeyRejected, Unspecified};
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, EcdsaSigningAlgorithm,
    Ed25519KeyPair, KeyPair, RsaEncoding, RsaKeyPair, RsaPublicKeyComponents,
};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use serde_json::json;
use zeroize::Zeroizing;

use super::random::{self, Random};
use super::{TokenType, provider};
use crate::types::Algorithm;

/// RFC 7518 §3.2: at least as long as the hash.
const HS256_BYTES: usize = 32;

/// What can go wrong with a key. Never the fault of a client.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("not a key of {0}: {1}")]
    Rejected(Algorithm, String),
    #[error("no {0} key could be made")]
    NotGenerated(Algorithm),
    #[error("a secret of {0} has no public half")]
    NotPublic(Algorithm),
    #[error("signing with {0} failed")]
    Signing(Algorithm),
    #[error("a key of {algorithm} never signs {typ:?}")]
    WrongUse { algorithm: Algorithm, typ: TokenType },
    #[error("the claims do not become JSON")]
    Claims(#[source] serde_json::Error),
}

/// A private key, or the secret of HS256, ready to sign.
pub struct SigningKey {
    pair: Pair,
    verifying: VerifyingKey,
    /// The encoded JOSE header for each type of token, with its dot.
    headers: [String; TokenType::ALL.len()],
}

enum Pair {
    Ecdsa(EcdsaKeyPair),
    Rsa(RsaKeyPair, &'static dyn RsaEncoding),
    Ed25519(Ed25519KeyPair),
    Hmac(Box<hmac::Key>),
}

impl SigningKey {
    /// New private material, to be sealed and stored: PKCS#8, or for HS256 the 32 bytes.
    ///
    /// An RSA key takes from a hundredth of a second to a few tenths: not on a thread that serves others. Key pairs come
    /// from aws-lc, which takes its randomness from its own generator and from nowhere else.
    pub fn generate(algorithm: Algorithm, rng: &dyn Random) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let material = || -> Result<Vec<u8>, Unspecified> {
            Ok(match algorithm {
                Algorithm::Es256 | Algorithm::Es384 => {
                    EcdsaKeyPair::generate(ecdsa(algorithm))?.to_pkcs8v1()?.as_ref().to_vec()
                }
                Algorithm::EdDsa => Ed25519KeyPair::generate()?.to_pkcs8()?.as_ref().to_vec(),
                Algorithm::Rs256 | Algorithm::Ps256 => {
                    AsDer::<Pkcs8V1Der>::as_der(&RsaKeyPair::generate(KeySize::Rsa2048)?)?.as_ref().to_vec()
                }
                Algorithm::Hs256 => {
                    let mut secret = vec![0; HS256_BYTES];
                    rng.fill(&mut secret);
                    secret
                }
            })
        };
        material().map(Zeroizing::new).map_err(|_| KeyError::NotGenerated(algorithm))
    }

    /// A key from its stored material; aws-lc checks that the two halves belong together.
    pub fn parse(kid: String, algorithm: Algorithm, material: &[u8]) -> Result<Self, KeyError> {
        provider::install();
        let (pair, public) = Pair::parse(algorithm, material)?;
        let headers = TokenType::ALL.map(|typ| header(typ, algorithm, &kid));
        let verifying = VerifyingKey(Arc::new(Verifying { kid, algorithm, key: public }));
        Ok(Self { pair, verifying, headers })
    }

    /// The `kid` that a new asymmetric key gets: its thumbprint (RFC 7638). One of HS256 would tell about the secret.
    pub fn kid_of(algorithm: Algorithm, material: &[u8]) -> Result<String, KeyError> {
        Self::parse(String::new(), algorithm, material)?.thumbprint().ok_or(KeyError::NotPublic(algorithm))
    }

    /// The bare signature, as JWS has it: ECDSA as r and s of fixed length (RFC 7518 §3.4).
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let failed = |_: Unspecified| KeyError::Signing(self.algorithm());
        match &self.pair {
            Pair::Ecdsa(pair) => Ok(pair.sign(&random::of_the_engine(), message).map_err(failed)?.as_ref().to_vec()),
            Pair::Rsa(pair, encoding) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &random::of_the_engine(), message, &mut signature).map_err(failed)?;
                Ok(signature)
            }
            Pair::Ed25519(pair) => Ok(pair.try_sign(message).map_err(failed)?.as_ref().to_vec()),
            Pair::Hmac(key) => Ok(hmac::sign(key, message).as_ref().to_vec()),
        }
    }

    pub fn kid(&self) -> &str {
        self.verifying.kid()
    }

    pub fn algorithm(&self) -> Algorithm {
        self.verifying.algorithm()
    }

    /// The half that verifies, of HS256 the same secret.
    pub fn verifying(&self) -> &VerifyingKey {
        &self.verifying
    }

    /// The public half for `jwks_uri` (RFC 7517 §4); `None` for HS256.
    pub fn public_jwk(&self) -> Option<serde_json::Value> {
        self.verifying.public_jwk()
    }

    /// RFC 7638, with SHA-256; `None` for HS256.
    pub fn thumbprint(&self) -> Option<String> {
        self.verifying.jwk()?.thumbprint(ThumbprintHash::SHA256).ok()
    }

    /// base64url of the JOSE header, and the dot after it.
    pub(super) fn header(&self, typ: TokenType) -> &str {
        &self.headers[typ as usize]
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("kid", &self.kid())
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

/// What verifies the signatures of one key. Cheap to clone.
#[derive(Clone)]
pub struct VerifyingKey(Arc<Verifying>);

struct Verifying {
    kid: String,
    algorithm: Algorithm,
    key: DecodingKey,
}

impl VerifyingKey {
    pub fn kid(&self) -> &str {
        &self.0.kid
    }

    pub fn algorithm(&self) -> Algorithm {
        self.0.algorithm
    }

    /// The JWK for `jwks_uri` (RFC 7517 §4); `None` for HS256.
    pub fn public_jwk(&self) -> Option<serde_json::Value> {
        serde_json::to_value(self.jwk()?).ok()
    }

    /// A key that was published, from its JWK.
    ///
    /// # Errors
    /// When it is not the public half of a key of this algorithm.
    pub fn from_jwk(kid: String, algorithm: Algorithm, jwk: &str) -> Result<Self, KeyError> {
        provider::install();
        let rejected = |why: String| KeyError::Rejected(algorithm, why);
        let jwk: Jwk = serde_json::from_str(jwk).map_err(|why| rejected(why.to_string()))?;
        // A secret must never be taken for a public key, nor a key of one algorithm for one of another.
        if !algorithm.is_asymmetric() || jwk.common.key_algorithm != Some(jose(algorithm).into()) {
            return Err(rejected("its JWK is of another algorithm".into()));
        }
        let key = DecodingKey::from_jwk(&jwk).map_err(|why| rejected(why.to_string()))?;
        Ok(Self(Arc::new(Verifying { kid, algorithm, key })))
    }

    /// The key as `jsonwebtoken` takes it.
    pub(super) fn decoding(&self) -> &DecodingKey {
        &self.0.key
    }

    fn jwk(&self) -> Option<Jwk> {
        if !self.algorithm().is_asymmetric() {
            return None;
        }
        let mut jwk = Jwk::from_decoding_key(&self.0.key, Some(jose(self.algorithm()))).ok()?;
        jwk.common.key_id = Some(self.kid().to_owned());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Some(jwk)
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifyingKey")
            .field("kid", &self.kid())
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

impl Pair {
    fn parse(algorithm: Algorithm, material: &[u8]) -> Result<(Self, DecodingKey), KeyError> {
        let rejected = |why: KeyRejected| KeyError::Rejected(algorithm, why.to_string());
        Ok(match algorithm {
            Algorithm::Es256 | Algorithm::Es384 => {
                let pair = EcdsaKeyPair::from_pkcs8(ecdsa(algorithm), material).map_err(rejected)?;
                let public = DecodingKey::from_ec_der(pair.public_key().as_ref());
                (Self::Ecdsa(pair), public)
            }
            Algorithm::Rs256 | Algorithm::Ps256 => {
                let pair = RsaKeyPair::from_pkcs8(material).map_err(rejected)?;
                let RsaPublicKeyComponents::<Vec<u8>> { n, e } = pair.public_key().into();
                let encoding: &'static dyn RsaEncoding = match algorithm {
                    Algorithm::Ps256 => &signature::RSA_PSS_SHA256,
                    _ => &signature::RSA_PKCS1_SHA256,
                };
                (Self::Rsa(pair, encoding), DecodingKey::from_rsa_raw_components(&n, &e))
            }
            Algorithm::EdDsa => {
                // OpenSSL writes the private half alone (RFC 8410 §7, version 1); a public half is checked if there.
                let pair = Ed25519KeyPair::from_pkcs8(material).map_err(rejected)?;
                let public = DecodingKey::from_ed_der(pair.public_key().as_ref());
                (Self::Ed25519(pair), public)
            }
            Algorithm::Hs256 if material.len() == HS256_BYTES => {
                (Self::Hmac(Box::new(hmac::Key::new(hmac::HMAC_SHA256, material))), DecodingKey::from_secret(material))
            }
            Algorithm::Hs256 => return Err(KeyError::Rejected(algorithm, format!("not {HS256_BYTES} bytes"))),
        })
    }
}

/// The same algorithm as `jsonwebtoken` calls it.
pub(super) fn jose(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    match algorithm {
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::Es384 => jsonwebtoken::Algorithm::ES384,
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
        Algorithm::Hs256 => jsonwebtoken::Algorithm::HS256,
    }
}

fn ecdsa(algorithm: Algorithm) -> &'static EcdsaSigningAlgorithm {
    match algorithm {
        Algorithm::Es384 => &ECDSA_P384_SHA384_FIXED_SIGNING,
        _ => &ECDSA_P256_SHA256_FIXED_SIGNING,
    }
}

fn header(typ: TokenType, algorithm: Algorithm, kid: &str) -> String {
    let json = json!({ "typ": typ.as_str(), "alg": algorithm.as_str(), "kid": kid }).to_string();
    URL_SAFE_NO_PAD.encode(json) + "."
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{SystemRandom, jwt};

    fn fresh(algorithm: Algorithm) -> SigningKey {
        let material = SigningKey::generate(algorithm, &SystemRandom::new()).unwrap();
        SigningKey::parse("k1".into(), algorithm, &material).unwrap()
    }

    fn members(jwk: &serde_json::Value) -> Vec<&str> {
        let mut names: Vec<_> = jwk.as_object().unwrap().keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn a_published_key_has_its_public_members_and_no_other() {
        for (algorithm, kty, curve) in [
            (Algorithm::Es256, "EC", Some("P-256")),
            (Algorithm::Es384, "EC", Some("P-384")),
            (Algorithm::EdDsa, "OKP", Some("Ed25519")),
            (Algorithm::Rs256, "RSA", None),
            (Algorithm::Ps256, "RSA", None),
        ] {
            let jwk = fresh(algorithm).public_jwk().unwrap();
            let expected: &[&str] = match kty {
                "EC" => &["alg", "crv", "kid", "kty", "use", "x", "y"],
                "OKP" => &["alg", "crv", "kid", "kty", "use", "x"],
                _ => &["alg", "e", "kid", "kty", "n", "use"],
            };
            assert_eq!(members(&jwk), expected, "{algorithm}");
            assert_eq!(jwk["kty"], kty);
            assert_eq!(jwk.get("crv").and_then(|crv| crv.as_str()), curve);
            assert_eq!(jwk["alg"], algorithm.as_str());
            assert_eq!(jwk["kid"], "k1");
            assert_eq!(jwk["use"], "sig");
        }
    }

    #[test]
    fn a_published_key_verifies_what_its_private_half_signed() {
        for algorithm in Algorithm::ALL.into_iter().filter(|algorithm| algorithm.is_asymmetric()) {
            let key = fresh(algorithm);
            let published = key.public_jwk().unwrap();
            let public = VerifyingKey::from_jwk("k1".into(), algorithm, &published.to_string()).unwrap();
            assert_eq!(public.public_jwk(), Some(published.clone()), "{algorithm}");
            let token = jwt::sign(&key, TokenType::IdToken, &json!({ "sub": "ada" })).unwrap();
            let verified = |by: &VerifyingKey| jwt::verify(&token, TokenType::IdToken, |_| Some(by));
            assert_eq!(verified(&public), Ok(json!({ "sub": "ada" })), "{algorithm}");
            let other = fresh(algorithm).public_jwk().unwrap();
            let other = VerifyingKey::from_jwk("k1".into(), algorithm, &other.to_string()).unwrap();
            assert!(verified(&other).is_err(), "{algorithm}");
            for wrong in Algorithm::ALL.into_iter().filter(|wrong| *wrong != algorithm) {
                assert!(VerifyingKey::from_jwk("k1".into(), wrong, &published.to_string()).is_err(), "{wrong}");
            }
        }
        let secret = json!({ "kty": "oct", "k": "AAAA", "alg": "HS256" }).to_string();
        for (algorithm, jwk) in
            [(Algorithm::Hs256, secret.as_str()), (Algorithm::Es256, &secret), (Algorithm::Es256, "{}")]
        {
            assert!(VerifyingKey::from_jwk("k1".into(), algorithm, jwk).is_err(), "{jwk}");
        }
    }

    #[test]
    fn a_secret_is_never_published() {
        let key = fresh(Algorithm::Hs256);
        assert_eq!(key.public_jwk(), None);
        assert_eq!(key.thumbprint(), None);
        assert!(matches!(SigningKey::kid_of(Algorithm::Hs256, &[7; 32]), Err(KeyError::NotPublic(_))));
    }

    #[test]
    fn the_kid_of_a_key_is_the_thumbprint_of_its_public_half() {
        let material = SigningKey::generate(Algorithm::Es256, &SystemRandom::new()).unwrap();
        let kid = SigningKey::kid_of(Algorithm::Es256, &material).unwrap();
        let key = SigningKey::parse(kid.clone(), Algorithm::Es256, &material).unwrap();
        assert_eq!(key.thumbprint(), Some(kid));

        // RFC 7638 §3.2: the required members in order, and nothing between them.
        let jwk = key.public_jwk().unwrap();
        let canonical = format!(r#"{{"crv":"P-256","kty":"EC","x":{},"y":{}}}"#, jwk["x"], jwk["y"]);
        assert_eq!(key.thumbprint(), Some(crate::crypto::sha256_base64url(canonical.as_bytes())));
    }

    #[test]
    fn material_of_another_algorithm_is_refused() {
        let rng = SystemRandom::new();
        let p256 = SigningKey::generate(Algorithm::Es256, &rng).unwrap();
        let ed = SigningKey::generate(Algorithm::EdDsa, &rng).unwrap();
        for (algorithm, material) in [
            (Algorithm::Es384, &*p256),
            (Algorithm::EdDsa, &*p256),
            (Algorithm::Rs256, &*p256),
            (Algorithm::Hs256, &*p256),
            (Algorithm::Es256, &*ed),
            (Algorithm::Ps256, &*ed),
            (Algorithm::Hs256, &[7; 31].to_vec()),
            (Algorithm::Es256, &Vec::new()),
        ] {
            assert!(matches!(SigningKey::parse("k".into(), algorithm, material), Err(KeyError::Rejected(..))));
        }
    }

    #[test]
    fn halves_of_two_keys_are_not_one_key() {
        // The public half stands last in each.
        for (algorithm, public) in [(Algorithm::Es256, 65), (Algorithm::Es384, 97), (Algorithm::EdDsa, 32)] {
            let [mut one, other] = [(); 2].map(|()| SigningKey::generate(algorithm, &SystemRandom::new()).unwrap());
            let at = one.len() - public;
            one[at..].copy_from_slice(&other[at..]);
            assert!(
                matches!(SigningKey::parse("k".into(), algorithm, &one), Err(KeyError::Rejected(..))),
                "{algorithm}"
            );
        }
    }

    #[test]
    fn an_ed25519_key_as_openssl_writes_it_is_taken() {
        // RFC 8410 §10.3, the first example, and its public half from §10.1.
        let version_1 = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";
        let material = base64::engine::general_purpose::STANDARD.decode(version_1).unwrap();
        let key = SigningKey::parse("k".into(), Algorithm::EdDsa, &material).unwrap();
        let jwk = key.public_jwk().unwrap();
        assert_eq!(jwk["x"], "Gb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE");
    }

    #[test]
    fn keys_that_were_made_and_used_by_ring_still_open() {
        for line in include_str!("keys_of_ring.txt").lines().filter(|line| !line.starts_with('#')) {
            let [algorithm, material, token] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let algorithm = Algorithm::ALL.into_iter().find(|known| known.as_str() == algorithm).unwrap();
            let material = base64::engine::general_purpose::STANDARD.decode(material).unwrap();
            let key = SigningKey::parse("k1".into(), algorithm, &material).unwrap();

            let typ = if algorithm.is_asymmetric() { TokenType::AccessToken } else { TokenType::RefreshToken };
            let old: serde_json::Value = jwt::verify(token, typ, |kid| {
                // What others have cached under this name is still the same key.
                assert_eq!(key.thumbprint().as_deref().unwrap_or("secret"), kid, "{algorithm}");
                Some(key.verifying())
            })
            .unwrap();
            let new = jwt::sign(&key, typ, &old).unwrap();
            assert_eq!(jwt::verify(&new, typ, |_| Some(key.verifying())), Ok(json!({ "sub": "ada" })), "{algorithm}");
        }
    }

    #[test]
    fn a_key_prints_its_name_and_not_itself() {
        let key = SigningKey::parse("k1".into(), Algorithm::Hs256, &[7; 32]).unwrap();
        assert_eq!(format!("{key:?}"), r#"SigningKey { kid: "k1", algorithm: Hs256, .. }"#);
        assert_eq!(format!("{:?}", key.verifying()), r#"VerifyingKey { kid: "k1", algorithm: Hs256, .. }"#);
    }
}
