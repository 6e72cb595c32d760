//! What the cookie of a browser names. The cookie's own value never reaches the database.

use std::sync::Arc;

use sqlx::{query, query_as};

use super::Store;
use super::changes::Change;
use super::database::on;
use crate::types::{Fault, Timestamp};

/// A row of `browsers`.
pub struct BrowserRecord {
    /// SHA-256 of the cookie's value.
    pub id_hash: [u8; 32],
    /// JSON.
    pub data: String,
    pub expires_at: Timestamp,
}

impl Store {
    /// The record, unless it has expired; from memory, once it was read.
    pub async fn browser(&self, id_hash: &[u8; 32], now: Timestamp) -> Result<Option<Arc<BrowserRecord>>, Fault> {
        const SELECT: &str = "SELECT data, expires_at FROM browsers WHERE id_hash = $1 AND expires_at > $2";
        let cache = &self.caches().browsers;
        if let Some(record) = self.remembered(cache, id_hash).filter(|record| record.expires_at > now) {
            return Ok(Some(record));
        }
        let epoch = cache.epoch();
        let row: Option<(String, i64)> =
            on!(self.on(), db => query_as(SELECT).bind(&id_hash[..]).bind(now.micros()).fetch_optional(db).await?);
        Ok(row.map(|(data, expires_at)| {
            let expires_at = Timestamp::from_micros(expires_at);
            let record = Arc::new(BrowserRecord { id_hash: *id_hash, data, expires_at });
            cache.fill(&epoch, *id_hash, record.clone());
            record
        }))
    }

    /// Writes a new record; `false` if the id is taken.
    pub async fn create_browser(&self, record: &BrowserRecord) -> Result<bool, Fault> {
        const INSERT: &str = "INSERT INTO browsers (id_hash, data, expires_at) VALUES ($1, $2, $3)
            ON CONFLICT (id_hash) DO NOTHING";
        let written = on!(self.writing().await?.on(), db => query(INSERT)
            .bind(&record.id_hash[..])
            .bind(&record.data)
            .bind(record.expires_at.micros())
            .execute(db)
            .await?
            .rows_affected());
        Ok(written == 1)
    }

    /// Writes a record again, of a browser in which nobody is signed in: other nodes may remember how it was. One that was
    /// deleted meanwhile stays deleted.
    pub async fn save_browser(&self, record: &BrowserRecord) -> Result<(), Fault> {
        const UPDATE: &str = "UPDATE browsers SET data = $2, expires_at = $3 WHERE id_hash = $1";
        on!(self.writing().await?.on(), db => query(UPDATE)
            .bind(&record.id_hash[..])
            .bind(&record.data)
            .bind(record.expires_at.micros())
            .execute(db)
            .await
            .map(|_| ()))?;
        self.caches().browsers.forget(&record.id_hash);
        Ok(())
    }

    /// The cookie names nothing any more, on any node.
    pub async fn delete_browser(&self, id_hash: &[u8; 32], now: Timestamp) -> Result<(), Fault> {
        const DELETE: &str = "DELETE FROM browsers WHERE id_hash = $1";
        let mut tx = self.begin().await?;
        let rows = on!(tx.on(), db => query(DELETE).bind(&id_hash[..]).execute(db).await?.rows_affected());
        if tx.has_ended(rows) {
            tx.record(Change::BrowserForgotten(*id_hash), now).await?;
        }
        tx.commit().await
    }
}
