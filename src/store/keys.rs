//! Signing keys: sealed while they sign or verify tokens, and the public halves of those that are gone.
//!
//! Each transition is one conditional statement, whose WHERE holds what must be true. When it is time for one is said
//! in `oauth::key_life`.

use sqlx::{query, query_as};

use super::changes::Change;
use super::database::{On, on, row};
use super::{Store, Tx};
use crate::types::{Algorithm, Fault, KeyLife, PublicKey, SealedKey, Timestamp};

row!(
    struct KeyRow {
        id: String,
        algorithm: String,
        sealed: Vec<u8>,
        created_at: i64,
        active_from: i64,
        retired_at: Option<i64>,
    }
);

impl TryFrom<KeyRow> for SealedKey {
    type Error = Fault;

    fn try_from(row: KeyRow) -> Result<Self, Fault> {
        Ok(Self {
            algorithm: row.algorithm.parse().map_err(Fault::because)?,
            id: row.id,
            sealed: row.sealed,
            created_at: Timestamp::from_micros(row.created_at),
            active_from: Timestamp::from_micros(row.active_from),
            retired_at: row.retired_at.map(Timestamp::from_micros),
        })
    }
}

row!(
    struct PublicKeyRow {
        id: String,
        algorithm: String,
        jwk: String,
        created_at: i64,
        active_from: i64,
        retired_at: i64,
    }
);

impl TryFrom<PublicKeyRow> for PublicKey {
    type Error = Fault;

    fn try_from(row: PublicKeyRow) -> Result<Self, Fault> {
        let life = KeyLife {
            algorithm: row.algorithm.parse().map_err(Fault::because)?,
            id: row.id,
            created_at: Timestamp::from_micros(row.created_at),
            active_from: Timestamp::from_micros(row.active_from),
            retired_at: Some(Timestamp::from_micros(row.retired_at)),
            gone: true,
        };
        Ok(Self { life, jwk: row.jwk })
    }
}

/// Two nodes can have clocks that differ by this much: so long after a key has retired, one may still sign with it.
const SKEW: i64 = 600 * 1_000_000;

const ALL: &str = "SELECT id, algorithm, sealed, created_at, active_from, retired_at FROM signing_keys ORDER BY id";

impl Store {
    pub async fn keys(&self) -> Result<Vec<SealedKey>, Fault> {
        let rows: Vec<KeyRow> = on!(self.on(), db => query_as(ALL).fetch_all(db).await?);
        rows.into_iter().map(SealedKey::try_from).collect()
    }

    /// What is left of the keys that are gone. Read after `keys`, so that one which goes in between is in one of the two.
    pub async fn public_keys(&self) -> Result<Vec<PublicKey>, Fault> {
        const PUBLIC: &str =
            "SELECT id, algorithm, jwk, created_at, active_from, retired_at FROM public_keys ORDER BY id";
        let rows: Vec<PublicKeyRow> = on!(self.on(), db => query_as(PUBLIC).fetch_all(db).await?);
        rows.into_iter().map(PublicKey::try_from).collect()
    }
}

impl Tx {
    /// Makes every other transaction that calls this wait until this one ends: one node at a time makes keys.
    pub async fn lock_keys(&mut self) -> Result<(), Fault> {
        /// Any number that nobody else uses.
        const LOCK: &str = "SELECT pg_advisory_xact_lock(7142530011)";
        match self.on() {
            On::Postgres(db) => query(LOCK).execute(db).await.map(|_| ())?,
            // BEGIN IMMEDIATE holds the only write lock there is.
            On::Sqlite(_) => {}
        }
        Ok(())
    }

    pub async fn keys(&mut self) -> Result<Vec<SealedKey>, Fault> {
        let rows: Vec<KeyRow> = on!(self.on(), db => query_as(ALL).fetch_all(db).await?);
        rows.into_iter().map(SealedKey::try_from).collect()
    }

    pub async fn insert_key(&mut self, key: &SealedKey) -> Result<(), Fault> {
        const INSERT: &str = "INSERT INTO signing_keys (id, algorithm, sealed, created_at, active_from, retired_at)
            VALUES ($1, $2, $3, $4, $5, $6)";
        on!(self.on(), db => query(INSERT)
            .bind(&key.id)
            .bind(key.algorithm.as_str())
            .bind(&key.sealed)
            .bind(key.created_at.micros())
            .bind(key.active_from.micros())
            .bind(key.retired_at.map(Timestamp::micros))
            .execute(db)
            .await
            .map(|_| ()))?;
        self.record(Change::KeysChanged, key.created_at).await
    }
    /// Says until when a key signs; `false` if that was said before, or there is no such key.
    ///
    /// Safe to race: of any number of callers one may add the successor.
    pub async fn retire_key(&mut self, id: &str, at: Timestamp, now: Timestamp) -> Result<bool, Fault> {
        const RETIRE: &str = "UPDATE signing_keys SET retired_at = $2 WHERE id = $1 AND retired_at IS NULL";
        let rows = on!(self.on(), db => query(RETIRE)
            .bind(id).bind(at.micros()).execute(db).await?.rows_affected());
        self.keys_changed(rows, now).await
    }

