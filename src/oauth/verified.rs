//! Access tokens whose signature was checked, so that a token which is shown a thousand times is verified once.
//!
//! What is kept are the claims, never an answer: whether a token has expired, was revoked, and who may see it is asked
//! each time. It belongs to one set of keys and goes with it, so a key that is taken away takes its tokens along.

use std::sync::Arc;

use moka::sync::Cache;

use super::issue::access_token::AccessClaims;
use crate::crypto::{Digest, sha256};

/// Of the tokens that are asked for most. Each takes about a kilobyte, and checking its signature anew 50 µs.
const MOST: u64 = 16_384;

/// Verified claims, by the SHA-256 of their token.
pub struct Verified(Cache<Digest, Arc<AccessClaims>>);

impl Verified {
    pub fn new() -> Self {
        Self(Cache::new(MOST))
    }

    /// The claims of a token, which `verify` checks if it was not checked before. What it refuses is not remembered.
    pub fn claims(&self, token: &str, verify: impl FnOnce() -> Option<AccessClaims>) -> Option<Arc<AccessClaims>> {
        let digest = sha256(token.as_bytes());
        if let Some(claims) = self.0.get(&digest) {
            return Some(claims);
        }
        let claims = Arc::new(verify()?);
        self.0.insert(digest, claims.clone());
        Some(claims)
    }
}
