//! Sign-ins.

use std::time::Duration;

use sqlx::{query, query_as};

use super::changes::Change;
use super::database::{on, row};
use super::{Store, Tx};
use crate::types::{Authentication, Fault, GrantId, Session, SessionId, Timestamp, User, UserId};

/// What ends together with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its user signed out, or it expired: grants with `offline_access` go on (OIDC Back-Channel Logout §2.7).
    SignOut,
    /// It was ended from a list or by an administrator: everything under it goes.
    Everything,
}

row!(
    struct SessionRow {
        id: String,
        user_id: String,
        authenticated_at: i64,
        methods: String,
        device: String,
        created_at: i64,
        seen_at: i64,
        idle_expires_at: i64,
        expires_at: i64,
    }
);

impl TryFrom<SessionRow> for Session {
    type Error = Fault;

    fn try_from(row: SessionRow) -> Result<Self, Fault> {
        let broken = || Fault::because("a stored session has an id that is not a UUID");
        Ok(Self {
            id: SessionId::parse(&row.id).ok_or_else(broken)?,
            user: UserId::parse(&row.user_id).ok_or_else(broken)?,
            authentication: Authentication {
                at: Timestamp::from_micros(row.authenticated_at),
                methods: serde_json::from_str(&row.methods).map_err(Fault::internal)?,
            },
            device: row.device,
            created_at: Timestamp::from_micros(row.created_at),
            seen_at: Timestamp::from_micros(row.seen_at),
            idle_expires_at: Timestamp::from_micros(row.idle_expires_at),
            expires_at: Timestamp::from_micros(row.expires_at),
        })
    }
}

