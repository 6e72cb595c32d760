//! Registered resources: few, so all of them are remembered together.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{query, query_as};

use super::changes::Change;
use super::database::{on, row};
use super::{Store, Stored, Tx};
use crate::types::{Fault, Resource, Resources, Scope, Timestamp};

row!(
    struct ResourceRow {
        uri: String,
        name: String,
        scope: String,
        access_token_lifetime: Option<i64>,
        access_token_signing_alg: Option<String>,
        created_at: i64,
        updated_at: i64,
    }
);

impl TryFrom<ResourceRow> for Resource {
    type Error = Fault;

    fn try_from(row: ResourceRow) -> Result<Self, Fault> {
        let lifetime = row.access_token_lifetime.map(|seconds| Duration::from_secs(seconds.unsigned_abs()));
        let algorithm = row.access_token_signing_alg.map(|name| name.parse().map_err(Fault::because));
        Ok(Self {
            uri: row.uri.parse().map_err(Fault::because)?,
            name: row.name,
            scope: Scope::from(row.scope),
            access_token_lifetime: lifetime,
            access_token_signing_alg: algorithm.transpose()?,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
        })
    }
}

impl Store {
    /// All of them, from memory once they were read, as `client`.
    pub async fn resources(&self) -> Result<Arc<Resources>, Fault> {
        const SELECT: &str = "SELECT uri, name, scope, access_token_lifetime, access_token_signing_alg, created_at,
                updated_at FROM resources ORDER BY uri";
        let cache = &self.caches().resources;
        if let Some(resources) = self.remembered(cache, &()) {
            return Ok(resources);
        }
        let epoch = cache.epoch();
        let rows: Vec<ResourceRow> = on!(self.on(), db => query_as(SELECT).fetch_all(db).await?);
        let resources = rows.into_iter().map(Resource::try_from).collect::<Result<Vec<_>, _>>()?;
        let resources = Arc::new(Resources::new(resources));
        cache.fill(&epoch, (), resources.clone());
        Ok(resources)
    }
}

impl Tx {
    pub async fn insert_resource(&mut self, resource: &Resource) -> Result<Stored, Fault> {
        const INSERT: &str = "INSERT INTO resources
            (uri, name, scope, access_token_lifetime, access_token_signing_alg, created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (uri) DO NOTHING";
        let rows = on!(self.on(), db => query(INSERT)
            .bind(resource.uri.as_str())
            .bind(&resource.name)
            .bind(resource.scope.as_str())
            .bind(seconds(resource.access_token_lifetime))
            .bind(resource.access_token_signing_alg.map(|alg| alg.as_str()))
            .bind(resource.created_at.micros())
            .bind(resource.updated_at.micros())
            .execute(db)
            .await?
            .rows_affected());
        self.told(rows, resource.created_at).await
    }

    /// Writes all of it, if the row is still the one that was read as `resource`.
    pub async fn update_resource(&mut self, resource: &Resource, now: Timestamp) -> Result<Stored, Fault> {
        const UPDATE: &str = "UPDATE resources SET name = $3, scope = $4, access_token_lifetime = $5,
                access_token_signing_alg = $6, updated_at = $7
            WHERE uri = $1 AND updated_at = $2";
        // Each writing has a time of its own, so that none passes for the one before.
        let written_at = now.max(resource.updated_at.plus(Duration::from_micros(1)));
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(resource.uri.as_str())
            .bind(resource.updated_at.micros())
            .bind(&resource.name)
            .bind(resource.scope.as_str())
            .bind(seconds(resource.access_token_lifetime))
            .bind(resource.access_token_signing_alg.map(|alg| alg.as_str()))
            .bind(written_at.micros())
            .execute(db)
            .await?
            .rows_affected());
        self.told(rows, now).await
    }

    /// Tokens for it are issued no more; those that are out live on until they expire.
    pub async fn delete_resource(&mut self, uri: &str, now: Timestamp) -> Result<Stored, Fault> {
        const DELETE: &str = "DELETE FROM resources WHERE uri = $1";
        let rows = on!(self.on(), db => query(DELETE).bind(uri).execute(db).await?.rows_affected());
        self.told(rows, now).await
    }

    async fn told(&mut self, rows: u64, now: Timestamp) -> Result<Stored, Fault> {
        let stored = Stored::from_rows(rows);
        if stored == Stored::Stored {
            self.record(Change::ResourcesChanged, now).await?;
        }
        Ok(stored)
    }
}

fn seconds(lifetime: Option<Duration>) -> Option<i64> {
    lifetime.map(|lifetime| i64::try_from(lifetime.as_secs()).unwrap_or(i64::MAX))
}
