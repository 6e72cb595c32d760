//! What has to be sent, durable in the transaction that makes it true, and tried until it was delivered.

use sqlx::{query, query_as};

use super::Store;
use super::database::{on, row};
use crate::types::{ClientId, Fault, SessionId, Timestamp, UserId};

/// A message that this node is to deliver.
#[derive(Clone, Debug)]
pub struct Message {
    id: String,
    pub content: Content,
    /// How often it was tried, this time included.
    pub attempts: i64,
    /// It is of no use to anybody after that.
    pub expires_at: Timestamp,
}

/// What there is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// To a client: this session of a user of it has ended.
    Logout { client: ClientId, session: SessionId, user: UserId },
}

impl Content {
    /// `None` for what is not of this kind.
    fn parse(kind: &str, payload: &str) -> Option<Self> {
        match kind {
            "logout" => {
                let mut parts = payload.split(' ');
                Some(Self::Logout {
                    client: ClientId::parse(parts.next()?)?,
                    session: SessionId::parse(parts.next()?)?,
                    user: UserId::parse(parts.next()?)?,
                })
            }
            _ => None,
        }
    }
}

row!(
    struct MessageRow {
        id: String,
        kind: String,
        payload: String,
        attempts: i64,
        expires_at: i64,
    }
);

impl Store {
    /// Takes messages that are due, at most `most`, those first that were tried least. Nobody else tries one before
    /// `until`; whoever took it and vanished is followed by somebody else then.
    ///
    /// Safe to race: of any number of nodes one gets a message.
    pub async fn take_messages(&self, most: usize, until: Timestamp, now: Timestamp) -> Result<Vec<Message>, Fault> {
        // Of a kind that a newer version wrote, its nodes take care.
        const DUE: &str = "SELECT id, kind, payload, attempts, expires_at FROM outbox
            WHERE next_at <= $1 AND expires_at > $1 AND kind IN ('logout') ORDER BY attempts, next_at LIMIT $2";
        const TAKE: &str = "UPDATE outbox SET attempts = attempts + 1, next_at = $3
            WHERE id = $1 AND attempts = $2 AND next_at <= $4";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let due: Vec<MessageRow> =
            on!(self.on(), db => query_as(DUE).bind(now.micros()).bind(most).fetch_all(db).await?);
        let mut taken = Vec::with_capacity(due.len());
        for row in due {
            let rows = on!(self.writing().await?.on(), db => query(TAKE)
                .bind(&row.id)
                .bind(row.attempts)
                .bind(until.micros())
                .bind(now.micros())
                .execute(db)
                .await?
                .rows_affected());
            if let (1, Some(content)) = (rows, Content::parse(&row.kind, &row.payload)) {
                let (attempts, expires_at) = (row.attempts + 1, Timestamp::from_micros(row.expires_at));
                taken.push(Message { id: row.id, content, attempts, expires_at });
            }
        }
        Ok(taken)
    }

    /// Takes a message away: it was delivered, or nobody will.
    pub async fn finish_message(&self, message: &Message) -> Result<(), Fault> {
        const DELETE: &str = "DELETE FROM outbox WHERE id = $1";
        on!(self.writing().await?.on(), db => query(DELETE).bind(&message.id).execute(db).await.map(|_| ()))?;
        Ok(())
    }

    /// Lets a message be tried again at a time, unless somebody else has taken it since.
    pub async fn postpone_message(&self, message: &Message, until: Timestamp) -> Result<(), Fault> {
        const UPDATE: &str = "UPDATE outbox SET next_at = $3 WHERE id = $1 AND attempts = $2";
        on!(self.writing().await?.on(), db => query(UPDATE)
            .bind(&message.id)
            .bind(message.attempts)
            .bind(until.micros())
            .execute(db)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Waits until this process has put something into the outbox.
    pub async fn outbox_filled(&self) {
        self.0.outbox_filled.notified().await;
    }
}
