//! `[refresh]`: refresh tokens.

use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::section::{Found, Section};
use crate::types::Client;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Refresh {
    /// How long a refresh token may lie unused.
    #[serde(deserialize_with = "duration::deserialize")]
    pub idle_lifetime: Duration,
    /// How long a grant can be refreshed in all.
    #[serde(deserialize_with = "duration::deserialize")]
    pub absolute_lifetime: Duration,
    /// How long the previous refresh token gets the same successor again, so that a lost answer can be asked for twice.
    #[serde(deserialize_with = "duration::deserialize")]
    pub retry_window: Duration,
}

impl Refresh {
    /// The client's own lifetime, else the server's; never past the absolute one.
    pub fn idle(&self, client: &Client) -> Duration {
        client.metadata.refresh_token_idle_lifetime.unwrap_or(self.idle_lifetime).min(self.absolute(client))
    }

    /// The client's own lifetime, else the server's.
    pub fn absolute(&self, client: &Client) -> Duration {
        client.metadata.refresh_token_absolute_lifetime.unwrap_or(self.absolute_lifetime)
    }
}

impl Default for Refresh {
    fn default() -> Self {
        Self {
            idle_lifetime: duration::days(14),
            absolute_lifetime: duration::days(90),
            retry_window: Duration::from_secs(10),
        }
    }
}

impl Section for Refresh {
    fn check(&self, found: &mut Found) {
        let lifetimes = Duration::from_mins(1)..=duration::days(3650);
        found.duration("idle_lifetime", self.idle_lifetime, lifetimes.clone());
        found.duration("absolute_lifetime", self.absolute_lifetime, lifetimes);
        if self.idle_lifetime > self.absolute_lifetime {
            found.refuse("idle_lifetime", "must not be longer than refresh.absolute_lifetime");
        }
        // Within the window a thief's use looks like a retry, so it stays short.
        found.duration("retry_window", self.retry_window, Duration::ZERO..=Duration::from_mins(1));
    }
}
