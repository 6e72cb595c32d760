//! Authorization requests that clients sent ahead (RFC 9126). One is read as often as its user comes to the page, and
//! spent once.

use sqlx::{query, query_as};

use super::database::{on, row};
use super::{Store, Tx};
use crate::types::{ClientId, Fault, Hint, Params, Timestamp};

/// A row of `pushed_requests`.
#[derive(Clone, Debug)]
pub struct PushedRequest {
    /// SHA-256 of what its `request_uri` ends with.
    pub id_hash: [u8; 32],
    pub client: ClientId,
    /// The parameters as they came, those that are read again.
    pub params: Params,
    /// What its `id_token_hint` proved.
    pub hint: Option<Hint>,
    /// From when on no page opens with it; one that is open already can still be answered.
    pub expires_at: Timestamp,
}

row!(
    struct PushedRow {
        params: String,
        hint: Option<String>,
        expires_at: i64,
    }
);

impl Store {
    pub async fn create_pushed(&self, request: &PushedRequest) -> Result<(), Fault> {
        const INSERT: &str = "INSERT INTO pushed_requests (id_hash, client_id, params, hint, expires_at)
            VALUES ($1, $2, $3, $4, $5)";
        let params = serde_json::to_string(request.params.pairs()).map_err(Fault::internal)?;
        let hint = request.hint.as_ref().map(serde_json::to_string).transpose().map_err(Fault::internal)?;
        on!(self.writing().await?.on(), db => query(INSERT)
            .bind(&request.id_hash[..])
            .bind(request.client.as_str())
            .bind(params)
            .bind(hint)
            .bind(request.expires_at.micros())
            .execute(db)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// The request, if this client pushed it, and it was not spent and has not expired.
    pub async fn pushed(
        &self,
        id_hash: [u8; 32],
        client: &ClientId,
        now: Timestamp,
    ) -> Result<Option<PushedRequest>, Fault> {
        const SELECT: &str = "SELECT params, hint, expires_at FROM pushed_requests
            WHERE id_hash = $1 AND client_id = $2 AND expires_at > $3";
        let row: Option<PushedRow> = on!(self.on(), db => query_as(SELECT)
            .bind(&id_hash[..])
            .bind(client.as_str())
            .bind(now.micros())
            .fetch_optional(db)
            .await?);
        let read = |row: PushedRow| {
            Ok(PushedRequest {
                id_hash,
                client: client.clone(),
                params: Params::from_pairs(serde_json::from_str(&row.params).map_err(Fault::internal)?),
                hint: row.hint.as_deref().map(serde_json::from_str).transpose().map_err(Fault::internal)?,
                expires_at: Timestamp::from_micros(row.expires_at),
            })
        };
        row.map(read).transpose()
    }
}

impl Tx {
    /// Takes the request away; `false` if it was spent before.
    ///
    /// Safe to race: of any number of pages that were opened with it, one is answered. It may have expired since its
    /// page was opened: its user has as long as any.
    pub async fn spend_pushed(&mut self, id_hash: &[u8; 32]) -> Result<bool, Fault> {
        const DELETE: &str = "DELETE FROM pushed_requests WHERE id_hash = $1";
        let spent = on!(self.on(), db => query(DELETE).bind(&id_hash[..]).execute(db).await?.rows_affected());
        Ok(spent == 1)
    }
}
