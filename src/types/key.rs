//! Signing keys as the store keeps them: sealed. What opens them is `oauth::keys`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A JWS algorithm that we sign with (RFC 7518 §3.1, RFC 8037 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Algorithm {
    #[serde(rename = "ES256")]
    Es256,
    #[serde(rename = "ES384")]
    Es384,
    #[serde(rename = "RS256")]
    Rs256,
    #[serde(rename = "PS256")]
    Ps256,
    #[serde(rename = "EdDSA")]
    EdDsa,
    /// Refresh tokens alone: symmetric, never published, never mixed with the others (ASVS 9.1.2).
    #[serde(rename = "HS256")]
    Hs256,
}

impl Algorithm {
    pub const ALL: [Self; 6] = [Self::Es256, Self::Es384, Self::Rs256, Self::Ps256, Self::EdDsa, Self::Hs256];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Rs256 => "RS256",
            Self::Ps256 => "PS256",
            Self::EdDsa => "EdDSA",
            Self::Hs256 => "HS256",
        }
    }

    /// Whether the verifying half can be published.
    pub const fn is_asymmetric(self) -> bool {
        !matches!(self, Self::Hs256)
    }
}

impl FromStr for Algorithm {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|alg| alg.as_str() == name)
            .ok_or_else(|| format!("unknown algorithm {name:?}; known are {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A row of `signing_keys`: private material under AES-256-GCM, and the times of its life.
#[derive(Clone)]
pub struct SealedKey {
    /// The `kid` (RFC 7515 §4.1.4).
    pub id: String,
    pub algorithm: Algorithm,
    pub sealed: Vec<u8>,
    pub created_at: Timestamp,
    /// From when on it signs; before, it is only published.
    pub active_from: Timestamp,
    /// From when on it signs no more; `None` while no successor is known.
    pub retired_at: Option<Timestamp>,
}

impl fmt::Debug for SealedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SealedKey").field("id", &self.id).field("algorithm", &self.algorithm).finish_non_exhaustive()
    }
}
