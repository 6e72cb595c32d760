//! One query text, two databases: the `on!` macro runs the same expression on either.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use sqlx::error::DatabaseError;
use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool, Transaction};
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::lines::{Line, Lines};
use crate::types::Fault;

/// The same kind of thing (a pool, a connection, a transaction) of one database or the other.
#[derive(Clone, Copy)]
pub(super) enum On<P, S> {
    Postgres(P),
    Sqlite(S),
}

/// Runs one expression on whichever database it is: `on!(target, db => query.fetch_all(db).await)`.
macro_rules! on {
    ($target:expr, $db:ident => $body:expr) => {
        match $target {
            $crate::store::database::On::Postgres($db) => $body,
            $crate::store::database::On::Sqlite($db) => $body,
        }
    };
}
pub(super) use on;

/// A struct that is read from a row of either database, column by column under its field's name.
macro_rules! row {
    ($(#[$meta:meta])* struct $name:ident { $($field:ident: $type:ty),* $(,)? }) => {
        $(#[$meta])*
        struct $name { $($field: $type),* }

        impl<'r, R: sqlx::Row> sqlx::FromRow<'r, R> for $name
        where
            &'static str: sqlx::ColumnIndex<R>,
            $($type: sqlx::Decode<'r, R::Database> + sqlx::Type<R::Database>,)*
        {
            fn from_row(row: &'r R) -> Result<Self, sqlx::Error> {
                Ok(Self { $($field: row.try_get(stringify!($field))?),* })
            }
        }
    };
}
pub(super) use row;

pub(super) type Pool = On<PgPool, SqlitePool>;
pub(super) type Executor<'a> = On<&'a PgPool, &'a SqlitePool>;
pub(super) type FeedLine = On<PgConnection, SqlitePool>;
pub(super) type DbTransaction = On<Transaction<'static, Postgres>, SqliteTransaction>;

/// Where the database is.
#[derive(Clone)]
pub enum Location {
    /// `postgres://…`
    Postgres(String),
    /// A file, made when it is missing.
    Sqlite(PathBuf),
}

/// How long one statement, or a pause inside a transaction, may last on PostgreSQL; with
/// `TRANSACTION_LIMIT` it bounds how late a change can be committed under a low sequence number.
const STATEMENT_LIMIT: &str = "10s";

/// No transaction commits that is older than this (`Tx::commit` refuses).
pub(super) const TRANSACTION_LIMIT: Duration = Duration::from_secs(20);

/// How long a connection may have rested and still be taken without asking whether it is alive.
pub(super) const REST: Duration = Duration::from_millis(100);

/// How long to wait for a database that did not answer, before it is asked again.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// Connections that gather what many callers write (`writer.rs`): so many beside those of `database.max_connections`.
const WRITERS: usize = 2;

/// For statements that write a batch: by index, whatever is known of the tables, and planned once a connection. A table
/// that nobody has analysed yet looks so small that a scan seems cheaper, and that plan stays when it has grown.
const BY_INDEX: [(&str, &str); 4] = [
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("plan_cache_mode", "force_generic_plan"),
];

/// The database, by the pools of its connections.
#[derive(Clone)]
pub(super) struct Database {
    requests: Pool,
    /// Write batches.
    writers: Arc<Lines>,
    /// Write what a crash may lose: its commits are seen at once, and on PostgreSQL flushed a little later.
    unflushed: Arc<Lines>,
    /// SQLite has one writer at a time. Who waits here is next when it is their turn; who waits for the file's lock
    /// sleeps, looks, and sleeps again, and may starve beside somebody who is busy.
    turn: Arc<Mutex<()>>,
    /// On PostgreSQL, half of the connections may wait for a row that somebody else holds.
    waiting: Arc<Semaphore>,
    patience: Duration,
}

/// Whose turn it is to write.
pub(super) type Turn = Option<OwnedMutexGuard<()>>;

/// A transaction on SQLite, for as long as it is its turn.
pub(super) struct SqliteTransaction {
    inner: Transaction<'static, Sqlite>,
    /// Behind it, so that it is dropped after it.
    _turn: Turn,
}

impl SqliteTransaction {
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.inner
    }

    pub(super) async fn commit(self) -> Result<(), sqlx::Error> {
        self.inner.commit().await
    }
}

/// A connection that writes a batch.
pub(super) struct Batch {
    line: Line,
    /// Behind it, so that it is dropped after it.
    _turn: Turn,
}

impl Batch {
    pub(super) fn on(&mut self) -> On<&mut PgConnection, &mut SqliteConnection> {
        self.line.on()
    }

    /// It answered: whoever is next may have it.
    pub(super) fn give_back(self) {
        self.line.give_back();
    }
}

/// For one statement that writes.
pub(super) struct Writing {
    pool: Pool,
    _turn: Turn,
}

/// For one job on PostgreSQL, which may wait for its row.
pub(super) struct Alone {
    pub(super) pool: PgPool,
    /// Of those who may wait.
    _place: Option<OwnedSemaphorePermit>,
}

impl Writing {
    pub(super) fn on(&self) -> Executor<'_> {
        self.pool.on()
    }
}

fn postgres(url: &str) -> Result<PgConnectOptions, Fault> {
    Ok(PgConnectOptions::from_str(url)?.application_name("grantor").options([
        ("statement_timeout", STATEMENT_LIMIT),
        ("lock_timeout", "5s"),
        // "relation already exists, skipping" is nothing to tell.
        ("client_min_messages", "warning"),
        ("idle_in_transaction_session_timeout", STATEMENT_LIMIT),
    ]))
}

fn postgres_pool(connections: u32, patience: Duration) -> PgPoolOptions {
    PgPoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(patience)
        // A ping at every acquire would double the round trips; one that has rested gets one.
        .test_before_acquire(false)
        .before_acquire(|connection, meta| {
            Box::pin(async move { Ok(meta.idle_for < REST || connection.ping().await.is_ok()) })
        })
}

/// Waits for a database that is just being started. Its pool would say no more than that it took too long.
async fn answered(options: &PgConnectOptions, patience: Duration) -> Result<(), sqlx::Error> {
    let until = Instant::now() + patience;
    loop {
        let tried = match timeout_at(until, PgConnection::connect_with(options)).await {
            Ok(Ok(connection)) => return connection.close().await,
            Ok(Err(why)) => why,
            Err(_) => sqlx::Error::PoolTimedOut,
        };
        let may_pass = match &tried {
            sqlx::Error::Database(refusal) => is_passing(&**refusal),
            why => matches!(why, sqlx::Error::Io(_)),
        };
        if !may_pass || Instant::now() + TRY_AGAIN > until {
            return Err(tried);
        }
        sleep(TRY_AGAIN).await;
    }
}

/// One connection beside the pool, to be held for ever.
pub(super) async fn one_connection(url: &str, patience: Duration) -> Result<PgPool, Fault> {
    let alone = PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    Ok(alone.acquire_timeout(patience).connect_with(postgres(url)?).await?)
}

/// SQLITE_BUSY
fn is_locked(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == "5")
}

