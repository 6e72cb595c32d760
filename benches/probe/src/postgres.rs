//! PostgreSQL: a few connections, each of which serves all that wait with one statement over arrays.

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context as _;
use tokio::sync::{Mutex, mpsc};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, NoTls, Row, Statement};

use crate::grants::{CODE_LIFE, GRANT, GRANT_LIFE, Grant, Hands, Job, Pending, REFRESH_LIFE, Redeem, Rotate, SCHEMA};

/// More waiting callers than there are connections to the probe.
const ROOM: usize = 4_096;

/// A kind of work that one statement does for many.
pub trait Batch: Sized + Send + Sync + 'static {
    type Outcome: Send + 'static;
    /// Off where a crash may lose it.
    const DURABLE: bool;
    fn statement() -> String;
    fn run(
        client: &Client,
        statement: &Statement,
        batch: &[&Self],
    ) -> impl Future<Output = anyhow::Result<Vec<Self::Outcome>>> + Send;
}

/// One queue a kind of work.
pub struct Queues {
    pub pending: Queue<Pending>,
    pub redeem: Queue<Redeem>,
    pub rotate: Queue<Rotate>,
}

type Queue<B> = mpsc::Sender<Job<B, <B as Batch>::Outcome>>;

/// Where the hands take their work from.
type Waiting<B> = Arc<Mutex<mpsc::Receiver<Job<B, <B as Batch>::Outcome>>>>;

pub async fn open(url: &str, hands: Hands) -> anyhow::Result<Queues> {
    connect(url).await?.batch_execute(SCHEMA).await?;
    Ok(Queues {
        pending: queue::<Pending>(url, hands).await?,
        redeem: queue::<Redeem>(url, hands).await?,
        rotate: queue::<Rotate>(url, hands).await?,
    })
}

async fn connect(url: &str) -> anyhow::Result<Client> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("--database")?;
    tokio::spawn(connection);
    Ok(client)
}

async fn queue<B: Batch>(url: &str, hands: Hands) -> anyhow::Result<Queue<B>> {
    let (sender, receiver) = mpsc::channel(ROOM);
    let receiver = Arc::new(Mutex::new(receiver));
    for _ in 0..hands.connections {
        let client = connect(url).await?;
        // The plan is made while the table is still empty, and kept: it must not be to read all of it.
        client.batch_execute("SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off").await?;
        client.batch_execute("SET enable_bitmapscan = off").await?;
        if !B::DURABLE {
            client.batch_execute("SET synchronous_commit = off").await?;
        }
        let statement = client.prepare(&B::statement()).await?;
        tokio::spawn(serve::<B>(client, statement, receiver.clone(), hands.batch));
    }
    Ok(sender)
}

async fn serve<B: Batch>(client: Client, statement: Statement, queue: Waiting<B>, most: usize) {
    let mut jobs = Vec::with_capacity(most);
    loop {
        if queue.lock().await.recv_many(&mut jobs, most).await == 0 {
            return;
        }
        let batch: Vec<&B> = jobs.iter().map(|job| &job.work).collect();
        match B::run(&client, &statement, &batch).await {
            Ok(outcomes) => {
                for (job, outcome) in jobs.drain(..).zip(outcomes) {
                    // Who has gone meanwhile need not be told.
                    let _ = job.answer.send(Ok(outcome));
                }
            }
            Err(why) => {
                for job in jobs.drain(..) {
                    let _ = job.answer.send(Err(anyhow::anyhow!("{why:#}")));
                }
            }
        }
    }
}

/// One column of a batch.
fn column<B, T>(batch: &[&B], of: impl Fn(&B) -> T) -> Vec<T> {
    batch.iter().map(|work| of(work)).collect()
}

impl Batch for Pending {
    type Outcome = ();
    const DURABLE: bool = false;

