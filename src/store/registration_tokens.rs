//! Initial access tokens (RFC 7591 §3): who may register clients, and how often.

use sqlx::{query, query_as};

use super::database::{on, row};
use super::{Store, Stored, Tx};
use crate::types::{Fault, Timestamp};

/// A row of `registration_tokens`, without the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistrationToken {
    pub id: String,
    /// Whether what registers with it counts as verified.
    pub verifies: bool,
    pub uses_left: u32,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

row!(
    struct TokenRow {
        id: String,
        verifies: bool,
        uses_left: i64,
        created_at: i64,
        expires_at: i64,
    }
);

impl From<TokenRow> for RegistrationToken {
    fn from(row: TokenRow) -> Self {
        Self {
            id: row.id,
            verifies: row.verifies,
            uses_left: u32::try_from(row.uses_left).unwrap_or(0),
            created_at: Timestamp::from_micros(row.created_at),
            expires_at: Timestamp::from_micros(row.expires_at),
        }
    }
}

impl Store {
    /// The token of this hash, if it can still be used.
    pub async fn registration_token(
        &self,
        hash: &[u8; 32],
        now: Timestamp,
    ) -> Result<Option<RegistrationToken>, Fault> {
        const SELECT: &str = "SELECT id, verifies, uses_left, created_at, expires_at FROM registration_tokens
            WHERE token_hash = $1 AND uses_left > 0 AND expires_at > $2";
        let row: Option<TokenRow> = on!(self.on(), db => query_as(SELECT)
            .bind(&hash[..])
            .bind(now.micros())
            .fetch_optional(db)
            .await?);
        Ok(row.map(RegistrationToken::from))
    }

    pub async fn registration_tokens(&self) -> Result<Vec<RegistrationToken>, Fault> {
        const SELECT: &str = "SELECT id, verifies, uses_left, created_at, expires_at FROM registration_tokens
            ORDER BY created_at, id";
        let rows: Vec<TokenRow> = on!(self.on(), db => query_as(SELECT).fetch_all(db).await?);
        Ok(rows.into_iter().map(RegistrationToken::from).collect())
    }
}

impl Tx {
    pub async fn insert_registration_token(&mut self, token: &RegistrationToken, hash: &[u8; 32]) -> Result<(), Fault> {
        const INSERT: &str =
            "INSERT INTO registration_tokens (id, token_hash, verifies, uses_left, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6)";
        on!(self.on(), db => query(INSERT)
            .bind(&token.id)
            .bind(&hash[..])
            .bind(token.verifies)
            .bind(i64::from(token.uses_left))
            .bind(token.created_at.micros())
            .bind(token.expires_at.micros())
            .execute(db)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Takes one use. Safe to race: the last one goes to one caller, and the others get `Conflict`.
    pub async fn spend_registration_token(&mut self, id: &str, now: Timestamp) -> Result<Stored, Fault> {
        const SPEND: &str = "UPDATE registration_tokens SET uses_left = uses_left - 1
            WHERE id = $1 AND uses_left > 0 AND expires_at > $2";
        let rows = on!(self.on(), db => query(SPEND).bind(id).bind(now.micros()).execute(db).await?.rows_affected());
        Ok(Stored::from_rows(rows))
    }

    /// Revokes it; what was registered with it stays. `Conflict` when it is not there.
    pub async fn delete_registration_token(&mut self, id: &str) -> Result<Stored, Fault> {
        const DELETE: &str = "DELETE FROM registration_tokens WHERE id = $1";
        let rows = on!(self.on(), db => query(DELETE).bind(id).execute(db).await?.rows_affected());
        Ok(Stored::from_rows(rows))
    }
}
