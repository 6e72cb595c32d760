//! Group commit: what many callers write at the same moment is one statement and one flush
//! (docs/adr/0008-group-commit.md).
//!
//! A flush takes as long for one row as for a hundred. So a caller puts its job into a queue and waits; a worker takes
//! all that wait there, without a timer, writes them, and answers each after the commit. Meanwhile the next batch
//! gathers: the busier the server, the larger its batches, and a lone caller waits for nobody.
//!
//! A batch has one job for a row. It leaves aside a row that somebody else holds, and one that is not as its job wants it.
//! What it left, its caller writes alone: the single statement waits for the row, or matches nothing, and then the row is
//! read to say why. So one bad job fails none of the others, two uses of one code or token make one transition, and two
//! batches never wait for each other. When the outcome of a commit is unknown, all of its callers are told that it is.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use anyhow::anyhow;
use serde::Serialize;
use sqlx::{PgPool, SqlitePool};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::Store;
use super::database::{Database, On, Writing, is_passing};
use super::grants::{CreateJob, RedeemJob, RotateJob};
use super::sessions::Mark;
use crate::types::Fault;

/// What can be written in a batch: a transition of one row.
pub(super) trait Job: Send + Sync + Sized + 'static {
    /// What a caller learns when its job is written.
    type Done: Send + 'static;

    /// Whether a caller waits for the flush, or only until every node sees it.
    const FLUSHED: bool = true;

    /// The id of the row. No batch has two jobs for one.
    fn row(&self) -> &str;

    /// Writes those of the rows that nobody else holds and that are as their jobs want them.
    fn write_many(
        pool: &PgPool,
        jobs: &[Self],
    ) -> impl Future<Output = Result<Vec<Written<Self::Done>>, Failed>> + Send;

    /// Writes one row once nobody else holds it; `None` if it is not as the job wants it.
    fn write_one(&self, pool: &PgPool) -> impl Future<Output = Result<Option<Self::Done>, Failed>> + Send;

    /// On SQLite one writes and the others wait, so nobody else holds a row. The statement says whether its commit is
    /// flushed: `PRAGMA synchronous = FULL` or `NORMAL`.
    fn write_here(
        pool: &SqlitePool,
        jobs: &[Self],
    ) -> impl Future<Output = Result<Vec<Written<Self::Done>>, Failed>> + Send;
}

/// The place of a job in its batch, and what came of it.
pub(super) type Written<D> = (usize, Result<D, Fault>);

/// One column of the jobs, as `UNNEST` takes it.
pub(super) fn each<'j, J, T>(jobs: &'j [J], column: impl Fn(&'j J) -> T) -> Vec<T> {
    jobs.iter().map(column).collect()
}

/// The jobs as SQLite's `json_each` takes them.
pub(super) fn json<J: Serialize>(jobs: &[J]) -> Result<String, sqlx::Error> {
    serde_json::to_string(jobs).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// All of them are written.
pub(super) fn all<J: Job<Done = ()>>(jobs: &[J]) -> Vec<Written<()>> {
    (0..jobs.len()).map(|place| (place, Ok(()))).collect()
}

/// Which of the jobs wrote the rows that came back. One that cannot be read concerns its own caller alone.
pub(super) fn by_row<J: Job, R: Identified>(jobs: &[J], rows: Vec<R>) -> Vec<Written<J::Done>>
where
    J::Done: TryFrom<R, Error = Fault>,
{
    let places: HashMap<&str, usize> = jobs.iter().enumerate().map(|(place, job)| (job.row(), place)).collect();
    let written = |row: R| Some((*places.get(row.id())?, J::Done::try_from(row)));
    rows.into_iter().filter_map(written).collect()
}

/// A row with its id.
pub(super) trait Identified {
    fn id(&self) -> &str;
}

/// Why a batch was not written.
pub(super) enum Failed {
    /// The database refused it, and nothing was written.
    Refused(sqlx::Error),
    /// Nobody knows what became of it.
    Unknown(Fault),
}

impl From<sqlx::Error> for Failed {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(refusal) if !is_passing(&**refusal) => Self::Refused(error),
            _ => Self::Unknown(error.into()),
        }
    }
}

impl From<Failed> for Fault {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Refused(error) => error.into(),
            Failed::Unknown(fault) => fault,
        }
    }
}

impl From<Fault> for Failed {
    fn from(fault: Fault) -> Self {
        Self::Unknown(fault)
    }
}

/// More than ever wait on a server that keeps up.
const QUEUE: usize = 4_096;

/// The most that one statement writes.
const BATCH: usize = 256;

/// One queue for each kind of job.
pub(super) struct Writers {
    pub creations: Writer<CreateJob>,
    pub redemptions: Writer<RedeemJob>,
    pub rotations: Writer<RotateJob>,
    pub marks: Writer<Mark>,
}

impl Writers {
    /// Starts the workers; they end with this.
    pub(super) fn start(db: &Database) -> Self {
        let workers = db.writers_at_once();
        Self {
            creations: Writer::start(db, 1),
            redemptions: Writer::start(db, workers),
            rotations: Writer::start(db, workers),
            marks: Writer::start(db, 1),
        }
    }
}

