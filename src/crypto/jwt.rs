//! Our own JWTs (RFC 7519), signed as compact JWS (RFC 7515) and read with the caution of RFC 8725.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::keys::{KeyError, SigningKey, VerifyingKey, jose};
use super::token_type::TokenType;

/// Longer than any token of ours, in bytes; what is longer is not even parsed.
const MAX_LENGTH: usize = 16 * 1024;

/// Why a token is not believed: words for a log. The client hears `invalid_token` or `invalid_grant`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwtError {
    /// Not three parts, not base64url or JSON, too long, no `kid`, an `alg` that nobody knows, or a `crit`.
    #[error("not a signed JWT, or one with a header that we do not take")]
    Malformed,
    #[error("a token of another type")]
    WrongType,
    #[error("signed with a key that we do not have")]
    UnknownKey,
    #[error("its algorithm is not that of the key, or not one for this type of token")]
    WrongAlgorithm,
    #[error("its signature is wrong")]
    BadSignature,
    #[error("its signature is right, but its claims are not those of such a token")]
    BadClaims,
}

/// Signs `claims` as a token of this type.
///
/// # Errors
///
/// `WrongUse` if the type does not go with the key's algorithm; otherwise only if signing or serialising fails.
pub fn sign<C: Serialize>(key: &SigningKey, typ: TokenType, claims: &C) -> Result<String, KeyError> {
    if !typ.fits(key.algorithm()) {
        return Err(KeyError::WrongUse { algorithm: key.algorithm(), typ });
    }
    let claims = serde_json::to_vec(claims).map_err(KeyError::Claims)?;
    let header = key.header(typ);

    // Room for the largest signature but RSA's, which grows it once.
    let mut token = String::with_capacity(header.len() + encoded(claims.len()) + 1 + encoded(96));
    token.push_str(header);
    URL_SAFE_NO_PAD.encode_string(&claims, &mut token);
    let signature = key.sign(token.as_bytes())?;
    token.push('.');
    URL_SAFE_NO_PAD.encode_string(&signature, &mut token);
    Ok(token)
}

/// The claims of a token, if it is of this type and one of our keys signed it.
///
/// Expiry, issuer and audience are the caller's to check: the claims say only what was once signed.
/// `find_key` gets the `kid`, and nothing else in the header has a say in which key it is (ASVS 9.1.3).
pub fn verify<'k, C: DeserializeOwned>(
    token: &str,
    expected: TokenType,
    find_key: impl FnOnce(&str) -> Option<&'k VerifyingKey>,
) -> Result<C, JwtError> {
    if token.len() > MAX_LENGTH {
        return Err(JwtError::Malformed);
    }
    // Refuses an `alg` that it does not know, of which `none` is one, and a parameter that stands there twice.
    let header = jsonwebtoken::decode_header(token).map_err(|_| JwtError::Malformed)?;
    // RFC 7515 §4.1.11: we understand no extension, so one that must be understood is refused.
    if header.crit.is_some() {
        return Err(JwtError::Malformed);
    }
    if !header.typ.is_some_and(|typ| expected.is_named(&typ)) {
        return Err(JwtError::WrongType);
    }
    let kid = header.kid.ok_or(JwtError::Malformed)?;
    let key = find_key(&kid).ok_or(JwtError::UnknownKey)?;
    // RFC 8725 §3.1: the key says what it is for, and the header can only agree.
    if header.alg != jose(key.algorithm()) || !expected.fits(key.algorithm()) {
        return Err(JwtError::WrongAlgorithm);
    }

    let (message, signature) = token.rsplit_once('.').ok_or(JwtError::Malformed)?;
    let (_, claims) = message.split_once('.').ok_or(JwtError::Malformed)?;
    match jsonwebtoken::crypto::verify(signature, message.as_bytes(), key.decoding(), header.alg) {
        Ok(true) => {}
        Ok(false) => return Err(JwtError::BadSignature),
        Err(_) => return Err(JwtError::Malformed),
    }

    // ASVS 9.1.1: only now is anything in them believed.
    let claims = URL_SAFE_NO_PAD.decode(claims).map_err(|_| JwtError::Malformed)?;
    serde_json::from_slice(&claims).map_err(|_| JwtError::BadClaims)
}

