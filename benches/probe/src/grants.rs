//! Grants as the product keeps them, one row each, written by as few hands as do it fastest: who waits is collected, and
//! one statement, or one transaction, serves them all.

use anyhow::Context as _;
use tokio::sync::{mpsc, oneshot};

use crate::postgres::{self, Queues};
use crate::sqlite::{self, Work};

/// What tokens are made of.
#[derive(Clone, Debug)]
pub struct Grant {
    pub id: String,
    pub client: String,
    pub user: String,
    pub session: String,
    pub scope: String,
    pub nonce: String,
    pub authenticated_at: i64,
    pub generation: i64,
    pub rotated_at: i64,
    pub refresh_expires_at: i64,
}

/// The columns of `Grant`, in its order.
pub const GRANT: &str = "id, client_id, user_id, session_id, scope, nonce, authenticated_at, generation, rotated_at,
    refresh_expires_at";

/// The product's columns for a grant, and no index but that of the key.
pub const SCHEMA: &str = "CREATE TABLE IF NOT EXISTS grants (
    id TEXT PRIMARY KEY, client_id TEXT NOT NULL, user_id TEXT NOT NULL, session_id TEXT NOT NULL, scope TEXT NOT NULL,
    nonce TEXT, authenticated_at BIGINT NOT NULL, methods TEXT NOT NULL, redirect_uri TEXT NOT NULL,
    code_hash BYTEA NOT NULL, code_challenge TEXT NOT NULL, code_expires_at BIGINT NOT NULL, redeemed_at BIGINT,
    generation BIGINT NOT NULL, rotated_at BIGINT, refresh_expires_at BIGINT, created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL, revoked_at BIGINT)";

/// A grant that waits for its code. It need not outlive a crash: the browser starts again.
pub struct Pending {
    pub id: String,
    pub client: String,
    pub user: String,
    pub session: String,
    pub scope: String,
    pub nonce: String,
    pub redirect_uri: String,
    pub code_hash: Vec<u8>,
    pub code_challenge: String,
    pub now: i64,
}

pub struct Redeem {
    pub id: String,
    pub client: String,
    pub redirect_uri: String,
    pub code_hash: Vec<u8>,
    pub code_challenge: String,
    pub now: i64,
}

pub struct Rotate {
    pub id: String,
    pub client: String,
    pub generation: i64,
    pub now: i64,
}

/// Microseconds.
pub const CODE_LIFE: i64 = 60_000_000;
pub const REFRESH_LIFE: i64 = 14 * 24 * 3_600 * 1_000_000;
pub const GRANT_LIFE: i64 = 90 * 24 * 3_600 * 1_000_000;

/// Somebody waits for what becomes of it.
pub struct Job<W, T> {
    pub work: W,
    pub answer: oneshot::Sender<anyhow::Result<T>>,
}

/// Who writes.
pub enum Grants {
    Postgres(Queues),
    Sqlite(mpsc::Sender<Work>),
}

/// How many hands write, and how many callers each serves at once.
#[derive(Clone, Copy)]
pub struct Hands {
    pub connections: usize,
    pub batch: usize,
}

impl Grants {
    pub async fn open(database: &str, hands: Hands) -> anyhow::Result<Self> {
        match database.strip_prefix("sqlite:") {
            Some(path) => Ok(Self::Sqlite(sqlite::open(path, hands.batch)?)),
            None => Ok(Self::Postgres(postgres::open(database, hands).await?)),
        }
    }

    pub async fn pending(&self, work: Pending) -> anyhow::Result<()> {
        match self {
            Self::Postgres(queues) => ask(&queues.pending, |job| job, work).await,
            Self::Sqlite(queue) => ask(queue, Work::Pending, work).await,
        }
    }

    pub async fn redeem(&self, work: Redeem) -> anyhow::Result<Option<Grant>> {
        match self {
            Self::Postgres(queues) => ask(&queues.redeem, |job| job, work).await,
            Self::Sqlite(queue) => ask(queue, Work::Redeem, work).await,
        }
    }

    pub async fn rotate(&self, work: Rotate) -> anyhow::Result<Option<Grant>> {
        match self {
            Self::Postgres(queues) => ask(&queues.rotate, |job| job, work).await,
            Self::Sqlite(queue) => ask(queue, Work::Rotate, work).await,
        }
    }
}

/// Hands a piece of work over, and waits.
async fn ask<W, T, M>(queue: &mpsc::Sender<M>, wrap: impl FnOnce(Job<W, T>) -> M, work: W) -> anyhow::Result<T> {
    let (answer, answered) = oneshot::channel();
    queue.send(wrap(Job { work, answer })).await.ok().context("nobody writes any more")?;
    answered.await.context("nobody answers any more")?
}
