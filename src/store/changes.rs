//! The change feed: how one node learns what another did (docs/architecture.md, "The change feed").
//!
//! `changes` is append-only. A change is written in the transaction that makes it true, applied here when that
//! commits, and read by the other nodes in the order of `seq`. Commit order is not that order: a number that is
//! missing is looked for again until it turns up, or until no transaction can be left that might bring it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::anyhow;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sqlx::postgres::PgListener;
use sqlx::{Connection, query_as};
use tokio::time::timeout;

use super::database::{FeedLine, Location, On, on, one_connection, row};
use super::{Store, Tx};
use crate::types::{ClientId, Fault, GrantId, SessionId, Timestamp, TokenId, UserId};

/// How long a change is kept beyond the life of the tokens that it kills: clocks differ, and nodes lag.
const MARGIN: Duration = Duration::from_secs(300);

/// After this no transaction can be left that took a number and has not committed: three times their limit.
const GAP_LIMIT: Duration = Duration::from_secs(60);

/// A change that is older than this by its own `at` has no transaction left under a lower number: `at` is taken when a
/// request comes in, by a clock that may differ from ours.
const SETTLED_AFTER: Duration = Duration::from_secs(900);

/// More missing numbers than this are history that was cleaned away, not transactions under way.
const GAP_MOST: i64 = 10_000;

/// A database that takes longer than this for one reading is as good as away.
const READING_LIMIT: Duration = Duration::from_secs(5);

/// What the nodes tell each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    TokenRevoked(TokenId),
    GrantRevoked(GrantId),
    SessionEnded(SessionId),
    /// Disabled or deleted: every token is dead until further notice.
    UserDisabled(UserId),
    /// Tokens minted before this stay dead.
    UserEnabled(UserId),
    /// Somebody is in a group no more: tokens minted before this stay dead, for they may tell of it.
    GroupLeft(UserId),
    /// Disabled or deleted.
    ClientDisabled(ClientId),
    /// Registered or enabled. An id that is used again inherits nothing.
    ClientEnabled(ClientId),
    /// Its registration is another now; its tokens live on.
    ClientChanged(ClientId),
    /// Its person has proved again who they are.
    SessionChanged(SessionId),
    ConsentWithdrawn(UserId, ClientId),
    /// The cookie of a browser names nothing any more: SHA-256 of its value.
    BrowserForgotten([u8; 32]),
    /// A personal access token or an API key is none any more: SHA-256 of it.
    ApiTokenEnded([u8; 32]),
    KeysChanged,
    ResourcesChanged,
    AuthorizationTypesChanged,
}

impl Change {
    fn to_columns(&self) -> (&'static str, String) {
        match self {
            Self::TokenRevoked(id) => ("token_revoked", id.to_string()),
            Self::GrantRevoked(id) => ("grant_revoked", id.to_string()),
            Self::SessionEnded(id) => ("session_ended", id.to_string()),
            Self::UserDisabled(id) => ("user_disabled", id.to_string()),
            Self::UserEnabled(id) => ("user_enabled", id.to_string()),
            Self::GroupLeft(id) => ("group_left", id.to_string()),
            Self::ClientDisabled(id) => ("client_disabled", id.to_string()),
            Self::ClientEnabled(id) => ("client_enabled", id.to_string()),
            Self::ClientChanged(id) => ("client_changed", id.to_string()),
            Self::SessionChanged(id) => ("session_changed", id.to_string()),
            Self::ConsentWithdrawn(user, client) => ("consent_withdrawn", format!("{user} {client}")),
            Self::BrowserForgotten(hash) => ("browser_forgotten", URL_SAFE_NO_PAD.encode(hash)),
            Self::ApiTokenEnded(hash) => ("api_token_ended", URL_SAFE_NO_PAD.encode(hash)),
            Self::KeysChanged => ("keys_changed", String::new()),
            Self::ResourcesChanged => ("resources_changed", String::new()),
            Self::AuthorizationTypesChanged => ("authorization_types_changed", String::new()),
        }
    }

