//! What may be used once: assertions and proofs that others signed, by a digest.

use sqlx::query;

use super::Store;
use super::database::on;
use crate::types::{Fault, Timestamp};

/// Whether something had been used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    First,
    Again,
}

impl Store {
    /// Marks something as used, until a time from which on it is refused for its age anyway.
    ///
    /// Safe to race: of any number of callers on any nodes one gets `First`.
    pub async fn use_once(&self, digest: &[u8; 32], until: Timestamp, now: Timestamp) -> Result<Use, Fault> {
        // What housekeeping has not taken away yet counts no more.
        const INSERT: &str = "INSERT INTO replays (digest, expires_at) VALUES ($1, $2)
            ON CONFLICT (digest) DO UPDATE SET expires_at = $2 WHERE replays.expires_at <= $3";
        let rows = on!(self.writing().await?.on(), db => query(INSERT)
            .bind(&digest[..])
            .bind(until.micros())
            .bind(now.micros())
            .execute(db)
            .await?
            .rows_affected());
        Ok(if rows == 1 { Use::First } else { Use::Again })
    }
}
