//! Authenticator apps and recovery codes.

use sqlx::{query, query_as};

use super::database::{on, row};
use super::{Store, Tx};
use crate::types::{Factor, FactorId, Fault, Timestamp, UserId};

row!(
    struct FactorRow {
        id: String,
        user_id: String,
        name: String,
        sealed: Vec<u8>,
        created_at: i64,
        confirmed_at: Option<i64>,
        used_at: Option<i64>,
    }
);

impl TryFrom<FactorRow> for Factor {
    type Error = Fault;

    fn try_from(row: FactorRow) -> Result<Self, Fault> {
        let broken = || Fault::because("a stored second factor has an id that is not a UUID");
        Ok(Self {
            id: FactorId::parse(&row.id).ok_or_else(broken)?,
            user: UserId::parse(&row.user_id).ok_or_else(broken)?,
            name: row.name,
            sealed: row.sealed,
            created_at: Timestamp::from_micros(row.created_at),
            confirmed_at: row.confirmed_at.map(Timestamp::from_micros),
            used_at: row.used_at.map(Timestamp::from_micros),
        })
    }
}

impl Store {
    /// Those of a user, the oldest first; also what they began to set up after `since`.
    pub async fn factors_of(&self, user: UserId, since: Timestamp) -> Result<Vec<Factor>, Fault> {
        const SELECT: &str = "SELECT id, user_id, name, sealed, created_at, confirmed_at, used_at FROM factors
            WHERE user_id = $1 AND (confirmed_at IS NOT NULL OR created_at > $2) ORDER BY created_at, id";
        let rows: Vec<FactorRow> = on!(self.on(), db => query_as(SELECT)
            .bind(user.to_string()).bind(since.micros()).fetch_all(db).await?);
        rows.into_iter().map(Factor::try_from).collect()
    }

    /// Whether a user has any that counts, an app or a passkey.
    pub async fn has_factors(&self, user: UserId) -> Result<bool, Fault> {
        const SELECT: &str = "SELECT (SELECT COUNT(*) FROM factors WHERE user_id = $1 AND confirmed_at IS NOT NULL)
            + (SELECT COUNT(*) FROM passkeys WHERE user_id = $1) AS count";
        let (count,): (i64,) = on!(self.on(), db => query_as(SELECT).bind(user.to_string()).fetch_one(db).await?);
        Ok(count > 0)
    }

    /// How many of a user's recovery codes are left.
    pub async fn recovery_codes_left(&self, user: UserId) -> Result<i64, Fault> {
        const SELECT: &str = "SELECT COUNT(*) AS count FROM recovery_codes WHERE user_id = $1 AND used_at IS NULL";
        let (left,): (i64,) = on!(self.on(), db => query_as(SELECT).bind(user.to_string()).fetch_one(db).await?);
        Ok(left)
    }

    /// Keeps one that is being set up.
    pub async fn create_factor(&self, factor: &Factor) -> Result<(), Fault> {
        const INSERT: &str = "INSERT INTO factors (id, user_id, name, sealed, last_step, created_at)
            VALUES ($1, $2, $3, $4, 0, $5)";
        on!(self.writing().await?.on(), db => query(INSERT)
            .bind(factor.id.to_string())
            .bind(factor.user.to_string())
            .bind(&factor.name)
            .bind(&factor.sealed)
            .bind(factor.created_at.micros())
            .execute(db)
            .await
            .map(|_| ()))?;
        Ok(())
    }
}

impl Tx {
    /// How many a user has that count, apps and passkeys.
    pub async fn count_factors(&mut self, user: UserId) -> Result<i64, Fault> {
        const SELECT: &str = "SELECT (SELECT COUNT(*) FROM factors WHERE user_id = $1 AND confirmed_at IS NOT NULL)
            + (SELECT COUNT(*) FROM passkeys WHERE user_id = $1) AS count";
        let (count,): (i64,) = on!(self.on(), db => query_as(SELECT).bind(user.to_string()).fetch_one(db).await?);
        Ok(count)
    }