    /// `None` for what a newer version wrote and this one does not know.
    fn from_columns(kind: &str, id: &str) -> Option<Self> {
        Some(match kind {
            "token_revoked" => Self::TokenRevoked(TokenId::parse(id)?),
            "grant_revoked" => Self::GrantRevoked(GrantId::parse(id)?),
            "session_ended" => Self::SessionEnded(SessionId::parse(id)?),
            "user_disabled" => Self::UserDisabled(UserId::parse(id)?),
            "user_enabled" => Self::UserEnabled(UserId::parse(id)?),
            "group_left" => Self::GroupLeft(UserId::parse(id)?),
            "client_disabled" => Self::ClientDisabled(ClientId::parse(id)?),
            "client_enabled" => Self::ClientEnabled(ClientId::parse(id)?),
            "client_changed" => Self::ClientChanged(ClientId::parse(id)?),
            "session_changed" => Self::SessionChanged(SessionId::parse(id)?),
            "consent_withdrawn" => {
                let (user, client) = id.split_once(' ')?;
                Self::ConsentWithdrawn(UserId::parse(user)?, ClientId::parse(client)?)
            }
            "browser_forgotten" => Self::BrowserForgotten(URL_SAFE_NO_PAD.decode(id).ok()?.try_into().ok()?),
            "api_token_ended" => Self::ApiTokenEnded(URL_SAFE_NO_PAD.decode(id).ok()?.try_into().ok()?),
            "keys_changed" => Self::KeysChanged,
            "resources_changed" => Self::ResourcesChanged,
            "authorization_types_changed" => Self::AuthorizationTypesChanged,
            _ => return None,
        })
    }
}

/// A change with its place in the feed.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub seq: i64,
    pub change: Change,
    pub at: Timestamp,
    pub expires_at: Timestamp,
}

impl Tx {
    /// Writes a change into this transaction; `commit` applies it here and wakes the others.
    pub(super) async fn record(&mut self, change: Change, at: Timestamp) -> Result<(), Fault> {
        const INSERT: &str = "INSERT INTO changes (kind, id, at, expires_at) VALUES ($1, $2, $3, $4) RETURNING seq";
        let expires_at = at.plus(self.store.feed_is_kept_for());
        let (kind, id) = change.to_columns();
        let rows: Vec<(i64,)> = on!(self.on(), db => query_as(INSERT)
            .bind(kind)
            .bind(id)
            .bind(at.micros())
            .bind(expires_at.micros())
            .fetch_all(db)
            .await?);
        let (seq,) = rows.first().ok_or_else(|| Fault::because("the change feed gave no number"))?;
        self.remember(Entry { seq: *seq, change, at, expires_at });
        Ok(())
    }
}

/// Who reads the feed, and how far.
#[derive(Default)]
pub(super) struct Reader {
    position: Option<Position>,
    line: Option<FeedLine>,
}

impl Reader {
    pub(super) async fn hang_up(&mut self) {
        if let Some(On::Postgres(line)) = self.line.take() {
            // Whoever is away need not be told.
            let _ = line.close().await;
        }
    }
}

/// How far this node has read.
struct Position {
    /// The highest number seen.
    high: i64,
    /// Numbers below it that have not turned up, and when each was first missed.
    gaps: BTreeMap<i64, Timestamp>,
    read_at: Timestamp,
}

impl Position {
    /// Whether it was new. To apply it again would empty the caches again.
    fn saw(&mut self, seq: i64, now: Timestamp) -> bool {
        for missing in (self.high + 1).max(seq - GAP_MOST)..seq {
            self.gaps.insert(missing, now);
        }
        let is_new = self.gaps.remove(&seq).is_some() || seq > self.high;
        self.high = self.high.max(seq);
        is_new
    }

    fn missing(&self) -> Vec<i64> {
        self.gaps.keys().copied().collect()
    }

    fn forget_old_gaps(&mut self, now: Timestamp) {
        self.gaps.retain(|_, missed_at| now.since(*missed_at) < GAP_LIMIT);
    }
}

row!(
    struct ChangeRow {
        seq: i64,
        kind: String,
        id: String,
        at: i64,
        expires_at: i64,
    }
);

impl ChangeRow {
    fn entry(&self) -> Option<Entry> {
        Some(Entry {
            seq: self.seq,
            change: Change::from_columns(&self.kind, &self.id)?,
            at: Timestamp::from_micros(self.at),
            expires_at: Timestamp::from_micros(self.expires_at),
        })
    }
}

