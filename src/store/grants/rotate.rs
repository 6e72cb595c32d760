//! A refresh token is used: the next generation.

use std::time::Duration;

use serde::Serialize;
use sqlx::{PgConnection, PgPool, SqliteConnection, query_as};

use super::super::Store;
use super::super::database::on;
use super::super::writer::{Failed, Job, Written, by_row, each, here, json};
use super::{Grant, GrantRow, RefreshTerms};
use crate::types::{ClientId, Fault, GrantId, Timestamp};

/// What a verified refresh token says.
pub struct Presented<'a> {
    pub grant: GrantId,
    pub generation: i64,
    pub client: &'a ClientId,
}

/// What became of a refresh token.
#[derive(Debug)]
pub enum Rotation {
    Rotated(Box<Grant>),
    /// The previous generation, soon enough, its successor unused: the same successor again.
    Repeated(Box<Grant>),
    /// It stays in use, where there is no rotation.
    Kept(Box<Grant>),
    /// A generation that is past: one of its two holders is a thief.
    Reused,
    /// No such grant, another client's, ended, or a generation that never was.
    Unknown,
}

/// What the statements bind.
#[derive(Serialize)]
pub struct RotateJob {
    grant: String,
    generation: i64,
    client: String,
    now: i64,
    refresh_key: String,
    refresh_until: i64,
}

impl Job for RotateJob {
    type Done = Grant;

    fn row(&self) -> &str {
        &self.grant
    }

    async fn write_many(line: &mut PgConnection, jobs: &[Self]) -> Result<Vec<Written<Grant>>, Failed> {
        // No index fits but those of the ids: neither a comparison by IS NOT DISTINCT FROM nor what a subquery selects has one.
        const ROTATE_MANY: &str = "WITH free AS MATERIALIZED (
                SELECT id FROM grants WHERE id = ANY($1::TEXT[]) FOR NO KEY UPDATE SKIP LOCKED)
            UPDATE grants SET generation = grants.generation + 1, rotated_at = job.now, refresh_key = job.refresh_key,
                refresh_expires_at = CASE WHEN job.refresh_until < expires_at THEN job.refresh_until ELSE expires_at END
            FROM free, UNNEST($1::TEXT[], $2::BIGINT[], $3::TEXT[], $4::BIGINT[], $5::TEXT[], $6::BIGINT[])
                AS job (grant_id, generation, client_id, now, refresh_key, refresh_until)
            WHERE grants.id = free.id AND job.grant_id = free.id
              AND grants.generation = job.generation AND grants.client_id IS NOT DISTINCT FROM job.client_id
              AND refreshable
              AND redeemed_at IS NOT NULL AND revoked_at IS NULL AND expires_at > job.now
              AND refresh_expires_at > job.now
              AND (offline OR (SELECT s.ended_at IS NULL AND s.idle_expires_at > job.now AND s.expires_at > job.now
                   FROM sessions s WHERE s.id = grants.session_id))
              AND (SELECT u.disabled_at IS NULL FROM users u WHERE u.id = grants.user_id)
              AND (SELECT c.disabled_at IS NULL FROM clients c WHERE c.id = grants.client_id)
              AND (SELECT TRUE FROM consents o WHERE o.user_id = grants.user_id AND o.client_id = grants.client_id)
            RETURNING grants.id, grants.client_id, user_id, session_id, scope, offline, refreshable, nonce,
                authenticated_at, methods, grants.generation, rotated_at, refresh_expires_at, grants.refresh_key,
                expires_at, terms, sender_key";
        let rows: Vec<GrantRow> = query_as(ROTATE_MANY)
            .bind(each(jobs, |job| job.grant.as_str()))
            .bind(each(jobs, |job| job.generation))
            .bind(each(jobs, |job| job.client.as_str()))
            .bind(each(jobs, |job| job.now))
            .bind(each(jobs, |job| job.refresh_key.as_str()))
            .bind(each(jobs, |job| job.refresh_until))
            .fetch_all(line)
            .await?;
        Ok(by_row(jobs, rows))
    }

    async fn write_one(&self, pool: &PgPool) -> Result<Option<Grant>, Failed> {
        const ROTATE: &str = "UPDATE grants SET generation = generation + 1, rotated_at = $4, refresh_key = $5,
                refresh_expires_at = CASE WHEN $6 < expires_at THEN $6 ELSE expires_at END
            WHERE id = $1 AND generation = $2 AND client_id = $3 AND refreshable
              AND redeemed_at IS NOT NULL AND revoked_at IS NULL AND expires_at > $4 AND refresh_expires_at > $4
              AND (offline OR (SELECT s.ended_at IS NULL AND s.idle_expires_at > $4 AND s.expires_at > $4
                   FROM sessions s WHERE s.id = grants.session_id))
              AND (SELECT u.disabled_at IS NULL FROM users u WHERE u.id = grants.user_id)
              AND (SELECT c.disabled_at IS NULL FROM clients c WHERE c.id = grants.client_id)
              AND (SELECT TRUE FROM consents o WHERE o.user_id = grants.user_id AND o.client_id = grants.client_id)
            RETURNING id, client_id, user_id, session_id, scope, offline, refreshable, nonce, authenticated_at, methods,
                generation, rotated_at, refresh_expires_at, refresh_key, expires_at, terms, sender_key";
        let rows: Vec<GrantRow> = query_as(ROTATE)
            .bind(&self.grant)
            .bind(self.generation)
            .bind(&self.client)
            .bind(self.now)
            .bind(&self.refresh_key)
            .bind(self.refresh_until)
            .fetch_all(pool)
            .await?;
        Ok(rows.into_iter().next().map(Grant::try_from).transpose()?)
    }

    async fn write_here(line: &mut SqliteConnection, jobs: &[Self]) -> Result<Vec<Written<Grant>>, Failed> {
        const ROTATE_HERE: &str = "UPDATE grants SET generation = grants.generation + 1, rotated_at = job.now,
                refresh_key = job.refresh_key,
                refresh_expires_at = CASE WHEN job.refresh_until < expires_at THEN job.refresh_until ELSE expires_at END
            FROM (SELECT value ->> 'grant' AS grant_id, value ->> 'generation' AS generation,
                    value ->> 'client' AS client_id, value ->> 'now' AS now, value ->> 'refresh_key' AS refresh_key,
                    value ->> 'refresh_until' AS refresh_until
                  FROM jsonb_each($1)) AS job
            WHERE grants.id = job.grant_id
              AND grants.generation = job.generation AND grants.client_id = job.client_id AND refreshable
              AND redeemed_at IS NOT NULL AND revoked_at IS NULL AND expires_at > job.now
              AND refresh_expires_at > job.now
              AND (offline OR (SELECT s.ended_at IS NULL AND s.idle_expires_at > job.now AND s.expires_at > job.now
                   FROM sessions s WHERE s.id = grants.session_id))
              AND (SELECT u.disabled_at IS NULL FROM users u WHERE u.id = grants.user_id)
              AND (SELECT c.disabled_at IS NULL FROM clients c WHERE c.id = grants.client_id)
              AND (SELECT TRUE FROM consents o WHERE o.user_id = grants.user_id AND o.client_id = grants.client_id)
            RETURNING id, client_id, user_id, session_id, scope, offline, refreshable, nonce, authenticated_at, methods,
                generation, rotated_at, refresh_expires_at, refresh_key, expires_at, terms, sender_key";
        let rows: Vec<GrantRow> = query_as(here::<Self>(ROTATE_HERE)).bind(json(jobs)?).fetch_all(line).await?;
        Ok(by_row(jobs, rows))
    }
}

