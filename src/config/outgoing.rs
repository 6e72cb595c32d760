//! `[outgoing]`: what is fetched from addresses that others name, such as the keys of clients, and how far that reaches.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::section::{Found, Section};
use crate::types::Network;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Outgoing {
    /// Ranges of addresses that may be reached although they are not public, and over http too.
    pub allow: Vec<Network>,
    /// PEM file of authorities that are trusted beside those of the web.
    pub extra_ca: Option<PathBuf>,
    /// How long one request may take, from the lookup of the name to the last byte.
    #[serde(deserialize_with = "duration::deserialize")]
    pub timeout: Duration,
    /// The longest answer that is read.
    pub max_bytes: usize,
    /// How long a document is believed before it is fetched again.
    #[serde(deserialize_with = "duration::deserialize")]
    pub cache_lifetime: Duration,
}

impl Default for Outgoing {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            extra_ca: None,
            timeout: Duration::from_secs(5),
            max_bytes: 128 * 1024,
            cache_lifetime: Duration::from_hours(1),
        }
    }
}

impl Section for Outgoing {
    fn check(&self, found: &mut Found) {
        found.duration("timeout", self.timeout, Duration::from_millis(100)..=Duration::from_mins(1));
        found.number("max_bytes", self.max_bytes, 1024..=4 * 1024 * 1024);
        found.duration("cache_lifetime", self.cache_lifetime, Duration::from_secs(10)..=Duration::from_hours(24));
    }
}
