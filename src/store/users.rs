//! People.

use std::collections::BTreeSet;

use sqlx::{query, query_as};

use super::changes::Change;
use super::database::{on, row};
use super::{Store, Stored, Tx};
use crate::types::{Fault, Holder, Memberships, Timestamp, User, UserId};

/// A user with what proves that it is them.
pub struct Credentials {
    pub user: User,
    /// A PHC string; `None` of users who have no password.
    pub password_hash: Option<String>,
}

row!(
    struct UserRow {
        id: String,
        username: String,
        email: Option<String>,
        email_verified: bool,
        claims: String,
        created_at: i64,
        updated_at: i64,
        disabled_at: Option<i64>,
        // Names between commas.
        member_of: Option<String>,
        // Lists as JSON, between commas.
        group_roles: Option<String>,
    }
);

row!(
    struct PasswordRow {
        id: String,
        password_hash: Option<String>,
    }
);

impl TryFrom<UserRow> for User {
    type Error = Fault;

    fn try_from(row: UserRow) -> Result<Self, Fault> {
        Ok(Self {
            id: UserId::parse(&row.id).ok_or_else(|| Fault::because("a stored user id is not a UUID"))?,
            username: row.username,
            email: row.email,
            email_verified: row.email_verified,
            claims: serde_json::from_str(&row.claims).map_err(Fault::internal)?,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
            disabled_at: row.disabled_at.map(Timestamp::from_micros),
            memberships: memberships(row.member_of.as_deref(), row.group_roles.as_deref())?,
        })
    }
}

/// Each group and each role once, in the order of the alphabet.
fn memberships(groups: Option<&str>, roles: Option<&str>) -> Result<Memberships, Fault> {
    let groups: BTreeSet<&str> = groups.into_iter().flat_map(|names| names.split(',')).collect();
    let lists = format!("[{}]", roles.unwrap_or_default());
    let lists: Vec<Vec<String>> = serde_json::from_str(&lists).map_err(Fault::internal)?;
    let roles: BTreeSet<String> = lists.into_iter().flatten().collect();
    Ok(Memberships { groups: groups.into_iter().map(str::to_owned).collect(), roles: roles.into_iter().collect() })
}

/// What names are compared by: their case does not count.
fn key(text: &str) -> String {
    text.to_lowercase()
}

/// What came of writing names.
fn stored(rows: Result<u64, sqlx::Error>) -> Result<Stored, Fault> {
    match rows {
        // Two took the same name at once.
        Err(error) if error.as_database_error().is_some_and(|error| error.is_unique_violation()) => {
            Ok(Stored::Conflict)
        }
        rows => Ok(Stored::from_rows(rows?)),
    }
}

impl Store {
    pub async fn user(&self, id: UserId) -> Result<Option<User>, Fault> {
        const SELECT: &str = "SELECT id, username, email, email_verified, claims, created_at, updated_at, disabled_at,
                (SELECT string_agg(m.group_name, ',') FROM memberships m WHERE m.user_id = users.id) AS member_of,
                (SELECT string_agg(g.roles, ',') FROM memberships m JOIN user_groups g ON g.name = m.group_name
                 WHERE m.user_id = users.id) AS group_roles
            FROM users WHERE id = $1";
        let row: Option<UserRow> =
            on!(self.on(), db => query_as(SELECT).bind(id.to_string()).fetch_optional(db).await?);
        row.map(User::try_from).transpose()
    }

    /// The user who signs in by this name or e-mail address, disabled ones too.
    pub async fn user_by_login(&self, login: &str) -> Result<Option<User>, Fault> {
        const SELECT: &str = "SELECT id, username, email, email_verified, claims, created_at, updated_at, disabled_at,
                (SELECT string_agg(m.group_name, ',') FROM memberships m WHERE m.user_id = users.id) AS member_of,
                (SELECT string_agg(g.roles, ',') FROM memberships m JOIN user_groups g ON g.name = m.group_name
                 WHERE m.user_id = users.id) AS group_roles
            FROM users WHERE username_key = $1 OR email_key = $1
            ORDER BY CASE WHEN username_key = $1 THEN 0 ELSE 1 END LIMIT 1";
        let row: Option<UserRow> = on!(self.on(), db => query_as(SELECT).bind(key(login)).fetch_optional(db).await?);
        row.map(User::try_from).transpose()
    }

    /// Who signs in by this name, with the hash of their password.
    pub async fn credentials(&self, login: &str) -> Result<Option<Credentials>, Fault> {
        const SELECT: &str = "SELECT id, password_hash FROM users WHERE username_key = $1 OR email_key = $1
            ORDER BY CASE WHEN username_key = $1 THEN 0 ELSE 1 END LIMIT 1";
        // The same two questions whether there is such a user or not: time must not tell (ASVS 6.3.8).
        let user = self.user_by_login(login).await?;
        let row: Option<PasswordRow> =
            on!(self.on(), db => query_as(SELECT).bind(key(login)).fetch_optional(db).await?);
        let both = user.zip(row).filter(|(user, row)| row.id == user.id.to_string());
        Ok(both.map(|(user, row)| Credentials { user, password_hash: row.password_hash }))
    }

