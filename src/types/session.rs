//! A sign-in of one user in one browser.

use std::net::IpAddr;

use super::{Authentication, SessionId, Timestamp, UserId};

/// A row of `sessions`. The browser holds no id of it, only a cookie that names a record in which it stands.
#[derive(Clone, Debug)]
pub struct Session {
    /// The `sid` of ID tokens and access tokens.
    pub id: SessionId,
    pub user: UserId,
    pub authentication: Authentication,
    /// What kind of browser on what kind of machine, in words.
    pub device: String,
    /// Where it was begun, or renewed last.
    pub address: Option<IpAddr>,
    /// Whether its person asked to stay signed in.
    pub remembered: bool,
    pub created_at: Timestamp,
    /// When it was last used, to within a few minutes.
    pub seen_at: Timestamp,
    /// When it ends unless it is used before.
    pub idle_expires_at: Timestamp,
    /// When it ends in any case.
    pub expires_at: Timestamp,
}
