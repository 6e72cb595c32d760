//! `[second_factor]`: who has to prove more than a password (ASVS 6.3.3).

use serde::Deserialize;

use super::section::{Found, Section};

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Policy {
    /// Whoever has set one up is asked for it.
    #[default]
    Optional,
    /// Everybody; whoever has none sets one up when they sign in.
    Required,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SecondFactor {
    pub policy: Policy,
}

impl Section for SecondFactor {
    fn check(&self, _: &mut Found) {}
}
