//! Grants: one row each, from pending code to the end (docs/architecture.md, "A grant is one row").
//!
//! Every transition is one conditional statement, whose WHERE holds all that must be true. Nothing here reads,
//! decides and then writes; a row is read afterwards only to say why a statement matched nothing.
//!
//! | file | transition |
//! |---|---|
//! | `create` | a grant that waits for its code |
//! | `redeem` | pending -> active |
//! | `rotate` | active -> active, the next generation |
//!
//! Each of the three stands there three times: for many on PostgreSQL, for one, and for many on SQLite
//! (`store/writer.rs` says when which is run).

mod create;
mod redeem;
mod rotate;

use std::time::Duration;

use std::fmt::Write as _;

use serde::Serializer;
use sqlx::{query, query_as};

pub(super) use create::CreateJob;
pub use create::NewGrant;
pub(super) use redeem::RedeemJob;
pub use redeem::{Redeem, Redemption, RefusedCode};
pub(super) use rotate::RotateJob;
pub use rotate::{Presented, Rotation};

use super::changes::Change;
use super::database::{on, row};
use super::writer::Identified;
use super::{Store, Tx};
use crate::types::{
    Authentication, ClientId, Fault, GrantId, Scope, SenderKey, SessionId, Terms, Timestamp, TokenId, UserId,
};

/// An active grant, as tokens are made of it.
#[derive(Clone, Debug)]
pub struct Grant {
    pub id: GrantId,
    pub client: ClientId,
    pub user: UserId,
    pub session: SessionId,
    pub scope: Scope,
    pub terms: Terms,
    pub offline: bool,
    pub refreshable: bool,
    pub nonce: Option<String>,
    pub authentication: Authentication,
    /// The refresh token in force is of this generation.
    pub generation: i64,
    /// When it came to be: the refresh token's `iat`.
    pub rotated_at: Timestamp,
    /// The refresh token's `exp`.
    pub refresh_expires_at: Timestamp,
    /// The key that signs it, so that the same generation is always the same string.
    pub refresh_key: String,
    /// Whoever uses its refresh tokens must prove possession of it.
    pub sender_key: Option<SenderKey>,
    pub expires_at: Timestamp,
}

/// What the next refresh token of a grant will be.
pub struct RefreshTerms<'a> {
    pub idle_lifetime: Duration,
    pub key: &'a str,
    /// How long the previous generation may be presented again.
    pub retry_window: Duration,
}

/// Why a grant was revoked, for whoever reads the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    CodeReplay,
    RefreshReuse,
    ByClient,
}

impl Reason {
    const fn as_str(self) -> &'static str {
        match self {
            Self::CodeReplay => "code_replay",
            Self::RefreshReuse => "refresh_reuse",
            Self::ByClient => "by_client",
        }
    }
}

/// Bytes as SQLite's `unhex` takes them.
fn hex<S: Serializer>(bytes: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
    let mut digits = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // A text takes whatever is written.
        let _ = write!(digits, "{byte:02x}");
    }
    serializer.serialize_str(&digits)
}

row!(
    struct GrantRow {
        id: String,
        client_id: String,
        user_id: String,
        session_id: String,
        scope: String,
        offline: bool,
        refreshable: bool,
        nonce: Option<String>,
        authenticated_at: i64,
        methods: String,
        generation: i64,
        rotated_at: i64,
        refresh_expires_at: i64,
        refresh_key: String,
        expires_at: i64,
        terms: String,
        sender_key: Option<String>,
    }
);

impl Identified for GrantRow {
    fn id(&self) -> &str {
        &self.id
    }
}

impl TryFrom<GrantRow> for Grant {
    type Error = Fault;