    pub async fn users(&self) -> Result<Vec<User>, Fault> {
        const SELECT: &str = "SELECT id, username, email, email_verified, claims, created_at, updated_at, disabled_at,
                (SELECT string_agg(m.group_name, ',') FROM memberships m WHERE m.user_id = users.id) AS member_of,
                (SELECT string_agg(g.roles, ',') FROM memberships m JOIN user_groups g ON g.name = m.group_name
                 WHERE m.user_id = users.id) AS group_roles
            FROM users ORDER BY created_at, id";
        let rows: Vec<UserRow> = on!(self.on(), db => query_as(SELECT).fetch_all(db).await?);
        rows.into_iter().map(User::try_from).collect()
    }
}

impl Tx {
    /// `Conflict` if the name or the address is another's.
    pub async fn insert_user(&mut self, user: &User, password_hash: Option<&str>) -> Result<Stored, Fault> {
        const INSERT: &str = "INSERT INTO users (id, username, username_key, email, email_key, email_verified, claims,
                password_hash, created_at, updated_at, disabled_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT DO NOTHING";
        let rows = on!(self.on(), db => query(INSERT)
            .bind(user.id.to_string())
            .bind(&user.username)
            .bind(key(&user.username))
            .bind(&user.email)
            .bind(user.email.as_deref().map(key))
            .bind(user.email_verified)
            .bind(serde_json::to_string(&user.claims).map_err(Fault::internal)?)
            .bind(password_hash)
            .bind(user.created_at.micros())
            .bind(user.updated_at.micros())
            .bind(user.disabled_at.map(Timestamp::micros))
            .execute(db)
            .await?
            .rows_affected());
        Ok(Stored::from_rows(rows))
    }

    /// Writes names and claims, if the row is still the one that was read as `user` and the names are not another's.
    pub async fn update_user(&mut self, user: &User, now: Timestamp) -> Result<Stored, Fault> {
        const UPDATE: &str = "UPDATE users SET username = $3, username_key = $4, email = $5, email_key = $6,
                email_verified = $7, claims = $8, updated_at = $9
            WHERE id = $1 AND updated_at = $2
              AND NOT EXISTS (SELECT 1 FROM users AS others
                              WHERE others.id <> $1 AND (others.username_key = $4 OR others.email_key = $6))";
        let outcome = on!(self.on(), db => query(UPDATE)
            .bind(user.id.to_string())
            .bind(user.updated_at.micros())
            .bind(&user.username)
            .bind(key(&user.username))
            .bind(&user.email)
            .bind(user.email.as_deref().map(key))
            .bind(user.email_verified)
            .bind(serde_json::to_string(&user.claims).map_err(Fault::internal)?)
            .bind(now.micros())
            .execute(db)
            .await
            .map(|done| done.rows_affected()));
        stored(outcome)
    }

