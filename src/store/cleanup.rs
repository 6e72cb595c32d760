//! Takes away what has expired, a little at a time, so that nobody waits for it.

use std::time::Duration;

use sqlx::{query, query_as};

use super::database::on;
use super::{Store, Stored};
use crate::types::{Fault, Timestamp};

/// How long expired rows stay, so that a late replay can still be told from nonsense.
const KEPT: Duration = Duration::from_secs(24 * 3_600);

/// How long an expired API token is shown to its holder, who may wonder why it works no more.
const SHOWN: Duration = Duration::from_secs(30 * 24 * 3_600);

/// The most rows that one statement takes away: on SQLite everybody who writes waits for it.
const BATCH: i64 = 100;

impl Store {
    /// Takes a lease that only one node holds, or keeps it, until a time; `false` if another has it.
    ///
    /// Safe to race: of any number of nodes one gets it.
    pub async fn hold_lease(&self, name: &str, holder: &str, until: Timestamp, now: Timestamp) -> Result<bool, Fault> {
        const UPSERT: &str = "INSERT INTO leases (name, holder, expires_at) VALUES ($1, $2, $3)
            ON CONFLICT (name) DO UPDATE SET holder = $2, expires_at = $3
                WHERE leases.holder = $2 OR leases.expires_at <= $4";
        let rows = on!(self.writing().await?.on(), db => query(UPSERT)
            .bind(name)
            .bind(holder)
            .bind(until.micros())
            .bind(now.micros())
            .execute(db)
            .await?
            .rows_affected());
        Ok(rows == 1)
    }

    /// Deletes one batch of each kind; `true` if there may be more.
    pub async fn delete_expired(&self, now: Timestamp) -> Result<bool, Fault> {
        const SESSIONS: &str = "DELETE FROM sessions
            WHERE id IN (SELECT id FROM sessions WHERE ended_at < $1 LIMIT $2)";
        const PENDING: &str = "DELETE FROM pending_requests
            WHERE id IN (SELECT id FROM pending_requests WHERE expires_at < $1 LIMIT $2)";
        const PUSHED: &str = "DELETE FROM pushed_requests
            WHERE id_hash IN (SELECT id_hash FROM pushed_requests WHERE expires_at < $1 LIMIT $2)";
        const BROWSERS: &str = "DELETE FROM browsers
            WHERE id_hash IN (SELECT id_hash FROM browsers WHERE expires_at < $1 LIMIT $2)";
        const DEVICES: &str = "DELETE FROM device_requests
            WHERE id IN (SELECT id FROM device_requests WHERE expires_at < $1 LIMIT $2)";
        const DEVICE_ATTEMPTS: &str = "DELETE FROM device_attempts
            WHERE bucket IN (SELECT bucket FROM device_attempts WHERE expires_at < $1 LIMIT $2)";
        const ATTEMPTS: &str = "DELETE FROM attempts
            WHERE key IN (SELECT key FROM attempts WHERE expires_at < $1 LIMIT $2)";
        const CHANGES: &str = "DELETE FROM changes
            WHERE seq IN (SELECT seq FROM changes WHERE expires_at < $1 LIMIT $2)";
        const OUTBOX: &str = "DELETE FROM outbox
            WHERE id IN (SELECT id FROM outbox WHERE expires_at < $1 LIMIT $2)";
        const LINKS: &str = "DELETE FROM links
            WHERE secret_hash IN (SELECT secret_hash FROM links WHERE expires_at < $1 LIMIT $2)";
        const REPLAYS: &str = "DELETE FROM replays
            WHERE digest IN (SELECT digest FROM replays WHERE expires_at < $1 LIMIT $2)";
        const SIGN_INS: &str = "DELETE FROM sign_ins
            WHERE id IN (SELECT id FROM sign_ins WHERE expires_at < $1 LIMIT $2)";
        const FACTORS: &str = "DELETE FROM factors
            WHERE id IN (SELECT id FROM factors WHERE confirmed_at IS NULL AND created_at < $1 LIMIT $2)";
        const REGISTRATION_TOKENS: &str = "DELETE FROM registration_tokens
            WHERE id IN (SELECT id FROM registration_tokens WHERE expires_at < $1 LIMIT $2)";
        const API_TOKENS: &str = "DELETE FROM api_tokens
            WHERE id IN (SELECT id FROM api_tokens WHERE expires_at < $1 LIMIT $2)";
        const SIGNED_URLS: &str = "DELETE FROM signed_urls
            WHERE id IN (SELECT id FROM signed_urls WHERE expires_at < $1 LIMIT $2)";
        const EVENTS: &str = "DELETE FROM events
            WHERE (user_id, at, kind, about) IN (SELECT user_id, at, kind, about FROM events WHERE at < $1 LIMIT $2)";
        // Who was used once is never looked at again.
        const USED_CLIENTS: &str = "UPDATE clients SET unused_at = NULL
            WHERE id IN (SELECT id FROM clients WHERE unused_at < $1
                AND (verified OR EXISTS (SELECT 1 FROM grants g WHERE g.client_id = clients.id)
                     OR EXISTS (SELECT 1 FROM consents c WHERE c.client_id = clients.id)) LIMIT $2)";
        let mut more = false;
        let expired = [
            (SESSIONS, now.minus(KEPT)),
            (DEVICES, now.minus(KEPT)),
            (PENDING, now),
            // A page that was opened in time may be answered a day later, and then there must be something to spend.
            (PUSHED, now.minus(KEPT)),
            (DEVICE_ATTEMPTS, now),
            (ATTEMPTS, now),
            (BROWSERS, now),
            (CHANGES, now),
            (OUTBOX, now),
            (LINKS, now),
            (REPLAYS, now),
            (SIGN_INS, now),
            // What was begun to be set up and never was.
            (FACTORS, now.minus(KEPT)),
            (REGISTRATION_TOKENS, now),
            (API_TOKENS, now.minus(SHOWN)),
            (SIGNED_URLS, now),
            (EVENTS, now.minus(self.events_kept())),
            (USED_CLIENTS, now),
        ];
        for (statement, before) in expired {
            let rows = on!(self.writing().await?.on(), db => query(statement)
                .bind(before.micros())
                .bind(BATCH)
                .execute(db)
                .await?
                .rows_affected());
            more |= rows == BATCH.unsigned_abs();
        }
        Ok(more)
    }