impl Database {
    pub(super) async fn connect(location: &Location, connections: u32, patience: Duration) -> Result<Self, Fault> {
        let (requests, writers, unflushed) = match location {
            Location::Postgres(url) => {
                let options = postgres(url)?;
                answered(&options, patience).await?;
                let pool = postgres_pool(connections, patience).connect_lazy_with(options.clone());
                let writers = options.options(BY_INDEX);
                let unflushed = writers.clone().options([("synchronous_commit", "off")]);
                let lines = |options, most| Lines::new(On::Postgres(options), most, patience);
                (On::Postgres(pool), lines(writers, WRITERS), lines(unflushed, 1))
            }
            Location::Sqlite(path) => {
                let options = SqliteConnectOptions::new()
                    .filename(path)
                    .create_if_missing(true)
                    .journal_mode(SqliteJournalMode::Wal)
                    // NORMAL may lose the last commits at a power cut: a lost rotation would revive a used refresh token.
                    .synchronous(SqliteSynchronous::Full)
                    .busy_timeout(Duration::from_secs(5))
                    .foreign_keys(false);
                // Whoever writes through another connection empties the page cache of this one; so one writes nearly all,
                // and its statements say themselves whether they are to be flushed.
                let writer = options.clone().pragma("cache_size", "-8192").pragma("wal_autocheckpoint", "4000");
                let pool =
                    |connections| SqlitePoolOptions::new().max_connections(connections).acquire_timeout(patience);
                // Turning a new file to WAL wants it alone, and whoever comes second is refused at once: the busy
                // timeout does not count there.
                let opened = timeout(patience, async {
                    loop {
                        match pool(connections).connect_with(options.clone()).await {
                            Err(error) if is_locked(&error) => sleep(Duration::from_millis(20)).await,
                            outcome => return outcome,
                        }
                    }
                });
                let requests = opened.await.map_err(|_| sqlx::Error::PoolTimedOut)??;
                let writers = Lines::new(On::Sqlite(writer), 1, patience);
                (On::Sqlite(requests), writers.clone(), writers)
            }
        };
        let waiting = Arc::new(Semaphore::new((connections as usize / 2).max(1)));
        Ok(Self { requests, writers, unflushed, turn: Arc::default(), waiting, patience })
    }

