//! `[device]`: devices that are signed in to from another screen (RFC 8628).

use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::section::{Found, Section};
use crate::types::Network;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Device {
    /// How long a device waits for its person.
    #[serde(deserialize_with = "duration::deserialize")]
    pub code_lifetime: Duration,
    /// How long it waits between two questions.
    #[serde(deserialize_with = "duration::deserialize")]
    pub interval: Duration,
    /// Wrong codes that one browser may enter within `code_lifetime`.
    pub attempts_per_browser: u32,
    /// Wrong codes that all browsers together may enter within `code_lifetime`.
    pub attempts: u32,
    /// Addresses for which that is not so.
    pub unlimited: Vec<Network>,
}

impl Default for Device {
    fn default() -> Self {
        Self {
            code_lifetime: Duration::from_mins(10),
            interval: Duration::from_secs(5),
            attempts_per_browser: 10,
            attempts: 1_000,
            unlimited: Vec::new(),
        }
    }
}

impl Section for Device {
    fn check(&self, found: &mut Found) {
        // RFC 10027: a code that lives for long can be passed on for long.
        found.duration("code_lifetime", self.code_lifetime, Duration::from_mins(1)..=Duration::from_mins(30));
        found.duration("interval", self.interval, Duration::from_secs(1)..=Duration::from_mins(1));
        found.number("attempts_per_browser", self.attempts_per_browser, 1..=100);
        // RFC 8628 §5.1: of 20^8 codes, so many guesses find one of a thousand that wait with a chance of 4 in 10,000.
        found.number("attempts", self.attempts, 1..=10_000);
    }
}