    /// It counts from now on; the code of this step is spent by that. `false` if it was confirmed before.
    pub async fn confirm_factor(&mut self, factor: &Factor, step: i64, now: Timestamp) -> Result<bool, Fault> {
        const UPDATE: &str = "UPDATE factors SET confirmed_at = $4, used_at = $4, last_step = $3, name = $5
            WHERE id = $1 AND user_id = $2 AND confirmed_at IS NULL";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(factor.id.to_string())
            .bind(factor.user.to_string())
            .bind(step)
            .bind(now.micros())
            .bind(&factor.name)
            .execute(db)
            .await?
            .rows_affected());
        Ok(rows == 1)
    }

    /// Spends the code of a step; `false` if it, or a later one, was spent before (RFC 6238 §5.2).
    ///
    /// Safe to race: of any number of callers with one code, one has it.
    pub async fn use_factor(&mut self, id: FactorId, step: i64, now: Timestamp) -> Result<bool, Fault> {
        const UPDATE: &str = "UPDATE factors SET last_step = $2, used_at = $3
            WHERE id = $1 AND last_step < $2 AND confirmed_at IS NOT NULL";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(id.to_string()).bind(step).bind(now.micros()).execute(db).await?.rows_affected());
        Ok(rows == 1)
    }

    /// Takes one of a user's away; `false` if it was not theirs.
    pub async fn delete_factor(&mut self, user: UserId, id: FactorId) -> Result<bool, Fault> {
        const DELETE: &str = "DELETE FROM factors WHERE id = $1 AND user_id = $2";
        let rows = on!(self.on(), db => query(DELETE)
            .bind(id.to_string()).bind(user.to_string()).execute(db).await?.rows_affected());
        Ok(rows == 1)
    }

    /// Takes all of a user's away, passkeys too, and the recovery codes with them; how many there were.
    pub async fn delete_factors_of(&mut self, user: UserId) -> Result<u64, Fault> {
        const DELETE: &str = "DELETE FROM factors WHERE user_id = $1";
        const DELETE_PASSKEYS: &str = "DELETE FROM passkeys WHERE user_id = $1";
        let mut rows = 0;
        for statement in [DELETE, DELETE_PASSKEYS] {
            rows += on!(self.on(), db => query(statement).bind(user.to_string()).execute(db).await?.rows_affected());
        }
        self.replace_recovery_codes(user, &[], Timestamp::from_micros(0)).await?;
        Ok(rows)
    }

    /// The codes that a user has from now on; those before are worth nothing any more.
    pub async fn replace_recovery_codes(
        &mut self,
        user: UserId,
        hashes: &[[u8; 32]],
        now: Timestamp,
    ) -> Result<(), Fault> {
        const DELETE: &str = "DELETE FROM recovery_codes WHERE user_id = $1";
        const INSERT: &str = "INSERT INTO recovery_codes (code_hash, user_id, created_at) VALUES ($1, $2, $3)";
        on!(self.on(), db => query(DELETE).bind(user.to_string()).execute(db).await.map(|_| ()))?;
        for hash in hashes {
            on!(self.on(), db => query(INSERT)
                .bind(&hash[..]).bind(user.to_string()).bind(now.micros()).execute(db).await.map(|_| ()))?;
        }
        Ok(())
    }

    /// Spends a recovery code; `false` if it is none of this user's, or was spent before (ASVS 6.5.1).
    ///
    /// Safe to race: of any number of callers with one code, one has it.
    pub async fn use_recovery_code(&mut self, user: UserId, hash: &[u8; 32], now: Timestamp) -> Result<bool, Fault> {
        const UPDATE: &str = "UPDATE recovery_codes SET used_at = $3
            WHERE code_hash = $1 AND user_id = $2 AND used_at IS NULL";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(&hash[..]).bind(user.to_string()).bind(now.micros()).execute(db).await?.rows_affected());
        Ok(rows == 1)
    }
}
