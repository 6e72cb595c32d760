//! `[throttle]`: how often somebody may guess (ASVS 6.1.1, 6.3.1).

use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::section::{Found, Section};
use crate::types::Network;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Throttle {
    /// Off for trials alone: then anybody may guess passwords without end.
    pub enabled: bool,
    /// Wrong attempts at an account that cost nothing yet, from one address or one known browser.
    pub free_attempts: u32,
    /// The same from everywhere together, known browsers excepted.
    pub free_attempts_per_account: u32,
    /// The same from one address, at whatever accounts.
    pub free_attempts_per_address: u32,
    /// How long the next attempt waits then; twice as long after each further one.
    #[serde(deserialize_with = "duration::deserialize")]
    pub first_delay: Duration,
    /// No longer than this.
    #[serde(deserialize_with = "duration::deserialize")]
    pub longest_delay: Duration,
    /// Without another one, attempts are forgotten after this.
    #[serde(deserialize_with = "duration::deserialize")]
    pub forget_after: Duration,
    /// Addresses for which none of it is so: those of a test bed, such as "127.0.0.1/32".
    pub unlimited: Vec<Network>,
}

impl Default for Throttle {
    fn default() -> Self {
        Self {
            enabled: true,
            free_attempts: 5,
            free_attempts_per_account: 20,
            free_attempts_per_address: 100,
            first_delay: Duration::from_secs(1),
            longest_delay: Duration::from_mins(15),
            forget_after: Duration::from_hours(24),
            unlimited: Vec::new(),
        }
    }
}

impl Section for Throttle {
    fn check(&self, found: &mut Found) {
        found.number("free_attempts", self.free_attempts, 2..=100);
        found.number("free_attempts_per_account", self.free_attempts_per_account, 2..=1_000);
        found.number("free_attempts_per_address", self.free_attempts_per_address, 2..=1_000_000);
        found.duration("first_delay", self.first_delay, Duration::from_secs(1)..=Duration::from_mins(10));
        found.duration("longest_delay", self.longest_delay, self.first_delay..=Duration::from_hours(24));
        found.duration("forget_after", self.forget_after, self.longest_delay..=Duration::from_hours(24 * 30));
    }
}
