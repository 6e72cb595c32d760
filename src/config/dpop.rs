//! `[dpop]`: what is asked of DPoP proofs (RFC 9449).

use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::section::{Found, Section};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dpop {
    /// Takes only proofs with a nonce of this server, so that none can be made in advance.
    pub require_nonce: bool,
    /// How old a proof may be.
    #[serde(deserialize_with = "duration::deserialize")]
    pub proof_lifetime: Duration,
    /// How long a nonce is taken.
    #[serde(deserialize_with = "duration::deserialize")]
    pub nonce_lifetime: Duration,
}

impl Default for Dpop {
    fn default() -> Self {
        Self { require_nonce: false, proof_lifetime: Duration::from_mins(1), nonce_lifetime: Duration::from_mins(5) }
    }
}

impl Section for Dpop {
    fn check(&self, found: &mut Found) {
        found.duration("proof_lifetime", self.proof_lifetime, Duration::from_secs(10)..=Duration::from_mins(10));
        found.duration("nonce_lifetime", self.nonce_lifetime, Duration::from_secs(10)..=Duration::from_hours(1));
    }
}
