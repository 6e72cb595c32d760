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
    /// How long a session lasts, used or not, whose person asked to stay signed in; `None` where nobody can.
    #[serde(deserialize_with = "duration::or_off")]
    pub remembered_lifetime: Option<Duration>,
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
            remembered_lifetime: None,
            fresh_for: Duration::from_mins(10),
            accounts_per_browser: 5,
        }
    }
}

impl Session {
    /// How long a session lasts that nobody uses.
    pub fn idle(&self, remembered: bool) -> Duration {
        self.remembered_lifetime.filter(|_| remembered).unwrap_or(self.idle_lifetime)
    }

    /// How long a session lasts in all.
    pub fn absolute(&self, remembered: bool) -> Duration {
        self.remembered_lifetime.filter(|_| remembered).unwrap_or(self.absolute_lifetime)
    }

    /// The longest that any lasts.
    pub fn longest(&self) -> Duration {
        self.absolute(true)
    }
}

impl Section for Session {
    fn check(&self, found: &mut Found) {
        let lifetimes = Duration::from_mins(1)..=duration::days(365);
        found.duration("idle_lifetime", self.idle_lifetime, lifetimes.clone());
        found.duration("absolute_lifetime", self.absolute_lifetime, lifetimes);
        if let Some(remembered) = self.remembered_lifetime {
            found.duration("remembered_lifetime", remembered, self.absolute_lifetime..=duration::days(365));
        }
        found.number("accounts_per_browser", self.accounts_per_browser, 1..=20);
        found.duration("fresh_for", self.fresh_for, Duration::from_mins(1)..=duration::days(1));
        if self.idle_lifetime > self.absolute_lifetime {
            found.refuse("idle_lifetime", "must not be longer than session.absolute_lifetime");
        }
    }
}
