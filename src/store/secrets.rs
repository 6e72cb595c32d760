//! Sealed secrets that all nodes share, and that never change.

use sqlx::{query, query_as};

use super::Store;
use super::database::on;
use crate::types::{Fault, Timestamp};

impl Store {
    /// A secret by its name, as it was sealed.
    pub async fn secret(&self, name: &str) -> Result<Option<Vec<u8>>, Fault> {
        const SELECT: &str = "SELECT sealed FROM secrets WHERE name = $1";
        let row: Option<(Vec<u8>,)> = on!(self.on(), db => query_as(SELECT).bind(name).fetch_optional(db).await?);
        Ok(row.map(|(sealed,)| sealed))
    }

    /// Keeps a new secret, unless there is one of this name; read then which it is.
    ///
    /// Safe to race: of any number of nodes one has its own kept.
    pub async fn keep_secret(&self, name: &str, sealed: &[u8], now: Timestamp) -> Result<(), Fault> {
        const INSERT: &str = "INSERT INTO secrets (name, sealed, created_at) VALUES ($1, $2, $3)
            ON CONFLICT (name) DO NOTHING";
        on!(self.writing().await?.on(), db => query(INSERT)
            .bind(name)
            .bind(sealed)
            .bind(now.micros())
            .execute(db)
            .await
            .map(|_| ()))?;
        Ok(())
    }
}
