//! Group commit: what many callers write at the same moment is one statement and one flush
//! (docs/adr/0008-group-commit.md).
//!
//! A flush takes as long for one row as for a hundred. So a caller puts its job into a queue and waits; a worker takes
//! all that wait there, without a timer, writes them, and answers each after the commit. Meanwhile the next batch
//! gathers: the busier the server, the larger its batches, and a lone caller waits for nobody.
//!
//! A batch leaves aside a row that somebody else holds, and a job whose statement matches nothing. What it left, its
//! caller writes alone: the single statement waits for the row, or matches nothing again, and then the row is read to say
//! why. So one bad job fails none of the others, two uses of one code or token make one transition, and two batches
//! never wait for each other. When the outcome of a commit is unknown, all of its callers are told that it is.

use std::sync::Arc;

use anyhow::anyhow;
use sqlx::{PgPool, SqliteConnection};
use tokio::sync::{Mutex, mpsc, oneshot};

use super::Store;
use super::database::{Database, On, Placed, is_passing};
use super::grants::{NewGrant, RedeemJob, RotateJob};
use super::sessions::Mark;
use crate::types::Fault;

/// What can be written in a batch: a transition of one row.
pub(super) trait Job: Send + Sync + Sized + 'static {
    /// What a caller learns when its job is written.
    type Done: Send + 'static;

    /// Whether a caller waits for the flush, or only until every node sees it.
    const FLUSHED: bool = true;

    /// The statement for one: `None` if it matches nothing.
    fn write_one(&self, on: One<'_>) -> impl Future<Output = Result<Option<Self::Done>, Failed>> + Send;

    /// The same for many at once, of those that nobody else holds.
    fn write_many(
        pool: &PgPool,
        jobs: &[Self],
    ) -> impl Future<Output = Result<Vec<Written<Self::Done>>, Failed>> + Send;
}

/// Where one statement is run.
pub(super) type One<'a> = On<&'a PgPool, &'a mut SqliteConnection>;

/// The place of a job in its batch, and what came of it.
pub(super) type Written<D> = (usize, Result<D, Fault>);

/// One column of the jobs, as `UNNEST` takes it.
pub(super) fn each<'j, J, T>(jobs: &'j [J], column: impl Fn(&'j J) -> T) -> Vec<T> {
    jobs.iter().map(column).collect()
}

/// What came back of a batch. A row that cannot be read concerns its own caller alone.
pub(super) fn read<R, D: TryFrom<R, Error = Fault>>(rows: Vec<Placed<R>>) -> Vec<Written<D>> {
    let place = |place: i64| usize::try_from(place - 1).unwrap_or(usize::MAX);
    rows.into_iter().map(|placed| (place(placed.place), D::try_from(placed.row))).collect()
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
    pub creations: Writer<NewGrant>,
    pub redemptions: Writer<RedeemJob>,
    pub rotations: Writer<RotateJob>,
    pub marks: Writer<Mark>,
}

impl Writers {
    /// Starts the workers; they end with this.
    pub(super) fn start(db: &Database) -> Self {
        Self {
            creations: Writer::start(db, 1),
            redemptions: Writer::start(db, 2),
            rotations: Writer::start(db, 2),
            marks: Writer::start(db, 1),
        }
    }
}

impl Store {
    /// Has a job written together with those of others, and waits for the commit; `None` if it matches nothing.
    ///
    /// # Errors
    /// When too many wait, or the outcome is unknown: answer 503, do not try again inside.
    pub(super) async fn write<J: Job>(&self, writer: &Writer<J>, job: J) -> Result<Option<J::Done>, Fault> {
        match writer.gather(job).await? {
            Taken::Written(done) => Ok(Some(done)),
            Taken::Left(job) => Ok(alone(self.database(), &job).await?),
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

async fn work<J: Job>(waiting: Arc<Mutex<mpsc::Receiver<Waiting<J>>>>, db: Database) {
    loop {
        let mut batch = Vec::new();
        if waiting.lock().await.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        // Whoever has hung up meanwhile wants nothing any more.
        batch.retain(|waiting| !waiting.answer.as_ref().is_some_and(oneshot::Sender::is_closed));
        // A task of its own: if it panics, its callers are told, and this one lives.
        let _ = tokio::spawn(write(db.clone(), batch)).await;
    }
}

async fn write<J: Job>(db: Database, batch: Vec<Waiting<J>>) {
    let (jobs, answers): (Vec<J>, Vec<_>) = batch.into_iter().map(|waiting| (waiting.job, waiting.answer)).unzip();
    let mut outcomes: Vec<Option<Result<J::Done, Fault>>> = jobs.iter().map(|_| None).collect();
    match together(&db, &jobs).await {
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

/// On PostgreSQL one statement for all; on SQLite, where `RETURNING` cannot name what was joined, one after the other in
/// one transaction.
async fn together<J: Job>(db: &Database, jobs: &[J]) -> Result<Vec<Written<J::Done>>, Failed> {
    match db.batch(J::FLUSHED).await? {
        On::Postgres(pool) => J::write_many(pool, jobs).await,
        On::Sqlite(mut tx) => {
            let mut written = Vec::with_capacity(jobs.len());
            for (place, job) in jobs.iter().enumerate() {
                written.extend(job.write_one(On::Sqlite(tx.connection())).await?.map(|done| (place, Ok(done))));
            }
            tx.commit().await?;
            Ok(written)
        }
    }
}

async fn alone<J: Job>(db: &Database, job: &J) -> Result<Option<J::Done>, Failed> {
    match db.alone().await? {
        On::Postgres(pool) => job.write_one(On::Postgres(pool)).await,
        On::Sqlite(mut tx) => {
            let done = job.write_one(On::Sqlite(tx.connection())).await?;
            tx.commit().await?;
            Ok(done)
        }
    }
}
