//! Sealed signing keys.

use sqlx::{query, query_as};

use super::changes::Change;
use super::database::{On, on, row};
use super::{Store, Tx};
use crate::types::{Fault, SealedKey, Timestamp};

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

const ALL: &str = "SELECT id, algorithm, sealed, created_at, active_from, retired_at FROM signing_keys ORDER BY id";

impl Store {
    pub async fn keys(&self) -> Result<Vec<SealedKey>, Fault> {
        let rows: Vec<KeyRow> = on!(self.on(), db => query_as(ALL).fetch_all(db).await?);
        rows.into_iter().map(SealedKey::try_from).collect()
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
}
