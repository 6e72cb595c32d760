//! A code is redeemed: pending -> active.

use serde::Serialize;
use sqlx::{PgConnection, PgPool, SqliteConnection, query_as};

use super::super::Store;
use super::super::database::{on, row};
use super::super::writer::{Failed, Job, Written, by_row, each, here, json};
use super::{Grant, GrantRow, RefreshTerms, hex};
use crate::types::{ClientId, Fault, GrantId, SenderKey, Timestamp};

/// What a client presents at the token endpoint to redeem a code.
pub struct Redeem<'a> {
    pub grant: GrantId,
    pub code_hash: [u8; 32],
    pub client: &'a ClientId,
    /// The S256 challenge that the sent verifier fits; empty when none was sent.
    pub code_challenge: &'a str,
    /// `None` when it was left out (OAuth 2.1 §4.1.3).
    pub redirect_uri: Option<&'a str>,
    /// The key whose possession the request proves.
    pub sender_key: Option<&'a SenderKey>,
    /// Binds the refresh tokens to that key too.
    pub binds_refresh: bool,
}

/// What became of a code.
#[derive(Debug)]
pub enum Redemption {
    Redeemed(Box<Grant>),
    /// There is such a code of this client, but the statement did not match: why is for the caller to say.
    Refused(RefusedCode),
    /// No such code, or another client's.
    Unknown,
}

/// A code that the statement did not take, presented by its own client with its own secret.
#[derive(Debug)]
pub struct RefusedCode {
    pub code_challenge: String,
    pub redirect_uri: String,
    pub sender_key: Option<String>,
    pub expires_at: Timestamp,
    pub redeemed_at: Option<Timestamp>,
}

row!(
    struct CodeRow {
        code_challenge: String,
        redirect_uri: String,
        sender_key: Option<String>,
        code_expires_at: i64,
        redeemed_at: Option<i64>,
    }
);

/// What the statements bind.
#[derive(Serialize)]
pub struct RedeemJob {
    grant: String,
    #[serde(serialize_with = "hex")]
    code_hash: [u8; 32],
    client: String,
    code_challenge: String,
    redirect_uri: Option<String>,
    now: i64,
    refresh_key: String,
    refresh_until: i64,
    /// What the code may be bound to.
    presented_key: Option<String>,
    /// What the refresh tokens will be bound to.
    kept_key: Option<String>,
}

impl Job for RedeemJob {
    type Done = Grant;

    fn row(&self) -> &str {
        &self.grant
    }

