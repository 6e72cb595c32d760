//! Signing keys as the store keeps them: sealed, and of those that are gone the public half. What opens them is
//! `oauth::keys`; how long each stage lasts is said in `oauth::key_life`.

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

    /// What others may sign with: `none` is not among them, nor is what a secret verifies.
    pub const ASYMMETRIC: [Self; 5] = [Self::Es256, Self::Es384, Self::Rs256, Self::Ps256, Self::EdDsa];

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

    /// Whether others mean it by this name. RFC 9864 §2.2 has `Ed25519` for what RFC 8037 §3.1 calls `EdDSA`, which is
    /// the one that we write.
    pub fn is_named(self, name: &str) -> bool {
        name == self.as_str() || (self == Self::EdDsa && name == "Ed25519")
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

/// Where a key stands in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Published, so that everybody knows it when it begins to sign.
    Next,
    Active,
    /// It signs no more; what it signed may still be good.
    Retired,
    /// Its private half is wiped; the public one still tells whose a hint is.
    Gone,
}

impl Stage {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Next => "next",
            Self::Active => "active",
            Self::Retired => "retired",
            Self::Gone => "gone",
        }
    }
}

/// What is known of a key without opening it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLife {
    pub id: String,
    pub algorithm: Algorithm,
    pub created_at: Timestamp,
    pub active_from: Timestamp,
    pub retired_at: Option<Timestamp>,
    /// Whether its private half is wiped.
    pub gone: bool,
}

impl KeyLife {
    pub fn stage(&self, now: Timestamp) -> Stage {
        match self.retired_at {
            _ if self.gone => Stage::Gone,
            Some(retired_at) if retired_at <= now => Stage::Retired,
            _ if self.active_from <= now => Stage::Active,
            _ => Stage::Next,
        }
    }
}

impl From<&SealedKey> for KeyLife {
    fn from(key: &SealedKey) -> Self {
        Self {
            id: key.id.clone(),
            algorithm: key.algorithm,
            created_at: key.created_at,
            active_from: key.active_from,
            retired_at: key.retired_at,
            gone: false,
        }
    }
}

/// A row of `public_keys`: what is left of a key that is gone.
#[derive(Clone, Debug)]
pub struct PublicKey {
    pub life: KeyLife,
    /// Its JWK (RFC 7517 §4), as it was published.
    pub jwk: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_goes_from_stage_to_stage_and_never_back() {
        let at = Timestamp::from_secs;
        let life = |retired_at: Option<i64>, gone| KeyLife {
            id: "k".into(),
            algorithm: Algorithm::Es256,
            created_at: at(0),
            active_from: at(10),
            retired_at: retired_at.map(at),
            gone,
        };
        for (now, known, unknown) in [
            (9, Stage::Next, Stage::Next),
            (10, Stage::Active, Stage::Active),
            (19, Stage::Active, Stage::Active),
            (20, Stage::Retired, Stage::Active),
            (99, Stage::Retired, Stage::Active),
        ] {
            assert_eq!(life(Some(20), false).stage(at(now)), known, "{now}");
            assert_eq!(life(None, false).stage(at(now)), unknown, "{now}");
        }
        assert_eq!(life(Some(20), true).stage(at(99)), Stage::Gone);
    }
}
