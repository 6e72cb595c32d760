//! The key of the one who may use a token.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What a token is bound to, by its SHA-256 thumbprint in base64url. Serialises as the claim `cnf`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SenderKey {
    /// The public key of DPoP proofs (RFC 9449 §6.1).
    #[serde(rename = "jkt")]
    Jwk(String),
    /// The client certificate of the connection (RFC 8705 §3.1).
    #[serde(rename = "x5t#S256")]
    Certificate(String),
}

impl SenderKey {
    /// Reads what `Display` wrote.
    pub fn parse(text: &str) -> Option<Self> {
        let (kind, thumbprint) = text.split_once(':')?;
        if !is_thumbprint(thumbprint) {
            return None;
        }
        match kind {
            "jkt" => Some(Self::Jwk(thumbprint.to_owned())),
            "x5t" => Some(Self::Certificate(thumbprint.to_owned())),
            _ => None,
        }
    }
}

/// Whether it can be 32 bytes in base64url.
pub fn is_thumbprint(text: &str) -> bool {
    text.len() == 43 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

impl fmt::Display for SenderKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Jwk(thumbprint) => write!(f, "jkt:{thumbprint}"),
            Self::Certificate(thumbprint) => write!(f, "x5t:{thumbprint}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_read_as_it_was_written() {
        for kind in ["jkt", "x5t"] {
            let text = format!("{kind}:{}", "aZ09-_".repeat(8).split_at(43).0);
            assert_eq!(SenderKey::parse(&text).unwrap().to_string(), text);
        }
        let short = format!("jkt:{}", "a".repeat(42));
        for bad in ["", "jkt", "jkt:", "key:aa", &short, &format!("{short}="), &format!("kid:{}", "a".repeat(43))] {
            assert_eq!(SenderKey::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_key_serialises_as_a_confirmation() {
        let json = |key: SenderKey| serde_json::to_string(&key).unwrap();
        assert_eq!(json(SenderKey::Jwk("abc".into())), r#"{"jkt":"abc"}"#);
        assert_eq!(json(SenderKey::Certificate("abc".into())), r#"{"x5t#S256":"abc"}"#);
    }
}
