//! `[second_factor]`: who has to prove more than a password (ASVS 6.3.3).

use serde::Deserialize;

use super::section::{Found, Section};
use crate::types::{GroupName, User};

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
    /// Whoever is in one of these groups has to, whatever the policy is for others.
    pub groups: Vec<GroupName>,
}

impl SecondFactor {
    /// Whether somebody has to, wherever they go.
    pub fn is_required_of(&self, user: &User) -> bool {
        let is_member = |group: &GroupName| user.memberships.groups.iter().any(|own| own == group.as_str());
        self.policy == Policy::Required || self.groups.iter().any(is_member)
    }
}

impl Section for SecondFactor {
    fn check(&self, _: &mut Found) {}
}