    async fn write_many(line: &mut PgConnection, jobs: &[Self]) -> Result<Vec<Written<Grant>>, Failed> {
        // No index fits but those of the ids: neither a comparison by IS NOT DISTINCT FROM nor what a subquery selects has one.
        const REDEEM_MANY: &str = "WITH free AS MATERIALIZED (
                SELECT id FROM grants WHERE id = ANY($1::TEXT[]) FOR NO KEY UPDATE SKIP LOCKED)
            UPDATE grants SET redeemed_at = job.now, rotated_at = job.now, refresh_key = job.refresh_key,
                expires_at = ends_at, sender_key = job.kept_key,
                refresh_expires_at = CASE WHEN job.refresh_until < ends_at THEN job.refresh_until ELSE ends_at END
            FROM free, UNNEST($1::TEXT[], $2::BYTEA[], $3::TEXT[], $4::TEXT[], $5::TEXT[], $6::BIGINT[], $7::TEXT[],
                    $8::BIGINT[], $9::TEXT[], $10::TEXT[])
                AS job (grant_id, code_hash, client_id, code_challenge, redirect_uri, now, refresh_key, refresh_until,
                    presented_key, kept_key)
            WHERE grants.id = free.id AND job.grant_id = free.id
              AND grants.code_hash = job.code_hash AND grants.client_id IS NOT DISTINCT FROM job.client_id
              AND grants.code_challenge = job.code_challenge
              AND grants.redirect_uri = COALESCE(job.redirect_uri, grants.redirect_uri)
              AND (sender_key IS NULL OR sender_key = job.presented_key)
              AND redeemed_at IS NULL AND revoked_at IS NULL AND code_expires_at > job.now
              AND (SELECT s.ended_at IS NULL AND s.idle_expires_at > job.now AND s.expires_at > job.now
                   FROM sessions s WHERE s.id = grants.session_id)
              AND (SELECT u.disabled_at IS NULL FROM users u WHERE u.id = grants.user_id)
              AND (SELECT c.disabled_at IS NULL FROM clients c WHERE c.id = grants.client_id)
              AND (SELECT TRUE FROM consents o WHERE o.user_id = grants.user_id AND o.client_id = grants.client_id)
            RETURNING grants.id, grants.client_id, user_id, session_id, scope, offline, refreshable, nonce,
                authenticated_at, methods, generation, rotated_at, refresh_expires_at, grants.refresh_key, expires_at,
                terms, sender_key";
        let rows: Vec<GrantRow> = query_as(REDEEM_MANY)
            .bind(each(jobs, |job| job.grant.as_str()))
            .bind(each(jobs, |job| job.code_hash))
            .bind(each(jobs, |job| job.client.as_str()))
            .bind(each(jobs, |job| job.code_challenge.as_str()))
            .bind(each(jobs, |job| job.redirect_uri.as_deref()))
            .bind(each(jobs, |job| job.now))
            .bind(each(jobs, |job| job.refresh_key.as_str()))
            .bind(each(jobs, |job| job.refresh_until))
            .bind(each(jobs, |job| job.presented_key.as_deref()))
            .bind(each(jobs, |job| job.kept_key.as_deref()))
            .fetch_all(line)
            .await?;
        Ok(by_row(jobs, rows))
    }

    async fn write_one(&self, pool: &PgPool) -> Result<Option<Grant>, Failed> {
        const REDEEM: &str =
            "UPDATE grants SET redeemed_at = $6, rotated_at = $6, refresh_key = $7, expires_at = ends_at,
                sender_key = $10,
                refresh_expires_at = CASE WHEN $8 < ends_at THEN $8 ELSE ends_at END
            WHERE id = $1 AND code_hash = $2 AND client_id = $3 AND code_challenge = $4
              AND redirect_uri = COALESCE($5, redirect_uri) AND (sender_key IS NULL OR sender_key = $9)
              AND redeemed_at IS NULL AND revoked_at IS NULL AND code_expires_at > $6
              AND (SELECT s.ended_at IS NULL AND s.idle_expires_at > $6 AND s.expires_at > $6
                   FROM sessions s WHERE s.id = grants.session_id)
              AND (SELECT u.disabled_at IS NULL FROM users u WHERE u.id = grants.user_id)
              AND (SELECT c.disabled_at IS NULL FROM clients c WHERE c.id = grants.client_id)
              AND (SELECT TRUE FROM consents o WHERE o.user_id = grants.user_id AND o.client_id = grants.client_id)
            RETURNING id, client_id, user_id, session_id, scope, offline, refreshable, nonce, authenticated_at, methods,
                generation, rotated_at, refresh_expires_at, refresh_key, expires_at, terms, sender_key";
        let rows: Vec<GrantRow> = query_as(REDEEM)
            .bind(&self.grant)
            .bind(&self.code_hash[..])
            .bind(&self.client)
            .bind(&self.code_challenge)
            .bind(&self.redirect_uri)
            .bind(self.now)
            .bind(&self.refresh_key)
            .bind(self.refresh_until)
            .bind(&self.presented_key)
            .bind(&self.kept_key)
            .fetch_all(pool)
            .await?;
        Ok(rows.into_iter().next().map(Grant::try_from).transpose()?)
    }

    async fn write_here(line: &mut SqliteConnection, jobs: &[Self]) -> Result<Vec<Written<Grant>>, Failed> {
        const REDEEM_HERE: &str = "UPDATE grants SET redeemed_at = job.now, rotated_at = job.now,
                refresh_key = job.refresh_key, expires_at = ends_at, sender_key = job.kept_key,
                refresh_expires_at = CASE WHEN job.refresh_until < ends_at THEN job.refresh_until ELSE ends_at END
            FROM (SELECT value ->> 'grant' AS grant_id, unhex(value ->> 'code_hash') AS code_hash,
                    value ->> 'client' AS client_id, value ->> 'code_challenge' AS code_challenge,
                    value ->> 'redirect_uri' AS redirect_uri, value ->> 'now' AS now,
                    value ->> 'refresh_key' AS refresh_key, value ->> 'refresh_until' AS refresh_until,
                    value ->> 'presented_key' AS presented_key, value ->> 'kept_key' AS kept_key
                  FROM jsonb_each($1)) AS job
            WHERE grants.id = job.grant_id
              AND grants.code_hash = job.code_hash AND grants.client_id = job.client_id
              AND grants.code_challenge = job.code_challenge
              AND grants.redirect_uri = COALESCE(job.redirect_uri, grants.redirect_uri)
              AND (sender_key IS NULL OR sender_key = job.presented_key)
              AND redeemed_at IS NULL AND revoked_at IS NULL AND code_expires_at > job.now
              AND (SELECT s.ended_at IS NULL AND s.idle_expires_at > job.now AND s.expires_at > job.now
                   FROM sessions s WHERE s.id = grants.session_id)
              AND (SELECT u.disabled_at IS NULL FROM users u WHERE u.id = grants.user_id)
              AND (SELECT c.disabled_at IS NULL FROM clients c WHERE c.id = grants.client_id)
              AND (SELECT TRUE FROM consents o WHERE o.user_id = grants.user_id AND o.client_id = grants.client_id)
            RETURNING id, client_id, user_id, session_id, scope, offline, refreshable, nonce, authenticated_at, methods,
                generation, rotated_at, refresh_expires_at, refresh_key, expires_at, terms, sender_key";
        let rows: Vec<GrantRow> = query_as(here::<Self>(REDEEM_HERE)).bind(json(jobs)?).fetch_all(line).await?;
        Ok(by_row(jobs, rows))
    }
}