    /// Deletes one batch of the clients that registered themselves and that nobody has used in time; `true` if there may
    /// be more.
    pub async fn delete_unused_clients(&self, now: Timestamp) -> Result<bool, Fault> {
        const UNUSED: &str = "SELECT id FROM clients WHERE unused_at < $1 AND NOT verified
              AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.client_id = clients.id)
              AND NOT EXISTS (SELECT 1 FROM consents c WHERE c.client_id = clients.id) LIMIT $2";
        let ids: Vec<(String,)> =
            on!(self.on(), db => query_as(UNUSED).bind(now.micros()).bind(BATCH).fetch_all(db).await?);
        if ids.is_empty() {
            return Ok(false);
        }
        let mut tx = self.begin().await?;
        for (id,) in &ids {
            let id = id.parse().map_err(Fault::because)?;
            if tx.delete_unused_client(&id, now).await? == Stored::Stored {
                tracing::info!(target: "audit", event = "client_unused", client = %id);
            }
        }
        tx.commit().await?;
        Ok(ids.len() as u64 == BATCH.unsigned_abs())
    }

    /// Deletes one batch of the grants that expired at `from` or later; where the next batch begins, if there may be one.
    ///
    /// The relying parties of a session are remembered until it ends, so some stay, and the next batch must not read
    /// them again.
    pub async fn delete_expired_grants(&self, from: Timestamp, now: Timestamp) -> Result<Option<Timestamp>, Fault> {
        const NEXT: &str = "SELECT expires_at FROM grants WHERE expires_at >= $1 AND expires_at < $2
            ORDER BY expires_at LIMIT 1 OFFSET $3";
        const DELETE: &str = "DELETE FROM grants WHERE expires_at >= $1 AND expires_at < $2
              AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.id = grants.session_id AND s.ended_at IS NULL)";
        let kept = now.minus(KEPT);
        let next: Option<(i64,)> = on!(self.on(), db => query_as(NEXT)
            .bind(from.micros())
            .bind(kept.micros())
            .bind(BATCH)
            .fetch_optional(db)
            .await?);
        // At least one microsecond, however many expired in it.
        let next = next.map(|(next,)| Timestamp::from_micros(next.max(from.micros() + 1)));
        on!(self.writing().await?.on(), db => query(DELETE)
            .bind(from.micros())
            .bind(next.unwrap_or(kept).micros())
            .execute(db)
            .await
            .map(|_| ()))?;
        Ok(next)
    }

    /// Forgets what was revoked so long ago that no token can be left.
    pub fn forget_expired(&self, now: Timestamp) {
        self.live().forget_expired(now);
    }
}
