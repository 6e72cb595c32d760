//! Registered clients.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{query, query_as};

use super::changes::Change;
use super::database::{on, row};
use super::{Store, Tx};
use crate::types::client::Registration;
use crate::types::redirect_uri::Destination;
use crate::types::{Client, ClientId, Fault, Holder, Timestamp};

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
        registered_by: Option<String>,
        registration_token: Option<Vec<u8>>,
        verified: bool,
    }
);

impl TryFrom<ClientRow> for Client {
    type Error = Fault;

    fn try_from(row: ClientRow) -> Result<Self, Fault> {
        let secret_hash = row.secret_hash.map(<[u8; 32]>::try_from).transpose();
        let token_hash = row.registration_token.map(<[u8; 32]>::try_from).transpose();
        let token_hash = token_hash.map_err(|_| Fault::because("a stored token hash has not 32 bytes"))?;
        let registration = row.registered_by.zip(token_hash);
        Ok(Self {
            id: row.id.parse().map_err(Fault::because)?,
            secret_hash: secret_hash.map_err(|_| Fault::because("a stored secret hash has not 32 bytes"))?,
            secret_sealed: row.secret_sealed,
            metadata: serde_json::from_str(&row.metadata)
                .map_err(|error| Fault::internal(error).context(format!("the metadata of client {}", row.id)))?,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
            disabled_at: row.disabled_at.map(Timestamp::from_micros),
            registration: registration.map(|(by, token_hash)| Registration { by, token_hash, verified: row.verified }),
        })
    }
}

impl Store {
    /// A client by its id, disabled ones too. From memory, once it was read; the feed keeps it true, and a node that
    /// has not read the feed for too long asks the database.
    pub async fn client(&self, id: &ClientId) -> Result<Option<Arc<Client>>, Fault> {
        const SELECT: &str = "SELECT id, secret_hash, secret_sealed, metadata, created_at, updated_at, disabled_at,
                registered_by, registration_token, verified FROM clients WHERE id = $1";
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
        const SELECT: &str = "SELECT id, secret_hash, secret_sealed, metadata, created_at, updated_at, disabled_at,
                registered_by, registration_token, verified FROM clients ORDER BY created_at, id";
        let rows: Vec<ClientRow> = on!(self.on(), db => query_as(SELECT).fetch_all(db).await?);
        rows.into_iter().map(Client::try_from).collect()
    }

    /// Clients that say where a sign-in at them can begin, and for which an administrator answers; no more than a person
    /// can look through.
    pub async fn clients_to_open(&self) -> Result<Vec<Client>, Fault> {
        const SELECT: &str = "SELECT id, secret_hash, secret_sealed, metadata, created_at, updated_at, disabled_at,
                registered_by, registration_token, verified FROM clients
            WHERE verified AND disabled_at IS NULL AND metadata LIKE '%initiate_login_uri%'
            ORDER BY created_at, id LIMIT 100";
        let rows: Vec<ClientRow> = on!(self.on(), db => query_as(SELECT).fetch_all(db).await?);
        let clients: Result<Vec<Client>, Fault> = rows.into_iter().map(Client::try_from).collect();
        // The name of the member may stand in a value too.
        Ok(clients?.into_iter().filter(|client| client.metadata.initiate_login_uri.is_some()).collect())
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
            (id, secret_hash, secret_sealed, metadata, created_at, updated_at, disabled_at,
                registered_by, registration_token, verified)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (id) DO NOTHING";
        let rows = on!(self.on(), db => query(INSERT)
            .bind(client.id.as_str())
            .bind(client.secret_hash.as_ref().map(|hash| &hash[..]))
            .bind(client.secret_sealed.as_deref())
            .bind(serde_json::to_string(&client.metadata).map_err(Fault::internal)?)
            .bind(client.created_at.micros())
            .bind(client.updated_at.micros())
            .bind(client.disabled_at.map(Timestamp::micros))
            .bind(client.registration.as_ref().map(|registration| &registration.by))
            .bind(client.registration.as_ref().map(|registration| &registration.token_hash[..]))
            .bind(client.is_verified())
            .execute(db)
            .await?
            .rows_affected());
        if rows == 1 {
            // An id that is used again inherits nothing, not even what was written while it was being deleted.
            self.forget_what_was_granted_to(&client.id, client.created_at).await?;
            self.record(Change::ClientEnabled(client.id.clone()), client.created_at).await?;
        }
        Ok(Stored::from_rows(rows))
    }

