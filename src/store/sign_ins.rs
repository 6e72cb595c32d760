//! Sign-ins of which the first step is done.

use sqlx::{query, query_as};

use super::database::{on, row};
use super::{Store, Tx};
use crate::types::{Authentication, Fault, SessionId, SignInId, Step, Timestamp, UserId};

/// Codes that may be tried before the password has to be given again.
const MOST_ATTEMPTS: i64 = 5;

row!(
    struct StepRow {
        id: String,
        browser: String,
        user_id: String,
        session_id: Option<String>,
        authenticated_at: i64,
        methods: String,
        remembered: bool,
        expires_at: i64,
    }
);

impl TryFrom<StepRow> for Step {
    type Error = Fault;

    fn try_from(row: StepRow) -> Result<Self, Fault> {
        let broken = || Fault::because("a stored sign-in has an id that is not a UUID");
        Ok(Self {
            id: SignInId::parse(&row.id).ok_or_else(broken)?,
            browser: row.browser,
            user: UserId::parse(&row.user_id).ok_or_else(broken)?,
            session: row.session_id.map(|id| SessionId::parse(&id).ok_or_else(broken)).transpose()?,
            remembered: row.remembered,
            proved: Authentication {
                at: Timestamp::from_micros(row.authenticated_at),
                methods: serde_json::from_str(&row.methods).map_err(Fault::internal)?,
            },
            expires_at: Timestamp::from_micros(row.expires_at),
        })
    }
}

impl Store {
    /// The sign-in, if it is this browser's and still waits.
    pub async fn sign_in(&self, id: SignInId, browser: &str, now: Timestamp) -> Result<Option<Step>, Fault> {
        const SELECT: &str =
            "SELECT id, browser, user_id, session_id, authenticated_at, methods, remembered, expires_at FROM sign_ins
            WHERE id = $1 AND browser = $2 AND expires_at > $3";
        let row: Option<StepRow> = on!(self.on(), db => query_as(SELECT)
            .bind(id.to_string()).bind(browser).bind(now.micros()).fetch_optional(db).await?);
        row.map(Step::try_from).transpose()
    }

    /// Counts an attempt to finish it, before the attempt is judged; `None` once there were too many.
    ///
    /// Safe to race: however many try at once, no more than the limit are judged.
    pub async fn try_sign_in(&self, id: SignInId, browser: &str, now: Timestamp) -> Result<Option<Step>, Fault> {
        const UPDATE: &str = "UPDATE sign_ins SET attempts = attempts + 1
            WHERE id = $1 AND browser = $2 AND expires_at > $3 AND attempts < $4
            RETURNING id, browser, user_id, session_id, authenticated_at, methods, remembered, expires_at";
        let rows: Vec<StepRow> = on!(self.writing().await?.on(), db => query_as(UPDATE)
            .bind(id.to_string())
            .bind(browser)
            .bind(now.micros())
            .bind(MOST_ATTEMPTS)
            .fetch_all(db)
            .await?);
        rows.into_iter().next().map(Step::try_from).transpose()
    }
}

impl Tx {
    pub async fn create_sign_in(&mut self, step: &Step) -> Result<(), Fault> {
        const INSERT: &str = "INSERT INTO sign_ins
            (id, browser, user_id, session_id, authenticated_at, methods, remembered, attempts, expires_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, 0, $8)";
        on!(self.on(), db => query(INSERT)
            .bind(step.id.to_string())
            .bind(&step.browser)
            .bind(step.user.to_string())
            .bind(step.session.map(|id| id.to_string()))
            .bind(step.proved.at.micros())
            .bind(serde_json::to_string(&step.proved.methods).map_err(Fault::internal)?)
            .bind(step.remembered)
            .bind(step.expires_at.micros())
            .execute(db)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Spends it: `false` if it was spent before, or is worth nothing any more.
    pub async fn finish_sign_in(&mut self, id: SignInId, now: Timestamp) -> Result<bool, Fault> {
        const DELETE: &str = "DELETE FROM sign_ins WHERE id = $1 AND expires_at > $2";
        let rows = on!(self.on(), db => query(DELETE)
            .bind(id.to_string()).bind(now.micros()).execute(db).await?.rows_affected());
        Ok(rows == 1)
    }

    /// What was begun by a password that counts no more, or by somebody who may not sign in any more.
    pub(super) async fn forget_sign_ins_of(&mut self, user: UserId) -> Result<(), Fault> {
        const DELETE: &str = "DELETE FROM sign_ins WHERE user_id = $1";
        on!(self.on(), db => query(DELETE).bind(user.to_string()).execute(db).await.map(|_| ()))?;
        Ok(())
    }
}