    /// The pool, to run one statement on that reads.
    pub(super) fn on(&self) -> Executor<'_> {
        self.requests.on()
    }

    /// What the feed is read through: `kept`, if it still answers. On PostgreSQL it is in no pool: no request takes it
    /// away, and a connection that does not answer any more is dropped with its reader.
    pub(super) async fn line(&self, kept: Option<FeedLine>) -> Result<FeedLine, Fault> {
        Ok(match (&self.requests, kept) {
            (On::Sqlite(pool), _) => On::Sqlite(pool.clone()),
            (On::Postgres(pool), Some(On::Postgres(mut line))) => match line.ping().await {
                Ok(()) => On::Postgres(line),
                Err(_) => On::Postgres(PgConnection::connect_with(&pool.connect_options()).await?),
            },
            (On::Postgres(pool), _) => On::Postgres(PgConnection::connect_with(&pool.connect_options()).await?),
        })
    }

    /// The pool, to run one statement on that writes.
    pub(super) async fn writing(&self) -> Result<Writing, Fault> {
        Ok(Writing { pool: self.requests.clone(), _turn: self.turn().await? })
    }

    pub(super) async fn begin(&self) -> Result<DbTransaction, Fault> {
        Ok(match &self.requests {
            On::Postgres(pool) => On::Postgres(pool.begin().await?),
            On::Sqlite(pool) => On::Sqlite(self.begin_sqlite(pool).await?),
        })
    }

    /// Where a batch is written: one statement, and its flush is awaited or not.
    pub(super) async fn batch(&self, flushed: bool) -> Result<Batch, Fault> {
        let lines = if flushed { &self.writers } else { &self.unflushed };
        let turn = self.turn().await?;
        Ok(Batch { line: lines.take().await?, _turn: turn })
    }

    /// Where one job is written alone: on PostgreSQL it may wait long for its row. No batch is to wait for it, and those
    /// who wait are never so many that nobody else gets a connection.
    pub(super) async fn alone(&self) -> Result<On<Alone, Batch>, Fault> {
        Ok(match &self.requests {
            On::Postgres(pool) => match timeout(self.patience, self.waiting.clone().acquire_owned()).await {
                Ok(place) => On::Postgres(Alone { pool: pool.clone(), _place: place.ok() }),
                Err(_) => return Err(Fault::unavailable(anyhow!("too many wait for rows that others hold"))),
            },
            On::Sqlite(_) => On::Sqlite(self.batch(true).await?),
        })
    }

    async fn begin_sqlite(&self, pool: &SqlitePool) -> Result<SqliteTransaction, Fault> {
        let turn = self.turn().await?;
        // A deferred transaction that reads first and writes later fails when another wrote in between.
        Ok(SqliteTransaction { inner: pool.begin_with("BEGIN IMMEDIATE").await?, _turn: turn })
    }

    async fn turn(&self) -> Result<Turn, Fault> {
        match self.requests {
            On::Postgres(_) => Ok(None),
            On::Sqlite(_) => match timeout(self.patience, self.turn.clone().lock_owned()).await {
                Ok(turn) => Ok(Some(turn)),
                Err(_) => Err(Fault::unavailable(anyhow!("others were writing for longer than {:?}", self.patience))),
            },
        }
    }

    pub(super) async fn migrate(&self, migrator: &Migrator) -> Result<(), MigrateError> {
        on!(&self.requests, pool => migrator.run(pool).await)
    }

    pub(super) async fn close(&self) {
        self.writers.close().await;
        self.unflushed.close().await;
        on!(&self.requests, pool => pool.close().await);
    }
}

