//! `[sign_up]`: whether people may make accounts for themselves.

use serde::Deserialize;

use super::section::{Found, Section};

/// Who may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// Nobody: an administrator makes accounts.
    #[default]
    Off,
    /// Whoever was sent an invitation.
    Invitation,
    /// Everybody who has an e-mail address.
    Open,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SignUp {
    pub mode: Who,
}

impl Section for SignUp {
    fn check(&self, _: &mut Found) {}
}
