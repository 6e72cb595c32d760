//! Requests that wait for their user: bound to the browser that opened them, spent once.

use sqlx::{query, query_as};

use super::database::{on, row};
use super::{Store, Tx};
use crate::types::{Fault, Params, RequestId, SessionId, Timestamp};

/// What a waiting request will become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PendingKind {
    Authorize,
    Logout,
}

impl PendingKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Authorize => "authorize",
            Self::Logout => "logout",
        }
    }
}

/// A row of `pending_requests`.
#[derive(Clone, Debug)]
pub struct PendingRequest {
    pub id: RequestId,
    pub kind: PendingKind,
    /// Which browser opened it: a value of its record, not of its cookie.
    pub browser: String,
    /// The parameters as they came.
    pub params: Params,
    /// The account that its user chose.
    pub chosen_session: Option<SessionId>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

row!(
    struct PendingRow {
        params: String,
        chosen_session: Option<String>,
        created_at: i64,
        expires_at: i64,
    }
);

impl Store {
    pub async fn create_pending(&self, request: &PendingRequest) -> Result<(), Fault> {
        const INSERT: &str = "INSERT INTO pending_requests
            (id, kind, browser, params, chosen_session, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let params = serde_json::to_string(request.params.pairs()).map_err(Fault::internal)?;
        on!(self.on(), db => query(INSERT)
            .bind(request.id.to_string())
            .bind(request.kind.as_str())
            .bind(&request.browser)
            .bind(params)
            .bind(request.chosen_session.map(|id| id.to_string()))
            .bind(request.created_at.micros())
            .bind(request.expires_at.micros())
            .execute(db)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// The request, if this browser opened it, and it was not spent and has not expired.
    pub async fn pending(
        &self,
        kind: PendingKind,
        id: RequestId,
        browser: &str,
        now: Timestamp,
    ) -> Result<Option<PendingRequest>, Fault> {
        const SELECT: &str = "SELECT params, chosen_session, created_at, expires_at FROM pending_requests
            WHERE id = $1 AND kind = $2 AND browser = $3 AND expires_at > $4";
        let row: Option<PendingRow> = on!(self.on(), db => query_as(SELECT)
            .bind(id.to_string())
            .bind(kind.as_str())
            .bind(browser)
            .bind(now.micros())
            .fetch_optional(db)
            .await?);
        let Some(row) = row else { return Ok(None) };
        Ok(Some(PendingRequest {
            id,
            kind,
            browser: browser.to_owned(),
            params: Params::from_pairs(serde_json::from_str(&row.params).map_err(Fault::internal)?),
            chosen_session: row.chosen_session.as_deref().and_then(SessionId::parse),
            created_at: Timestamp::from_micros(row.created_at),
            expires_at: Timestamp::from_micros(row.expires_at),
        }))
    }

    /// Notes which of the browser's accounts the user chose for this request; `false` if it was spent or has expired.
    pub async fn choose_session(
        &self,
        request: &PendingRequest,
        session: SessionId,
        now: Timestamp,
    ) -> Result<bool, Fault> {
        const UPDATE: &str = "UPDATE pending_requests SET chosen_session = $5
            WHERE id = $1 AND kind = $2 AND browser = $3 AND expires_at > $4";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(request.id.to_string())
            .bind(request.kind.as_str())
            .bind(&request.browser)
            .bind(now.micros())
            .bind(session.to_string())
            .execute(db)
            .await?
            .rows_affected());
        Ok(rows == 1)
    }
}

impl Tx {
    /// Takes the request away; `false` if somebody else already did.
    pub async fn spend_pending(&mut self, request: &PendingRequest) -> Result<bool, Fault> {
        const DELETE: &str = "DELETE FROM pending_requests WHERE id = $1 AND kind = $2 AND browser = $3";
        let spent = on!(self.on(), db => query(DELETE)
            .bind(request.id.to_string())
            .bind(request.kind.as_str())
            .bind(&request.browser)
            .execute(db)
            .await?
            .rows_affected());
        Ok(spent == 1)
    }
}
