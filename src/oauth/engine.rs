//! The one importer of oxide-auth: what it does well, and nothing else (docs/adr/0003-oxide-auth.md).

use std::borrow::Cow;

use oxide_auth::code_grant::extensions::Pkce;
use oxide_auth::primitives::scope::Scope as OxideScope;

use super::error::{OAuthError, invalid_scope};
use crate::types::{CodeChallenge, CodeVerifier, Scope};

/// Reads a `scope` parameter by the grammar of RFC 6749 §3.3.
///
/// # Errors
/// `invalid_scope`, when a character does not belong there, or nothing is.
pub fn scope(text: &str) -> Result<Scope, OAuthError> {
    let parsed: OxideScope =
        text.parse().map_err(|_| invalid_scope("the scope holds a character that RFC 6749 section 3.3 forbids"))?;
    let scope = Scope::from_tokens(parsed.iter());
    // `scope = scope-token *( SP scope-token )`: spaces alone are not a scope, and not the default either.
    if scope.is_empty() {
        return Err(invalid_scope("the scope names nothing; leave it out to get the default"));
    }
    Ok(scope)
}

/// The challenge of an authorization request, where S256 is all there is (OAuth 2.1 §7.5.1); the grammar is ours,
/// because oxide-auth has none.
///
/// # Errors
/// In words, when the method is not S256, or the challenge is missing or not one.
pub fn challenge(method: Option<&str>, challenge: Option<&str>) -> Result<CodeChallenge, &'static str> {
    let Some(text) = challenge else { return Err("code_challenge is missing: PKCE with S256 is required") };
    Pkce::required()
        .challenge(method.map(Cow::Borrowed), Some(Cow::Borrowed(text)))
        .map_err(|()| "code_challenge_method must be S256")?;
    CodeChallenge::parse(text).ok_or("code_challenge must be 43 base64url characters: the S256 of the verifier")
}

/// Whether a verifier fits the challenge of the code, in constant time (RFC 7636 §4.6).
pub fn fits(challenge: &str, verifier: &CodeVerifier) -> bool {
    let pkce = Pkce::required();
    let stored = pkce.challenge(Some(Cow::Borrowed("S256")), Some(Cow::Borrowed(challenge))).unwrap_or_default();
    pkce.verify(stored, Some(Cow::Borrowed(verifier.as_str()))).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_7636_fits_and_another_verifier_does_not() {
        let verifier = CodeVerifier::parse("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk").unwrap();
        let other = CodeVerifier::parse(&"a".repeat(43)).unwrap();
        let challenge = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(fits(challenge, &verifier));
        assert!(!fits(challenge, &other));
        assert!(!fits("", &verifier));
    }

    #[test]
    fn plain_and_malformed_challenges_are_refused() {
        let good = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
        assert!(challenge(Some("S256"), Some(good)).is_ok());
        for (method, text) in [
            (Some("plain"), Some(good)),
            (None, Some(good)),
            (Some("s256"), Some(good)),
            (Some("S256"), Some("short")),
            (Some("S256"), None),
        ] {
            assert!(challenge(method, text).is_err(), "{method:?} {text:?}");
        }
    }

    #[test]
    fn scopes_follow_the_grammar() {
        assert_eq!(scope("b a").unwrap().as_str(), "a b");
        for bad in ["a\"b", "a\\b", "ü", "a\tb", "", "  "] {
            assert!(scope(bad).is_err(), "{bad}");
        }
    }
}