impl Store {
    /// Reads what is new in the feed and applies it: the live set of what is revoked, and the caches.
    ///
    /// # Errors
    /// When the database is away; what was known stays known.
    pub async fn read_changes(&self) -> Result<(), Fault> {
        self.read(&mut *self.reader().lock().await).await
    }

    async fn read(&self, reader: &mut Reader) -> Result<(), Fault> {
        let silent = |_| Fault::unavailable(anyhow!("the database was silent for {READING_LIMIT:?}"));
        let read = timeout(READING_LIMIT, self.read_from(reader)).await.map_err(silent).flatten();
        if read.is_err() {
            self.failed_readings().fetch_add(1, Ordering::AcqRel);
        }
        read
    }

    async fn read_from(&self, reader: &mut Reader) -> Result<(), Fault> {
        const AFTER: &str = "SELECT seq, kind, id, at, expires_at FROM changes WHERE seq > $1 ORDER BY seq";
        // Taken before the query: what commits while it runs is read the next time.
        let now = self.now();
        let away_too_long = |position: &Position| now.since(position.read_at) >= self.feed_is_kept_for();
        if reader.position.as_ref().is_some_and(away_too_long) {
            // Changes that this node never read may be gone by now: begin anew, and believe nothing that it remembers.
            reader.position = None;
            self.forget_caches();
        }
        // Given back when all is read: one that failed, or fell silent, is not used again.
        let mut line = self.database().line(reader.line.take()).await?;
        let position = match &mut reader.position {
            Some(position) => position,
            unread => unread.insert(self.starting_position(&mut line, now).await?),
        };
        let late = missing_changes(&mut line, &position.missing()).await?;
        let rows: Vec<ChangeRow> = on!(line.on(), db => query_as(AFTER).bind(position.high).fetch_all(db).await?);
        for row in late.iter().chain(&rows) {
            if position.saw(row.seq, now) {
                row.entry().inspect(|entry| self.apply(entry));
            }
        }
        position.forget_old_gaps(now);
        position.read_at = now;
        reader.line = Some(line);
        if !self.lacks_keys() {
            self.live().was_read(now);
        }
        Ok(())
    }

    /// How long changes are kept at the least.
    fn feed_is_kept_for(&self) -> Duration {
        self.token_ceiling() + MARGIN
    }

    /// Loads what is still in force, and places the reader before everything that may yet commit.
    async fn starting_position(&self, line: &mut FeedLine, now: Timestamp) -> Result<Position, Fault> {
        // The rest empties caches, and those of a node that starts are empty.
        const IN_FORCE: &str = "SELECT seq, kind, id, at, expires_at FROM changes WHERE expires_at > $1
              AND kind NOT IN ('client_changed', 'session_changed', 'consent_withdrawn', 'browser_forgotten',
                  'keys_changed', 'resources_changed', 'authorization_types_changed')
            ORDER BY seq";
        const SETTLED: &str = "SELECT COALESCE(MAX(seq), 0) FROM changes WHERE at < $1";
        let settled_before = now.minus(SETTLED_AFTER).micros();
        let (high,): (i64,) = on!(line.on(), db => query_as(SETTLED).bind(settled_before).fetch_one(db).await?);
        let rows: Vec<ChangeRow> = on!(line.on(), db => query_as(IN_FORCE).bind(now.micros()).fetch_all(db).await?);
        rows.iter().filter_map(ChangeRow::entry).for_each(|entry| self.apply(&entry));
        Ok(Position { high, gaps: BTreeMap::new(), read_at: now })
    }

    /// Reads the feed now if this node has not done so for longer than it may vouch for tokens. Of many who ask at
    /// once one reads, and the others have its answer.
    ///
    /// # Errors
    /// When the database is away: better no answer than a revoked token called active.
    pub async fn ensure_fresh(&self) -> Result<(), Fault> {
        if self.is_fresh() {
            return Ok(());
        }
        let (asked_at, failed) = (self.now(), self.failed_readings().load(Ordering::Acquire));
        let mut reader = self.reader().lock().await;
        if self.is_fresh() {
            return Ok(());
        }
        // A reading that began after the question has the answer, however long it took.
        if reader.position.as_ref().is_none_or(|position| position.read_at < asked_at) {
            if self.failed_readings().load(Ordering::Acquire) != failed {
                return Err(Fault::unavailable(anyhow!("the change feed could not be read a moment ago")));
            }
            self.read(&mut reader).await?;
        }
        // Whoever loads the keys reads first.
        drop(reader);
        self.wait_for_keys().await
    }

