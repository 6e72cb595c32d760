//! `[personal_tokens]`: personal access tokens, which people make for themselves.

use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::scopes::is_token;
use super::section::{Found, Section};
use crate::types::{Scope, user};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PersonalTokens {
    /// What they may say, as far as it is for whoever makes one; with nothing here, nobody makes any.
    pub scope: Scope,
    /// The longest that one is good.
    #[serde(deserialize_with = "duration::deserialize")]
    pub max_lifetime: Duration,
    /// The most that somebody has at a time.
    pub most: u32,
}

impl PersonalTokens {
    pub fn are_on(&self) -> bool {
        !self.scope.is_empty()
    }
}

impl Default for PersonalTokens {
    fn default() -> Self {
        Self { scope: Scope::default(), max_lifetime: duration::days(366), most: 50 }
    }
}

impl Section for PersonalTokens {
    fn check(&self, found: &mut Found) {
        for token in self.scope.tokens() {
            if !is_token(token) {
                found.refuse("scope", format!("{token:?} is not a scope (RFC 6749 §3.3)"));
            }
            let is_standard = matches!(token, "openid" | "offline_access")
                || user::CLAIMS_OF_SCOPE.iter().any(|(own, _)| *own == token);
            if is_standard && !user::RIGHTS.contains(&token) {
                found.refuse("scope", format!("must not have {token}: these tokens are for APIs, not for signing in"));
            }
        }
        found.duration("max_lifetime", self.max_lifetime, Duration::from_hours(1)..=duration::days(3_660));
        found.number("most", self.most, 1..=1_000);
    }
}
