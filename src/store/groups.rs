//! Groups, and who is in them. What somebody is by their groups is read with them (`users`).

use std::time::Duration;

use sqlx::{query, query_as};

use super::changes::Change;
use super::database::{on, row};
use super::{Store, Stored, Tx};
use crate::types::{Fault, Group, GroupName, Timestamp, UserId};

row!(
    struct GroupRow {
        name: String,
        description: Option<String>,
        roles: String,
        created_at: i64,
        updated_at: i64,
    }
);

impl TryFrom<GroupRow> for Group {
    type Error = Fault;

    fn try_from(row: GroupRow) -> Result<Self, Fault> {
        Ok(Self {
            name: row.name.parse().map_err(Fault::because)?,
            description: row.description,
            roles: serde_json::from_str(&row.roles).map_err(Fault::internal)?,
            created_at: Timestamp::from_micros(row.created_at),
            updated_at: Timestamp::from_micros(row.updated_at),
        })
    }
}

/// A token of the same millisecond was made before, as far as anybody can tell.
const MILLISECOND: Duration = Duration::from_millis(1);

impl Store {
    pub async fn group(&self, name: &GroupName) -> Result<Option<Group>, Fault> {
        const SELECT: &str = "SELECT name, description, roles, created_at, updated_at FROM user_groups WHERE name = $1";
        let row: Option<GroupRow> =
            on!(self.on(), db => query_as(SELECT).bind(name.as_str()).fetch_optional(db).await?);
        row.map(Group::try_from).transpose()
    }

    pub async fn groups(&self) -> Result<Vec<Group>, Fault> {
        const SELECT: &str = "SELECT name, description, roles, created_at, updated_at FROM user_groups ORDER BY name";
        let rows: Vec<GroupRow> = on!(self.on(), db => query_as(SELECT).fetch_all(db).await?);
        rows.into_iter().map(Group::try_from).collect()
    }

    /// The usernames of who is in a group.
    pub async fn members(&self, name: &GroupName) -> Result<Vec<String>, Fault> {
        const SELECT: &str = "SELECT u.username FROM memberships m JOIN users u ON u.id = m.user_id
            WHERE m.group_name = $1 ORDER BY u.username_key";
        let rows: Vec<(String,)> = on!(self.on(), db => query_as(SELECT).bind(name.as_str()).fetch_all(db).await?);
        Ok(rows.into_iter().map(|(username,)| username).collect())
    }

    /// Ends the access tokens that were made until now of people who have left a group. Their leaving ended those that
    /// were made before it; one that was made while it was being committed may still tell of it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn end_tokens_of(&self, people: &[UserId]) -> Result<(), Fault> {
        if people.is_empty() {
            return Ok(());
        }
        let mut tx = self.begin().await?;
        for user in people {
            tx.record(Change::GroupLeft(*user), self.now().plus(MILLISECOND)).await?;
        }
        tx.commit().await
    }
}

impl Tx {
    /// `Conflict` if there is one of this name.
    pub async fn insert_group(&mut self, group: &Group) -> Result<Stored, Fault> {
        const INSERT: &str = "INSERT INTO user_groups (name, description, roles, created_at, updated_at)
            VALUES ($1, $2, $3, $4, $5) ON CONFLICT DO NOTHING";
        let rows = on!(self.on(), db => query(INSERT)
            .bind(group.name.as_str())
            .bind(&group.description)
            .bind(serde_json::to_string(&group.roles).map_err(Fault::internal)?)
            .bind(group.created_at.micros())
            .bind(group.updated_at.micros())
            .execute(db)
            .await?
            .rows_affected());
        Ok(Stored::from_rows(rows))
    }

