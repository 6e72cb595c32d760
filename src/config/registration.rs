//! `[registration]`: whether clients may register themselves, and how far that goes.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::section::{Found, Section};
use super::{duration, scopes};
use crate::types::{Network, Scope, TypeName};

/// Who may register a client at `/oauth/register`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    #[default]
    Off,
    /// Whoever shows an initial access token.
    Token,
    /// Everybody.
    Open,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Registration {
    pub mode: Mode,
    /// All that such a client may ask for.
    pub scopes: Scope,
    /// The types of authorization details among that.
    pub authorization_details_types: Vec<String>,
    /// How long one that nobody uses, and no administrator has verified, stays.
    #[serde(deserialize_with = "duration::deserialize")]
    pub unused_for: Duration,
    /// How many registrations one address may try an hour, and how many documents it may have fetched that are none.
    pub per_address: u32,
    /// Addresses for which that is not so.
    pub unlimited: Vec<Network>,
    /// A JWK Set: whose software statements are believed.
    pub software_statement_keys: Option<PathBuf>,
    /// Whether a client may be the URL of a document about itself, without having been registered.
    pub client_id_metadata_documents: bool,
}

impl Default for Registration {
    fn default() -> Self {
        Self {
            mode: Mode::Off,
            scopes: Scope::from("openid profile email offline_access"),
            authorization_details_types: Vec::new(),
            unused_for: Duration::from_hours(7 * 24),
            per_address: 30,
            unlimited: Vec::new(),
            software_statement_keys: None,
            client_id_metadata_documents: false,
        }
    }
}

impl Section for Registration {
    fn check(&self, found: &mut Found) {
        found.duration("unused_for", self.unused_for, Duration::from_hours(1)..=Duration::from_hours(365 * 24));
        found.number("per_address", self.per_address, 1..=100_000);
        if let Some(bad) = self.scopes.tokens().find(|token| !scopes::is_token(token)) {
            found.refuse("scopes", format!("{bad:?} is not a scope (RFC 6749 §3.3)"));
        }
        if let Some(why) = self.authorization_details_types.iter().find_map(|name| name.parse::<TypeName>().err()) {
            found.refuse("authorization_details_types", why);
        }
    }
}