impl Store {
    /// Redeems a code, if everything about it is right and all that it hangs on still lives.
    ///
    /// Safe to race: of any number of callers with one code, one gets `Redeemed`.
    pub async fn redeem(
        &self,
        code: &Redeem<'_>,
        terms: &RefreshTerms<'_>,
        now: Timestamp,
    ) -> Result<Redemption, Fault> {
        let presented_key = code.sender_key.map(SenderKey::to_string);
        let job = RedeemJob {
            grant: code.grant.to_string(),
            code_hash: code.code_hash,
            client: code.client.to_string(),
            code_challenge: code.code_challenge.to_owned(),
            redirect_uri: code.redirect_uri.map(str::to_owned),
            now: now.micros(),
            refresh_key: terms.key.to_owned(),
            refresh_until: now.plus(terms.idle_lifetime).micros(),
            presented_key: presented_key.clone(),
            kept_key: presented_key.filter(|_| code.binds_refresh),
        };
        match self.write(&self.writers().redemptions, job).await? {
            Some(grant) => Ok(Redemption::Redeemed(Box::new(grant))),
            None => self.why_not_redeemed(code).await,
        }
    }

    async fn why_not_redeemed(&self, code: &Redeem<'_>) -> Result<Redemption, Fault> {
        // The hash of a 256-bit secret is found or not: what the comparison takes tells nothing that helps.
        const SELECT: &str = "SELECT code_challenge, redirect_uri, sender_key, code_expires_at, redeemed_at FROM grants
            WHERE id = $1 AND code_hash = $2 AND client_id = $3";
        let row: Option<CodeRow> = on!(self.on(), db => query_as(SELECT)
            .bind(code.grant.to_string())
            .bind(&code.code_hash[..])
            .bind(code.client.as_str())
            .fetch_optional(db)
            .await?);
        Ok(row.map_or(Redemption::Unknown, |row| {
            Redemption::Refused(RefusedCode {
                code_challenge: row.code_challenge,
                redirect_uri: row.redirect_uri,
                sender_key: row.sender_key,
                expires_at: Timestamp::from_micros(row.code_expires_at),
                redeemed_at: row.redeemed_at.map(Timestamp::from_micros),
            })
        }))
    }
}