    /// `Conflict` if it is another by now than the one that was read, or gone.
    pub async fn update_group(&mut self, group: &Group, now: Timestamp) -> Result<Stored, Fault> {
        const UPDATE: &str = "UPDATE user_groups SET description = $3, roles = $4, updated_at = $5
            WHERE name = $1 AND updated_at = $2";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(group.name.as_str())
            .bind(group.updated_at.micros())
            .bind(&group.description)
            .bind(serde_json::to_string(&group.roles).map_err(Fault::internal)?)
            .bind(now.micros())
            .execute(db)
            .await?
            .rows_affected());
        Ok(Stored::from_rows(rows))
    }

    /// Removes a group; everybody leaves it. Tells who they were, for `Store::end_tokens_of`; `None` if there is none.
    pub async fn delete_group(&mut self, name: &GroupName, now: Timestamp) -> Result<Option<Vec<UserId>>, Fault> {
        const GROUP: &str = "DELETE FROM user_groups WHERE name = $1";
        const MEMBERS: &str = "DELETE FROM memberships WHERE group_name = $1 RETURNING user_id";
        let rows = on!(self.on(), db => query(GROUP).bind(name.as_str()).execute(db).await?.rows_affected());
        if rows == 0 {
            return Ok(None);
        }
        let rows: Vec<(String,)> = on!(self.on(), db => query_as(MEMBERS).bind(name.as_str()).fetch_all(db).await?);
        let people: Vec<UserId> = rows.iter().filter_map(|(id,)| UserId::parse(id)).collect();
        for user in &people {
            self.record(Change::GroupLeft(*user), now.plus(MILLISECOND)).await?;
        }
        Ok(Some(people))
    }

    /// Puts somebody into a group. `Conflict` if they are in it, or one of the two is gone.
    ///
    /// Safe to race: of any number of callers one puts them in, and none into a group that is being removed.
    pub async fn join_group(&mut self, name: &GroupName, user: UserId, now: Timestamp) -> Result<Stored, Fault> {
        // Both stay until this transaction ends. Every transaction takes the group first, then the user.
        const GROUP: &str = "UPDATE user_groups SET name = $1 WHERE name = $1";
        const USER: &str = "UPDATE users SET updated_at = $3 WHERE id = $1
            AND NOT EXISTS (SELECT 1 FROM memberships m WHERE m.user_id = $1 AND m.group_name = $2)";
        const INSERT: &str = "INSERT INTO memberships (user_id, group_name, created_at) VALUES ($1, $2, $3)
            ON CONFLICT DO NOTHING";
        let rows = on!(self.on(), db => query(GROUP).bind(name.as_str()).execute(db).await?.rows_affected());
        if rows == 0 {
            return Ok(Stored::Conflict);
        }
        for statement in [USER, INSERT] {
            let rows = on!(self.on(), db => query(statement)
                .bind(user.to_string()).bind(name.as_str()).bind(now.micros()).execute(db).await?.rows_affected());
            if rows == 0 {
                return Ok(Stored::Conflict);
            }
        }
        Ok(Stored::Stored)
    }

    /// Takes somebody out of a group, and ends their access tokens that were made before. `Conflict` if they are not in it.
    /// After the commit, `Store::end_tokens_of`.
    ///
    /// Safe to race: of any number of callers one takes them out.
    pub async fn leave_group(&mut self, name: &GroupName, user: UserId, now: Timestamp) -> Result<Stored, Fault> {
        const USER: &str = "UPDATE users SET updated_at = $3 WHERE id = $1
            AND EXISTS (SELECT 1 FROM memberships m WHERE m.user_id = $1 AND m.group_name = $2)";
        const DELETE: &str = "DELETE FROM memberships WHERE user_id = $1 AND group_name = $2";
        let rows = on!(self.on(), db => query(USER)
            .bind(user.to_string()).bind(name.as_str()).bind(now.micros()).execute(db).await?.rows_affected());
        if rows == 0 {
            return Ok(Stored::Conflict);
        }
        let rows = on!(self.on(), db => query(DELETE)
            .bind(user.to_string()).bind(name.as_str()).execute(db).await?.rows_affected());
        if rows == 1 {
            self.record(Change::GroupLeft(user), now.plus(MILLISECOND)).await?;
        }
        Ok(Stored::from_rows(rows))
    }
}
