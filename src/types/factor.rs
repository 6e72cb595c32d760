//! What a person proves besides their password.

use super::{Authentication, FactorId, SessionId, SignInId, Timestamp, UserId};

/// An authenticator app: a row of `factors`.
#[derive(Clone)]
pub struct Factor {
    pub id: FactorId,
    pub user: UserId,
    /// What its owner calls it.
    pub name: String,
    /// The seed of its codes (RFC 6238), sealed.
    pub sealed: Vec<u8>,
    pub created_at: Timestamp,
    /// When its first code was shown to us. Until then it is being set up, and counts for nothing.
    pub confirmed_at: Option<Timestamp>,
    pub used_at: Option<Timestamp>,
}

/// A passkey (Web Authentication): a row of `passkeys`.
#[derive(Clone)]
pub struct Passkey {
    pub id: FactorId,
    pub user: UserId,
    /// By which its device knows it.
    pub credential_id: Vec<u8>,
    /// What its owner calls it.
    pub name: String,
    /// The public key and its kind, as JSON.
    pub credential: String,
    /// What its device has counted to; 0 where it does not count.
    pub counter: u32,
    pub created_at: Timestamp,
    pub used_at: Option<Timestamp>,
}

/// A sign-in of which the first step is done: a row of `sign_ins`.
#[derive(Clone, Debug)]
pub struct Step {
    pub id: SignInId,
    /// The id of the browser's record.
    pub browser: String,
    pub user: UserId,
    /// The session that is to be raised, of somebody who is signed in already.
    pub session: Option<SessionId>,
    /// Whether they asked to stay signed in.
    pub remembered: bool,
    /// What was proved until now.
    pub proved: Authentication,
    pub expires_at: Timestamp,
}