impl Store {
    /// The session, if it has not ended, by whatever cause, and its user may still sign in.
    pub async fn session(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, Fault> {
        const SELECT: &str = "SELECT id, user_id, authenticated_at, methods, device, created_at, seen_at,
                idle_expires_at, expires_at FROM sessions
            WHERE id = $1 AND ended_at IS NULL AND idle_expires_at > $2 AND expires_at > $2
              AND EXISTS (SELECT 1 FROM users WHERE users.id = sessions.user_id AND users.disabled_at IS NULL)";
        let row: Option<SessionRow> = on!(self.on(), db => query_as(SELECT)
            .bind(id.to_string()).bind(now.micros()).fetch_optional(db).await?);
        row.map(Session::try_from).transpose()
    }

    /// The living session, and whose it is.
    pub async fn signed_in(&self, id: SessionId, now: Timestamp) -> Result<Option<(Session, User)>, Fault> {
        let Some(session) = self.session(id, now).await? else { return Ok(None) };
        Ok(self.user(session.user).await?.map(|user| (session, user)))
    }

    /// The living sessions of a user, the last used first.
    pub async fn sessions_of(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, Fault> {
        const SELECT: &str = "SELECT id, user_id, authenticated_at, methods, device, created_at, seen_at,
                idle_expires_at, expires_at FROM sessions
            WHERE user_id = $1 AND ended_at IS NULL AND idle_expires_at > $2 AND expires_at > $2
            ORDER BY seen_at DESC";
        let rows: Vec<SessionRow> = on!(self.on(), db => query_as(SELECT)
            .bind(user.to_string()).bind(now.micros()).fetch_all(db).await?);
        rows.into_iter().map(Session::try_from).collect()
    }

    /// Keeps a session in use alive; a write every few minutes at most.
    pub async fn use_session(&self, session: &Session, idle: Duration, now: Timestamp) -> Result<(), Fault> {
        if now.since(session.seen_at) < (idle / 20).min(Duration::from_secs(300)) {
            return Ok(());
        }
        self.touch_session(session.id, now, now.plus(idle).min(session.expires_at)).await
    }

    /// Notes that a session is in use. It never comes back to life by that.
    pub async fn touch_session(&self, id: SessionId, now: Timestamp, idle_expires_at: Timestamp) -> Result<(), Fault> {
        const UPDATE: &str = "UPDATE sessions SET seen_at = $2, idle_expires_at = $3
            WHERE id = $1 AND ended_at IS NULL AND idle_expires_at > $2 AND seen_at < $2";
        on!(self.writing().await?.on(), db => query(UPDATE)
            .bind(id.to_string())
            .bind(now.micros())
            .bind(idle_expires_at.micros())
            .execute(db)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Sessions that have expired and still count as open, a few at a time.
    pub async fn expired_sessions(&self, now: Timestamp) -> Result<Vec<SessionId>, Fault> {
        const SELECT: &str = "SELECT id FROM sessions
            WHERE ended_at IS NULL AND (idle_expires_at <= $1 OR expires_at <= $1) LIMIT 100";
        let rows: Vec<(String,)> = on!(self.on(), db => query_as(SELECT).bind(now.micros()).fetch_all(db).await?);
        Ok(rows.iter().filter_map(|(id,)| SessionId::parse(id)).collect())
    }
}

impl Tx {
    pub async fn create_session(&mut self, session: &Session) -> Result<(), Fault> {
        const INSERT: &str =
            "INSERT INTO sessions (id, user_id, authenticated_at, methods, device, created_at, seen_at,
                idle_expires_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        let methods = serde_json::to_string(&session.authentication.methods).map_err(Fault::internal)?;
        on!(self.on(), db => query(INSERT)
            .bind(session.id.to_string())
            .bind(session.user.to_string())
            .bind(session.authentication.at.micros())
            .bind(methods)
            .bind(&session.device)
            .bind(session.created_at.micros())
            .bind(session.seen_at.micros())
            .bind(session.idle_expires_at.micros())
            .bind(session.expires_at.micros())
            .execute(db)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Writes a new authentication of the same person into their session; `false` if it has ended meanwhile.
    pub async fn renew_session(&mut self, session: &Session) -> Result<bool, Fault> {
        const UPDATE: &str = "UPDATE sessions SET authenticated_at = $3, methods = $4, seen_at = $3,
                idle_expires_at = $5, expires_at = $6
            WHERE id = $1 AND user_id = $2 AND ended_at IS NULL AND idle_expires_at > $3 AND expires_at > $3";
        let methods = serde_json::to_string(&session.authentication.methods).map_err(Fault::internal)?;
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(session.id.to_string())
            .bind(session.user.to_string())
            .bind(session.authentication.at.micros())
            .bind(methods)
            .bind(session.idle_expires_at.micros())
            .bind(session.expires_at.micros())
            .execute(db)
            .await?
            .rows_affected());
        Ok(rows == 1)
    }

    /// Ends a session and what hangs on it; `false` if it had ended before.
    pub async fn end_session(&mut self, id: SessionId, ending: Ending, now: Timestamp) -> Result<bool, Fault> {
        const SESSION: &str = "UPDATE sessions SET ended_at = $2 WHERE id = $1 AND ended_at IS NULL";
        const FOLLOWING: &str = "UPDATE grants SET revoked_at = $2, revoked_because = 'session_ended'
            WHERE session_id = $1 AND revoked_at IS NULL AND NOT offline";
        const OFFLINE: &str = "UPDATE grants SET revoked_at = $2, revoked_because = 'session_ended'
            WHERE session_id = $1 AND revoked_at IS NULL AND offline RETURNING id";
        let rows = on!(self.on(), db => query(SESSION)
            .bind(id.to_string()).bind(now.micros()).execute(db).await?.rows_affected());
        if rows == 0 {
            return Ok(false);
        }
        on!(self.on(), db => query(FOLLOWING)
            .bind(id.to_string()).bind(now.micros()).execute(db).await.map(|_| ()))?;
        self.record(Change::SessionEnded(id), now).await?;
        if ending == Ending::Everything {
            // Their tokens do not carry the session, so each grant is told of by itself.
            let offline: Vec<(String,)> = on!(self.on(), db => query_as(OFFLINE)
                .bind(id.to_string()).bind(now.micros()).fetch_all(db).await?);
            for grant in offline.iter().filter_map(|(id,)| GrantId::parse(id)) {
                self.record(Change::GrantRevoked(grant), now).await?;
            }
        }
        Ok(true)
    }

    /// Ends every session of a user, and every grant.
    pub async fn end_sessions_of(&mut self, user: UserId, now: Timestamp) -> Result<(), Fault> {
        // All sessions, then all grants: the order in which every transaction takes its rows.
        const SESSIONS: &str = "UPDATE sessions SET ended_at = $2 WHERE user_id = $1 AND ended_at IS NULL RETURNING id";
        const GRANTS: &str = "UPDATE grants SET revoked_at = $2, revoked_because = 'session_ended'
            WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 RETURNING id";
        let sessions: Vec<(String,)> = on!(self.on(), db => query_as(SESSIONS)
            .bind(user.to_string()).bind(now.micros()).fetch_all(db).await?);
        let grants: Vec<(String,)> = on!(self.on(), db => query_as(GRANTS)
            .bind(user.to_string()).bind(now.micros()).fetch_all(db).await?);
        for session in sessions.iter().filter_map(|(id,)| SessionId::parse(id)) {
            self.record(Change::SessionEnded(session), now).await?;
        }
        for grant in grants.iter().filter_map(|(id,)| GrantId::parse(id)) {
            self.record(Change::GrantRevoked(grant), now).await?;
        }
        Ok(())
    }
}
