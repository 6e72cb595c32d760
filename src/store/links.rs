//! Links that are sent to people: each is for one purpose and one subject, until a time, and works once.

use sqlx::{query, query_as};

use super::database::{on, row};
use super::{Store, Tx};
use crate::types::{Fault, Timestamp};

/// What a link is good for. It works for nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    ResetPassword,
    SignUp,
    ConfirmEmail,
    UndoEmail,
}

impl Purpose {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ResetPassword => "reset_password",
            Self::SignUp => "sign_up",
            Self::ConfirmEmail => "confirm_email",
            Self::UndoEmail => "undo_email",
        }
    }
}

/// A row of `links`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub purpose: Purpose,
    /// What it is about: of two links for one purpose and one subject the later counts alone.
    pub subject: String,
    /// SHA-256 of the secret that stands in the address.
    pub secret_hash: [u8; 32],
    /// What else its purpose needs to know, as JSON.
    pub detail: String,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}

row!(
    struct LinkRow {
        subject: String,
        detail: String,
        created_at: i64,
        expires_at: i64,
    }
);

impl LinkRow {
    fn link(self, purpose: Purpose, secret_hash: [u8; 32]) -> Link {
        Link {
            purpose,
            subject: self.subject,
            secret_hash,
            detail: self.detail,
            created_at: Timestamp::from_micros(self.created_at),
            expires_at: Timestamp::from_micros(self.expires_at),
        }
    }
}

impl Store {
    /// A link that would work now.
    pub async fn link(&self, purpose: Purpose, secret_hash: [u8; 32], now: Timestamp) -> Result<Option<Link>, Fault> {
        const SELECT: &str = "SELECT subject, detail, created_at, expires_at FROM links
            WHERE secret_hash = $1 AND purpose = $2 AND spent_at IS NULL AND expires_at > $3";
        let row: Option<LinkRow> = on!(self.on(), db => query_as(SELECT)
            .bind(&secret_hash[..])
            .bind(purpose.as_str())
            .bind(now.micros())
            .fetch_optional(db)
            .await?);
        Ok(row.map(|row| row.link(purpose, secret_hash)))
    }
}

impl Tx {
    /// Keeps a new link, in the place of an older one for the same purpose and subject. Links are the first rows that a
    /// transaction takes.
    pub async fn put_link(&mut self, link: &Link) -> Result<(), Fault> {
        const UPSERT: &str =
            "INSERT INTO links (purpose, subject, secret_hash, detail, created_at, expires_at, spent_at)
            VALUES ($1, $2, $3, $4, $5, $6, NULL)
            ON CONFLICT (purpose, subject) DO UPDATE SET secret_hash = $3, detail = $4, created_at = $5,
                expires_at = $6, spent_at = NULL";
        on!(self.on(), db => query(UPSERT)
            .bind(link.purpose.as_str())
            .bind(&link.subject)
            .bind(&link.secret_hash[..])
            .bind(&link.detail)
            .bind(link.created_at.micros())
            .bind(link.expires_at.micros())
            .execute(db)
            .await
            .map(|_| ()))?;
        Ok(())
    }

    /// Spends a link; `None` if it is for something else, was spent, has expired, or another took its place.
    ///
    /// Safe to race: of any number of callers one gets it.
    pub async fn spend_link(
        &mut self,
        purpose: Purpose,
        secret_hash: [u8; 32],
        now: Timestamp,
    ) -> Result<Option<Link>, Fault> {
        const UPDATE: &str = "UPDATE links SET spent_at = $3
            WHERE secret_hash = $1 AND purpose = $2 AND spent_at IS NULL AND expires_at > $3
            RETURNING subject, detail, created_at, expires_at";
        let rows: Vec<LinkRow> = on!(self.on(), db => query_as(UPDATE)
            .bind(&secret_hash[..])
            .bind(purpose.as_str())
            .bind(now.micros())
            .fetch_all(db)
            .await?);
        Ok(rows.into_iter().next().map(|row| row.link(purpose, secret_hash)))
    }

    /// Spends the link for a purpose and a subject, without its secret: its subject was proved in another way. `false` if
    /// there is none.
    ///
    /// Safe to race: of any number of callers one gets it.
    pub async fn spend_link_of(&mut self, purpose: Purpose, subject: &str, now: Timestamp) -> Result<bool, Fault> {
        const UPDATE: &str = "UPDATE links SET spent_at = $3
            WHERE purpose = $1 AND subject = $2 AND spent_at IS NULL AND expires_at > $3";
        let rows = on!(self.on(), db => query(UPDATE)
            .bind(purpose.as_str()).bind(subject).bind(now.micros()).execute(db).await?.rows_affected());
        Ok(rows == 1)
    }

    /// Ends the links for the purpose of one that was spent which were made since, where the first word of their subject
    /// is the same.
    pub async fn end_later_links(&mut self, spent: &Link) -> Result<(), Fault> {
        const DELETE: &str = "DELETE FROM links
            WHERE purpose = $1 AND created_at >= $2 AND secret_hash <> $3 AND subject LIKE $4";
        let subject = spent.subject.split(' ').next().unwrap_or_default();
        on!(self.on(), db => query(DELETE)
            .bind(spent.purpose.as_str())
            .bind(spent.created_at.micros())
            .bind(&spent.secret_hash[..])
            .bind(format!("{subject} %"))
            .execute(db)
            .await
            .map(|_| ()))?;
        Ok(())
    }
}