    fn statement() -> String {
        format!(
            "INSERT INTO grants (id, client_id, user_id, session_id, scope, nonce, authenticated_at, methods, redirect_uri,
                code_hash, code_challenge, code_expires_at, generation, created_at, expires_at)
            SELECT id, client, usr, session, scope, nonce, now, '[\"pwd\"]', uri, hash, challenge, now + {CODE_LIFE}, 1,
                now, now + {GRANT_LIFE}
            FROM UNNEST($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bytea[],
                $9::text[], $10::bigint[])
                AS t (id, client, usr, session, scope, nonce, uri, hash, challenge, now)"
        )
    }

    async fn run(client: &Client, statement: &Statement, batch: &[&Self]) -> anyhow::Result<Vec<()>> {
        let texts: [Vec<&str>; 8] = [
            batch.iter().map(|new| new.id.as_str()).collect(),
            batch.iter().map(|new| new.client.as_str()).collect(),
            batch.iter().map(|new| new.user.as_str()).collect(),
            batch.iter().map(|new| new.session.as_str()).collect(),
            batch.iter().map(|new| new.scope.as_str()).collect(),
            batch.iter().map(|new| new.nonce.as_str()).collect(),
            batch.iter().map(|new| new.redirect_uri.as_str()).collect(),
            batch.iter().map(|new| new.code_challenge.as_str()).collect(),
        ];
        let hashes: Vec<&[u8]> = batch.iter().map(|new| new.code_hash.as_slice()).collect();
        let now = column(batch, |new| new.now);
        let mut values: Vec<&(dyn ToSql + Sync)> = texts.iter().map(|column| column as _).collect();
        values.insert(7, &hashes);
        values.push(&now);
        client.execute(statement, &values).await?;
        Ok(vec![(); batch.len()])
    }
}

impl Batch for Redeem {
    type Outcome = Option<Grant>;
    const DURABLE: bool = true;

    fn statement() -> String {
        format!(
            "UPDATE grants SET redeemed_at = now, rotated_at = now, refresh_expires_at = now + {REFRESH_LIFE}
            FROM UNNEST($1::text[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::bigint[])
                AS t (wanted, client, uri, hash, challenge, now)
            WHERE id = wanted AND client_id = client AND redirect_uri = uri AND code_hash = hash
              AND code_challenge = challenge AND redeemed_at IS NULL AND revoked_at IS NULL AND code_expires_at > now
            RETURNING {GRANT}"
        )
    }

    async fn run(client: &Client, statement: &Statement, batch: &[&Self]) -> anyhow::Result<Vec<Option<Grant>>> {
        let ids: Vec<&str> = batch.iter().map(|code| code.id.as_str()).collect();
        let clients: Vec<&str> = batch.iter().map(|code| code.client.as_str()).collect();
        let uris: Vec<&str> = batch.iter().map(|code| code.redirect_uri.as_str()).collect();
        let hashes: Vec<&[u8]> = batch.iter().map(|code| code.code_hash.as_slice()).collect();
        let challenges: Vec<&str> = batch.iter().map(|code| code.code_challenge.as_str()).collect();
        let now = column(batch, |code| code.now);
        let rows = client.query(statement, &[&ids, &clients, &uris, &hashes, &challenges, &now]).await?;
        Ok(by_id(&ids, rows))
    }
}

impl Batch for Rotate {
    type Outcome = Option<Grant>;
    const DURABLE: bool = true;

    fn statement() -> String {
        format!(
            "UPDATE grants SET generation = grants.generation + 1, rotated_at = now,
                refresh_expires_at = LEAST(now + {REFRESH_LIFE}, expires_at)
            FROM UNNEST($1::text[], $2::text[], $3::bigint[], $4::bigint[]) AS t (wanted, client, presented, now)
            WHERE id = wanted AND grants.generation = presented AND client_id = client AND redeemed_at IS NOT NULL
              AND revoked_at IS NULL AND expires_at > now AND refresh_expires_at > now
            RETURNING {GRANT}"
        )
    }

    async fn run(client: &Client, statement: &Statement, batch: &[&Self]) -> anyhow::Result<Vec<Option<Grant>>> {
        let ids: Vec<&str> = batch.iter().map(|token| token.id.as_str()).collect();
        let clients: Vec<&str> = batch.iter().map(|token| token.client.as_str()).collect();
        let generations = column(batch, |token| token.generation);
        let now = column(batch, |token| token.now);
        let rows = client.query(statement, &[&ids, &clients, &generations, &now]).await?;
        Ok(by_id(&ids, rows))
    }
}

/// Each row to the first who asked for it; whoever came with the same one too gets nothing.
fn by_id(ids: &[&str], rows: Vec<Row>) -> Vec<Option<Grant>> {
    let mut grants: HashMap<String, Grant> = rows.iter().map(|row| (row.get(0), grant(row))).collect();
    ids.iter().map(|id| grants.remove(*id)).collect()
}

fn grant(row: &Row) -> Grant {
    Grant {
        id: row.get(0),
        client: row.get(1),
        user: row.get(2),
        session: row.get(3),
        scope: row.get(4),
        nonce: row.get(5),
        authenticated_at: row.get(6),
        generation: row.get(7),
        rotated_at: row.get(8),
        refresh_expires_at: row.get(9),
    }
}