    fn try_from(row: GrantRow) -> Result<Self, Fault> {
        let broken = || Fault::because("a stored grant has an id that is not a UUID");
        let unreadable = || Fault::because("a stored grant is bound to what is not a key");
        Ok(Self {
            id: GrantId::parse(&row.id).ok_or_else(broken)?,
            client: row.client_id.parse().map_err(Fault::because)?,
            user: UserId::parse(&row.user_id).ok_or_else(broken)?,
            session: SessionId::parse(&row.session_id).ok_or_else(broken)?,
            scope: Scope::from(row.scope),
            offline: row.offline,
            refreshable: row.refreshable,
            nonce: row.nonce,
            authentication: Authentication {
                at: Timestamp::from_micros(row.authenticated_at),
                methods: serde_json::from_str(&row.methods).map_err(Fault::internal)?,
            },
            generation: row.generation,
            rotated_at: Timestamp::from_micros(row.rotated_at),
            refresh_expires_at: Timestamp::from_micros(row.refresh_expires_at),
            refresh_key: row.refresh_key,
            expires_at: Timestamp::from_micros(row.expires_at),
            terms: serde_json::from_str(&row.terms).map_err(Fault::internal)?,
            sender_key: row.sender_key.map(|key| SenderKey::parse(&key).ok_or_else(unreadable)).transpose()?,
        })
    }
}

impl Store {
    /// A redeemed grant that has neither ended nor been revoked, and whose session lives if it follows one: a session
    /// may have expired before housekeeping ends it.
    pub async fn living_grant(&self, id: GrantId, now: Timestamp) -> Result<Option<Grant>, Fault> {
        const SELECT: &str = "SELECT id, client_id, user_id, session_id, scope, offline, refreshable, nonce,
                authenticated_at, methods, generation, rotated_at, refresh_expires_at, refresh_key, expires_at, terms,
                sender_key
            FROM grants WHERE id = $1 AND redeemed_at IS NOT NULL AND revoked_at IS NULL AND expires_at > $2
              AND (offline OR EXISTS (SELECT 1 FROM sessions s WHERE s.id = grants.session_id AND s.ended_at IS NULL
                          AND s.idle_expires_at > $2 AND s.expires_at > $2))";
        let row: Option<GrantRow> = on!(self.on(), db => query_as(SELECT)
            .bind(id.to_string()).bind(now.micros()).fetch_optional(db).await?);
        row.map(Grant::try_from).transpose()
    }

    /// What was granted for this code, redeemed or not.
    pub async fn granted(&self, id: GrantId, code_hash: &[u8; 32]) -> Result<Option<(Scope, Terms)>, Fault> {
        const SELECT: &str = "SELECT scope, terms FROM grants WHERE id = $1 AND code_hash = $2";
        let row: Option<(String, String)> = on!(self.on(), db => query_as(SELECT)
            .bind(id.to_string()).bind(&code_hash[..]).fetch_optional(db).await?);
        let Some((scope, terms)) = row else { return Ok(None) };
        Ok(Some((Scope::from(scope), serde_json::from_str(&terms).map_err(Fault::internal)?)))
    }

    /// Revokes a grant and everything issued from it, durably before it returns.
    pub async fn revoke_grant(&self, id: GrantId, because: Reason, now: Timestamp) -> Result<(), Fault> {
        let mut tx = self.begin().await?;
        tx.revoke_grant(id, because, now).await?;
        tx.commit().await
    }

    /// Revokes one access token, durably before it returns.
    pub async fn revoke_token(&self, id: TokenId, now: Timestamp) -> Result<(), Fault> {
        // What is known here is durable, and need not be written again however often it is asked for.
        if self.live().token_is_dead(id) {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        tx.record(Change::TokenRevoked(id), now).await?;
        tx.commit().await
    }
}

impl Tx {
    pub async fn revoke_grant(&mut self, id: GrantId, because: Reason, now: Timestamp) -> Result<(), Fault> {
        const UPDATE: &str = "UPDATE grants SET revoked_at = $2, revoked_because = $3
            WHERE id = $1 AND revoked_at IS NULL";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(id.to_string())
            .bind(now.micros())
            .bind(because.as_str())
            .execute(db)
            .await?
            .rows_affected());
        if self.has_ended(rows) {
            self.record(Change::GrantRevoked(id), now).await?;
        }
        Ok(())
    }
}
