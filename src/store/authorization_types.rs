//! Registered types of authorization details: few, so all of them are remembered together, their schemas compiled.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{query, query_as};

use super::changes::Change;
use super::database::{on, row};
use super::{Store, Stored, Tx};
use crate::types::{AuthorizationType, AuthorizationTypes, Fault, Schema, Timestamp};

row!(
    struct TypeRow {
        name: String,
        schema: String,
        description: String,
        resource: Option<String>,
        each_time: bool,
        created_at: i64,
        updated_at: i64,
    }
);

impl TryFrom<TypeRow> for AuthorizationType {
    type Error = Fault;

    fn try_from(row: TypeRow) -> Result<Self, Fault> {
        let schema = serde_json::from_str(&row.schema).map_err(Fault::internal)?;
        Ok(Self {
            name: row.name.parse().map_err(Fault::because)?,
            schema: Schema::compile(schema).map_err(Fault::because)?,
            description: row.description.parse().map_err(Fault::because)?,
            resource: row.resource.map(|uri| uri.parse().map_err(Fault::because)).transpose()?,
            each_time: row.each_time,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
        })
    }
}

/// One that cannot be used, such as a schema that a newer version wrote, is unknown. The others are not.
fn readable(row: TypeRow) -> Option<AuthorizationType> {
    let name = row.name.clone();
    let told = |fault: &Fault| tracing::error!(%name, %fault, "this authorization details type cannot be read");
    AuthorizationType::try_from(row).inspect_err(told).ok()
}

impl Store {
    /// All of them, from memory once they were read, as `client`.
    pub async fn authorization_types(&self) -> Result<Arc<AuthorizationTypes>, Fault> {
        match self.remembered(&self.caches().authorization_types, &()) {
            Some(types) => Ok(types),
            None => self.read_authorization_types().await,
        }
    }

    /// As `authorization_types`, for whoever can bear an old answer: what is remembered counts on a node that lags, too.
    pub async fn known_authorization_types(&self) -> Result<Arc<AuthorizationTypes>, Fault> {
        match self.caches().authorization_types.get(&()) {
            Some(types) => Ok(types),
            None => self.read_authorization_types().await,
        }
    }

    async fn read_authorization_types(&self) -> Result<Arc<AuthorizationTypes>, Fault> {
        const SELECT: &str = "SELECT name, schema, description, resource, each_time, created_at, updated_at
            FROM authorization_types ORDER BY name";
        let cache = &self.caches().authorization_types;
        let epoch = cache.epoch();
        let rows: Vec<TypeRow> = on!(self.on(), db => query_as(SELECT).fetch_all(db).await?);
        let types = Arc::new(AuthorizationTypes::new(rows.into_iter().filter_map(readable)));
        cache.fill(&epoch, (), types.clone());
        Ok(types)
    }
}

impl Tx {
    pub async fn insert_authorization_type(&mut self, kind: &AuthorizationType) -> Result<Stored, Fault> {
        const INSERT: &str = "INSERT INTO authorization_types
            (name, schema, description, resource, each_time, created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (name) DO NOTHING";
        let rows = on!(self.on(), db => query(INSERT)
            .bind(kind.name.as_str())
            .bind(kind.schema.document().to_string())
            .bind(kind.description.as_str())
            .bind(kind.resource.as_ref().map(|uri| uri.as_str()))
            .bind(kind.each_time)
            .bind(kind.created_at.micros())
            .bind(kind.updated_at.micros())
            .execute(db)
            .await?
            .rows_affected());
        self.told_of_types(rows, kind.created_at).await
    }

    /// Writes all of it, if the row is still the one that was read as `kind`.
    pub async fn update_authorization_type(
        &mut self,
        kind: &AuthorizationType,
        now: Timestamp,
    ) -> Result<Stored, Fault> {
        const UPDATE: &str = "UPDATE authorization_types SET schema = $3, description = $4, resource = $5,
                each_time = $6, updated_at = $7
            WHERE name = $1 AND updated_at = $2";
        // Each writing has a time of its own, so that none passes for the one before.
        let written_at = now.max(kind.updated_at.plus(Duration::from_micros(1)));
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(kind.name.as_str())
            .bind(kind.updated_at.micros())
            .bind(kind.schema.document().to_string())
            .bind(kind.description.as_str())
            .bind(kind.resource.as_ref().map(|uri| uri.as_str()))
            .bind(kind.each_time)
            .bind(written_at.micros())
            .execute(db)
            .await?
            .rows_affected());
        self.told_of_types(rows, now).await
    }

    /// Nothing of it is granted any more, nor told in new tokens; those that are out live on until they expire.
    pub async fn delete_authorization_type(&mut self, name: &str, now: Timestamp) -> Result<Stored, Fault> {
        const DELETE: &str = "DELETE FROM authorization_types WHERE name = $1";
        let rows = on!(self.on(), db => query(DELETE).bind(name).execute(db).await?.rows_affected());
        self.told_of_types(rows, now).await
    }

    async fn told_of_types(&mut self, rows: u64, now: Timestamp) -> Result<Stored, Fault> {
        let stored = Stored::from_rows(rows);
        if stored == Stored::Stored {
            self.record(Change::AuthorizationTypesChanged, now).await?;
        }
        Ok(stored)
    }
}
