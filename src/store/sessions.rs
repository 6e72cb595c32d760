//! Sign-ins.

use std::time::Duration;

use serde::Serialize;
use sqlx::{PgConnection, PgPool, SqliteConnection, query, query_as};

use super::changes::Change;
use super::database::{on, row};
use super::writer::{Failed, Job, Written, all, each, here, json};
use super::{Store, Tx};
use crate::types::{Authentication, ClientId, Fault, GrantId, Session, SessionId, Timestamp, User, UserId};

/// What ends together with a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Its user signed out: grants with `offline_access` go on (OIDC Back-Channel Logout §2.7).
    SignOut,
    /// As `SignOut`, but only if it has expired by now: it may have been used in the meantime.
    Expiry,
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
        address: Option<String>,
        remembered: bool,
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
            address: row.address.and_then(|address| address.parse().ok()),
            remembered: row.remembered,
            created_at: Timestamp::from_micros(row.created_at),
            seen_at: Timestamp::from_micros(row.seen_at),
            idle_expires_at: Timestamp::from_micros(row.idle_expires_at),
            expires_at: Timestamp::from_micros(row.expires_at),
        })
    }
}

/// A session was in use.
#[derive(Serialize)]
pub(super) struct Mark {
    session: String,
    seen_at: i64,
    idle_expires_at: i64,
}

impl Job for Mark {
    type Done = ();

    /// Nobody waits for it at all.
    const FLUSHED: bool = false;

    fn row(&self) -> &str {
        &self.session
    }

    async fn write_many(line: &mut PgConnection, marks: &[Self]) -> Result<Vec<Written<()>>, Failed> {
        // A session never comes back to life by that.
        const MARK_MANY: &str = "WITH free AS MATERIALIZED (
                SELECT id FROM sessions WHERE id = ANY($1::TEXT[]) FOR NO KEY UPDATE SKIP LOCKED)
            UPDATE sessions SET seen_at = mark.seen_at, idle_expires_at = mark.idle_expires_at
            FROM free, UNNEST($1::TEXT[], $2::BIGINT[], $3::BIGINT[]) AS mark (session_id, seen_at, idle_expires_at)
            WHERE sessions.id = free.id AND mark.session_id = free.id AND ended_at IS NULL
              AND sessions.idle_expires_at > mark.seen_at AND sessions.seen_at < mark.seen_at";
        query(MARK_MANY)
            .bind(each(marks, |mark| mark.session.as_str()))
            .bind(each(marks, |mark| mark.seen_at))
            .bind(each(marks, |mark| mark.idle_expires_at))
            .execute(line)
            .await?;
        Ok(all(marks))
    }

    /// Who holds the row now uses the session as well, or ends it.
    async fn write_one(&self, _: &PgPool) -> Result<Option<()>, Failed> {
        Ok(None)
    }

    async fn write_here(line: &mut SqliteConnection, marks: &[Self]) -> Result<Vec<Written<()>>, Failed> {
        const MARK_HERE: &str = "UPDATE sessions SET seen_at = mark.seen_at, idle_expires_at = mark.idle_expires_at
            FROM (SELECT value ->> 'session' AS session_id, value ->> 'seen_at' AS seen_at,
                    value ->> 'idle_expires_at' AS idle_expires_at FROM jsonb_each($1)) AS mark
            WHERE sessions.id = mark.session_id AND ended_at IS NULL
              AND sessions.idle_expires_at > mark.seen_at AND sessions.seen_at < mark.seen_at";
        query(here::<Self>(MARK_HERE)).bind(json(marks)?).execute(line).await?;
        Ok(all(marks))
    }
}