impl Store {
    /// Moves the grant to its next generation, if `presented` is its current one.
    ///
    /// Safe to race: of any number of callers with one generation, one gets `Rotated`, and the others `Repeated`
    /// (within the retry window, the successor unused) or `Reused`.
    pub async fn rotate(
        &self,
        presented: &Presented<'_>,
        terms: &RefreshTerms<'_>,
        now: Timestamp,
    ) -> Result<Rotation, Fault> {
        let job = RotateJob {
            grant: presented.grant.to_string(),
            generation: presented.generation,
            client: presented.client.to_string(),
            now: now.micros(),
            refresh_key: terms.key.to_owned(),
            refresh_until: now.plus(terms.idle_lifetime).micros(),
        };
        match self.write(&self.writers().rotations, job).await? {
            Some(grant) => Ok(Rotation::Rotated(Box::new(grant))),
            None => self.why_not_rotated(presented, terms.retry_window, now).await,
        }
    }

    /// As `rotate`, but the current token stays the current one: nothing is written.
    pub async fn keep(
        &self,
        presented: &Presented<'_>,
        terms: &RefreshTerms<'_>,
        now: Timestamp,
    ) -> Result<Rotation, Fault> {
        const KEEP: &str = "SELECT id, client_id, user_id, session_id, scope, offline, refreshable, nonce,
                authenticated_at, methods, generation, rotated_at, refresh_expires_at, refresh_key, expires_at, terms,
                sender_key
            FROM grants
            WHERE id = $1 AND generation = $2 AND client_id = $3 AND refreshable
              AND redeemed_at IS NOT NULL AND revoked_at IS NULL AND expires_at > $4 AND refresh_expires_at > $4
              AND (offline OR (SELECT s.ended_at IS NULL AND s.idle_expires_at > $4 AND s.expires_at > $4
                   FROM sessions s WHERE s.id = grants.session_id))
              AND (SELECT u.disabled_at IS NULL FROM users u WHERE u.id = grants.user_id)
              AND (SELECT c.disabled_at IS NULL FROM clients c WHERE c.id = grants.client_id)
              AND (SELECT TRUE FROM consents o WHERE o.user_id = grants.user_id AND o.client_id = grants.client_id)";
        let row: Option<GrantRow> = on!(self.on(), db => query_as(KEEP)
            .bind(presented.grant.to_string())
            .bind(presented.generation)
            .bind(presented.client.as_str())
            .bind(now.micros())
            .fetch_optional(db)
            .await?);
        match row {
            Some(row) => Ok(Rotation::Kept(Box::new(row.try_into()?))),
            None => self.why_not_rotated(presented, terms.retry_window, now).await,
        }
    }

    async fn why_not_rotated(
        &self,
        presented: &Presented<'_>,
        retry_window: Duration,
        now: Timestamp,
    ) -> Result<Rotation, Fault> {
        let grant = self.living_grant(presented.grant, now).await?.filter(|grant| grant.client == *presented.client);
        let Some(grant) = grant else { return Ok(Rotation::Unknown) };
        if presented.generation >= grant.generation {
            // Its own generation, and yet not taken: what it hangs on has ended. Or one that was never issued.
            return Ok(Rotation::Unknown);
        }
        let is_previous = presented.generation == grant.generation - 1;
        if is_previous && now.since(grant.rotated_at) <= retry_window {
            return Ok(Rotation::Repeated(Box::new(grant)));
        }
        Ok(Rotation::Reused)
    }
}