impl Store {
    /// Has a job written together with those of others, and waits for the commit; `None` if its row is not as it wants it.
    ///
    /// # Errors
    /// When too many wait, or the outcome is unknown: answer 503, do not try again inside.
    pub(super) async fn write<J: Job>(&self, writer: &Writer<J>, job: J) -> Result<Option<J::Done>, Fault> {
        match writer.gather(job).await? {
            Taken::Written(done) => Ok(Some(done)),
            Taken::Left(job) => Ok(alone(self.database(), job).await?),
        }
    }
}

/// What a batch made of a job.
enum Taken<J: Job> {
    Written(J::Done),
    Left(J),
}

struct Waiting<J: Job> {
    job: J,
    /// `None` where nobody waits.
    answer: Option<oneshot::Sender<Result<Taken<J>, Fault>>>,
}

/// A queue, and the workers behind it.
pub(super) struct Writer<J: Job>(mpsc::Sender<Waiting<J>>);

impl<J: Job> Writer<J> {
    fn start(db: &Database, workers: usize) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..workers {
            tokio::spawn(work(waiting.clone(), db.clone()));
        }
        Self(queue)
    }

    async fn gather(&self, job: J) -> Result<Taken<J>, Fault> {
        let (answer, answered) = oneshot::channel();
        let queued = self.0.try_send(Waiting { job, answer: Some(answer) });
        queued.map_err(|_| Fault::unavailable(anyhow!("more is waiting to be written than can be")))?;
        answered.await.unwrap_or_else(|_| Err(Fault::because("a batch was dropped while it was written")))
    }

    /// Leaves a job to be written some time. It may be lost.
    pub(super) fn post(&self, job: J) {
        let _ = self.0.try_send(Waiting { job, answer: None });
    }
}

async fn work<J: Job>(queue: Arc<Mutex<mpsc::Receiver<Waiting<J>>>>, db: Database) {
    loop {
        let mut waiting = queue.lock().await;
        let mut batch = Vec::new();
        if waiting.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        let writing = db.batch(J::FLUSHED).await;
        // It may have been a while until it was our turn.
        while batch.len() < BATCH
            && let Ok(more) = waiting.try_recv()
        {
            batch.push(more);
        }
        drop(waiting);
        // Whoever has hung up meanwhile wants nothing any more.
        batch.retain(|waiting| !waiting.answer.as_ref().is_some_and(oneshot::Sender::is_closed));
        // A task of its own: if it panics, its callers are told, and this one lives.
        let _ = tokio::spawn(write(writing, batch)).await;
    }
}

async fn write<J: Job>(writing: Result<Writing, Fault>, batch: Vec<Waiting<J>>) {
    let batch = one_for_each_row(batch);
    let (jobs, answers): (Vec<J>, Vec<_>) = batch.into_iter().map(|waiting| (waiting.job, waiting.answer)).unzip();
    let mut outcomes: Vec<Option<Result<J::Done, Fault>>> = jobs.iter().map(|_| None).collect();
    match together(writing, &jobs).await {
        Ok(written) => {
            for (place, done) in written {
                if let Some(outcome) = outcomes.get_mut(place) {
                    *outcome = Some(done);
                }
            }
        }
        // Alone, each finds out whether it was the cause.
        Err(Failed::Refused(error)) => tracing::warn!(%error, "the database refused a batch"),
        Err(Failed::Unknown(fault)) => outcomes.fill_with(|| Some(Err(fault.again()))),
    }
    for ((job, answer), outcome) in jobs.into_iter().zip(answers).zip(outcomes) {
        let taken = outcome.map_or(Ok(Taken::Left(job)), |outcome| outcome.map(Taken::Written));
        // It may have hung up.
        let _ = answer.map(|answer| answer.send(taken));
    }
}

/// The first for each row; the others are left.
fn one_for_each_row<J: Job>(batch: Vec<Waiting<J>>) -> Vec<Waiting<J>> {
    let mut rows = HashSet::with_capacity(batch.len());
    let is_first: Vec<bool> = batch.iter().map(|waiting| rows.insert(waiting.job.row())).collect();
    let mut first = Vec::with_capacity(batch.len());
    for (waiting, is_first) in batch.into_iter().zip(is_first) {
        if is_first {
            first.push(waiting);
        } else {
            let _ = waiting.answer.map(|answer| answer.send(Ok(Taken::Left(waiting.job))));
        }
    }
    first
}

async fn together<J: Job>(writing: Result<Writing, Fault>, jobs: &[J]) -> Result<Vec<Written<J::Done>>, Failed> {
    match writing?.on() {
        On::Postgres(pool) => J::write_many(pool, jobs).await,
        On::Sqlite(pool) => J::write_here(pool, jobs).await,
    }
}

async fn alone<J: Job>(db: &Database, job: J) -> Result<Option<J::Done>, Failed> {
    match db.alone().await?.on() {
        On::Postgres(pool) => job.write_one(pool).await,
        On::Sqlite(pool) => {
            let written = J::write_here(pool, &[job]).await?.pop();
            Ok(written.map(|(_, done)| done).transpose()?)
        }
    }
}
