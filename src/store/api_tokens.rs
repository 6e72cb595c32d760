//! Personal access tokens and API keys.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{query, query_as};

use super::changes::Change;
use super::database::{on, row};
use super::{Store, Stored, Tx};
use crate::types::{ApiToken, ClientId, Fault, Holder, Timestamp, TokenId, UserId};

/// How exactly it is known when one was used last.
const NOTED_EVERY: Duration = Duration::from_mins(5);

row!(
    struct TokenRow {
        id: String,
        user_id: Option<String>,
        client_id: Option<String>,
        name: String,
        scope: String,
        audience: String,
        created_at: i64,
        expires_at: i64,
        used_at: Option<i64>,
    }
);

impl TryFrom<TokenRow> for ApiToken {
    type Error = Fault;

    fn try_from(row: TokenRow) -> Result<Self, Fault> {
        let broken = || Fault::because("a stored API token belongs to nobody");
        let holder = match (row.user_id, row.client_id) {
            (Some(id), None) => Holder::User(UserId::parse(&id).ok_or_else(broken)?),
            (None, Some(id)) => Holder::Client(ClientId::parse(&id).ok_or_else(broken)?),
            _ => return Err(broken()),
        };
        Ok(Self {
            id: TokenId::parse(&row.id).ok_or_else(|| Fault::because("a stored API token has an id that is none"))?,
            holder,
            name: row.name,
            scope: row.scope.into(),
            audience: serde_json::from_str(&row.audience).map_err(Fault::internal)?,
            created_at: Timestamp::from_micros(row.created_at),
            expires_at: Timestamp::from_micros(row.expires_at),
            used_at: row.used_at.map(Timestamp::from_micros),
        })
    }
}

impl Store {
    /// The token of this hash, if its holder is there and not disabled; whether it has expired is the caller's to see.
    pub async fn api_token(&self, hash: &[u8; 32]) -> Result<Option<Arc<ApiToken>>, Fault> {
        const SELECT: &str =
            "SELECT t.id, t.user_id, t.client_id, t.name, t.scope, t.audience, t.created_at, t.expires_at,
                t.used_at
            FROM api_tokens t LEFT JOIN users u ON u.id = t.user_id LEFT JOIN clients c ON c.id = t.client_id
            WHERE t.token_hash = $1 AND COALESCE(u.id, c.id) IS NOT NULL
              AND u.disabled_at IS NULL AND c.disabled_at IS NULL";
        let cache = &self.caches().api_tokens;
        if let Some(remembered) = self.remembered(cache, hash) {
            return Ok(Some(remembered));
        }
        let epoch = cache.epoch();
        let row: Option<TokenRow> = on!(self.on(), db => query_as(SELECT).bind(&hash[..]).fetch_optional(db).await?);
        let Some(row) = row else { return Ok(None) };
        let token = Arc::new(ApiToken::try_from(row)?);
        cache.fill(&epoch, *hash, token.clone());
        Ok(Some(token))
    }

    /// Those of one holder, or of all, the oldest first; expired ones too, until they are cleaned away.
    pub async fn api_tokens(&self, of: Option<&Holder>) -> Result<Vec<ApiToken>, Fault> {
        const SELECT: &str = "SELECT id, user_id, client_id, name, scope, audience, created_at, expires_at, used_at
            FROM api_tokens WHERE (user_id = $1 OR client_id = $2 OR $3) ORDER BY created_at, id";
        let rows: Vec<TokenRow> = on!(self.on(), db => query_as(SELECT)
            .bind(of.and_then(Holder::user).map(|id| id.to_string()))
            .bind(of.and_then(Holder::client).map(ClientId::as_str))
            .bind(of.is_none())
            .fetch_all(db)
            .await?);
        rows.into_iter().map(ApiToken::try_from).collect()
    }