impl Pool {
    fn on(&self) -> Executor<'_> {
        match self {
            Self::Postgres(pool) => On::Postgres(pool),
            Self::Sqlite(pool) => On::Sqlite(pool),
        }
    }
}

impl FeedLine {
    pub(super) fn on(&mut self) -> On<&mut PgConnection, &SqlitePool> {
        match self {
            Self::Postgres(line) => On::Postgres(line),
            Self::Sqlite(pool) => On::Sqlite(pool),
        }
    }
}

impl From<sqlx::Error> for Fault {
    /// Whether it is worth trying again is all that the caller may learn.
    fn from(error: sqlx::Error) -> Self {
        let away = match &error {
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::WorkerCrashed
            | sqlx::Error::BeginFailed => true,
            sqlx::Error::Database(refusal) => is_passing(&**refusal),
            _ => false,
        };
        // Its display and its source say the same, and the detail may hold what was written.
        let error = match error {
            sqlx::Error::Database(refusal) => {
                anyhow!("the database says: {} ({})", refusal.message(), refusal.code().unwrap_or_default())
            }
            error => error.into(),
        };
        if away { Self::unavailable(error) } else { Self::internal(error) }
    }
}

/// PostgreSQL: connection (08), resources (53), shutdown and start (57P), time-outs, deadlock, read-only standby.
/// SQLite (numbers): busy, locked, read-only, I/O, full, cannot open, and their extended forms.
pub(super) fn is_passing(refusal: &dyn DatabaseError) -> bool {
    refusal.code().is_some_and(|code| passes(&code))
}

fn passes(code: &str) -> bool {
    const POSTGRES: [&str; 7] = ["25006", "25P03", "25P04", "40001", "40P01", "55P03", "57014"];
    const SQLITE: [i32; 6] = [5, 6, 8, 10, 13, 14];
    // Those of PostgreSQL have five characters, those of SQLite at most four digits.
    if code.len() == 5 {
        POSTGRES.contains(&code) || ["08", "53", "57P"].iter().any(|class| code.starts_with(class))
    } else {
        code.parse::<i32>().is_ok_and(|number| SQLITE.contains(&(number & 0xff)))
    }
}

#[cfg(test)]
mod tests {
    use super::passes;

    #[test]
    fn what_passes_is_told_from_what_is_broken() {
        for passing in ["08006", "57P01", "53300", "40P01", "25006", "25P03", "5", "6", "1032", "261", "14"] {
            assert!(passes(passing), "{passing}");
        }
        for broken in ["23505", "42P01", "22021", "25P02", "1", "19", "2067", "1555"] {
            assert!(!passes(broken), "{broken}");
        }
    }
}
