//! `[security]`: what every client is held to.

use serde::Deserialize;

use super::section::{Found, Section};
use crate::types::Profile;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Security {
    /// Of all clients; one alone is held to it by its registration.
    pub profile: Option<Profile>,
}

impl Section for Security {
    fn check(&self, _: &mut Found) {}
}
