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

use anyhow::anyhow;
use serde::Serialize;
use sqlx::{AssertSqlSafe, PgConnection, PgPool, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::Store;
use super::database::{Batch, Database, On, is_passing};
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
        line: &mut PgConnection,
        jobs: &[Self],
    ) -> impl Future<Output = Result<Vec<Written<Self::Done>>, Failed>> + Send;

    /// Writes one row once nobody else holds it; `None` if it is not as the job wants it.
    fn write_one(&self, pool: &PgPool) -> impl Future<Output = Result<Option<Self::Done>, Failed>> + Send;

    /// On SQLite one writes and the others wait, so nobody else holds a row. The statement goes through `here`.
    fn write_here(
        line: &mut SqliteConnection,
        jobs: &[Self],
    ) -> impl Future<Output = Result<Vec<Written<Self::Done>>, Failed>> + Send;
}

/// The place of a job in its batch, and what came of it.
pub(super) type Written<D> = (usize, Result<D, Fault>);

/// One column of the jobs, as `UNNEST` takes it.
pub(super) fn each<'j, J, T>(jobs: &'j [J], column: impl Fn(&'j J) -> T) -> Vec<T> {
    jobs.iter().map(column).collect()
}

/// The jobs as SQLite's `jsonb_each` takes them.
pub(super) fn json<J: Serialize>(jobs: &[J]) -> Result<String, sqlx::Error> {
    serde_json::to_string(jobs).map_err(|error| sqlx::Error::Encode(error.into()))
}

