//! `[feed]`: how the nodes on one database hear of each other's revocations.

use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::section::{Found, Section};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Feed {
    /// How often the change feed is read at the least; PostgreSQL announces changes, too.
    #[serde(deserialize_with = "duration::deserialize")]
    pub poll_interval: Duration,
    /// How old the last reading may be before each introspection asks the database.
    #[serde(deserialize_with = "duration::deserialize")]
    pub max_staleness: Duration,
}

impl Default for Feed {
    fn default() -> Self {
        Self { poll_interval: Duration::from_millis(500), max_staleness: Duration::from_secs(3) }
    }
}

impl Section for Feed {
    fn check(&self, found: &mut Found) {
        found.duration("poll_interval", self.poll_interval, Duration::from_millis(10)..=Duration::from_mins(1));
        found.duration("max_staleness", self.max_staleness, Duration::from_millis(20)..=Duration::from_mins(1));
        if self.poll_interval >= self.max_staleness {
            found.refuse("poll_interval", "must be shorter than feed.max_staleness, or the feed is always stale");
        }
    }
}
