//! `[account]`: what people do with their own accounts.

use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::section::{Found, Section};

/// The claims that people can be let change: those that are one text each.
pub const EDITABLE: [&str; 13] = [
    "name",
    "given_name",
    "middle_name",
    "family_name",
    "nickname",
    "picture",
    "profile",
    "website",
    "phone_number",
    "gender",
    "birthdate",
    "zoneinfo",
    "locale",
];

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Account {
    /// The claims that people may change themselves.
    pub editable: Vec<String>,
    /// Whether people may delete their accounts.
    pub may_delete: bool,
    /// How long people see what happened to their accounts.
    #[serde(deserialize_with = "duration::deserialize")]
    pub events_kept: Duration,
}

impl Default for Account {
    fn default() -> Self {
        let editable = EDITABLE.iter().map(|name| (*name).to_owned()).collect();
        Self { editable, may_delete: false, events_kept: duration::days(180) }
    }
}

impl Section for Account {
    fn check(&self, found: &mut Found) {
        if let Some(other) = self.editable.iter().find(|name| !EDITABLE.contains(&name.as_str())) {
            found.refuse("editable", format!("{other:?} is none of {}", EDITABLE.join(", ")));
        }
        found.duration("events_kept", self.events_kept, duration::days(1)..=duration::days(3_660));
    }
}
