//! `[keys]`: the signing keys that the server makes, and how it rotates them.

use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::section::{Found, Section};
use crate::types::Algorithm;

/// Relying parties keep the JWK Set for a while, and our own `Cache-Control` lets them for a minute.
const LEAST_NOTICE: Duration = Duration::from_mins(10);

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Keys {
    /// The algorithms that have a signing key each.
    pub algorithms: Vec<Algorithm>,
    /// For how long a key signs; `None` while nobody but an administrator rotates it.
    #[serde(deserialize_with = "duration::or_off")]
    pub rotate_every: Option<Duration>,
    /// How long the next key is published before it signs.
    #[serde(deserialize_with = "duration::deserialize")]
    pub publish_before: Duration,
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            algorithms: vec![Algorithm::Es256, Algorithm::Rs256],
            rotate_every: Some(duration::days(90)),
            publish_before: duration::days(1),
        }
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
        found.duration("publish_before", self.publish_before, LEAST_NOTICE..=duration::days(30));
        if let Some(every) = self.rotate_every {
            found.duration("rotate_every", every, Duration::from_hours(1)..=duration::days(3650));
            if every <= self.publish_before {
                found.refuse("rotate_every", "must be longer than keys.publish_before, or \"off\"");
            }
        }
    }
}
