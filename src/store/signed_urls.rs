//! Signed addresses.

use sqlx::{query, query_as};

use super::database::{on, row};
use super::{Store, Stored};
use crate::types::{ClientId, Fault, SignedUrl, Timestamp, TokenId};

row!(
    struct UrlRow {
        id: String,
        client_id: String,
        url: String,
        audience: String,
        purpose: Option<String>,
        subject: Option<String>,
        single_use: bool,
        created_at: i64,
        expires_at: i64,
    }
);

impl TryFrom<UrlRow> for SignedUrl {
    type Error = Fault;

    fn try_from(row: UrlRow) -> Result<Self, Fault> {
        let broken = || Fault::because("a stored signed address has an id that is none");
        Ok(Self {
            id: TokenId::parse(&row.id).ok_or_else(broken)?,
            client: ClientId::parse(&row.client_id).ok_or_else(broken)?,
            url: row.url,
            audience: serde_json::from_str(&row.audience).map_err(Fault::internal)?,
            purpose: row.purpose,
            subject: row.subject,
            single_use: row.single_use,
            created_at: Timestamp::from_micros(row.created_at),
            expires_at: Timestamp::from_micros(row.expires_at),
        })
    }
}

impl Store {
    /// Keeps one; `reference` is the hash of what stands in the address, where that is no signature.
    pub async fn create_signed_url(&self, url: &SignedUrl, reference: Option<&[u8; 32]>) -> Result<(), Fault> {
        const INSERT: &str = "INSERT INTO signed_urls
            (id, secret_hash, client_id, url, audience, purpose, subject, single_use, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
        on!(self.writing().await?.on(), db => query(INSERT)
            .bind(url.id.to_string())
            .bind(reference.map(|hash| &hash[..]))
            .bind(url.client.as_str())
            .bind(&url.url)
            .bind(serde_json::to_string(&url.audience).map_err(Fault::internal)?)
            .bind(&url.purpose)
            .bind(&url.subject)
            .bind(url.single_use)
            .bind(url.created_at.micros())
            .bind(url.expires_at.micros())
            .execute(db)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// One that is still good, by its id or by the hash of its reference; of a client that is there and not disabled.
    pub async fn signed_url(
        &self,
        (id, reference): (Option<TokenId>, Option<&[u8; 32]>),
        now: Timestamp,
    ) -> Result<Option<SignedUrl>, Fault> {
        const SELECT: &str = "SELECT s.id, s.client_id, s.url, s.audience, s.purpose, s.subject, s.single_use,
                s.created_at, s.expires_at
            FROM signed_urls s JOIN clients c ON c.id = s.client_id
            WHERE (s.id = $1 OR s.secret_hash = $2) AND s.expires_at > $3 AND s.used_at IS NULL
              AND c.disabled_at IS NULL";
        let row: Option<UrlRow> = on!(self.on(), db => query_as(SELECT)
            .bind(id.map(|id| id.to_string()))
            .bind(reference.map(|hash| &hash[..]))
            .bind(now.micros())
            .fetch_optional(db)
            .await?);
        row.map(SignedUrl::try_from).transpose()
    }

    /// Spends one that works once; `Conflict` if it was spent before, or revoked.
    ///
    /// Safe to race: of any number of callers one spends it.
    pub async fn spend_signed_url(&self, id: TokenId, now: Timestamp) -> Result<Stored, Fault> {
        const UPDATE: &str =
            "UPDATE signed_urls SET used_at = $2 WHERE id = $1 AND used_at IS NULL AND expires_at > $2";
        let rows = on!(self.writing().await?.on(), db => query(UPDATE)
            .bind(id.to_string()).bind(now.micros()).execute(db).await?.rows_affected());
        Ok(Stored::from_rows(rows))
    }

    /// Ends one of a client's; `Conflict` if it is not there.
    pub async fn delete_signed_url(&self, id: TokenId, client: &ClientId) -> Result<Stored, Fault> {
        const DELETE: &str = "DELETE FROM signed_urls WHERE id = $1 AND client_id = $2";
        let rows = on!(self.writing().await?.on(), db => query(DELETE)
            .bind(id.to_string()).bind(client.as_str()).execute(db).await?.rows_affected());
        Ok(Stored::from_rows(rows))
    }
}
