//! `[client_authentication]`: what is asked of the assertions by which clients prove who they are.

use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::section::{Found, Section};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ClientAuthentication {
    /// Takes an endpoint's URL as the audience of an assertion too, and a list of audiences, as before RFC 10070.
    pub endpoint_audience: bool,
    /// How far ahead the expiry of an assertion may lie.
    #[serde(deserialize_with = "duration::deserialize")]
    pub max_assertion_lifetime: Duration,
}

impl Default for ClientAuthentication {
    fn default() -> Self {
        Self { endpoint_audience: false, max_assertion_lifetime: Duration::from_mins(10) }
    }
}

impl Section for ClientAuthentication {
    fn check(&self, found: &mut Found) {
        let range = Duration::from_secs(10)..=Duration::from_hours(1);
        found.duration("max_assertion_lifetime", self.max_assertion_lifetime, range);
    }
}
