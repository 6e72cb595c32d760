//! What has to be sent, durable in the transaction that makes it true, and tried until it was delivered.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sqlx::{query, query_as};
use tokio::sync::watch;

use super::database::{on, row};
use super::{Store, Tx};
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

/// Who delivers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Logout,
    Mail,
    Wish,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Logout => "logout",
            Self::Mail => "mail",
            Self::Wish => "wish",
        }
    }
}

/// What there is to be told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// To a client: this session of a user of it has ended.
    Logout { client: ClientId, session: SessionId, user: UserId },
    /// To a person, by mail.
    Mail(Sealed),
    /// To ourselves: what somebody asked for who must not learn by waiting what comes of it.
    Wish(Sealed),
}

/// What the database must not show: links, and who was written to.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Of the message; what is sealed is bound to it.
    pub id: String,
    pub bytes: Vec<u8>,
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

impl Content {
    /// `None` for what is not of this kind.
    fn parse(kind: Kind, id: &str, payload: &str) -> Option<Self> {
        let sealed = || Some(Sealed { id: id.to_owned(), bytes: STANDARD.decode(payload).ok()? });
        match kind {
            Kind::Logout => {
                let mut parts = payload.split(' ');
                Some(Self::Logout {
                    client: ClientId::parse(parts.next()?)?,
                    session: SessionId::parse(parts.next()?)?,
                    user: UserId::parse(parts.next()?)?,
                })
            }
            Kind::Mail => sealed().map(Self::Mail),
            Kind::Wish => sealed().map(Self::Wish),
        }
    }
}

row!(
    struct MessageRow {
        id: String,
        payload: String,
        attempts: i64,
        expires_at: i64,
    }
);

impl Store {
    /// Takes messages of a kind that are due, at most `most`, those first that were tried least. Nobody else tries one
    /// before `until`; whoever took it and vanished is followed by somebody else then.
    ///
    /// Safe to race: of any number of nodes one gets a message.
    pub async fn take_messages(
        &self,
        kind: Kind,
        most: usize,
        until: Timestamp,
        now: Timestamp,
    ) -> Result<Vec<Message>, Fault> {
        const DUE: &str = "SELECT id, payload, attempts, expires_at FROM outbox
            WHERE next_at <= $1 AND expires_at > $1 AND kind = $3 ORDER BY attempts, next_at LIMIT $2";
        const TAKE: &str = "UPDATE outbox SET attempts = attempts + 1, next_at = $3
            WHERE id = $1 AND attempts = $2 AND next_at <= $4";
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let due: Vec<MessageRow> = on!(self.on(), db => query_as(DUE)
                .bind(now.micros()).bind(most).bind(kind.as_str()).fetch_all(db).await?);
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
            if let (1, Some(content)) = (rows, Content::parse(kind, &row.id, &row.payload)) {
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

    /// Changes whenever this process has put something into the outbox.
    pub fn outbox_filled(&self) -> watch::Receiver<u64> {
        self.0.outbox_filled.subscribe()
    }
}

impl Tx {
    /// Puts a message in, sent once this transaction is committed.
    pub async fn post(
        &mut self,
        kind: Kind,
        sealed: &Sealed,
        expires_at: Timestamp,
        now: Timestamp,
    ) -> Result<(), Fault> {
        const INSERT: &str = "INSERT INTO outbox (id, kind, payload, attempts, next_at, created_at, expires_at)
            VALUES ($1, $2, $3, 0, $4, $4, $5)";
        on!(self.on(), db => query(INSERT)
            .bind(&sealed.id)
            .bind(kind.as_str())
            .bind(STANDARD.encode(&sealed.bytes))
            .bind(now.micros())
            .bind(expires_at.micros())
            .execute(db)
            .await
            .map(|_| ()))?;
        self.fills_outbox = true;
        Ok(())
    }

    /// Takes a message away together with what comes of it; `false` if it is gone, or another's by now.
    ///
    /// Safe to race: of any number of nodes one settles it.
    pub async fn settle_message(&mut self, message: &Message) -> Result<bool, Fault> {
        const DELETE: &str = "DELETE FROM outbox WHERE id = $1 AND attempts = $2";
        let rows = on!(self.on(), db => query(DELETE)
            .bind(&message.id).bind(message.attempts).execute(db).await?.rows_affected());
        Ok(rows == 1)
    }
}
