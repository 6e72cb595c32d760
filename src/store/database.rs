//! One query text, two databases: the `on!` macro runs the same expression on either.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, PgPool, Postgres, Sqlite, SqlitePool, Transaction};

use crate::types::Fault;

/// The same kind of thing (a pool, a connection, a transaction) of one database or the other.
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

pub(super) type Db = On<PgPool, SqlitePool>;
pub(super) type DbTransaction = On<Transaction<'static, Postgres>, Transaction<'static, Sqlite>>;

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

fn postgres(url: &str) -> Result<PgConnectOptions, Fault> {
    Ok(PgConnectOptions::from_str(url)?.application_name("grantor").options([
        ("statement_timeout", STATEMENT_LIMIT),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", STATEMENT_LIMIT),
    ]))
}

/// One connection beside the pool, to be held for ever.
pub(super) async fn one_connection(url: &str) -> Result<PgPool, Fault> {
    let alone = PgPoolOptions::new().max_connections(1).idle_timeout(None).max_lifetime(None);
    Ok(alone.connect_with(postgres(url)?).await?)
}

impl Db {
    pub(super) async fn connect(location: &Location, connections: u32, wait: Duration) -> Result<Self, Fault> {
        match location {
            Location::Postgres(url) => {
                let pool = PgPoolOptions::new()
                    .max_connections(connections)
                    .acquire_timeout(wait)
                    // A ping at every acquire would double the round trips; an idle connection gets one.
                    .test_before_acquire(false)
                    .before_acquire(|connection, meta| {
                        Box::pin(async move {
                            Ok(meta.idle_for < Duration::from_secs(1) || connection.ping().await.is_ok())
                        })
                    })
                    .connect_with(postgres(url)?)
                    .await?;
                Ok(Self::Postgres(pool))
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
                let pool = SqlitePoolOptions::new()
                    .max_connections(connections)
                    .acquire_timeout(wait)
                    .connect_with(options)
                    .await?;
                Ok(Self::Sqlite(pool))
            }
        }
    }

    /// The pool, to run one statement on.
    pub(super) fn on(&self) -> On<&PgPool, &SqlitePool> {
        match self {
            Self::Postgres(pool) => On::Postgres(pool),
            Self::Sqlite(pool) => On::Sqlite(pool),
        }
    }

    pub(super) async fn begin(&self) -> Result<DbTransaction, Fault> {
        Ok(match self {
            Self::Postgres(pool) => On::Postgres(pool.begin().await?),
            // A deferred transaction that reads first and writes later fails when another wrote in between.
            Self::Sqlite(pool) => On::Sqlite(pool.begin_with("BEGIN IMMEDIATE").await?),
        })
    }

    pub(super) async fn close(&self) {
        on!(self, pool => pool.close().await);
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
            sqlx::Error::Database(database) => database.code().is_some_and(|code| is_passing(&code)),
            _ => false,
        };
        if away { Self::unavailable(error) } else { Self::internal(error) }
    }
}

/// PostgreSQL: connection (08), resources (53), shutdown and start (57P), time-outs, deadlock, read-only standby.
/// SQLite (numbers): busy, locked, read-only, I/O, full, cannot open, and their extended forms.
fn is_passing(code: &str) -> bool {
    const POSTGRES: [&str; 5] = ["25006", "40001", "40P01", "55P03", "57014"];
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
    use super::is_passing;

    #[test]
    fn what_passes_is_told_from_what_is_broken() {
        for passing in ["08006", "57P01", "53300", "40P01", "25006", "5", "6", "1032", "261", "14"] {
            assert!(is_passing(passing), "{passing}");
        }
        for broken in ["23505", "42P01", "22021", "1", "19", "2067", "1555"] {
            assert!(!is_passing(broken), "{broken}");
        }
    }
}
