//! What happened to accounts.

use sqlx::{query, query_as};

use super::database::{on, row};
use super::{Store, Tx};
use crate::types::{Event, EventKind, Fault, Timestamp, UserId};

row!(
    struct EventRow {
        at: i64,
        kind: String,
        about: String,
        by_admin: bool,
        device: Option<String>,
        address: Option<String>,
    }
);

impl EventRow {
    /// `None` for what a newer version wrote.
    fn event(self, user: UserId) -> Option<Event> {
        Some(Event {
            user,
            at: Timestamp::from_micros(self.at),
            kind: EventKind::parse(&self.kind)?,
            about: self.about,
            by_admin: self.by_admin,
            device: self.device,
            address: self.address.and_then(|address| address.parse().ok()),
        })
    }
}

impl Store {
    /// What happened to an account, the last first: so many from before a time.
    pub async fn events_of(&self, user: UserId, before: Timestamp, most: u32) -> Result<Vec<Event>, Fault> {
        const SELECT: &str = "SELECT at, kind, about, by_admin, device, address FROM events
            WHERE user_id = $1 AND at < $2 ORDER BY at DESC, kind, about LIMIT $3";
        let rows: Vec<EventRow> = on!(self.on(), db => query_as(SELECT)
            .bind(user.to_string()).bind(before.micros()).bind(i64::from(most)).fetch_all(db).await?);
        Ok(rows.into_iter().filter_map(|row| row.event(user)).collect())
    }
}

impl Tx {
    /// Writes down what happens in this transaction; once it is committed, it stands in the server's log, too.
    pub async fn log(&mut self, event: Event) -> Result<(), Fault> {
        const INSERT: &str = "INSERT INTO events (user_id, at, kind, about, by_admin, device, address)
            VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING";
        on!(self.on(), db => query(INSERT)
            .bind(event.user.to_string())
            .bind(event.at.micros())
            .bind(event.kind.name())
            .bind(&event.about)
            .bind(event.by_admin)
            .bind(&event.device)
            .bind(event.address.map(|address| address.to_string()))
            .execute(db)
            .await
            .map(|_| ()))?;
        self.events.push(event);
        Ok(())
    }

    pub(super) async fn delete_events_of(&mut self, user: UserId) -> Result<(), Fault> {
        const DELETE: &str = "DELETE FROM events WHERE user_id = $1";
        on!(self.on(), db => query(DELETE).bind(user.to_string()).execute(db).await.map(|_| ()))?;
        Ok(())
    }
}

/// For the server's log.
pub(super) fn told(event: &Event) {
    let Event { user, kind, about, by_admin, device, address, at: _ } = event;
    let by = if *by_admin { "administrator" } else { "owner" };
    tracing::info!(target: "audit", event = kind.name(), %user, by, about, ?device, ?address);
}
