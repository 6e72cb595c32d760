//! `[authorization]`: the authorization endpoint.

use std::time::Duration;

use serde::Deserialize;

use super::section::{Found, Section};
use super::{duration, scopes};
use crate::types::{PkcePolicy, Scope};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Authorization {
    /// How long a code can be redeemed.
    #[serde(deserialize_with = "duration::deserialize")]
    pub code_lifetime: Duration,
    /// How long a request waits for its user to sign in and consent.
    #[serde(deserialize_with = "duration::deserialize")]
    pub request_lifetime: Duration,
    /// How long a pushed request can be used (RFC 9126 §2.2).
    #[serde(deserialize_with = "duration::deserialize")]
    pub pushed_request_lifetime: Duration,
    /// Take no request that was not pushed, of any client (RFC 9126 §5).
    pub require_pushed_authorization_requests: bool,
    /// Whether confidential OpenID clients may leave PKCE out.
    pub pkce: PkcePolicy,
    /// What a request that names no scope asks for, unless its client has a default of its own.
    pub default_scope: Option<Scope>,
}

impl Default for Authorization {
    fn default() -> Self {
        Self {
            code_lifetime: Duration::from_mins(1),
            request_lifetime: Duration::from_mins(30),
            pushed_request_lifetime: Duration::from_mins(1),
            require_pushed_authorization_requests: false,
            pkce: PkcePolicy::Required,
            default_scope: None,
        }
    }
}

impl Section for Authorization {
    fn check(&self, found: &mut Found) {
        // RFC 6749 §4.1.2: "A maximum authorization code lifetime of 10 minutes is RECOMMENDED."
        found.duration("code_lifetime", self.code_lifetime, Duration::from_secs(1)..=Duration::from_mins(10));
        found.duration("request_lifetime", self.request_lifetime, Duration::from_mins(1)..=duration::days(1));
        // RFC 9126 §2.2: "typically relatively short (e.g., between 5 and 600 seconds)".
        found.duration(
            "pushed_request_lifetime",
            self.pushed_request_lifetime,
            Duration::from_secs(5)..=Duration::from_mins(10),
        );
        if let Some(scope) = &self.default_scope {
            if scope.is_empty() {
                found.refuse("default_scope", "must name at least one scope; leave it out for none");
            }
            if let Some(bad) = scope.tokens().find(|token| !scopes::is_token(token)) {
                found.refuse("default_scope", format!("{bad:?} is not a scope (RFC 6749 §3.3)"));
            }
            // Nobody gets long-lived access without asking for it.
            if scope.contains("offline_access") {
                found.refuse("default_scope", "must not have offline_access: a client has to ask for that itself");
            }
        }
    }
}
