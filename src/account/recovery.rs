//! A forgotten password: a link by mail, with which another can be chosen (ASVS 6.4.1, 6.4.3). It signs nobody in, so it is
//! no way past anything else that signing in asks for.

use secrecy::SecretString;

use super::letters::Letter;
use super::links::{self, Detail, Order};
use super::password::PasswordProblem;
use super::wishes::{self, Wish};
use super::{Accounts, names};
use crate::crypto::{Busy, Digest};
use crate::store::{Credentials, Message, Purpose, Stored};
use crate::types::{Event, EventKind, Fault, RequestId, Timestamp, User, UserId};

/// A link that would work, and whose password it would change.
pub struct Reset {
    pub user: User,
    /// The request that waited where the link was asked for.
    pub request: Option<RequestId>,
    detail: Detail,
    password_hash: Option<String>,
}

/// What came of choosing another password.
pub enum Chosen {
    /// With the request that waited where the link was asked for.
    Done(Option<RequestId>),
    /// The link does not work, or no more.
    Gone,
    Weak(PasswordProblem),
    /// Too many passwords are hashed at this moment.
    Busy,
}

impl Accounts {
    /// Somebody has forgotten the password of `login`. Whether there is such a user does not show.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn forgot_password(&self, login: &str, request: Option<RequestId>, now: Timestamp) -> Result<(), Fault> {
        // What nobody can be called is known without looking.
        let Some(login) = wishes::name(login) else { return Ok(()) };
        self.wish(&Wish::ResetPassword { login, request }, now).await
    }

    /// Sends the link, to an address that is known to be theirs.
    pub(super) async fn offer_reset(
        &self,
        message: &Message,
        login: &str,
        request: Option<RequestId>,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let known = self.store.credentials(login).await?;
        let known = known.filter(|known| known.user.disabled_at.is_none() && known.user.email_verified);
        let Some((known, to)) = known.and_then(|known| known.user.email.clone().map(|email| (known, email))) else {
            tracing::info!(target: "audit", event = "password_reset", outcome = "nobody");
            return Ok(());
        };
        let detail = detail(&known, request);
        let (secret, link) = links::make(order(&known.user, &detail), &*self.rng, now)?;
        let mut tx = self.store.begin().await?;
        if !tx.settle_message(message).await? {
            return Ok(());
        }
        tx.put_link(&link).await?;
        let account = known.user.username;
        self.write(&mut tx, &to, Letter::with_link(&secret, |link| Letter::ResetPassword { account, link }), now)
            .await?;
        tx.commit().await?;
        tracing::info!(target: "audit", event = "password_reset", outcome = "offered", user = %known.user.id);
        Ok(())
    }

    /// Makes a link at an administrator's wish, who passes it on, or has it mailed; they never choose the password
    /// (ASVS 6.4.6).
    ///
    /// # Errors
    /// When the database is away.
    pub async fn start_reset(&self, user: &User, by_mail: bool, now: Timestamp) -> Result<Option<SecretString>, Fault> {
        let known = self.store.credentials(&user.username).await?;
        let Some(known) = known.filter(|known| known.user.id == user.id) else { return Ok(None) };
        let detail = detail(&known, None);
        let (secret, link) = links::make(order(user, &detail), &*self.rng, now)?;
        let mut tx = self.store.begin().await?;
        tx.put_link(&link).await?;
        if let (true, Some(to)) = (by_mail, &user.email) {
            let account = user.username.clone();
            let letter = Letter::with_link(&secret, |link| Letter::ResetPassword { account, link });
            self.write(&mut tx, to, letter, now).await?;
        }
        tx.commit().await?;
        tracing::info!(target: "audit", event = "password_reset", outcome = "started", user = %user.id);
        Ok(Some(secret))
    }

    /// Whose password a link would change now.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn reset(&self, link: Digest, now: Timestamp) -> Result<Option<Reset>, Fault> {
        let Some(link) = self.store.link(Purpose::ResetPassword, link, now).await? else { return Ok(None) };
        let detail = links::detail(&link)?;
        let Some(id) = UserId::parse(&link.subject) else { return Ok(None) };
        let Some(user) = self.store.user(id).await? else { return Ok(None) };
        let known = self.store.credentials(&user.username).await?.filter(|known| known.user.id == id);
        let Some(Credentials { user, password_hash }) = known else { return Ok(None) };
        // Another password was set since, or the address is theirs no more.
        let is_same = detail.bound.as_deref() == Some(&*links::of_password(password_hash.as_deref()))
            && detail.email == user.email
            && user.disabled_at.is_none();
        Ok(is_same.then_some(Reset { user, request: detail.request, detail, password_hash }))
    }

    /// Sets the password that somebody chose who has the link, and ends all that the old one opened.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn choose_password(&self, link: Digest, password: SecretString, now: Timestamp) -> Result<Chosen, Fault> {
        let Some(reset) = self.reset(link, now).await? else { return Ok(Chosen::Gone) };
        if let Err(problem) = self.rules.check(&password, &names::context_of(&reset.user)) {
            return Ok(Chosen::Weak(problem));
        }
        let hash = match self.hashing.hash(password, &*self.rng).await {
            Ok(hash) => hash,
            Err(Busy) => return Ok(Chosen::Busy),
        };
        let id = reset.user.id;
        let mut tx = self.store.begin().await?;
        // ASVS 6.4.1: once.
        if tx.spend_link(Purpose::ResetPassword, link, now).await?.is_none()
            || tx.replace_password(id, reset.password_hash.as_deref(), &hash, now).await? == Stored::Conflict
        {
            return Ok(Chosen::Gone);
        }
        tx.end_sessions_of(id, None, now).await?;
        // ASVS 6.3.7
        if let Some(to) = &reset.detail.email {
            let letter = Letter::PasswordChanged { account: reset.user.username.clone(), at: now };
            self.write(&mut tx, to, letter, now).await?;
        }
        tx.log(Event::new(id, EventKind::PasswordReset, now)).await?;
        tx.commit().await?;
        Ok(Chosen::Done(reset.request))
    }
}

/// The address and the password that they have now: with either of them the link ends.
fn detail(known: &Credentials, request: Option<RequestId>) -> Detail {
    let bound = Some(links::of_password(known.password_hash.as_deref()));
    Detail { email: known.user.email.clone(), request, bound }
}

fn order<'a>(user: &User, detail: &'a Detail) -> Order<'a> {
    let purpose = Purpose::ResetPassword;
    Order { purpose, subject: user.id.to_string(), detail, lifetime: links::lifetime(purpose) }
}
