//! `[signed_urls]`: addresses that clients have signed.

use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::section::{Found, Section};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignedUrls {
    /// The longest that one is good; a signature at most as long as its key is published.
    #[serde(deserialize_with = "duration::deserialize")]
    pub max_lifetime: Duration,
}

impl Default for SignedUrls {
    fn default() -> Self {
        Self { max_lifetime: duration::days(7) }
    }
}

impl Section for SignedUrls {
    fn check(&self, found: &mut Found) {
        found.duration("max_lifetime", self.max_lifetime, Duration::from_mins(1)..=duration::days(90));
    }
}
