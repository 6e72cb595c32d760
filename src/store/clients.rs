//! Registered clients.

use std::collections::HashSet;
use std::sync::Arc;

use sqlx::{query, query_as};

use super::changes::Change;
use super::database::{on, row};
use super::{Store, Tx};
use crate::types::redirect_uri::Destination;
use crate::types::{Client, ClientId, Fault, Timestamp};

/// What became of a write that another may have forestalled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    Stored,
    /// The id or name is taken, or the row was changed since it was read.
    Conflict,
}

impl Stored {
    pub(super) fn from_rows(rows: u64) -> Self {
        if rows == 1 { Self::Stored } else { Self::Conflict }
    }
}

/// The origins at which pages of registered clients live (CORS).
#[derive(Debug, Default)]
pub struct Origins {
    exact: HashSet<String>,
    /// Clients with a loopback redirect URI: any port of that host.
    loopback: Vec<Arc<Client>>,
}

impl Origins {
    fn of(clients: Vec<Client>) -> Self {
        let mut origins = Self::default();
        for client in clients.into_iter().filter(|client| !client.is_disabled()) {
            let uris = &client.metadata.redirect_uris;
            let web = uris.iter().filter(|uri| uri.destination() == Destination::Web);
            origins.exact.extend(web.filter_map(|uri| uri.origin()));
            if uris.iter().any(|uri| uri.destination() == Destination::Loopback) {
                origins.loopback.push(Arc::new(client));
            }
        }
        origins
    }

    pub fn contains(&self, origin: &str) -> bool {
        self.exact.contains(origin) || self.loopback.iter().any(|client| client.has_origin(origin))
    }
}

row!(
    struct ClientRow {
        id: String,
        secret_hash: Option<Vec<u8>>,
        secret_sealed: Option<Vec<u8>>,
        metadata: String,
        created_at: i64,
        updated_at: i64,
        disabled_at: Option<i64>,
    }
);

impl TryFrom<ClientRow> for Client {
    type Error = Fault;

    fn try_from(row: ClientRow) -> Result<Self, Fault> {
        let secret_hash = row.secret_hash.map(<[u8; 32]>::try_from).transpose();
        Ok(Self {
            id: row.id.parse().map_err(Fault::because)?,
            secret_hash: secret_hash.map_err(|_| Fault::because("a stored secret hash has not 32 bytes"))?,
            secret_sealed: row.secret_sealed,
            metadata: serde_json::from_str(&row.metadata)
                .map_err(|error| Fault::internal(error).context(format!("the metadata of client {}", row.id)))?,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
            disabled_at: row.disabled_at.map(Timestamp::from_micros),
        })
    }
}

impl Store {
    /// A client by its id, disabled ones too. From memory, once it was read; the feed keeps it true, and a node that
    /// has not read the feed for too long asks the database.
    pub async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, Fault> {
        const SELECT: &str = "SELECT id, secret_hash, secret_sealed, metadata, created_at, updated_at, disabled_at
            FROM clients WHERE id = $1";
        let cache = &self.caches().clients;
        if let Some(client) = self.remembered(cache, id) {
            return Ok(Some(client));
        }
        let epoch = cache.epoch();
        let row: Option<ClientRow> = on!(self.on(), db => query_as(SELECT).bind(id.as_str()).fetch_optional(db).await?);
        let Some(row) = row else { return Ok(None) };
        let client = Arc::new(Client::try_from(row)?);
        cache.fill(&epoch, id.clone(), client.clone());
        Ok(Some(client))
    }

    pub async fn clients(&self) -> Result<Vec<Client>, Fault> {
        const SELECT: &str = "SELECT id, secret_hash, secret_sealed, metadata, created_at, updated_at, disabled_at
            FROM clients ORDER BY created_at, id";
        let rows: Vec<ClientRow> = on!(self.on(), db => query_as(SELECT).fetch_all(db).await?);
        rows.into_iter().map(Client::try_from).collect()
    }

    /// The origins of all clients, from memory once they were read, as `client`.
    pub async fn client_origins(&self) -> Result<Arc<Origins>, Fault> {
        let cache = &self.caches().origins;
        if let Some(origins) = self.remembered(cache, &()) {
            return Ok(origins);
        }
        let epoch = cache.epoch();
        let origins = Arc::new(Origins::of(self.clients().await?));
        cache.fill(&epoch, (), origins.clone());
        Ok(origins)
    }
}