/// A statement for SQLite, and before it whether its commit is flushed: one connection writes all kinds of jobs.
pub(super) fn here<J: Job>(statement: &'static str) -> AssertSqlSafe<String> {
    const FLUSHED: &str = "PRAGMA synchronous = FULL";
    const UNFLUSHED: &str = "PRAGMA synchronous = NORMAL";
    let first = if J::FLUSHED { FLUSHED } else { UNFLUSHED };
    // Both are texts of our own.
    AssertSqlSafe(format!("{first}; {statement}"))
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
        Self {
            creations: Writer::start(db),
            redemptions: Writer::start(db),
            rotations: Writer::start(db),
            marks: Writer::start(db),
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

/// A queue, and the worker behind it.
pub(super) struct Writer<J: Job>(mpsc::Sender<Waiting<J>>);

impl<J: Job> Writer<J> {
    fn start(db: &Database) -> Self {
        let (queue, waiting) = mpsc::channel(QUEUE);
        tokio::spawn(work(waiting, db.clone()));
        Self(queue)
    }

    async fn gather(&self, job: J) -> Result<Taken<J>, Fault> {
        let (answer, answered) = oneshot::channel();
        let queued = self.0.try_send(Waiting { job, answer: Some(answer) });
        queued.map_err(|_| Fault::unavailable(anyhow!("more is waiting to be written than can be")))?;
        let dropped = || Fault::unavailable(anyhow!("a batch was dropped while it was written"));
        answered.await.unwrap_or_else(|_| Err(dropped()))
    }

    /// Leaves a job to be written some time. It may be lost.
    pub(super) fn post(&self, job: J) {
        let _ = self.0.try_send(Waiting { job, answer: None });
    }
}

async fn work<J: Job>(mut queue: mpsc::Receiver<Waiting<J>>, db: Database) {
    loop {
        let mut batch = Vec::new();
        if queue.recv_many(&mut batch, BATCH).await == 0 {
            return;
        }
        let writing = db.batch(J::FLUSHED).await;
        // It may have been a while until it was our turn.
        while batch.len() < BATCH
            && let Ok(more) = queue.try_recv()
        {
            batch.push(more);
        }
        // Whoever has hung up meanwhile wants nothing any more.
        batch.retain(|waiting| !waiting.answer.as_ref().is_some_and(oneshot::Sender::is_closed));
        // A task of its own: if it panics, its callers are told, and this one lives.
        let _ = tokio::spawn(write(writing, batch)).await;
    }
}

async fn write<J: Job>(writing: Result<Batch, Fault>, batch: Vec<Waiting<J>>) {
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

async fn together<J: Job>(batch: Result<Batch, Fault>, jobs: &[J]) -> Result<Vec<Written<J::Done>>, Failed> {
    let mut batch = batch?;
    let written = match batch.on() {
        On::Postgres(line) => J::write_many(line, jobs).await,
        On::Sqlite(line) => J::write_here(line, jobs).await,
    };
    if !matches!(written, Err(Failed::Unknown(_))) {
        batch.give_back();
    }
    written
}

async fn alone<J: Job>(db: &Database, job: J) -> Result<Option<J::Done>, Failed> {
    match db.alone().await? {
        On::Postgres(alone) => job.write_one(&alone.pool).await,
        On::Sqlite(batch) => {
            let written = together(Ok(batch), &[job]).await?.pop();
            Ok(written.map(|(_, done)| done).transpose()?)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use sqlx::query_as;
    use tokio::time::timeout;

    use super::super::database::Location;
    use super::*;
    use crate::crypto::{SystemRandom, random};
    use crate::types::fault::FaultKind;

    /// A job that writes down its row, and is told how far a commit is flushed.
    struct Trial<const FLUSHED: bool>(&'static str, Arc<Mutex<Vec<&'static str>>>);

    const FULL: i64 = 2;
    const NORMAL: i64 = 1;

    impl<const FLUSHED: bool> Job for Trial<FLUSHED> {
        type Done = i64;

        const FLUSHED: bool = FLUSHED;

        fn row(&self) -> &str {
            self.0
        }

        async fn write_many(_: &mut PgConnection, _: &[Self]) -> Result<Vec<Written<i64>>, Failed> {
            Err(Fault::because("these are tests on SQLite").into())
        }

        async fn write_one(&self, _: &PgPool) -> Result<Option<i64>, Failed> {
            Err(Fault::because("these are tests on SQLite").into())
        }

        async fn write_here(line: &mut SqliteConnection, jobs: &[Self]) -> Result<Vec<Written<i64>>, Failed> {
            const FLUSH: &str = "SELECT synchronous FROM pragma_synchronous";
            let (flush,): (i64,) = query_as(here::<Self>(FLUSH)).fetch_one(line).await?;
            for Self(row, written) in jobs {
                assert_ne!(*row, "panic", "as it was told to");
                written.lock().expect("nobody panicked here").push(row);
            }
            Ok((0..jobs.len()).map(|place| (place, Ok(flush))).collect())
        }
    }

    struct File(PathBuf);

    impl Drop for File {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    async fn database() -> (File, Database) {
        let folder = std::env::temp_dir().join(format!("grantor-writer-{}", random::token(&SystemRandom::new(), 8)));
        std::fs::create_dir(&folder).expect("a folder");
        let location = Location::Sqlite(folder.join("grantor.db"));
        let db = Database::connect(&location, 1, Duration::from_secs(5)).await.expect("a file");
        (File(folder), db)
    }

    fn expect_unavailable<J: Job>(outcome: Result<Taken<J>, Fault>) {
        assert_eq!(outcome.err().expect("a fault").kind(), FaultKind::Unavailable);
    }

    #[tokio::test]
    async fn what_is_answered_is_flushed_whatever_was_written_before() {
        let (_file, db) = database().await;
        let log = Arc::default();
        for _ in 0..3 {
            let flush = alone(&db, Trial::<true>("a", Arc::clone(&log))).await;
            assert_eq!(flush.ok().flatten(), Some(FULL));
            let flush = alone(&db, Trial::<false>("a", Arc::clone(&log))).await;
            assert_eq!(flush.ok().flatten(), Some(NORMAL));
            let together = together(db.batch(true).await, &[Trial::<true>("a", Arc::clone(&log))]).await;
            assert!(matches!(together.ok().as_deref(), Some([(0, Ok(FULL))])));
        }
        let flushed = [CreateJob::FLUSHED, Mark::FLUSHED, RedeemJob::FLUSHED, RotateJob::FLUSHED];
        assert_eq!(flushed, [false, false, true, true], "what may be lost in a crash, and what never");
    }

    #[tokio::test]
    async fn who_is_in_a_batch_that_panics_learns_that_nobody_knows_and_the_next_is_written() {
        let (_file, db) = database().await;
        let (writer, log) = (Writer::start(&db), Arc::default());
        let job = |row| Trial::<true>(row, Arc::clone(&log));
        let (one, other) = tokio::join!(writer.gather(job("a")), writer.gather(job("panic")));
        expect_unavailable(one);
        expect_unavailable(other);
        assert!(matches!(writer.gather(job("b")).await, Ok(Taken::Written(FULL))));
    }

    #[tokio::test]
    async fn who_has_hung_up_before_it_was_written_wants_nothing() {
        let (_file, db) = database().await;
        let (writer, log) = (Writer::start(&db), Arc::default());
        let job = |row| Trial::<true>(row, Arc::clone(&log));
        let busy = db.writing().await.expect("it is our turn");
        timeout(Duration::from_millis(50), writer.gather(job("hangs up"))).await.err().expect("it is not their turn");
        drop(busy);
        assert!(matches!(writer.gather(job("stays")).await, Ok(Taken::Written(FULL))));
        assert_eq!(*log.lock().expect("nobody panicked"), ["stays"]);
    }

    /// On one thread: nobody takes what waits before this asks.
    #[tokio::test]
    async fn who_finds_the_queue_full_is_told_at_once() {
        let (_file, db) = database().await;
        let (writer, log) = (Writer::start(&db), Arc::default());
        let job = || Trial::<true>("a", Arc::clone(&log));
        (0..QUEUE).for_each(|_| writer.post(job()));
        expect_unavailable(writer.gather(job()).await);
        assert!(log.lock().expect("nobody panicked").is_empty(), "nothing was waited for");
    }
}
