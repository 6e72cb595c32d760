//! What a user has allowed a client, once and for all until they withdraw it.

use sqlx::{query, query_as};

use super::changes::Change;
use super::database::{on, row};
use super::{Store, Tx};
use crate::types::{AuthorizationDetails, ClientId, Fault, GrantId, Scope, Timestamp, UserId};

/// A row of `consents`.
#[derive(Clone, Debug)]
pub struct Consent {
    pub client: ClientId,
    /// Everything that was ever allowed and not withdrawn, by whomever.
    pub scope: Scope,
    /// The part of it that the user was asked about, and allowed.
    pub asked: Scope,
    /// What they were asked about in particular, and allowed.
    pub details: AuthorizationDetails,
    pub granted_at: Timestamp,
}

/// Of those that were allowed in particular: each may be another payment. Who asks for more than that is asked again.
const MOST_DETAILS: usize = 64;

row!(
    struct ConsentRow {
        client_id: String,
        scope: String,
        asked: String,
        details: String,
        granted_at: i64,
    }
);

impl TryFrom<ConsentRow> for Consent {
    type Error = Fault;

    fn try_from(row: ConsentRow) -> Result<Self, Fault> {
        Ok(Self {
            client: row.client_id.parse().map_err(Fault::because)?,
            scope: Scope::from(row.scope),
            asked: Scope::from(row.asked),
            details: serde_json::from_str(&row.details).map_err(Fault::internal)?,
            granted_at: Timestamp::from_micros(row.granted_at),
        })
    }
}

const OF_ONE_CLIENT: &str =
    "SELECT client_id, scope, asked, details, granted_at FROM consents WHERE user_id = $1 AND client_id = $2";

impl Store {
    /// As `consent`, from memory once it was read: it may have become wider since, and for a moment may have been withdrawn
    /// on another node.
    pub async fn remembered_consent(&self, user: UserId, client: &ClientId) -> Result<Option<Consent>, Fault> {
        match self.remembered(&self.caches().consents, &(user, client.clone())) {
            Some(consent) => Ok(Some(consent)),
            None => self.consent(user, client).await,
        }
    }

    pub async fn consent(&self, user: UserId, client: &ClientId) -> Result<Option<Consent>, Fault> {
        let epoch = self.caches().consents.epoch();
        let row: Option<ConsentRow> = on!(self.on(), db => query_as(OF_ONE_CLIENT)
            .bind(user.to_string()).bind(client.as_str()).fetch_optional(db).await?);
        let consent = row.map(Consent::try_from).transpose()?;
        if let Some(consent) = &consent {
            self.caches().consents.fill(&epoch, (user, client.clone()), consent.clone());
        }
        Ok(consent)
    }

    pub async fn consents_of(&self, user: UserId) -> Result<Vec<Consent>, Fault> {
        const SELECT: &str = "SELECT client_id, scope, asked, details, granted_at FROM consents WHERE user_id = $1
            ORDER BY granted_at DESC, client_id";
        let rows: Vec<ConsentRow> = on!(self.on(), db => query_as(SELECT).bind(user.to_string()).fetch_all(db).await?);
        rows.into_iter().map(Consent::try_from).collect()
    }

    /// The clients that have tokens of a user, and when each got the last.
    pub async fn clients_used_by(&self, user: UserId) -> Result<Vec<(ClientId, Timestamp)>, Fault> {
        const SELECT: &str = "SELECT client_id, MAX(COALESCE(rotated_at, redeemed_at)) AS used_at FROM grants
            WHERE user_id = $1 AND redeemed_at IS NOT NULL GROUP BY client_id";
        let rows: Vec<(String, i64)> =
            on!(self.on(), db => query_as(SELECT).bind(user.to_string()).fetch_all(db).await?);
        Ok(rows.into_iter().filter_map(|(id, at)| Some((ClientId::parse(&id)?, Timestamp::from_micros(at)))).collect())
    }
}

impl Tx {
    /// Adds `scope` to what the user, who was asked, allows the client.
    pub async fn grant_consent(
        &mut self,
        user: UserId,
        client: &ClientId,
        scope: &Scope,
        now: Timestamp,
    ) -> Result<(), Fault> {
        self.widen_consent((user, client), scope, scope, now).await
    }

