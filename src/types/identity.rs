//! People as other providers know them.

use super::{IdentityId, OfferId, RequestId, Timestamp, UserId};

/// A row of `identities`: whoever proves to be this subject there is this user here (ASVS 6.8.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    pub id: IdentityId,
    pub user: UserId,
    /// The name of the provider in the configuration.
    pub provider: String,
    pub subject: String,
    /// As the provider told it last; nobody is known by it.
    pub email: Option<String>,
    pub created_at: Timestamp,
    pub used_at: Option<Timestamp>,
}

/// Somebody who was sent to a provider: a row of `upstream_visits`.
#[derive(Clone, Debug)]
pub struct Visit {
    /// SHA-256 of the `state`.
    pub state_hash: [u8; 32],
    /// The id of the browser's record.
    pub browser: String,
    pub provider: String,
    /// What the answer must fit, sealed.
    pub sealed: Vec<u8>,
    pub expires_at: Timestamp,
}

/// An identity that was proved and is nobody's: a row of `identity_offers`.
#[derive(Clone, Debug)]
pub struct Offer {
    pub id: OfferId,
    /// The id of the browser's record.
    pub browser: String,
    pub provider: String,
    pub subject: String,
    pub email: Option<String>,
    /// What waited where it came from.
    pub request: Option<RequestId>,
    pub expires_at: Timestamp,
}