    /// Whether what this node remembers can be believed.
    pub(super) fn is_fresh(&self) -> bool {
        self.live().is_fresh(self.now(), self.max_staleness())
    }

    /// Begins to listen for what other processes say that they changed; on SQLite, which has no way to say so, in vain.
    ///
    /// # Errors
    /// When the database gives no connection in time.
    pub async fn listener(&self) -> Result<Listener, Fault> {
        let Location::Postgres(url) = self.location() else { return Ok(Listener(None)) };
        let patience = self.acquire_timeout();
        let listening = async {
            let mut listener = PgListener::connect_with(&one_connection(url, patience).await?).await?;
            // It would listen again by itself, and tell nobody that it missed something.
            listener.eager_reconnect(false);
            listener.listen(CHANNEL).await?;
            Ok::<_, Fault>(Listener(Some(listener)))
        };
        let silent = |_| Fault::unavailable(anyhow!("the database let nobody listen within {patience:?}"));
        timeout(patience, listening).await.map_err(silent).flatten()
    }
}

/// Those of the numbers that have turned up by now. SQLite has one writer at a time: there none comes late.
async fn missing_changes(line: &mut FeedLine, missing: &[i64]) -> Result<Vec<ChangeRow>, Fault> {
    const LATE: &str = "SELECT seq, kind, id, at, expires_at FROM changes WHERE seq = ANY($1)";
    Ok(match line.on() {
        On::Postgres(db) if !missing.is_empty() => query_as(LATE).bind(missing).fetch_all(db).await?,
        _ => Vec::new(),
    })
}

/// The channel of `NOTIFY`.
pub(super) const CHANNEL: &str = "grantor_changes";

/// Hears of changes by other processes as they commit.
pub struct Listener(Option<PgListener>);

impl Listener {
    /// Waits until another process says that it changed something; for ever on SQLite.
    ///
    /// # Errors
    /// When the connection is lost: listen anew, and then read what was missed.
    pub async fn heard(&mut self) -> Result<(), Fault> {
        match &mut self.0 {
            Some(listener) => match listener.try_recv().await? {
                Some(_) => Ok(()),
                None => Err(Fault::unavailable(anyhow!("the connection that listens is lost"))),
            },
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_number_is_looked_for_until_it_cannot_come_any_more() {
        let start = Timestamp::from_secs(1_000);
        let mut position = Position { high: 10, gaps: BTreeMap::new(), read_at: start };
        assert!(position.saw(11, start) && position.saw(14, start));
        assert_eq!(position.missing(), [12, 13]);

        assert!(position.saw(12, start) && !position.saw(12, start) && !position.saw(14, start));
        assert_eq!((position.high, position.missing()), (14, vec![13]));

        position.forget_old_gaps(start.plus(GAP_LIMIT - Duration::from_secs(1)));
        assert_eq!(position.missing(), [13]);
        position.forget_old_gaps(start.plus(GAP_LIMIT));
        assert!(position.missing().is_empty());
    }

    #[test]
    fn a_change_is_read_as_it_was_written() {
        let id = "01890a5d-ac96-774b-bcce-b302099a8057";
        for change in [
            Change::TokenRevoked(TokenId::parse(id).unwrap()),
            Change::UserEnabled(UserId::parse(id).unwrap()),
            Change::ClientChanged(ClientId::parse("web").unwrap()),
            Change::ConsentWithdrawn(UserId::parse(id).unwrap(), ClientId::parse("web.app").unwrap()),
            Change::BrowserForgotten([0xfe; 32]),
            Change::KeysChanged,
        ] {
            let (kind, id) = change.to_columns();
            assert_eq!(Change::from_columns(kind, &id), Some(change));
        }
        assert_eq!(Change::from_columns("of_the_future", id), None);
    }
}
