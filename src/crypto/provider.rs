//! aws-lc for the `jsonwebtoken` crate, which has no backend of its own here.
//!
//! It verifies every algorithm of RFC 7518 that aws-lc does, for clients sign with what they like; it signs with ours alone, and
//! slowly (the key is parsed each time): our own tokens are signed by [`super::jwt`].

use aws_lc_rs::signature::{self as lc, UnparsedPublicKey};
use aws_lc_rs::{digest, hmac};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result, new_error};
use jsonwebtoken::jwk::ThumbprintHash;
use jsonwebtoken::{Algorithm, DecodingKey, DecodingKeyKind, EncodingKey};
use signature::{Error, Signer, Verifier};

use super::SigningKey;

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils {
        compute_digest,
        // For making a `Jwk` of a private key; ours come from `SigningKey::public_jwk`.
        rsa_pub_components_from_private_key: |_| Err(unsupported()),
        rsa_pub_components_from_public_key: |_| Err(unsupported()),
        ec_pub_components_from_private_key: |_, _| Err(unsupported()),
        ed_pub_components_from_private_key: |_, _| Err(unsupported()),
    },
};

/// Makes aws-lc the backend of `jsonwebtoken` in this process. May be called again and again.
///
/// Parsing a [`SigningKey`] does it too; who verifies with other keys only calls it first.
pub fn install() {
    // An error says that it was done before.
    let _ = PROVIDER.install_default();
}

fn unsupported() -> jsonwebtoken::errors::Error {
    new_error(ErrorKind::UnsupportedAlgorithm)
}

/// One key for one algorithm; that they fit was checked when it was made.
struct EngineVerifier {
    algorithm: Algorithm,
    key: DecodingKey,
    check: Check,
}

#[derive(Clone, Copy)]
enum Check {
    Public(&'static dyn lc::VerificationAlgorithm),
    Rsa(&'static lc::RsaParameters),
    Mac(hmac::Algorithm),
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    // A public key is never taken for a secret (RFC 8725 §2.1).
    if algorithm.family() != key.family() {
        return Err(new_error(ErrorKind::InvalidKeyFormat));
    }
    let check = match algorithm {
        Algorithm::ES256 => Check::Public(&lc::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Check::Public(&lc::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Check::Public(&lc::ED25519),
        Algorithm::RS256 => Check::Rsa(&lc::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Check::Rsa(&lc::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Check::Rsa(&lc::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Check::Rsa(&lc::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Check::Rsa(&lc::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Check::Rsa(&lc::RSA_PSS_2048_8192_SHA512),
        Algorithm::HS256 => Check::Mac(hmac::HMAC_SHA256),
        Algorithm::HS384 => Check::Mac(hmac::HMAC_SHA384),
        Algorithm::HS512 => Check::Mac(hmac::HMAC_SHA512),
        _ => return Err(unsupported()),
    };
    Ok(Box::new(EngineVerifier { algorithm: *algorithm, key: key.clone(), check }))
}

impl Verifier<Vec<u8>> for EngineVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let verified = match (self.check, self.key.kind()) {
            (Check::Public(how), DecodingKeyKind::SecretOrDer(key)) => {
                UnparsedPublicKey::new(how, key).verify(message, signature)
            }
            (Check::Rsa(how), DecodingKeyKind::SecretOrDer(key)) => {
                UnparsedPublicKey::new(how, key).verify(message, signature)
            }
            (Check::Rsa(how), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                lc::RsaPublicKeyComponents { n, e }.verify(how, message, signature)
            }
            (Check::Mac(how), DecodingKeyKind::SecretOrDer(key)) => {
                hmac::verify(&hmac::Key::new(how, key), message, signature)
            }
            _ => return Err(Error::new()),
        };
        verified.map_err(|_| Error::new())
    }
}

impl JwtVerifier for EngineVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

struct EngineSigner(Algorithm, SigningKey);

/// `key` holds PKCS#8, whatever the family, or the secret of HS256.
fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    if algorithm.family() != key.family() {
        return Err(new_error(ErrorKind::InvalidKeyFormat));
    }
    let ours = crate::types::Algorithm::ALL
        .into_iter()
        .find(|ours| super::keys::jose(*ours) == *algorithm)
        .ok_or_else(unsupported)?;
    let key = SigningKey::parse(String::new(), ours, key.as_bytes())
        .map_err(|why| new_error(ErrorKind::Provider(why.to_string())))?;
    Ok(Box::new(EngineSigner(*algorithm, key)))
}

impl Signer<Vec<u8>> for EngineSigner {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        self.1.sign(message).map_err(Error::from_source)
    }
}

impl JwtSigner for EngineSigner {
    fn algorithm(&self) -> Algorithm {
        self.0
    }
}

fn compute_digest(bytes: &[u8], hash: ThumbprintHash) -> Result<Vec<u8>> {
    let algorithm = match hash {
        ThumbprintHash::SHA256 => &digest::SHA256,
        ThumbprintHash::SHA384 => &digest::SHA384,
        ThumbprintHash::SHA512 => &digest::SHA512,
        _ => return Err(unsupported()),
    };
    Ok(digest::digest(algorithm, bytes).as_ref().to_vec())
}

#[cfg(test)]
mod tests {
    use jsonwebtoken::jwk::Jwk;
    use jsonwebtoken::{Header, Validation, decode, encode};
    use serde_json::{Value, json};

    use super::*;
    use crate::crypto::SystemRandom;
    use crate::types::Algorithm as Ours;

    fn without_time(algorithm: Algorithm) -> Validation {
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation
    }

    #[test]
    fn the_crate_signs_and_verifies_with_our_engine() {
        install();
        install();
        for (ours, encoding) in [
            (Ours::Es256, EncodingKey::from_ec_der as fn(&[u8]) -> EncodingKey),
            (Ours::Es384, EncodingKey::from_ec_der),
            (Ours::EdDsa, EncodingKey::from_ed_der),
            (Ours::Hs256, EncodingKey::from_secret),
        ] {
            let material = SigningKey::generate(ours, &SystemRandom::new()).unwrap();
            let algorithm = super::super::keys::jose(ours);
            let token = encode(&Header::new(algorithm), &json!({"sub": "ada"}), &encoding(&material)).unwrap();

            let decoding = match SigningKey::parse("k".into(), ours, &material).unwrap().public_jwk() {
                Some(jwk) => DecodingKey::from_jwk(&serde_json::from_value(jwk).unwrap()).unwrap(),
                None => DecodingKey::from_secret(&material),
            };
            let data = decode::<Value>(&token, &decoding, &without_time(algorithm)).unwrap();
            assert_eq!(data.claims["sub"], "ada", "{ours}");
        }
    }

    #[test]
    fn a_key_of_one_family_does_not_serve_another() {
        install();
        let secret = DecodingKey::from_secret(&[1; 32]);
        for algorithm in [Algorithm::ES256, Algorithm::RS256, Algorithm::EdDSA] {
            assert!(verifier(&algorithm, &secret).is_err());
        }
        assert!(verifier(&Algorithm::HS256, &DecodingKey::from_ec_der(&[4; 65])).is_err());
        assert!(signer(&Algorithm::ES256, &EncodingKey::from_secret(&[1; 32])).is_err());
    }

    #[test]
    fn thumbprints_are_those_of_the_specifications() {
        install();
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
            let jwk: Jwk = serde_json::from_value(jwk).unwrap();
            assert_eq!(jwk.thumbprint(ThumbprintHash::SHA256).unwrap(), thumbprint);
        }
    }
}