    /// Sets another password and ends every session begun with the old one. `Conflict` if there is no such user.
    pub async fn set_password(&mut self, id: UserId, hash: &str, now: Timestamp) -> Result<Stored, Fault> {
        const UPDATE: &str = "UPDATE users SET password_hash = $2, updated_at = $3 WHERE id = $1";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(id.to_string()).bind(hash).bind(now.micros()).execute(db).await?.rows_affected());
        if rows == 1 {
            self.end_sessions_of(id, None, now).await?;
        }
        Ok(Stored::from_rows(rows))
    }

    /// Sets another password in the place of one that is known, and ends nothing. `Conflict` if it is another by now, or
    /// its user may not sign in.
    ///
    /// Safe to race: of any number of callers who know the old one, one sets the new.
    pub async fn replace_password(
        &mut self,
        id: UserId,
        known: Option<&str>,
        hash: &str,
        now: Timestamp,
    ) -> Result<Stored, Fault> {
        const UPDATE: &str = "UPDATE users SET password_hash = $3, updated_at = $4
            WHERE id = $1 AND COALESCE(password_hash, '') = $2 AND disabled_at IS NULL";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(id.to_string())
            .bind(known.unwrap_or_default())
            .bind(hash)
            .bind(now.micros())
            .execute(db)
            .await?
            .rows_affected());
        if rows == 1 {
            // Those for which the old password was proved.
            self.forget_sign_ins_of(id).await?;
        }
        Ok(Stored::from_rows(rows))
    }

    /// Gives a user another address, which is known to be theirs, in the place of the one that they had; and another
    /// name, where the address was it. `Conflict` if they have another by now, or the new one is somebody else's.
    ///
    /// Safe to race: of any number of changes of one address, one is made.
    pub async fn change_email(
        &mut self,
        id: UserId,
        known: Option<&str>,
        email: &str,
        now: Timestamp,
    ) -> Result<Stored, Fault> {
        const UPDATE: &str = "UPDATE users SET
                username = CASE WHEN username_key = email_key THEN $3 ELSE username END,
                username_key = CASE WHEN username_key = email_key THEN $4 ELSE username_key END,
                email = $3, email_key = $4, email_verified = TRUE, updated_at = $5
            WHERE id = $1 AND COALESCE(email_key, '') = $2 AND disabled_at IS NULL
              AND NOT EXISTS (SELECT 1 FROM users AS others
                              WHERE others.id <> $1 AND (others.username_key = $4 OR others.email_key = $4))";
        let outcome = on!(self.on(), db => query(UPDATE)
            .bind(id.to_string())
            .bind(known.map(key).unwrap_or_default())
            .bind(email)
            .bind(key(email))
            .bind(now.micros())
            .execute(db)
            .await
            .map(|done| done.rows_affected()));
        stored(outcome)
    }

    /// Confirms that a password which was verified is still the user's, and that they may sign in; keeps it as `kept`,
    /// the same hash or a stronger one. Until this transaction ends, nobody changes the password or disables the user,
    /// so a session that it begins is seen by whoever does so afterwards.
    pub async fn confirm_password(&mut self, id: UserId, verified: &str, kept: &str) -> Result<Stored, Fault> {
        const UPDATE: &str = "UPDATE users SET password_hash = $3
            WHERE id = $1 AND password_hash = $2 AND disabled_at IS NULL";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(id.to_string()).bind(verified).bind(kept).execute(db).await?.rows_affected());
        Ok(Stored::from_rows(rows))
    }

    /// Confirms that a user may sign in. As after `confirm_password`, nobody disables them until this transaction ends.
    pub async fn confirm_user(&mut self, id: UserId) -> Result<Stored, Fault> {
        const UPDATE: &str = "UPDATE users SET disabled_at = NULL WHERE id = $1 AND disabled_at IS NULL";
        let rows = on!(self.on(), db => query(UPDATE).bind(id.to_string()).execute(db).await?.rows_affected());
        Ok(Stored::from_rows(rows))
    }

    /// Refuses the user from now on, and ends all that is theirs. `Conflict` if they are disabled, or not there.
    pub async fn disable_user(&mut self, id: UserId, now: Timestamp) -> Result<Stored, Fault> {
        const UPDATE: &str = "UPDATE users SET disabled_at = $2, updated_at = $2 WHERE id = $1 AND disabled_at IS NULL";
        const GRANTS: &str = "UPDATE grants SET revoked_at = $2, revoked_because = 'user_disabled'
            WHERE user_id = $1 AND revoked_at IS NULL";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(id.to_string()).bind(now.micros()).execute(db).await?.rows_affected());
        if rows == 1 {
            // The order in which every transaction takes its rows: sessions, consents, grants.
            let sessions = self.close_sessions_of(id, None, now).await?;
            on!(self.on(), db => query(GRANTS)
                .bind(id.to_string()).bind(now.micros()).execute(db).await.map(|_| ()))?;
            for session in sessions {
                self.tell_relying_parties(session, now).await?;
            }
            self.record(Change::UserDisabled(id), now).await?;
        }
        Ok(Stored::from_rows(rows))
    }

    /// Lets a disabled user back in; what was ended stays ended.
    pub async fn enable_user(&mut self, id: UserId, now: Timestamp) -> Result<Stored, Fault> {
        const UPDATE: &str = "UPDATE users SET disabled_at = NULL, updated_at = $2
            WHERE id = $1 AND disabled_at IS NOT NULL";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(id.to_string()).bind(now.micros()).execute(db).await?.rows_affected());
        if rows == 1 {
            self.record(Change::UserEnabled(id), now).await?;
        }
        Ok(Stored::from_rows(rows))
    }

    /// Removes the user and all that is theirs; their tokens are dead.
    pub async fn delete_user(&mut self, id: UserId, now: Timestamp) -> Result<Stored, Fault> {
        const USER: &str = "DELETE FROM users WHERE id = $1";
        const GRANTS: &str = "DELETE FROM grants WHERE user_id = $1";
        const CONSENTS: &str = "DELETE FROM consents WHERE user_id = $1";
        const SESSIONS: &str = "DELETE FROM sessions WHERE user_id = $1";
        const MEMBERSHIPS: &str = "DELETE FROM memberships WHERE user_id = $1";
        const LINKS: &str = "DELETE FROM links WHERE subject = $1 OR subject LIKE $2";
        // Links first: the order in which every transaction takes its rows.
        on!(self.on(), db => query(LINKS)
            .bind(id.to_string()).bind(format!("{id} %")).execute(db).await.map(|_| ()))?;
        let rows = on!(self.on(), db => query(USER).bind(id.to_string()).execute(db).await?.rows_affected());
        if rows == 1 {
            for session in self.close_sessions_of(id, None, now).await? {
                self.tell_relying_parties(session, now).await?;
            }
            for statement in [SESSIONS, CONSENTS, GRANTS, MEMBERSHIPS] {
                on!(self.on(), db => query(statement).bind(id.to_string()).execute(db).await.map(|_| ()))?;
            }
            self.delete_factors_of(id).await?;
            self.delete_api_tokens_of(&Holder::User(id), now).await?;
            self.delete_events_of(id).await?;
            self.record(Change::UserDisabled(id), now).await?;
        }
        Ok(Stored::from_rows(rows))
    }
}
