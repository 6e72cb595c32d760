//! Connections for batches, beside those of the pools.
//!
//! A pool asks a connection whether it still answers when it is taken and again when it is given back. For each batch
//! these are two more round trips, on SQLite four more hops between threads. A line is asked only when it has rested.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::database::{On, REST, on};
use crate::types::Fault;

type Connection = On<PgConnection, SqliteConnection>;

/// So many connections, each opened when it is first needed.
pub(super) struct Lines {
    options: On<PgConnectOptions, SqliteConnectOptions>,
    idle: Mutex<Vec<Idle>>,
    places: Arc<Semaphore>,
    patience: Duration,
}

struct Idle {
    connection: Connection,
    since: Instant,
}

/// One of them, for a batch. It is closed when it is dropped: only who knows that it still answers gives it back.
pub(super) struct Line {
    connection: Connection,
    lines: Arc<Lines>,
    _place: OwnedSemaphorePermit,
}

impl Lines {
    pub(super) fn new(
        options: On<PgConnectOptions, SqliteConnectOptions>,
        most: usize,
        patience: Duration,
    ) -> Arc<Self> {
        Arc::new(Self { options, idle: Mutex::default(), places: Arc::new(Semaphore::new(most)), patience })
    }

    /// Waits for one that nobody uses.
    pub(super) async fn take(self: &Arc<Self>) -> Result<Line, Fault> {
        let late = |_| Fault::unavailable(anyhow!("no connection to write through within {:?}", self.patience));
        timeout(self.patience, self.take_in_time()).await.map_err(late)?
    }

    async fn take_in_time(self: &Arc<Self>) -> Result<Line, Fault> {
        let place = self.places.clone().acquire_owned().await.map_err(Fault::unavailable)?;
        let connection = match self.answering().await {
            Some(connection) => connection,
            None => self.open().await?,
        };
        Ok(Line { connection, lines: self.clone(), _place: place })
    }

    async fn answering(&self) -> Option<Connection> {
        let Idle { mut connection, since } = self.idle().pop()?;
        let answers = since.elapsed() < REST || on!(&mut connection, line => line.ping().await.is_ok());
        answers.then_some(connection)
    }

    async fn open(&self) -> Result<Connection, sqlx::Error> {
        Ok(match &self.options {
            On::Postgres(options) => On::Postgres(PgConnection::connect_with(options).await?),
            On::Sqlite(options) => On::Sqlite(SqliteConnection::connect_with(options).await?),
        })
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody gets one any more.
    pub(super) async fn close(&self) {
        self.places.close();
        let idle = std::mem::take(&mut *self.idle());
        for Idle { connection, .. } in idle {
            // It is closed either way.
            let _ = on!(connection, line => line.close().await);
        }
    }
}

impl Line {
    pub(super) fn on(&mut self) -> On<&mut PgConnection, &mut SqliteConnection> {
        match &mut self.connection {
            On::Postgres(line) => On::Postgres(line),
            On::Sqlite(line) => On::Sqlite(line),
        }
    }

    pub(super) fn give_back(self) {
        let Self { connection, lines, _place } = self;
        lines.idle().push(Idle { connection, since: Instant::now() });
    }
}
