//! Takes away what has expired, a little at a time, so that nobody waits for it.

use std::time::Duration;

use sqlx::query;

use super::Store;
use super::database::on;
use crate::types::{Fault, Timestamp};

/// How long expired rows stay, so that a late replay can still be told from nonsense.
const KEPT: Duration = Duration::from_secs(24 * 3_600);

impl Store {
    /// Deletes one batch of each kind; `true` if there may be more.
    pub async fn delete_expired(&self, now: Timestamp) -> Result<bool, Fault> {
        // The relying parties of a session are remembered until it ends.
        const GRANTS: &str = "DELETE FROM grants WHERE id IN (SELECT id FROM grants WHERE expires_at < $1
              AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = grants.session_id AND s.ended_at IS NULL)
            LIMIT 1000)";
        const SESSIONS: &str = "DELETE FROM sessions
            WHERE id IN (SELECT id FROM sessions WHERE ended_at < $1 OR expires_at < $1 LIMIT 1000)";
        const PENDING: &str = "DELETE FROM pending_requests
            WHERE id IN (SELECT id FROM pending_requests WHERE expires_at < $1 LIMIT 1000)";
        const BROWSERS: &str = "DELETE FROM browsers
            WHERE id_hash IN (SELECT id_hash FROM browsers WHERE expires_at < $1 LIMIT 1000)";
        const CHANGES: &str = "DELETE FROM changes
            WHERE seq IN (SELECT seq FROM changes WHERE expires_at < $1 LIMIT 1000)";
        let kept = now.minus(KEPT);
        let mut more = false;
        for (statement, before) in [(GRANTS, kept), (SESSIONS, kept), (PENDING, now), (BROWSERS, now), (CHANGES, now)] {
            let rows = on!(self.writing().await?.on(), db => query(statement).bind(before.micros()).execute(db).await?.rows_affected());
            more |= rows == 1_000;
        }
        self.live().forget_expired(now);
        Ok(more)
    }
}
