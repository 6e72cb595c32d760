//! `[seal]`: what the signing keys are sealed with. It never lies in the database that it protects.

use std::path::PathBuf;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer};

use super::section::{Found, Section};

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Seal {
    /// The key ring itself, `id:base64` a line; best given as `GRANTOR__SEAL__KEYS`.
    #[serde(deserialize_with = "secret")]
    pub keys: Option<SecretString>,
    /// The key ring's file; `None` is `seal.key` in `server.data_dir`, made when it is missing.
    pub file: Option<PathBuf>,
}

impl Section for Seal {
    fn check(&self, found: &mut Found) {
        if let Some(keys) = &self.keys {
            if keys.expose_secret().trim().is_empty() {
                found.refuse("keys", "is empty: give lines of id:base64, or leave it out to use seal.file");
            }
            if self.file.is_some() {
                found.refuse("file", "cannot be set beside seal.keys: leave one of them out");
            }
        }
    }
}

pub(super) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Option::<String>::deserialize(deserializer).map(|text| text.map(SecretString::from))
}
