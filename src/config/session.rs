//! `[session]`: how long a browser stays signed in (ASVS 7.3.1, 7.3.2).

use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::section::{Found, Section};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Session {
    /// How long a session lasts that nobody uses.
    #[serde(deserialize_with = "duration::deserialize")]
    pub idle_lifetime: Duration,
    /// How long a session lasts in all.
    #[serde(deserialize_with = "duration::deserialize")]
    pub absolute_lifetime: Duration,
    /// How long after proving who they are somebody may change what proves it (ASVS 7.5.1).
    #[serde(deserialize_with = "duration::deserialize")]
    pub fresh_for: Duration,
    /// How many people can be signed in in one browser at the same time.
    pub accounts_per_browser: usize,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            idle_lifetime: duration::days(1),
            absolute_lifetime: duration::days(14),
            fresh_for: Duration::from_mins(10),
            accounts_per_browser: 5,
        }
    }
}

impl Section for Session {
    fn check(&self, found: &mut Found) {
        let lifetimes = Duration::from_mins(1)..=duration::days(365);
        found.duration("idle_lifetime", self.idle_lifetime, lifetimes.clone());
        found.duration("absolute_lifetime", self.absolute_lifetime, lifetimes);
        found.number("accounts_per_browser", self.accounts_per_browser, 1..=20);
        found.duration("fresh_for", self.fresh_for, Duration::from_mins(1)..=duration::days(1));
        if self.idle_lifetime > self.absolute_lifetime {
            found.refuse("idle_lifetime", "must not be longer than session.absolute_lifetime");
        }
    }
}