    /// Adds `scope` to what the client may do for the user, who was not asked.
    pub async fn imply_consent(
        &mut self,
        user: UserId,
        client: &ClientId,
        scope: &Scope,
        now: Timestamp,
    ) -> Result<(), Fault> {
        self.widen_consent((user, client), scope, &Scope::default(), now).await
    }

    async fn widen_consent(
        &mut self,
        (user, client): (UserId, &ClientId),
        scope: &Scope,
        asked: &Scope,
        now: Timestamp,
    ) -> Result<(), Fault> {
        // The WHERE names what was read: of two answers at once, none loses what the other allowed.
        const UPSERT: &str = "INSERT INTO consents (user_id, client_id, scope, asked, granted_at)
            VALUES ($1, $2, $3, $4, $5)
            ON CONFLICT (user_id, client_id) DO UPDATE SET scope = $3, asked = $4
                WHERE consents.scope = $6 AND consents.asked = $7";
        for _attempt in 0..3 {
            let row: Option<ConsentRow> = on!(self.on(), db => query_as(OF_ONE_CLIENT)
                .bind(user.to_string()).bind(client.as_str()).fetch_optional(db).await?);
            let (known, known_asked) = row.map(|row| (row.scope, row.asked)).unwrap_or_default();
            let rows = on!(self.on(), db => query(UPSERT)
                .bind(user.to_string())
                .bind(client.as_str())
                .bind(scope.union(&Scope::from(known.as_str())).as_str())
                .bind(asked.union(&Scope::from(known_asked.as_str())).as_str())
                .bind(now.micros())
                .bind(&known)
                .bind(&known_asked)
                .execute(db)
                .await?
                .rows_affected());
            if rows == 1 {
                return Ok(());
            }
        }
        Err(Fault::unavailable(anyhow::anyhow!("consent was changed by somebody else, three times in a row")))
    }

    /// Adds `details` to what the user, who was asked, allows the client: to a consent that this transaction has granted,
    /// so that nobody else writes it at the same time.
    pub async fn remember_details(
        &mut self,
        user: UserId,
        client: &ClientId,
        details: &AuthorizationDetails,
    ) -> Result<(), Fault> {
        const SELECT: &str = "SELECT details FROM consents WHERE user_id = $1 AND client_id = $2";
        const UPDATE: &str = "UPDATE consents SET details = $3 WHERE user_id = $1 AND client_id = $2";
        if details.is_empty() {
            return Ok(());
        }
        let (known,): (String,) = on!(self.on(), db => query_as(SELECT)
            .bind(user.to_string()).bind(client.as_str()).fetch_one(db).await?);
        let known = serde_json::from_str(&known).map_err(Fault::internal)?;
        let details = details.remembered(known, MOST_DETAILS);
        on!(self.on(), db => query(UPDATE)
            .bind(user.to_string())
            .bind(client.as_str())
            .bind(serde_json::to_string(&details).map_err(Fault::internal)?)
            .execute(db)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Takes back what the user allowed the client, and ends its grants; `false` if there was nothing.
    pub async fn withdraw_consent(&mut self, user: UserId, client: &ClientId, now: Timestamp) -> Result<bool, Fault> {
        const CONSENT: &str = "DELETE FROM consents WHERE user_id = $1 AND client_id = $2";
        const GRANTS: &str = "UPDATE grants SET revoked_at = $3, revoked_because = 'consent_withdrawn'
            WHERE user_id = $1 AND client_id = $2 AND revoked_at IS NULL AND expires_at > $3 RETURNING id";
        let rows = on!(self.on(), db => query(CONSENT)
            .bind(user.to_string()).bind(client.as_str()).execute(db).await?.rows_affected());
        let grants: Vec<(String,)> = on!(self.on(), db => query_as(GRANTS)
            .bind(user.to_string())
            .bind(client.as_str())
            .bind(now.micros())
            .fetch_all(db)
            .await?);
        if self.has_ended(rows) {
            self.record(Change::ConsentWithdrawn(user, client.clone()), now).await?;
        }
        for grant in grants.iter().filter_map(|(id,)| GrantId::parse(id)) {
            self.record(Change::GrantRevoked(grant), now).await?;
        }
        Ok(rows == 1 || !grants.is_empty())
    }
}
