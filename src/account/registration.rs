//! Accounts that people make for themselves: the address is proved first, by a link that is mailed to it, and only then is
//! there an account. Its user name is the address, so that nobody finds out which names are taken (ASVS 6.3.8).

use secrecy::SecretString;
use serde_json::{Map, Value};

use super::letters::Letter;
use super::links::{self, Detail, Order};
use super::password::PasswordProblem;
use super::sign_in::{Place, SignIn};
use super::wishes::{self, Wish};
use super::{Accounts, names};
use crate::crypto::{Busy, Digest, random};
use crate::outgoing::mail;
use crate::store::{Message, Purpose, Stored};
use crate::types::{Authentication, Event, EventKind, Fault, Memberships, RequestId, Timestamp, User, UserId};

/// A link that would work.
pub struct Invited {
    pub email: String,
    /// The request that waited where the link was asked for.
    pub request: Option<RequestId>,
}

/// What somebody chose for their account, and where.
pub struct NewAccount<'a> {
    /// What they are called; may be empty.
    pub name: &'a str,
    pub password: SecretString,
    pub place: Place<'a>,
}

/// What came of it.
pub enum SignedUp {
    /// As after any sign-in, with the request that waited where the link was asked for.
    Done(SignIn, Option<RequestId>),
    /// The link does not work, or no more.
    Gone,
    /// Somebody has this address by now.
    Taken,
    Name(&'static str),
    Weak(PasswordProblem),
    /// Too many passwords are hashed at this moment.
    Busy,
}

const LONGEST_NAME: usize = 256;

/// An address that can be somebody's; `None` for what is none.
pub fn address(typed: &str) -> Option<String> {
    let email = wishes::name(typed)?;
    (names::settle(&email, Some(&email)).is_ok() && mail::is_address(&email)).then_some(email)
}

impl Accounts {
    /// Somebody wants an account with this address. Whether it has one does not show.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn ask_to_sign_up(&self, email: String, request: Option<RequestId>, now: Timestamp) -> Result<(), Fault> {
        self.wish(&Wish::SignUp { email, request }, now).await
    }

    /// Sends the link, or says that there is an account.
    pub(super) async fn offer_account(
        &self,
        message: &Message,
        email: &str,
        request: Option<RequestId>,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let known = self.store.user_by_login(email).await?;
        let detail = Detail { email: Some(email.to_owned()), request, bound: None };
        let (secret, link) = links::make(order(email, &detail), &*self.rng, now)?;
        let mut tx = self.store.begin().await?;
        if !tx.settle_message(message).await? {
            return Ok(());
        }
        let letter = match known {
            Some(user) => Letter::AccountExists { account: user.username },
            None => {
                tx.put_link(&link).await?;
                Letter::with_link(&secret, |link| Letter::SignUp { link })
            }
        };
        self.write(&mut tx, email, letter, now).await?;
        tx.commit().await
    }

    /// Invites somebody at an administrator's wish; `None` if the address is somebody's already.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn invite(&self, email: &str, by_mail: bool, now: Timestamp) -> Result<Option<SecretString>, Fault> {
        if self.store.user_by_login(email).await?.is_some() {
            return Ok(None);
        }
        let detail = Detail { email: Some(email.to_owned()), ..Detail::default() };
        let order = Order { lifetime: links::INVITATION, ..order(email, &detail) };
        let (secret, link) = links::make(order, &*self.rng, now)?;
        let mut tx = self.store.begin().await?;
        tx.put_link(&link).await?;
        if by_mail {
            self.write(&mut tx, email, Letter::with_link(&secret, |link| Letter::Invitation { link }), now).await?;
        }
        tx.commit().await?;
        tracing::info!(target: "audit", event = "sign_up", outcome = "invited");
        Ok(Some(secret))
    }

    /// Whom a link would let in now.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn invited(&self, link: Digest, now: Timestamp) -> Result<Option<Invited>, Fault> {
        let Some(link) = self.store.link(Purpose::SignUp, link, now).await? else { return Ok(None) };
        let Detail { email, request, .. } = links::detail(&link)?;
        Ok(email.map(|email| Invited { email, request }))
    }

    /// Makes the account, and signs its owner in: they have just proved the address and chosen the password. Where
    /// everybody needs a second factor, that is set up first (ASVS 6.3.3).
    ///
    /// # Errors
    /// When the database is away.
    pub async fn sign_up(&self, link: Digest, new: NewAccount<'_>, now: Timestamp) -> Result<SignedUp, Fault> {
        let Some(invited) = self.invited(link, now).await? else { return Ok(SignedUp::Gone) };
        let name = new.name.trim();
        if name.chars().count() > LONGEST_NAME || name.chars().any(char::is_control) {
            return Ok(SignedUp::Name("A name has at most 256 characters."));
        }
        let claims = (!name.is_empty()).then(|| ("name".to_owned(), Value::from(name)));
        let user = User {
            id: UserId::new(random::uuid_v4(&*self.rng)),
            username: invited.email.clone(),
            email: Some(invited.email),
            email_verified: true,
            claims: Map::from_iter(claims),
            created_at: now,
            updated_at: now,
            disabled_at: None,
            memberships: Memberships::default(),
        };
        if let Err(problem) = self.rules.check(&new.password, &names::context_of(&user)) {
            return Ok(SignedUp::Weak(problem));
        }
        let hash = match self.hashing.hash(new.password, &*self.rng).await {
            Ok(hash) => hash,
            Err(Busy) => return Ok(SignedUp::Busy),
        };
        let mut tx = self.store.begin().await?;
        if tx.spend_link(Purpose::SignUp, link, now).await?.is_none() {
            return Ok(SignedUp::Gone);
        }
        if tx.insert_user(&user, Some(&hash)).await? == Stored::Conflict {
            return Ok(SignedUp::Taken);
        }
        let proved = Authentication::by_password(now);
        let signed_in = if self.config.second_factor.is_required_of(&user) {
            let step = self.step(user.id, proved, new.place.browser, now);
            tx.create_sign_in(&step).await?;
            SignIn::Second(step.id)
        } else {
            let session = self.open_session(&mut tx, (user.id, proved), (None, &new.place), now).await?;
            SignIn::Done(Box::new(session))
        };
        tx.log(Event::new(user.id, EventKind::SignedUp, now)).await?;
        tx.commit().await?;
        Ok(SignedUp::Done(signed_in, invited.request))
    }
}

fn order<'a>(email: &str, detail: &'a Detail) -> Order<'a> {
    let purpose = Purpose::SignUp;
    Order { purpose, subject: email.to_lowercase(), detail, lifetime: links::lifetime(purpose) }
}
