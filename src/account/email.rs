//! Another e-mail address: proved at the new one before it counts, and told to the old one, which can take it back for some
//! days (ASVS 6.3.7, 7.5.1).

use super::letters::Letter;
use super::links::{self, Detail, Order};
use super::{Accounts, wishes::Wish};
use crate::crypto::Digest;
use crate::store::{Link, Message, Purpose, Stored};
use crate::types::{Event, EventKind, Fault, SessionId, Timestamp, User, UserId};

/// A link that would work: whose address it would change, and to which.
pub struct Change {
    pub user: User,
    pub email: String,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Changed {
    Done,
    /// The link does not work, or no more.
    Gone,
    /// The address is somebody else's by now.
    Taken,
}

impl Accounts {
    /// Somebody who has just proved who they are wants another address. Whether it is somebody's does not show.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn ask_for_email(&self, session: SessionId, email: String, now: Timestamp) -> Result<(), Fault> {
        self.wish(&Wish::ChangeEmail { session, email }, now).await
    }

    /// Asks the new address, if whoever wanted it is signed in still.
    pub(super) async fn offer_email(
        &self,
        message: &Message,
        session: SessionId,
        email: &str,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let Some((_, user)) = self.store.signed_in(session, now).await? else { return Ok(()) };
        let Some(known) = self.store.credentials(&user.username).await? else { return Ok(()) };
        let bound = Some(bound(&user, known.password_hash.as_deref()));
        let detail = Detail { email: Some(email.to_owned()), request: None, bound };
        let purpose = Purpose::ConfirmEmail;
        let lifetime = links::lifetime(purpose);
        let order = Order { purpose, subject: user.id.to_string(), detail: &detail, lifetime };
        let (secret, link) = links::make(order, &*self.rng, now)?;
        let owner = self.store.user_by_login(email).await?.filter(|owner| owner.id != user.id);
        let mut tx = self.store.begin().await?;
        if !tx.settle_message(message).await? {
            return Ok(());
        }
        let letter = match owner {
            Some(owner) => Letter::AddressTaken { account: owner.username },
            None => {
                tx.put_link(&link).await?;
                Letter::with_link(&secret, |link| Letter::ConfirmEmail { account: user.username, link })
            }
        };
        self.write(&mut tx, email, letter, now).await?;
        tx.commit().await
    }

    /// What a link from the new address would change now.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn email_to_confirm(&self, link: Digest, now: Timestamp) -> Result<Option<Change>, Fault> {
        let Some(link) = self.store.link(Purpose::ConfirmEmail, link, now).await? else { return Ok(None) };
        let Some((user, detail)) = self.meant(&link).await? else { return Ok(None) };
        let known = self.store.credentials(&user.username).await?;
        // With another password or address, whoever asked may be somebody else than who is there now.
        let is_same = known.is_some_and(|known| detail.bound == Some(bound(&user, known.password_hash.as_deref())));
        Ok(detail.email.filter(|_| is_same).map(|email| Change { user, email }))
    }

    /// The new address counts from now on, and the old one is told.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn confirm_email(&self, link: Digest, now: Timestamp) -> Result<Changed, Fault> {
        let Some(Change { user, email }) = self.email_to_confirm(link, now).await? else { return Ok(Changed::Gone) };
        let mut tx = self.store.begin().await?;
        if tx.spend_link(Purpose::ConfirmEmail, link, now).await?.is_none() {
            return Ok(Changed::Gone);
        }
        // An address that was never proved may be a stranger's, and must not be given a way into the account.
        let undo = match user.email.as_ref().filter(|_| user.email_verified) {
            Some(old) => {
                let detail = Detail { email: Some(old.clone()), ..Detail::default() };
                let purpose = Purpose::UndoEmail;
                // Each address that was theirs has its own: a second change must not end what the first one left.
                let subject = format!("{} {}", user.id, old.to_lowercase());
                let order = Order { purpose, subject, detail: &detail, lifetime: links::lifetime(purpose) };
                let (secret, link) = links::make(order, &*self.rng, now)?;
                tx.put_link(&link).await?;
                Some((old, secret))
            }
            None => None,
        };
        if tx.change_email(user.id, user.email.as_deref(), &email, now).await? == Stored::Conflict {
            return Ok(Changed::Taken);
        }
        if let Some((old, secret)) = undo {
            let account = user.username.clone();
            let letter = |link| Letter::EmailChanged { account, email, at: now, link };
            self.write(&mut tx, old, Letter::with_link(&secret, letter), now).await?;
        }
        tx.log(Event::new(user.id, EventKind::EmailChanged, now)).await?;
        tx.commit().await?;
        Ok(Changed::Done)
    }

    /// What a link from an old address would change back now.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn email_to_restore(&self, link: Digest, now: Timestamp) -> Result<Option<Change>, Fault> {
        let Some(link) = self.store.link(Purpose::UndoEmail, link, now).await? else { return Ok(None) };
        let Some((user, detail)) = self.meant(&link).await? else { return Ok(None) };
        Ok(detail.email.map(|email| Change { user, email }))
    }

    /// The old address counts again, and everybody who is signed in is signed out: somebody was there who should not.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn restore_email(&self, link: Digest, now: Timestamp) -> Result<Changed, Fault> {
        let Some(Change { user, email }) = self.email_to_restore(link, now).await? else { return Ok(Changed::Gone) };
        let mut tx = self.store.begin().await?;
        let Some(spent) = tx.spend_link(Purpose::UndoEmail, link, now).await? else { return Ok(Changed::Gone) };
        // What was sent to addresses that came after this one leads nowhere any more; what went before still does.
        tx.end_later_links(&spent).await?;
        if tx.change_email(user.id, user.email.as_deref(), &email, now).await? == Stored::Conflict {
            return Ok(Changed::Taken);
        }
        tx.end_sessions_of(user.id, None, now).await?;
        tx.log(Event::new(user.id, EventKind::EmailRestored, now)).await?;
        tx.commit().await?;
        Ok(Changed::Done)
    }

    /// Whom a link is about, if they may sign in.
    async fn meant(&self, link: &Link) -> Result<Option<(User, Detail)>, Fault> {
        let id = link.subject.split(' ').next().and_then(UserId::parse);
        let Some(id) = id else { return Ok(None) };
        let user = self.store.user(id).await?.filter(|user| user.disabled_at.is_none());
        let detail = links::detail(link)?;
        Ok(user.map(|user| (user, detail)))
    }
}

/// The password and the address of the moment at which it was asked for.
fn bound(user: &User, password_hash: Option<&str>) -> String {
    let email = user.email.as_deref().unwrap_or_default().to_lowercase();
    format!("{} {email}", links::of_password(password_hash))
}