impl Store {
    /// As `session`, from memory once it was read: for a moment it may have ended on another node.
    pub async fn remembered_session(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, Fault> {
        let lives = |session: &Session| session.idle_expires_at > now && session.expires_at > now;
        match self.remembered(&self.caches().sessions, &id).filter(lives) {
            Some(session) => Ok(Some(session)),
            None => self.session(id, now).await,
        }
    }

    /// The session, if it has not ended, by whatever cause, and its user may still sign in.
    pub async fn session(&self, id: SessionId, now: Timestamp) -> Result<Option<Session>, Fault> {
        const SELECT: &str =
            "SELECT id, user_id, authenticated_at, methods, device, address, remembered, created_at, seen_at,
                idle_expires_at, expires_at FROM sessions
            WHERE id = $1 AND ended_at IS NULL AND idle_expires_at > $2 AND expires_at > $2
              AND EXISTS (SELECT 1 FROM users WHERE users.id = sessions.user_id AND users.disabled_at IS NULL)";
        let epoch = self.caches().sessions.epoch();
        let row: Option<SessionRow> = on!(self.on(), db => query_as(SELECT)
            .bind(id.to_string()).bind(now.micros()).fetch_optional(db).await?);
        let session = row.map(Session::try_from).transpose()?;
        if let Some(session) = &session {
            self.caches().sessions.fill(&epoch, id, session.clone());
        }
        Ok(session)
    }

    /// The living session, and whose it is.
    pub async fn signed_in(&self, id: SessionId, now: Timestamp) -> Result<Option<(Session, User)>, Fault> {
        let Some(session) = self.session(id, now).await? else { return Ok(None) };
        Ok(self.user(session.user).await?.map(|user| (session, user)))
    }

    /// The living sessions of a user, the last used first.
    pub async fn sessions_of(&self, user: UserId, now: Timestamp) -> Result<Vec<Session>, Fault> {
        const SELECT: &str =
            "SELECT id, user_id, authenticated_at, methods, device, address, remembered, created_at, seen_at,
                idle_expires_at, expires_at FROM sessions
            WHERE user_id = $1 AND ended_at IS NULL AND idle_expires_at > $2 AND expires_at > $2
            ORDER BY seen_at DESC";
        let rows: Vec<SessionRow> = on!(self.on(), db => query_as(SELECT)
            .bind(user.to_string()).bind(now.micros()).fetch_all(db).await?);
        rows.into_iter().map(Session::try_from).collect()
    }

    /// Keeps a session in use alive: every few minutes it is noted, and nobody waits until that is written.
    pub fn use_session(&self, session: &Session, idle: Duration, now: Timestamp) {
        if now.since(session.seen_at) < (idle / 20).min(Duration::from_secs(300)) {
            return;
        }
        let idle_expires_at = |session: &Session| now.plus(idle).min(session.expires_at);
        self.caches().sessions.change(session.id, |remembered| {
            (remembered.seen_at, remembered.idle_expires_at) = (now, idle_expires_at(remembered));
        });
        let (id, idle_expires_at) = (session.id.to_string(), idle_expires_at(session).micros());
        self.writers().marks.post(Mark { session: id, seen_at: now.micros(), idle_expires_at });
    }

    /// Of these sessions the one in which a client was used last, by what was allowed to it.
    pub async fn last_used(&self, client: &ClientId, sessions: &[SessionId]) -> Result<Option<SessionId>, Fault> {
        const SELECT: &str = "SELECT created_at FROM grants WHERE session_id = $1 AND client_id = $2
            ORDER BY created_at DESC LIMIT 1";
        let mut last = None;
        for session in sessions {
            let row: Option<(i64,)> = on!(self.on(), db => query_as(SELECT)
                .bind(session.to_string()).bind(client.as_str()).fetch_optional(db).await?);
            last = last.max(row.map(|(at,)| (at, *session)));
        }
        Ok(last.map(|(_, session)| session))
    }

    /// Users who are signed in somewhere, or whose grants are good, a few at a time.
    pub async fn users_with_access(&self, now: Timestamp) -> Result<Vec<UserId>, Fault> {
        const SELECT: &str = "SELECT user_id FROM sessions WHERE ended_at IS NULL
            UNION SELECT user_id FROM grants WHERE revoked_at IS NULL AND expires_at > $1 LIMIT 100";
        let rows: Vec<(String,)> = on!(self.on(), db => query_as(SELECT).bind(now.micros()).fetch_all(db).await?);
        Ok(rows.iter().filter_map(|(id,)| UserId::parse(id)).collect())
    }

    /// Sessions that have expired and still count as open, a few at a time. None idles beyond its end.
    pub async fn expired_sessions(&self, now: Timestamp) -> Result<Vec<SessionId>, Fault> {
        const SELECT: &str = "SELECT id FROM sessions
            WHERE ended_at IS NULL AND idle_expires_at <= $1 LIMIT 100";
        let rows: Vec<(String,)> = on!(self.on(), db => query_as(SELECT).bind(now.micros()).fetch_all(db).await?);
        Ok(rows.iter().filter_map(|(id,)| SessionId::parse(id)).collect())
    }
}

impl Tx {
    pub async fn create_session(&mut self, session: &Session) -> Result<(), Fault> {
        const INSERT: &str =
            "INSERT INTO sessions (id, user_id, authenticated_at, methods, device, address, remembered, created_at, seen_at,
                idle_expires_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        let methods = serde_json::to_string(&session.authentication.methods).map_err(Fault::internal)?;
        on!(self.on(), db => query(INSERT)
            .bind(session.id.to_string())
            .bind(session.user.to_string())
            .bind(session.authentication.at.micros())
            .bind(methods)
            .bind(&session.device)
            .bind(session.address.map(|address| address.to_string()))
            .bind(session.remembered)
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
        // Another provider may have authenticated them long before they come here with that.
        const UPDATE: &str = "UPDATE sessions SET authenticated_at = $3, methods = $4, seen_at = $9,
                idle_expires_at = $5, expires_at = $6, address = $7, remembered = $8
            WHERE id = $1 AND user_id = $2 AND ended_at IS NULL AND idle_expires_at > $9 AND expires_at > $9";
        let methods = serde_json::to_string(&session.authentication.methods).map_err(Fault::internal)?;
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(session.id.to_string())
            .bind(session.user.to_string())
            .bind(session.authentication.at.micros())
            .bind(methods)
            .bind(session.idle_expires_at.micros())
            .bind(session.expires_at.micros())
            .bind(session.address.map(|address| address.to_string()))
            .bind(session.remembered)
            .bind(session.seen_at.micros())
            .execute(db)
            .await?
            .rows_affected());
        if rows == 1 {
            self.record(Change::SessionChanged(session.id), session.seen_at).await?;
        }
        Ok(rows == 1)
    }