    /// Notes that a token is in use, every few minutes; nobody waits until that is written.
    pub fn use_api_token(&self, hash: [u8; 32], token: &ApiToken, now: Timestamp) {
        const UPDATE: &str = "UPDATE api_tokens SET used_at = $2 WHERE id = $1 AND COALESCE(used_at, 0) < $2";
        if token.used_at.is_some_and(|used_at| now.since(used_at) < NOTED_EVERY) {
            return;
        }
        self.caches().api_tokens.change(hash, |remembered| Arc::make_mut(remembered).used_at = Some(now));
        let (store, id) = (self.clone(), token.id);
        tokio::spawn(async move {
            let written = async {
                on!(store.writing().await?.on(), db => query(UPDATE)
                    .bind(id.to_string()).bind(now.micros()).execute(db).await.map(|_| ()))?;
                Ok::<_, Fault>(())
            };
            if let Err(fault) = written.await {
                tracing::debug!(token = %id, %fault, "when an API token was used last was not written");
            }
        });
    }
}

impl Tx {
    /// How many a user has that have not expired.
    pub async fn count_api_tokens(&mut self, user: UserId, now: Timestamp) -> Result<i64, Fault> {
        const SELECT: &str = "SELECT COUNT(*) AS count FROM api_tokens WHERE user_id = $1 AND expires_at > $2";
        let (count,): (i64,) = on!(self.on(), db => query_as(SELECT)
            .bind(user.to_string()).bind(now.micros()).fetch_one(db).await?);
        Ok(count)
    }

    pub async fn insert_api_token(&mut self, token: &ApiToken, hash: &[u8; 32]) -> Result<(), Fault> {
        const INSERT: &str = "INSERT INTO api_tokens
            (id, token_hash, user_id, client_id, name, scope, audience, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        on!(self.on(), db => query(INSERT)
            .bind(token.id.to_string())
            .bind(&hash[..])
            .bind(token.holder.user().map(|id| id.to_string()))
            .bind(token.holder.client().map(ClientId::as_str))
            .bind(&token.name)
            .bind(token.scope.as_str())
            .bind(serde_json::to_string(&token.audience).map_err(Fault::internal)?)
            .bind(token.created_at.micros())
            .bind(token.expires_at.micros())
            .execute(db)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Ends a token; with `of`, if it is theirs. `Conflict` if there is none.
    ///
    /// Safe to race: of any number of callers one ends it.
    pub async fn delete_api_token(
        &mut self,
        id: TokenId,
        of: Option<&Holder>,
        now: Timestamp,
    ) -> Result<Stored, Fault> {
        const DELETE: &str = "DELETE FROM api_tokens WHERE id = $1 AND (user_id = $2 OR client_id = $3 OR $4)
            RETURNING token_hash";
        let rows: Vec<(Vec<u8>,)> = on!(self.on(), db => query_as(DELETE)
            .bind(id.to_string())
            .bind(of.and_then(Holder::user).map(|id| id.to_string()))
            .bind(of.and_then(Holder::client).map(ClientId::as_str))
            .bind(of.is_none())
            .fetch_all(db)
            .await?);
        let ended = self.has_ended(rows.len() as u64);
        self.tell_of_ended(rows, now).await?;
        Ok(if ended { Stored::Stored } else { Stored::Conflict })
    }

    /// Ends all of somebody's.
    pub(super) async fn delete_api_tokens_of(&mut self, holder: &Holder, now: Timestamp) -> Result<(), Fault> {
        const DELETE: &str = "DELETE FROM api_tokens WHERE user_id = $1 OR client_id = $2 RETURNING token_hash";
        let rows: Vec<(Vec<u8>,)> = on!(self.on(), db => query_as(DELETE)
            .bind(holder.user().map(|id| id.to_string()))
            .bind(holder.client().map(ClientId::as_str))
            .fetch_all(db)
            .await?);
        self.tell_of_ended(rows, now).await
    }

    async fn tell_of_ended(&mut self, hashes: Vec<(Vec<u8>,)>, now: Timestamp) -> Result<(), Fault> {
        for (hash,) in hashes {
            let hash = hash.try_into().map_err(|_| Fault::because("the hash of a stored API token is none"))?;
            self.record(Change::ApiTokenEnded(hash), now).await?;
        }
        Ok(())
    }
}
