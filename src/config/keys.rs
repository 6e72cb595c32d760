//! `[keys]`: the signing keys that the server makes. Nothing rotates them yet.

use serde::Deserialize;

use super::section::{Found, Section};
use crate::types::Algorithm;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// The algorithms that have a signing key each.
    pub algorithms: Vec<Algorithm>,
}

impl Default for Keys {
    fn default() -> Self {
        Self { algorithms: vec![Algorithm::Es256, Algorithm::Rs256] }
    }
}

impl Section for Keys {
    fn check(&self, found: &mut Found) {
        // OpenID Connect Discovery §3: "The algorithm RS256 MUST be included."
        if !self.algorithms.contains(&Algorithm::Rs256) {
            found.refuse("algorithms", "must have \"RS256\", which every OpenID relying party knows");
        }
        if self.algorithms.iter().any(|algorithm| !algorithm.is_asymmetric()) {
            found.refuse(
                "algorithms",
                "must not have \"HS256\": its keys are not published, and made without being named",
            );
        }
        let mut sorted = self.algorithms.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() != self.algorithms.len() {
            found.refuse("algorithms", "names one twice");
        }
    }
}