    /// Writes metadata, secret and registration, if the row is still the one that was read as `client`.
    pub async fn update_client(&mut self, client: &Client, now: Timestamp) -> Result<Stored, Fault> {
        const UPDATE: &str = "UPDATE clients SET metadata = $3, secret_hash = $4, secret_sealed = $5, updated_at = $6,
                registered_by = $7, registration_token = $8, verified = $9
            WHERE id = $1 AND updated_at = $2";
        // Each writing has a time of its own, so that none passes for the one before.
        let now = now.max(client.updated_at.plus(Duration::from_micros(1)));
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(client.id.as_str())
            .bind(client.updated_at.micros())
            .bind(serde_json::to_string(&client.metadata).map_err(Fault::internal)?)
            .bind(client.secret_hash.as_ref().map(|hash| &hash[..]))
            .bind(client.secret_sealed.as_deref())
            .bind(now.micros())
            .bind(client.registration.as_ref().map(|registration| &registration.by))
            .bind(client.registration.as_ref().map(|registration| &registration.token_hash[..]))
            .bind(client.is_verified())
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
            self.forget_what_was_granted_to(id, now).await?;
            self.record(Change::ClientDisabled(id.clone()), now).await?;
        }
        Ok(Stored::from_rows(rows))
    }

    /// Lets a client go that nobody has used by `until`, unless it is verified by then.
    pub async fn keep_client_unused_until(&mut self, id: &ClientId, until: Timestamp) -> Result<(), Fault> {
        const UPDATE: &str = "UPDATE clients SET unused_at = $2 WHERE id = $1";
        on!(self.on(), db => query(UPDATE).bind(id.as_str()).bind(until.micros()).execute(db).await.map(|_| ()))?;
        Ok(())
    }

    /// Removes a client that `keep_client_unused_until` told of, if that is still so.
    pub(super) async fn delete_unused_client(&mut self, id: &ClientId, now: Timestamp) -> Result<Stored, Fault> {
        const DELETE: &str = "DELETE FROM clients WHERE id = $1 AND unused_at < $2 AND NOT verified
              AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.client_id = clients.id)
              AND NOT EXISTS (SELECT 1 FROM consents c WHERE c.client_id = clients.id)";
        let rows = on!(self.on(), db => query(DELETE)
            .bind(id.as_str()).bind(now.micros()).execute(db).await?.rows_affected());
        if rows == 1 {
            // A code may be on its way to it at this very moment.
            self.forget_what_was_granted_to(id, now).await?;
            self.record(Change::ClientDisabled(id.clone()), now).await?;
        }
        Ok(Stored::from_rows(rows))
    }

    async fn forget_what_was_granted_to(&mut self, id: &ClientId, now: Timestamp) -> Result<(), Fault> {
        const CONSENTS: &str = "DELETE FROM consents WHERE client_id = $1";
        const GRANTS: &str = "DELETE FROM grants WHERE client_id = $1";
        const SIGNED_URLS: &str = "DELETE FROM signed_urls WHERE client_id = $1";
        for statement in [CONSENTS, GRANTS, SIGNED_URLS] {
            on!(self.on(), db => query(statement).bind(id.as_str()).execute(db).await.map(|_| ()))?;
        }
        self.delete_api_tokens_of(&Holder::Client(id.clone()), now).await
    }
}
