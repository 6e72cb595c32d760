//! Passkeys.

use sqlx::{query, query_as};

use super::database::{on, row};
use super::{Store, Tx};
use crate::types::{FactorId, Fault, Passkey, Timestamp, UserId};

row!(
    struct PasskeyRow {
        id: String,
        user_id: String,
        credential_id: Vec<u8>,
        name: String,
        credential: String,
        counter: i64,
        created_at: i64,
        used_at: Option<i64>,
    }
);

impl TryFrom<PasskeyRow> for Passkey {
    type Error = Fault;

    fn try_from(row: PasskeyRow) -> Result<Self, Fault> {
        let broken = || Fault::because("a stored passkey has an id that is not a UUID");
        Ok(Self {
            id: FactorId::parse(&row.id).ok_or_else(broken)?,
            user: UserId::parse(&row.user_id).ok_or_else(broken)?,
            credential_id: row.credential_id,
            name: row.name,
            credential: row.credential,
            counter: u32::try_from(row.counter).map_err(Fault::internal)?,
            created_at: Timestamp::from_micros(row.created_at),
            used_at: row.used_at.map(Timestamp::from_micros),
        })
    }
}

impl Store {
    /// Whosever it is.
    pub async fn passkey(&self, credential_id: &[u8]) -> Result<Option<Passkey>, Fault> {
        const SELECT: &str = "SELECT id, user_id, credential_id, name, credential, counter, created_at, used_at
            FROM passkeys WHERE credential_id = $1";
        let row: Option<PasskeyRow> =
            on!(self.on(), db => query_as(SELECT).bind(credential_id).fetch_optional(db).await?);
        row.map(Passkey::try_from).transpose()
    }

    /// Those of a user, the oldest first.
    pub async fn passkeys_of(&self, user: UserId) -> Result<Vec<Passkey>, Fault> {
        const SELECT: &str = "SELECT id, user_id, credential_id, name, credential, counter, created_at, used_at
            FROM passkeys WHERE user_id = $1 ORDER BY created_at, id";
        let rows: Vec<PasskeyRow> = on!(self.on(), db => query_as(SELECT).bind(user.to_string()).fetch_all(db).await?);
        rows.into_iter().map(Passkey::try_from).collect()
    }
}

impl Tx {
    /// `false` if there is one with its id: each belongs to one person (WebAuthn §7.1 step 26).
    pub async fn create_passkey(&mut self, passkey: &Passkey) -> Result<bool, Fault> {
        const INSERT: &str = "INSERT INTO passkeys (id, user_id, credential_id, name, credential, counter, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (credential_id) DO NOTHING";
        let rows = on!(self.on(), db => query(INSERT)
            .bind(passkey.id.to_string())
            .bind(passkey.user.to_string())
            .bind(&passkey.credential_id)
            .bind(&passkey.name)
            .bind(&passkey.credential)
            .bind(i64::from(passkey.counter))
            .bind(passkey.created_at.micros())
            .execute(db)
            .await?
            .rows_affected());
        Ok(rows == 1)
    }

    /// It was used, and its device has counted to this; `false` if it had counted as far before (WebAuthn §7.2 step 22),
    /// or is gone.
    ///
    /// Safe to race: of any number of callers with one count, one has it, and none goes back. Devices that do not count
    /// stay at 0.
    pub async fn use_passkey(&mut self, id: FactorId, counter: u32, now: Timestamp) -> Result<bool, Fault> {
        const UPDATE: &str = "UPDATE passkeys SET counter = $2, used_at = $3
            WHERE id = $1 AND (counter < $2 OR (counter = 0 AND counter = $2))";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(id.to_string()).bind(i64::from(counter)).bind(now.micros()).execute(db).await?.rows_affected());
        Ok(rows == 1)
    }

    /// `false` if it is none of this user's.
    pub async fn rename_passkey(&mut self, user: UserId, id: FactorId, name: &str) -> Result<bool, Fault> {
        const UPDATE: &str = "UPDATE passkeys SET name = $3 WHERE id = $1 AND user_id = $2";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(id.to_string()).bind(user.to_string()).bind(name).execute(db).await?.rows_affected());
        Ok(rows == 1)
    }

    /// Takes one of a user's away; `false` if it was not theirs.
    pub async fn delete_passkey(&mut self, user: UserId, id: FactorId) -> Result<bool, Fault> {
        const DELETE: &str = "DELETE FROM passkeys WHERE id = $1 AND user_id = $2";
        let rows = on!(self.on(), db => query(DELETE)
            .bind(id.to_string()).bind(user.to_string()).execute(db).await?.rows_affected());
        Ok(rows == 1)
    }
}