impl Tx {
    pub async fn insert_client(&mut self, client: &Client) -> Result<Stored, Fault> {
        const INSERT: &str = "INSERT INTO clients
            (id, secret_hash, secret_sealed, metadata, created_at, updated_at, disabled_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (id) DO NOTHING";
        let rows = on!(self.on(), db => query(INSERT)
            .bind(client.id.as_str())
            .bind(client.secret_hash.as_ref().map(|hash| &hash[..]))
            .bind(client.secret_sealed.as_deref())
            .bind(serde_json::to_string(&client.metadata).map_err(Fault::internal)?)
            .bind(client.created_at.micros())
            .bind(client.updated_at.micros())
            .bind(client.disabled_at.map(Timestamp::micros))
            .execute(db)
            .await?
            .rows_affected());
        if rows == 1 {
            // An id that is used again inherits nothing, not even what was written while it was being deleted.
            self.forget_what_was_granted_to(&client.id).await?;
            self.record(Change::ClientEnabled(client.id.clone()), client.created_at).await?;
        }
        Ok(Stored::from_rows(rows))
    }

    /// Writes metadata and secret, if the row is still the one that was read as `client`.
    pub async fn update_client(&mut self, client: &Client, now: Timestamp) -> Result<Stored, Fault> {
        const UPDATE: &str = "UPDATE clients SET metadata = $3, secret_hash = $4, secret_sealed = $5, updated_at = $6
            WHERE id = $1 AND updated_at = $2";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(client.id.as_str())
            .bind(client.updated_at.micros())
            .bind(serde_json::to_string(&client.metadata).map_err(Fault::internal)?)
            .bind(client.secret_hash.as_ref().map(|hash| &hash[..]))
            .bind(client.secret_sealed.as_deref())
            .bind(now.micros())
            .execute(db)
            .await?
            .rows_affected());
        if rows == 1 {
            self.record(Change::ClientChanged(client.id.clone()), now).await?;
        }
        Ok(Stored::from_rows(rows))
    }

    /// Refuses the client from now on, and ends its grants and tokens. `Conflict` if it was disabled, or is not there.
    pub async fn disable_client(&mut self, id: &ClientId, now: Timestamp) -> Result<Stored, Fault> {
        const UPDATE: &str =
            "UPDATE clients SET disabled_at = $2, updated_at = $2 WHERE id = $1 AND disabled_at IS NULL";
        const GRANTS: &str = "UPDATE grants SET revoked_at = $2, revoked_because = 'client_disabled'
            WHERE client_id = $1 AND revoked_at IS NULL";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(id.as_str()).bind(now.micros()).execute(db).await?.rows_affected());
        if rows == 1 {
            on!(self.on(), db => query(GRANTS).bind(id.as_str()).bind(now.micros()).execute(db).await.map(|_| ()))?;
            self.record(Change::ClientDisabled(id.clone()), now).await?;
        }
        Ok(Stored::from_rows(rows))
    }

    /// Lets a disabled client back in; what was ended stays ended.
    pub async fn enable_client(&mut self, id: &ClientId, now: Timestamp) -> Result<Stored, Fault> {
        const UPDATE: &str = "UPDATE clients SET disabled_at = NULL, updated_at = $2
            WHERE id = $1 AND disabled_at IS NOT NULL";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(id.as_str()).bind(now.micros()).execute(db).await?.rows_affected());
        if rows == 1 {
            self.record(Change::ClientEnabled(id.clone()), now).await?;
        }
        Ok(Stored::from_rows(rows))
    }

    /// Removes the client, what was granted to it and what was consented to; its tokens are dead.
    pub async fn delete_client(&mut self, id: &ClientId, now: Timestamp) -> Result<Stored, Fault> {
        const CLIENT: &str = "DELETE FROM clients WHERE id = $1";
        let rows = on!(self.on(), db => query(CLIENT).bind(id.as_str()).execute(db).await?.rows_affected());
        if rows == 1 {
            self.forget_what_was_granted_to(id).await?;
            self.record(Change::ClientDisabled(id.clone()), now).await?;
        }
        Ok(Stored::from_rows(rows))
    }

    async fn forget_what_was_granted_to(&mut self, id: &ClientId) -> Result<(), Fault> {
        const CONSENTS: &str = "DELETE FROM consents WHERE client_id = $1";
        const GRANTS: &str = "DELETE FROM grants WHERE client_id = $1";
        for statement in [CONSENTS, GRANTS] {
            on!(self.on(), db => query(statement).bind(id.as_str()).execute(db).await.map(|_| ()))?;
        }
        Ok(())
    }
}
