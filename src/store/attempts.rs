//! Attempts to guess something. What they have in common is known by a hash alone.

use std::time::Duration;

use sqlx::{query, query_as};

use super::Tx;
use super::database::on;
use crate::types::{Fault, Timestamp};

/// How attempts of one kind are slowed down.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// So many cost nothing; at least 2.
    pub free: u32,
    /// How long the next one waits then; twice as long after each further one.
    pub first_delay: Duration,
    pub longest_delay: Duration,
    /// Without another one they are forgotten after this.
    pub forget_after: Duration,
}

/// Whether an attempt is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// It is the so manieth.
    Through(i64),
    /// Not before this.
    Until(Timestamp),
}

impl Tx {
    /// Counts an attempt, unless the one before has to be waited for.
    ///
    /// Safe to race: of any number at once, all that are let through are counted, and each of them makes the next one
    /// wait.
    pub async fn count_attempt(&mut self, key: &[u8; 32], pace: &Pace, now: Timestamp) -> Result<Counted, Fault> {
        // The delay is first_delay * 2^(count - free), and soon the longest. What has been forgotten begins anew. Where
        // nobody waits there is no time: of two at once the one that comes second may have looked at the clock first.
        const COUNT: &str = "INSERT INTO attempts (key, count, next_at, expires_at) VALUES ($1, 1, 0, $3)
            ON CONFLICT (key) DO UPDATE SET
                count = CASE WHEN attempts.expires_at <= $2 THEN 1 ELSE attempts.count + 1 END,
                next_at = CASE
                    WHEN attempts.expires_at <= $2 OR attempts.count + 1 < $4 THEN 0
                    WHEN attempts.count + 1 - $4 > 24 OR $5 * (1 << CAST(attempts.count + 1 - $4 AS INTEGER)) > $6
                        THEN CAST($2 AS BIGINT) + $6
                    ELSE CAST($2 AS BIGINT) + $5 * (1 << CAST(attempts.count + 1 - $4 AS INTEGER)) END,
                expires_at = $3
            WHERE attempts.next_at <= $2 OR attempts.expires_at <= $2
            RETURNING count";
        const NEXT: &str = "SELECT next_at FROM attempts WHERE key = $1";
        let counted: Vec<(i64,)> = on!(self.on(), db => query_as(COUNT)
            .bind(&key[..])
            .bind(now.micros())
            .bind(now.plus(pace.forget_after).micros())
            .bind(i64::from(pace.free))
            .bind(micros(pace.first_delay))
            .bind(micros(pace.longest_delay))
            .fetch_all(db)
            .await?);
        if let [(count,)] = counted[..] {
            return Ok(Counted::Through(count));
        }
        let next: Option<(i64,)> = on!(self.on(), db => query_as(NEXT).bind(&key[..]).fetch_optional(db).await?);
        Ok(Counted::Until(next.map_or(now, |(next,)| Timestamp::from_micros(next))))
    }

    /// Takes an attempt back that was none: it is as if it had not been counted.
    pub async fn forgive_attempt(&mut self, key: &[u8; 32]) -> Result<(), Fault> {
        const UPDATE: &str = "UPDATE attempts SET count = count - 1, next_at = 0 WHERE key = $1 AND count > 0";
        on!(self.on(), db => query(UPDATE).bind(&key[..]).execute(db).await.map(|_| ()))?;
        Ok(())
    }

    /// Forgets all attempts of a kind; whether there were any.
    pub async fn forget_attempts(&mut self, key: &[u8; 32]) -> Result<bool, Fault> {
        const DELETE: &str = "DELETE FROM attempts WHERE key = $1";
        let rows = on!(self.on(), db => query(DELETE).bind(&key[..]).execute(db).await?.rows_affected());
        Ok(rows == 1)
    }
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}
