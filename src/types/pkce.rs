//! Proof Key for Code Exchange (RFC 7636), S256 alone: who must use it, and the grammar of its two values.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whether a client must use PKCE. Public clients always must (OAuth 2.1 §7.5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PkcePolicy {
    #[default]
    Required,
    /// Confidential clients that ask for `openid` may leave it out; to send a `nonce` and compare it is their own affair.
    Optional,
}

impl FromStr for PkcePolicy {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "required" => Ok(Self::Required),
            "optional" => Ok(Self::Optional),
            _ => Err(format!("unknown PKCE policy {name:?}; known are required, optional")),
        }
    }
}

/// A `code_challenge` of method S256: 43 base64url characters (RFC 7636 §4.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeChallenge(Box<str>);

impl CodeChallenge {
    pub fn parse(text: &str) -> Option<Self> {
        let base64url = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        (text.len() == 43 && text.bytes().all(base64url)).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A `code_verifier`: 43 to 128 unreserved characters (RFC 7636 §4.1).
#[derive(Clone, PartialEq, Eq)]
pub struct CodeVerifier(Box<str>);

impl CodeVerifier {
    pub fn parse(text: &str) -> Option<Self> {
        let unreserved = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        ((43..=128).contains(&text.len()) && text.bytes().all(unreserved)).then(|| Self(text.into()))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verifier_and_challenge_follow_the_grammar() {
        let v43 = "a".repeat(43);
        let v128 = "~".repeat(128);
        for good in [&v43, &v128] {
            assert!(CodeVerifier::parse(good).is_some());
        }
        for bad in [&v43[1..], &"a".repeat(129), &"é".repeat(22), &format!("{v43} ")] {
            assert!(CodeVerifier::parse(bad).is_none(), "{bad}");
        }
        assert!(CodeChallenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM").is_some());
        assert!(CodeChallenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM=").is_none());
        assert!(CodeChallenge::parse("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw+cM").is_none());
    }
}
