//! What somebody asks for who must not learn what comes of it: not by words, and not by waiting (ASVS 6.3.8). The wish
//! alone is written down while they wait, whoever they are, and granted from the outbox.

use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::throttle::{Admission, Guess};
use super::{Accounts, letters};
use crate::store::{Kind, Message, Sealed};
use crate::types::{Fault, RequestId, SessionId, Timestamp};

/// Who has not been written to by then has asked again.
const LIFE: Duration = Duration::from_mins(10);

/// The longest name that is looked up: that of an address (RFC 5321 §4.5.3.1.3).
const LONGEST: usize = 254;

#[derive(Serialize, Deserialize)]
#[serde(tag = "wish", rename_all = "snake_case")]
pub enum Wish {
    /// A new password, for whoever signs in by this.
    ResetPassword { login: String, request: Option<RequestId> },
    /// An account with this address.
    SignUp { email: String, request: Option<RequestId> },
    /// Another address, for whoever is signed in there.
    ChangeEmail { session: SessionId, email: String },
}

/// What is kept of a name that somebody typed; `None` if nobody can have it.
pub(super) fn name(typed: &str) -> Option<String> {
    let typed = typed.trim();
    let fits = !typed.is_empty() && typed.len() <= LONGEST && !typed.chars().any(char::is_control);
    fits.then(|| typed.to_owned())
}

impl Accounts {
    /// Counts a mail that somebody asks for, to whoever `named` is, whether there is somebody or not: that must not show.
    /// `Some` says from when on.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn mail_waits(
        &self,
        named: &str,
        from: Option<IpAddr>,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, Fault> {
        Ok(match self.admit(Guess::Mail(named), from, now).await? {
            Admission::Now(_) => None,
            Admission::Until(at) => Some(at),
        })
    }

    /// Writes a wish down.
    ///
    /// # Errors
    /// When the database is away.
    pub(super) async fn wish(&self, wish: &Wish, now: Timestamp) -> Result<(), Fault> {
        let sealed = self.seal(Kind::Wish, wish)?;
        let mut tx = self.store.begin().await?;
        tx.post(Kind::Wish, &sealed, now.plus(LIFE), now).await?;
        tx.commit().await
    }

    /// Does what somebody wished for, and takes the wish away in the same transaction: it is granted once.
    ///
    /// # Errors
    /// When the database is away, or the key ring has not what it was sealed with.
    pub async fn grant_wish(&self, message: &Message, sealed: &Sealed, now: Timestamp) -> Result<(), Fault> {
        match letters::open(&self.ring, Kind::Wish, sealed)? {
            Wish::ResetPassword { login, request } => self.offer_reset(message, &login, request, now).await,
            Wish::SignUp { email, request } => self.offer_account(message, &email, request, now).await,
            Wish::ChangeEmail { session, email } => self.offer_email(message, session, &email, now).await,
        }
    }
}