/// Characters of so many bytes as base64url.
const fn encoded(bytes: usize) -> usize {
    bytes.div_ceil(3) * 4
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use aws_lc_rs::hmac;
    use serde::{Deserialize, Serialize};
    use serde_json::{Value, json};

    use super::*;
    use crate::crypto::SystemRandom;
    use crate::types::Algorithm;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Claims {
        sub: String,
        iat: i64,
    }

    fn ada() -> Claims {
        Claims { sub: "ada".into(), iat: 1_767_225_600 }
    }

    fn fresh(algorithm: Algorithm) -> SigningKey {
        let material = SigningKey::generate(algorithm, &SystemRandom::new()).unwrap();
        SigningKey::parse("k1".into(), algorithm, &material).unwrap()
    }

    static KEY: LazyLock<SigningKey> = LazyLock::new(|| fresh(Algorithm::Es256));

    /// A token under `KEY` with any header and payload.
    fn forged(header: &Value, payload: &str) -> String {
        signed_by(&KEY, &header.to_string(), payload)
    }

    fn signed_by(key: &SigningKey, header: &str, payload: &str) -> String {
        let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(payload));
        let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).unwrap());
        format!("{message}.{signature}")
    }

    fn read(token: &str, expected: TokenType, key: &SigningKey) -> Result<Claims, JwtError> {
        verify(token, expected, |kid| (kid == key.kid()).then(|| key.verifying()))
    }

    fn read_access(token: &str) -> Result<Claims, JwtError> {
        read(token, TokenType::AccessToken, &KEY)
    }

    #[test]
    fn what_was_signed_with_any_algorithm_is_read_again() {
        for algorithm in Algorithm::ALL {
            let key = fresh(algorithm);
            for typ in TokenType::read().filter(|typ| typ.fits(algorithm)) {
                let token = sign(&key, typ, &ada()).unwrap();
                assert_eq!(read(&token, typ, &key), Ok(ada()), "{algorithm} {typ:?}");

                let header = jsonwebtoken::decode_header(&token).unwrap();
                assert_eq!(header.typ.as_deref(), Some(typ.as_str()));
                assert_eq!(header.kid.as_deref(), Some("k1"));
                assert_eq!(header.alg, jose(algorithm));
            }
        }
    }

    #[test]
    fn the_example_of_rfc_7515_verifies() {
        // RFC 7515 §A.3: ES256, with a header that says nothing but `alg`, so a signature of the provider alone.
        let (x, y) = ("f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0");
        let message = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt\
            cGxlLmNvbS9pc19yb290Ijp0cnVlfQ";
        let signature = "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
        crate::crypto::install();
        let key = jsonwebtoken::DecodingKey::from_ec_components(x, y).unwrap();
        let verified =
            jsonwebtoken::crypto::verify(signature, message.as_bytes(), &key, jsonwebtoken::Algorithm::ES256);
        assert_eq!(verified, Ok(true));
    }

    #[test]
    fn a_type_is_signed_only_with_an_algorithm_that_fits_it() {
        let secret = fresh(Algorithm::Hs256);
        assert!(matches!(sign(&secret, TokenType::AccessToken, &ada()), Err(KeyError::WrongUse { .. })));
        assert!(matches!(sign(&KEY, TokenType::RefreshToken, &ada()), Err(KeyError::WrongUse { .. })));
    }

    #[test]
    fn a_token_of_one_type_is_never_taken_for_another() {
        for typ in TokenType::read() {
            for expected in TokenType::read().filter(|expected| *expected != typ) {
                let key =
                    if typ == TokenType::RefreshToken { fresh(Algorithm::Hs256) } else { fresh(Algorithm::EdDsa) };
                let token = sign(&key, typ, &ada()).unwrap();
                assert_eq!(read(&token, expected, &key), Err(JwtError::WrongType), "{typ:?} as {expected:?}");
            }
        }
    }

    #[test]
    fn the_type_may_be_written_as_a_media_type_in_any_case_but_not_left_out() {
        let header = |typ: Value| json!({"alg": "ES256", "kid": "k1", "typ": typ});
        let payload = serde_json::to_string(&ada()).unwrap();
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
            assert_eq!(read_access(&forged(&header(typ.into()), &payload)), Ok(ada()), "{typ}");
        }
        for typ in [json!("JWT"), json!(""), Value::Null] {
            assert_eq!(read_access(&forged(&header(typ), &payload)), Err(JwtError::WrongType));
        }
        assert_eq!(read_access(&forged(&json!({"alg": "ES256", "kid": "k1"}), &payload)), Err(JwtError::WrongType));
    }

    #[test]
    fn a_token_without_a_signature_is_refused_whatever_its_header_says() {
        let payload = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&ada()).unwrap());
        for alg in ["none", "None", "NONE", "ES256"] {
            let header = URL_SAFE_NO_PAD.encode(json!({"alg": alg, "kid": "k1", "typ": "at+jwt"}).to_string());
            for token in [format!("{header}.{payload}."), format!("{header}.{payload}")] {
                assert!(read_access(&token).is_err(), "{alg}");
            }
        }
    }

    #[test]
    fn a_public_key_is_never_taken_for_a_secret() {
        for algorithm in [Algorithm::Es256, Algorithm::Rs256, Algorithm::EdDsa] {
            let key = fresh(algorithm);
            let jwk = key.public_jwk().unwrap();
            let public = URL_SAFE_NO_PAD.decode(jwk.get("n").unwrap_or(&jwk["x"]).as_str().unwrap()).unwrap();
            let header = json!({"alg": "HS256", "kid": "k1", "typ": "at+jwt"});
            let message = format!(
                "{}.{}",
                URL_SAFE_NO_PAD.encode(header.to_string()),
                URL_SAFE_NO_PAD.encode(serde_json::to_vec(&ada()).unwrap())
            );
            let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), message.as_bytes());
            let token = format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac.as_ref()));
            assert_eq!(read(&token, TokenType::AccessToken, &key), Err(JwtError::WrongAlgorithm), "{algorithm}");
        }
    }

    #[test]
    fn a_secret_signs_no_access_token_even_if_the_caller_finds_it() {
        let secret = fresh(Algorithm::Hs256);
        let header = json!({"alg": "HS256", "kid": "k1", "typ": "at+jwt"}).to_string();
        let token = signed_by(&secret, &header, &serde_json::to_string(&ada()).unwrap());
        assert_eq!(read(&token, TokenType::AccessToken, &secret), Err(JwtError::WrongAlgorithm));
    }

    #[test]
    fn the_algorithm_is_that_of_the_key() {
        let key = fresh(Algorithm::Rs256);
        for alg in ["PS256", "RS512", "ES256", "EdDSA"] {
            let header = json!({"alg": alg, "kid": "k1", "typ": "at+jwt"}).to_string();
            let token = signed_by(&key, &header, &serde_json::to_string(&ada()).unwrap());
            assert_eq!(read(&token, TokenType::AccessToken, &key), Err(JwtError::WrongAlgorithm), "{alg}");
        }
    }

    #[test]
    fn another_key_under_the_same_kid_is_refused() {
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
            let token = sign(&fresh(algorithm), TokenType::AccessToken, &ada()).unwrap();
            assert_eq!(read(&token, TokenType::AccessToken, &fresh(algorithm)), Err(JwtError::BadSignature));
        }
        let token = sign(&fresh(Algorithm::Hs256), TokenType::RefreshToken, &ada()).unwrap();
        assert_eq!(read(&token, TokenType::RefreshToken, &fresh(Algorithm::Hs256)), Err(JwtError::BadSignature));
    }

    #[test]
    fn a_key_is_found_by_its_kid_or_not_at_all() {
        let payload = serde_json::to_string(&ada()).unwrap();
        let stranger = json!({"alg": "ES256", "kid": "k2", "typ": "at+jwt"});
        assert_eq!(read_access(&forged(&stranger, &payload)), Err(JwtError::UnknownKey));
        let nameless = json!({"alg": "ES256", "typ": "at+jwt"});
        assert_eq!(read_access(&forged(&nameless, &payload)), Err(JwtError::Malformed));
    }

    #[test]
    fn a_key_in_the_header_is_not_used() {
        let attacker = fresh(Algorithm::Es256);
        let mut header = json!({"alg": "ES256", "typ": "at+jwt", "jwk": attacker.public_jwk(),
            "jku": "https://evil.example/jwks", "x5u": "https://evil.example/x5u", "x5c": ["AAAA"]});
        let payload = serde_json::to_string(&ada()).unwrap();
        assert_eq!(read_access(&signed_by(&attacker, &header.to_string(), &payload)), Err(JwtError::Malformed));
        header["kid"] = "k1".into();
        assert_eq!(read_access(&signed_by(&attacker, &header.to_string(), &payload)), Err(JwtError::BadSignature));
    }

    #[test]
    fn an_extension_that_must_be_understood_is_refused() {
        let payload = serde_json::to_string(&ada()).unwrap();
        for crit in [json!(["exp"]), json!(["b64"]), json!([]), json!(["a", "a"]), json!("a")] {
            let header = json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt", "crit": crit, "b64": false});
            assert_eq!(read_access(&forged(&header, &payload)), Err(JwtError::Malformed), "{crit}");
        }
    }

    #[test]
    fn a_header_that_says_something_twice_is_refused() {
        let payload = serde_json::to_string(&ada()).unwrap();
        for twice in [
            r#"{"alg":"ES256","alg":"ES256","kid":"k1","typ":"at+jwt"}"#,
            r#"{"alg":"ES256","kid":"k1","kid":"k1","typ":"at+jwt"}"#,
            r#"{"alg":"ES256","kid":"k1","typ":"at+jwt","crit":[],"crit":["a"]}"#,
        ] {
            assert_eq!(read_access(&signed_by(&KEY, twice, &payload)), Err(JwtError::Malformed), "{twice}");
        }
    }

    #[test]
    fn no_character_of_a_token_can_be_changed_or_left_out() {
        let key = fresh(Algorithm::EdDsa);
        let token = sign(&key, TokenType::AccessToken, &ada()).unwrap();
        for at in 0..token.len() {
            let mut altered = token.clone().into_bytes();
            altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
            let altered = String::from_utf8(altered).unwrap();
            assert!(read(&altered, TokenType::AccessToken, &key).is_err(), "character {at}");
            assert!(read(&token[..at], TokenType::AccessToken, &key).is_err(), "{at} characters");
        }
    }

    #[test]
    fn nothing_may_follow_or_precede_a_token() {
        let token = sign(&KEY, TokenType::AccessToken, &ada()).unwrap();
        for altered in [
            format!("{token}."),
            format!("{token}.x"),
            format!("{token}="),
            format!("{token} "),
            format!("{token}\n"),
            format!("{token}A"),
            format!(" {token}"),
            format!(".{token}"),
            token.replacen('.', "..", 1),
            token.replace('.', ""),
        ] {
            assert!(read_access(&altered).is_err(), "{altered}");
        }
        for text in ["", ".", "..", "...", "a.b.c", "\0.\0.\0"] {
            assert_eq!(read_access(text), Err(JwtError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn a_payload_is_not_believed_under_the_signature_of_another() {
        let token = sign(&KEY, TokenType::AccessToken, &ada()).unwrap();
        let root = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&Claims { sub: "root".into(), ..ada() }).unwrap());
        let parts: Vec<_> = token.split('.').collect();
        assert_eq!(read_access(&format!("{}.{root}.{}", parts[0], parts[2])), Err(JwtError::BadSignature));
    }

    #[test]
    fn a_token_beyond_the_limit_is_not_even_parsed() {
        let long = Claims { sub: "x".repeat(MAX_LENGTH), ..ada() };
        let token = sign(&KEY, TokenType::AccessToken, &long).unwrap();
        assert_eq!(read_access(&token), Err(JwtError::Malformed));

        let fits = Claims { sub: "x".repeat(MAX_LENGTH / 2), ..ada() };
        let token = sign(&KEY, TokenType::AccessToken, &fits).unwrap();
        assert_eq!(read_access(&token), Ok(fits));
    }

    #[test]
    fn claims_of_another_shape_are_refused() {
        let header = json!({"alg": "ES256", "kid": "k1", "typ": "at+jwt"});
        for payload in ["", "{}", "[]", "null", r#"{"sub":"ada","iat":"soon"}"#, r#"{"sub":"ada","iat":1} {}"#] {
            assert_eq!(read_access(&forged(&header, payload)), Err(JwtError::BadClaims), "{payload}");
        }
    }
}