    /// Ends a session and what hangs on it; `false` if it had ended before, or was to expire and has not.
    pub async fn end_session(&mut self, id: SessionId, ending: Ending, now: Timestamp) -> Result<bool, Fault> {
        const SESSION: &str = "UPDATE sessions SET ended_at = $2
            WHERE id = $1 AND ended_at IS NULL AND idle_expires_at <= $3";
        // A code that nobody has redeemed by now is worth nothing any more, and whoever is redeeming one is waited for.
        const FOLLOWING: &str = "UPDATE grants SET revoked_at = $2, revoked_because = 'session_ended'
            WHERE session_id = $1 AND revoked_at IS NULL AND (NOT offline OR redeemed_at IS NULL)";
        const OFFLINE: &str = "UPDATE grants SET revoked_at = $2, revoked_because = 'session_ended'
            WHERE session_id = $1 AND revoked_at IS NULL AND offline RETURNING id";
        let idle_until = if ending == Ending::Expiry { now.micros() } else { i64::MAX };
        let rows = on!(self.on(), db => query(SESSION)
            .bind(id.to_string()).bind(now.micros()).bind(idle_until).execute(db).await?.rows_affected());
        if !self.has_ended(rows) {
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
        // Nobody has signed out when a session expires, and they may be at work in the application.
        if ending != Ending::Expiry {
            self.tell_relying_parties(id, now).await?;
        }
        Ok(true)
    }

    /// Ends every session of a user, and every grant; or all but one session and what hangs on it.
    pub async fn end_sessions_of(
        &mut self,
        user: UserId,
        kept: Option<SessionId>,
        now: Timestamp,
    ) -> Result<(), Fault> {
        // All sessions, then all grants: the order in which every transaction takes its rows.
        const GRANTS: &str = "UPDATE grants SET revoked_at = $2, revoked_because = 'session_ended'
            WHERE user_id = $1 AND revoked_at IS NULL AND expires_at > $2 AND session_id <> $3 RETURNING id";
        let sessions = self.close_sessions_of(user, kept, now).await?;
        let grants: Vec<(String,)> = on!(self.on(), db => query_as(GRANTS)
            .bind(user.to_string())
            .bind(now.micros())
            .bind(id_or_none(kept))
            .fetch_all(db)
            .await?);
        for session in sessions {
            self.record(Change::SessionEnded(session), now).await?;
            self.tell_relying_parties(session, now).await?;
        }
        for grant in grants.iter().filter_map(|(id,)| GrantId::parse(id)) {
            self.record(Change::GrantRevoked(grant), now).await?;
        }
        Ok(())
    }

    /// Ends the open sessions of a user, or all but one, and nothing yet of what hangs on them.
    pub(super) async fn close_sessions_of(
        &mut self,
        user: UserId,
        kept: Option<SessionId>,
        now: Timestamp,
    ) -> Result<Vec<SessionId>, Fault> {
        const UPDATE: &str = "UPDATE sessions SET ended_at = $2
            WHERE user_id = $1 AND ended_at IS NULL AND id <> $3 RETURNING id";
        let rows: Vec<(String,)> = on!(self.on(), db => query_as(UPDATE)
            .bind(user.to_string())
            .bind(now.micros())
            .bind(id_or_none(kept))
            .fetch_all(db)
            .await?);
        self.forget_sign_ins_of(user).await?;
        Ok(rows.iter().filter_map(|(id,)| SessionId::parse(id)).collect())
    }
}

/// What no row has for an id stands for none.
fn id_or_none(session: Option<SessionId>) -> String {
    session.map(|id| id.to_string()).unwrap_or_default()
}
