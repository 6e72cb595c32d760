//! How what a client is told of its users is signed and encrypted (OpenID Connect Registration §2).

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Algorithm;

/// How the key of a JWE comes to its reader (RFC 7518 §4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyEncryption {
    #[serde(rename = "RSA-OAEP-256")]
    RsaOaep256,
    #[serde(rename = "ECDH-ES")]
    EcdhEs,
    #[serde(rename = "ECDH-ES+A256KW")]
    EcdhEsA256Kw,
}

/// What its content is encrypted with (RFC 7518 §5.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContentEncryption {
    #[default]
    #[serde(rename = "A128CBC-HS256")]
    A128CbcHs256,
    #[serde(rename = "A256GCM")]
    A256Gcm,
}

/// `alg` and `enc` of what is encrypted to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encryption {
    pub key: KeyEncryption,
    pub content: ContentEncryption,
}

/// The members of a client's registration that are about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Protection {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_encrypted_response_alg: Option<KeyEncryption>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id_token_encrypted_response_enc: Option<ContentEncryption>,
    /// Without it, UserInfo is plain JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo_signed_response_alg: Option<Algorithm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo_encrypted_response_alg: Option<KeyEncryption>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub userinfo_encrypted_response_enc: Option<ContentEncryption>,
    /// What encrypts its authorization responses where it asks for signed ones (JARM §3).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_encrypted_response_alg: Option<KeyEncryption>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_encrypted_response_enc: Option<ContentEncryption>,
    /// What signs the introspection responses that it asks for as JWTs (RFC 9701 §6); by default RS256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection_signed_response_alg: Option<Algorithm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection_encrypted_response_alg: Option<KeyEncryption>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub introspection_encrypted_response_enc: Option<ContentEncryption>,
}

impl KeyEncryption {
    pub const ALL: [Self; 3] = [Self::RsaOaep256, Self::EcdhEs, Self::EcdhEsA256Kw];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RsaOaep256 => "RSA-OAEP-256",
            Self::EcdhEs => "ECDH-ES",
            Self::EcdhEsA256Kw => "ECDH-ES+A256KW",
        }
    }
}

impl fmt::Display for KeyEncryption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl ContentEncryption {
    pub const ALL: [Self; 2] = [Self::A128CbcHs256, Self::A256Gcm];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A128CbcHs256 => "A128CBC-HS256",
            Self::A256Gcm => "A256GCM",
        }
    }
}

impl Protection {
    /// Of ID tokens, and of logout tokens (Back-Channel Logout §2.4).
    pub fn of_id_tokens(&self) -> Option<Encryption> {
        encryption(self.id_token_encrypted_response_alg, self.id_token_encrypted_response_enc)
    }

    pub fn of_userinfo(&self) -> Option<Encryption> {
        encryption(self.userinfo_encrypted_response_alg, self.userinfo_encrypted_response_enc)
    }

    /// Of authorization responses in a JWT.
    pub fn of_authorization(&self) -> Option<Encryption> {
        encryption(self.authorization_encrypted_response_alg, self.authorization_encrypted_response_enc)
    }

    /// Of introspection responses in a JWT.
    pub fn of_introspection(&self) -> Option<Encryption> {
        encryption(self.introspection_encrypted_response_alg, self.introspection_encrypted_response_enc)
    }

    /// The algorithms by which something is encrypted to the client, so for which it must have keys.
    pub fn key_encryptions(&self) -> impl Iterator<Item = KeyEncryption> {
        let all = [
            self.id_token_encrypted_response_alg,
            self.userinfo_encrypted_response_alg,
            self.authorization_encrypted_response_alg,
            self.introspection_encrypted_response_alg,
        ];
        all.into_iter().flatten()
    }

    pub(super) fn validate(&self) -> Result<(), String> {
        // Registration §2: "When id_token_encrypted_response_enc is included, id_token_encrypted_response_alg MUST also
        // be provided."
        for (what, alg, enc) in [
            ("id_token", self.id_token_encrypted_response_alg, self.id_token_encrypted_response_enc),
            ("userinfo", self.userinfo_encrypted_response_alg, self.userinfo_encrypted_response_enc),
            ("authorization", self.authorization_encrypted_response_alg, self.authorization_encrypted_response_enc),
            ("introspection", self.introspection_encrypted_response_alg, self.introspection_encrypted_response_enc),
        ] {
            if alg.is_none() && enc.is_some() {
                return Err(format!("{what}_encrypted_response_enc needs {what}_encrypted_response_alg beside it"));
            }
        }
        // A secret would have to be kept in clear.
        for (what, alg) in
            [("userinfo", self.userinfo_signed_response_alg), ("introspection", self.introspection_signed_response_alg)]
        {
            if alg.is_some_and(|alg| !alg.is_asymmetric()) {
                return Err(format!("{what}_signed_response_alg must be an asymmetric algorithm"));
            }
        }
        Ok(())
    }
}

/// Registration §2: "If id_token_encrypted_response_alg is specified, the default […] is A128CBC-HS256."
fn encryption(key: Option<KeyEncryption>, content: Option<ContentEncryption>) -> Option<Encryption> {
    key.map(|key| Encryption { key, content: content.unwrap_or_default() })
}
