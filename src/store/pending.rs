//! Requests that wait for their user: bound to the browser that opened them, or, when they were posted across sites and
//! so without its cookie, to the first that comes for them; spent once.

use sqlx::{query, query_as};

use super::database::{on, row};
use super::{Store, Tx};
use crate::types::{Fault, Hint, Params, RequestId, SessionId, Timestamp};

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
    /// Which browser opened it: a value of its record, not of its cookie. Empty while none has come for it yet.
    pub browser: String,
    /// The parameters as they came, those that are read again.
    pub params: Params,
    /// What its `id_token_hint` proved.
    pub hint: Option<Hint>,
    /// The account that its user chose.
    pub chosen_session: Option<SessionId>,
    /// The pushed request that has its answer when this one has: the hash of its reference.
    pub pushed: Option<[u8; 32]>,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

row!(
    struct PendingRow {
        params: String,
        hint: Option<String>,
        chosen_session: Option<String>,
        pushed: Option<Vec<u8>>,
        created_at: i64,
        expires_at: i64,
    }
);

impl PendingRow {
    fn request(self, id: RequestId, kind: PendingKind, browser: &str) -> Result<PendingRequest, Fault> {
        Ok(PendingRequest {
            id,
            kind,
            browser: browser.to_owned(),
            params: Params::from_pairs(serde_json::from_str(&self.params).map_err(Fault::internal)?),
            hint: self.hint.as_deref().map(serde_json::from_str).transpose().map_err(Fault::internal)?,
            chosen_session: self.chosen_session.as_deref().and_then(SessionId::parse),
            pushed: self
                .pushed
                .map(|hash| hash.try_into().map_err(|_| Fault::because("a hash of another length")))
                .transpose()?,
            created_at: Timestamp::from_micros(self.created_at),
            expires_at: Timestamp::from_micros(self.expires_at),
        })
    }
}

impl Store {
    pub async fn create_pending(&self, request: &PendingRequest) -> Result<(), Fault> {
        const INSERT: &str = "INSERT INTO pending_requests
            (id, kind, browser, params, hint, chosen_session, pushed, created_at, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let params = serde_json::to_string(request.params.pairs()).map_err(Fault::internal)?;
        let hint = request.hint.as_ref().map(serde_json::to_string).transpose().map_err(Fault::internal)?;
        on!(self.writing().await?.on(), db => query(INSERT)
            .bind(request.id.to_string())
            .bind(request.kind.as_str())
            .bind(&request.browser)
            .bind(params)
            .bind(hint)
            .bind(request.chosen_session.map(|id| id.to_string()))
            .bind(request.pushed.as_ref().map(|hash| &hash[..]))
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
        const SELECT: &str = "SELECT params, hint, chosen_session, pushed, created_at, expires_at
            FROM pending_requests
            WHERE id = $1 AND kind = $2 AND browser = $3 AND expires_at > $4";
        let row: Option<PendingRow> = on!(self.on(), db => query_as(SELECT)
            .bind(id.to_string())
            .bind(kind.as_str())
            .bind(browser)
            .bind(now.micros())
            .fetch_optional(db)
            .await?);
        row.map(|row| row.request(id, kind, browser)).transpose()
    }

    /// Gives a request that came without a browser to the first that comes for it; `None` if there is none, or another
    /// has it.
    ///
    /// Safe to race: of any number of browsers one gets it.
    pub async fn adopt_pending(
        &self,
        kind: PendingKind,
        id: RequestId,
        browser: &str,
        now: Timestamp,
    ) -> Result<Option<PendingRequest>, Fault> {
        const UPDATE: &str = "UPDATE pending_requests SET browser = $3
            WHERE id = $1 AND kind = $2 AND browser = '' AND expires_at > $4
            RETURNING params, hint, chosen_session, pushed, created_at, expires_at";
        let rows: Vec<PendingRow> = on!(self.writing().await?.on(), db => query_as(UPDATE)
            .bind(id.to_string())
            .bind(kind.as_str())
            .bind(browser)
            .bind(now.micros())
            .fetch_all(db)
            .await?);
        rows.into_iter().next().map(|row| row.request(id, kind, browser)).transpose()
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
        let rows = on!(self.writing().await?.on(), db => query(UPDATE)
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
