//! SQLite: one thread with one connection. It takes all who wait, and flushes once for all of them.

use anyhow::anyhow;
use rusqlite::{Connection, OptionalExtension as _, Row, TransactionBehavior, params};
use tokio::sync::mpsc::{self, Receiver, Sender};

use crate::grants::{CODE_LIFE, GRANT, GRANT_LIFE, Grant, Job, Pending, REFRESH_LIFE, Redeem, Rotate, SCHEMA};

pub enum Work {
    Pending(Job<Pending, ()>),
    Redeem(Job<Redeem, Option<Grant>>),
    Rotate(Job<Rotate, Option<Grant>>),
}

pub fn open(path: &str, batch: usize) -> anyhow::Result<Sender<Work>> {
    let mut connection = Connection::open(path)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.execute_batch(SCHEMA)?;
    let (sender, mut receiver) = mpsc::channel(4_096);
    std::thread::spawn(move || {
        while let Some(work) = next(&mut receiver, batch) {
            let (pending, durable) = work.into_iter().partition(|work| matches!(work, Work::Pending(_)));
            // A code may be lost in a crash, and who waits for one need not wait for the flush of the others.
            serve(&mut connection, pending, "NORMAL");
            serve(&mut connection, durable, "FULL");
        }
    });
    Ok(sender)
}

/// All that waits, at most so much; `None` when nobody can ask any more.
fn next(receiver: &mut Receiver<Work>, most: usize) -> Option<Vec<Work>> {
    let mut work = Vec::with_capacity(most);
    (receiver.blocking_recv_many(&mut work, most) > 0).then_some(work)
}

/// One transaction; who asked is told when it is committed.
fn serve(connection: &mut Connection, work: Vec<Work>, synchronous: &str) {
    if work.is_empty() {
        return;
    }
    let committed = commit(connection, &work, synchronous).map_err(|why| why.to_string());
    let failed = || anyhow!("{}", committed.as_ref().err().map_or("", String::as_str));
    let mut grants = committed.as_ref().map_or_else(|_| Vec::new(), Clone::clone).into_iter();
    let mut grant = || if committed.is_ok() { Ok(grants.next().flatten()) } else { Err(failed()) };
    for work in work {
        // Who has gone meanwhile need not be told.
        match work {
            Work::Pending(job) => drop(job.answer.send(grant().map(drop))),
            Work::Redeem(job) => drop(job.answer.send(grant())),
            Work::Rotate(job) => drop(job.answer.send(grant())),
        }
    }
}

fn commit(connection: &mut Connection, work: &[Work], synchronous: &str) -> rusqlite::Result<Vec<Option<Grant>>> {
    connection.pragma_update(None, "synchronous", synchronous)?;
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let grants = work.iter().map(|work| run(&transaction, work)).collect::<rusqlite::Result<_>>()?;
    transaction.commit()?;
    Ok(grants)
}

fn run(connection: &Connection, work: &Work) -> rusqlite::Result<Option<Grant>> {
    match work {
        Work::Pending(Job { work: new, .. }) => {
            let mut statement = connection.prepare_cached(
                "INSERT INTO grants (id, client_id, user_id, session_id, scope, nonce, authenticated_at, methods,
                    redirect_uri, code_hash, code_challenge, code_expires_at, generation, created_at, expires_at)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?10, '[\"pwd\"]', ?7, ?8, ?9, ?10 + ?11, 1, ?10, ?10 + ?12)",
            )?;
            statement.execute(params![
                new.id,
                new.client,
                new.user,
                new.session,
                new.scope,
                new.nonce,
                new.redirect_uri,
                new.code_hash,
                new.code_challenge,
                new.now,
                CODE_LIFE,
                GRANT_LIFE
            ])?;
            Ok(None)
        }
        Work::Redeem(Job { work: code, .. }) => {
            let mut statement = connection.prepare_cached(&format!(
                "UPDATE grants SET redeemed_at = ?6, rotated_at = ?6, refresh_expires_at = ?6 + {REFRESH_LIFE}
                WHERE id = ?1 AND client_id = ?2 AND redirect_uri = ?3 AND code_hash = ?4 AND code_challenge = ?5
                  AND redeemed_at IS NULL AND revoked_at IS NULL AND code_expires_at > ?6
                RETURNING {GRANT}"
            ))?;
            let values =
                params![code.id, code.client, code.redirect_uri, code.code_hash, code.code_challenge, code.now];
            statement.query_row(values, grant).optional()
        }
        Work::Rotate(Job { work: token, .. }) => {
            let mut statement = connection.prepare_cached(&format!(
                "UPDATE grants SET generation = generation + 1, rotated_at = ?4,
                    refresh_expires_at = min(?4 + {REFRESH_LIFE}, expires_at)
                WHERE id = ?1 AND client_id = ?2 AND generation = ?3 AND redeemed_at IS NOT NULL
                  AND revoked_at IS NULL AND expires_at > ?4 AND refresh_expires_at > ?4
                RETURNING {GRANT}"
            ))?;
            let values = params![token.id, token.client, token.generation, token.now];
            statement.query_row(values, grant).optional()
        }
    }
}

fn grant(row: &Row<'_>) -> rusqlite::Result<Grant> {
    Ok(Grant {
        id: row.get(0)?,
        client: row.get(1)?,
        user: row.get(2)?,
        session: row.get(3)?,
        scope: row.get(4)?,
        nonce: row.get(5)?,
        authenticated_at: row.get(6)?,
        generation: row.get(7)?,
        rotated_at: row.get(8)?,
        refresh_expires_at: row.get(9)?,
    })
}
