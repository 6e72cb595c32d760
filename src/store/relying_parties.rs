//! The relying parties of a session: the clients that got an ID token in it.
//!
//! Nobody writes them down. They are the redeemed grants of the session, which housekeeping keeps until it has ended
//! (`cleanup`), so that signing in costs nothing more for them.

use std::time::Duration;

use sqlx::{query, query_as};

use super::database::on;
use super::{Store, Tx};
use crate::types::{ClientId, Fault, SessionId, Timestamp};

/// How long it is tried to tell a relying party. Later than that its own session is hardly the same any more.
const TELLING: Duration = Duration::from_secs(24 * 3_600);

/// A registration that has the member: no quotation mark stands bare in a string of JSON. What it says is read when it
/// is needed.
const IS_TOLD: &str = r#"%"backchannel_logout_uri":%"#;

impl Store {
    /// The clients of this session, whether it lives or has just ended.
    pub async fn relying_parties(&self, session: SessionId) -> Result<Vec<ClientId>, Fault> {
        const SELECT: &str = "SELECT DISTINCT client_id FROM grants
            WHERE session_id = $1 AND redeemed_at IS NOT NULL AND (' ' || scope || ' ') LIKE '% openid %'
            ORDER BY client_id";
        let rows: Vec<(String,)> =
            on!(self.on(), db => query_as(SELECT).bind(session.to_string()).fetch_all(db).await?);
        Ok(rows.iter().filter_map(|(id,)| ClientId::parse(id)).collect())
    }
}

impl Tx {
    /// Lets the relying parties of a session know that it has ended, those that want to (OIDC Back-Channel Logout
    /// §2.3). Call it after its grants were updated: a code that is being redeemed has waited for that or been seen.
    pub(super) async fn tell_relying_parties(&mut self, session: SessionId, now: Timestamp) -> Result<(), Fault> {
        const INSERT: &str = "INSERT INTO outbox (id, kind, payload, attempts, next_at, created_at, expires_at)
            SELECT DISTINCT 'logout ' || g.session_id || ' ' || g.client_id, 'logout',
                g.client_id || ' ' || g.session_id || ' ' || g.user_id,
                0, CAST($2 AS BIGINT), CAST($2 AS BIGINT), CAST($3 AS BIGINT)
            FROM grants g JOIN clients c ON c.id = g.client_id
            WHERE g.session_id = $1 AND g.redeemed_at IS NOT NULL AND (' ' || g.scope || ' ') LIKE '% openid %'
              AND c.disabled_at IS NULL AND c.metadata LIKE $4
            ON CONFLICT (id) DO NOTHING";
        let rows = on!(self.on(), db => query(INSERT)
            .bind(session.to_string())
            .bind(now.micros())
            .bind(now.plus(TELLING).micros())
            .bind(IS_TOLD)
            .execute(db)
            .await?
            .rows_affected());
        self.fills_outbox |= rows > 0;
        Ok(())
    }
}