    /// Lets a key that waits for its turn sign from an earlier time on, and the one before it no longer than that.
    pub async fn bring_key_forward(&mut self, next: &KeyLife, at: Timestamp, now: Timestamp) -> Result<bool, Fault> {
        const FORWARD: &str = "UPDATE signing_keys SET active_from = $2 WHERE id = $1 AND active_from > $2";
        const BEFORE: &str = "UPDATE signing_keys SET retired_at = $2 WHERE algorithm = $1 AND retired_at > $2";
        let rows = on!(self.on(), db => query(FORWARD)
            .bind(&next.id).bind(at.micros()).execute(db).await?.rows_affected());
        on!(self.on(), db => query(BEFORE)
            .bind(next.algorithm.as_str()).bind(at.micros()).execute(db).await.map(|_| ()))?;
        self.keys_changed(rows, now).await
    }

    /// Lets the key of an algorithm that was to retire sign on: its successor is no more.
    pub async fn keep_key(&mut self, algorithm: Algorithm, now: Timestamp) -> Result<bool, Fault> {
        const KEEP: &str = "UPDATE signing_keys SET retired_at = NULL WHERE algorithm = $1 AND retired_at > $2";
        let rows = on!(self.on(), db => query(KEEP)
            .bind(algorithm.as_str()).bind(now.micros()).execute(db).await?.rows_affected());
        self.keys_changed(rows, now).await
    }

    /// Deletes a key, whatever its stage; `false` if there is none of that id.
    pub async fn delete_key(&mut self, id: &str, now: Timestamp) -> Result<bool, Fault> {
        const SEALED: &str = "DELETE FROM signing_keys WHERE id = $1";
        const PUBLIC: &str = "DELETE FROM public_keys WHERE id = $1";
        let mut rows = 0;
        for statement in [SEALED, PUBLIC] {
            rows += on!(self.on(), db => query(statement).bind(id).execute(db).await?.rows_affected());
        }
        self.keys_changed(rows, now).await
    }

    /// Keeps the public half alone of a key that has retired; `false` if it has not, or somebody else did it.
    pub async fn wipe_key(&mut self, key: &KeyLife, jwk: &str, now: Timestamp) -> Result<bool, Fault> {
        const WIPE: &str = "DELETE FROM signing_keys WHERE id = $1 AND retired_at <= $2";
        const PUBLIC: &str = "INSERT INTO public_keys (id, algorithm, jwk, created_at, active_from, retired_at)
            VALUES ($1, $2, $3, $4, $5, $6)";
        let rows = on!(self.on(), db => query(WIPE)
            .bind(&key.id).bind(now.micros()).execute(db).await?.rows_affected());
        if rows == 1 {
            on!(self.on(), db => query(PUBLIC)
                .bind(&key.id)
                .bind(key.algorithm.as_str())
                .bind(jwk)
                .bind(key.created_at.micros())
                .bind(key.active_from.micros())
                .bind(key.retired_at.map(Timestamp::micros))
                .execute(db)
                .await
                .map(|_| ()))?;
        }
        self.keys_changed(rows, now).await
    }

    /// Deletes a retired key of refresh tokens, unless a grant of its time lives: a token of it could still be shown.
    pub async fn forget_refresh_key(&mut self, id: &str, now: Timestamp) -> Result<bool, Fault> {
        const FORGET: &str = "DELETE FROM signing_keys WHERE id = $1 AND algorithm = 'HS256' AND retired_at <= $2
              AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.created_at < signing_keys.retired_at + $3
                  AND g.refreshable AND g.revoked_at IS NULL AND g.expires_at > $2)";
        let rows = on!(self.on(), db => query(FORGET)
            .bind(id).bind(now.micros()).bind(SKEW).execute(db).await?.rows_affected());
        self.keys_changed(rows, now).await
    }

    /// Deletes a public half, unless a session of its time is open: an ID token of it could still be a hint.
    pub async fn forget_public_key(&mut self, id: &str, now: Timestamp) -> Result<bool, Fault> {
        const FORGET: &str = "DELETE FROM public_keys WHERE id = $1
              AND NOT EXISTS (SELECT 1 FROM sessions s WHERE s.created_at < public_keys.retired_at + $2
                  AND s.ended_at IS NULL)";
        let rows = on!(self.on(), db => query(FORGET)
            .bind(id).bind(SKEW).execute(db).await?.rows_affected());
        self.keys_changed(rows, now).await
    }

    /// Tells every node, if anything has.
    async fn keys_changed(&mut self, rows: u64, now: Timestamp) -> Result<bool, Fault> {
        if rows > 0 {
            self.record(Change::KeysChanged, now).await?;
        }
        Ok(rows > 0)
    }
}
