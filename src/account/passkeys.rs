//! Passkeys: what somebody has, adds and takes away (ASVS 6.3.3, 6.5.6, 7.5.1), and signing in with one.

use secrecy::SecretString;
use webauthn_rs::prelude::{DiscoverableAuthentication, PasskeyRegistration};

use super::Accounts;
use super::ceremony::{Assertion, Ceremony, Purpose, Reply, Verdict};
use super::letters::Factors;
use super::second_factor::{Spent, short};
use super::sign_in::{Place, SignIn, signed_in};
use super::throttle::{Admission, Guess};
use crate::crypto::random;
use crate::store::Stored;
use crate::types::{Authentication, Event, EventKind, FactorId, Fault, Passkey, SignInId, Timestamp, User, UserId};

/// A passkey that somebody wants to add, in a browser.
pub struct NewPasskey<'a> {
    pub reply: Reply<'a>,
    pub browser: &'a str,
    /// What they call it, or else what it will be called.
    pub name: &'a str,
    /// The sign-in that waits until they have one.
    pub waits: Option<SignInId>,
}

/// What came of it.
pub enum Added {
    /// With the recovery codes that come with what somebody has first.
    Done(Vec<SecretString>),
    /// It is somebody's already.
    Known,
    /// The answer is not right, or it came too late, or twice.
    Refused,
}

/// Somebody who signs in by a passkey alone.
pub struct PasskeyAttempt<'a> {
    pub reply: Reply<'a>,
    pub place: Place<'a>,
}

impl Accounts {
    /// # Errors
    /// When the database is away.
    pub async fn passkeys(&self, user: UserId) -> Result<Vec<Passkey>, Fault> {
        self.store.passkeys_of(user).await
    }

    /// What the browser of somebody who adds a passkey is asked; `None` where there can be none.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn ask_for_new_passkey(
        &self,
        user: &User,
        browser: &str,
        now: Timestamp,
    ) -> Result<Option<Ceremony>, Fault> {
        let known = self.store.passkeys_of(user.id).await?;
        self.ask_to_create(user, &known, (Purpose::Add(user.id), browser), now)
    }

    /// The first passkey of whoever has nothing beside their password, and needs it to go on: they show it next. `None`
    /// when their sign-in has expired, was finished, or was tried too often.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn add_first_passkey(&self, new: NewPasskey<'_>, now: Timestamp) -> Result<Option<Added>, Fault> {
        let Some(sign_in) = new.waits else { return Ok(None) };
        let Some(step) = self.store.try_sign_in(sign_in, new.browser, now).await? else { return Ok(None) };
        let Some(user) = self.store.user(step.user).await? else { return Ok(None) };
        self.add_passkey(&user, new, now).await.map(Some)
    }

    /// # Errors
    /// When the database is away.
    pub async fn add_passkey(&self, user: &User, new: NewPasskey<'_>, now: Timestamp) -> Result<Added, Fault> {
        let whose = (new.waits.map_or(Purpose::Add(user.id), Purpose::AddFirst), new.browser);
        let Some(opened) = self.open::<PasskeyRegistration>(new.reply, whose, now) else { return Ok(Added::Refused) };
        let Some(state) = self.spend_challenge(opened, now).await? else { return Ok(Added::Refused) };
        let Some(created) = self.created(new.reply.answer, &state)? else { return Ok(Added::Refused) };
        let passkey = Passkey {
            id: FactorId::new(random::uuid_v4(&*self.rng)),
            user: user.id,
            credential_id: created.id,
            name: called(new.name),
            credential: created.credential,
            counter: created.counter,
            created_at: now,
            used_at: None,
        };
        let mut tx = self.store.begin().await?;
        if tx.confirm_user(user.id).await? == Stored::Conflict {
            return Ok(Added::Refused);
        }
        if !tx.create_passkey(&passkey).await? {
            return Ok(Added::Known);
        }
        // Who knows their password alone adds nothing to what they have.
        if new.waits.is_some() && tx.count_factors(user.id).await? != 1 {
            return Ok(Added::Refused);
        }
        let codes = self.first_recovery_codes(&mut tx, user.id, now).await?;
        self.tell_of(&mut tx, Some(user), Factors::PasskeyAdded, now).await?;
        tx.commit().await?;
        Ok(Added::Done(codes))
    }

    /// `false` if it is none of theirs.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn rename_passkey(&self, user: UserId, id: FactorId, name: &str) -> Result<bool, Fault> {
        let mut tx = self.store.begin().await?;
        let renamed = tx.rename_passkey(user, id, &called(name)).await?;
        tx.commit().await?;
        Ok(renamed)
    }

    /// What the browser of somebody is asked who may sign in by a passkey alone; `None` where there can be none.
    ///
    /// # Errors
    /// When a challenge cannot be made.
    pub fn ask_for_any_passkey(&self, browser: &str, now: Timestamp) -> Result<Option<Ceremony>, Fault> {
        self.ask_for(&[], (Purpose::SignIn, browser), now)
    }

    /// Lets in whoever shows a passkey: its device has made sure that it is them.
    ///
    /// An unknown passkey, one whose owner is disabled, and a wrong answer are one (ASVS 6.3.8).
    ///
    /// # Errors
    /// When the database is away.
    pub async fn sign_in_by_passkey(&self, attempt: PasskeyAttempt<'_>, now: Timestamp) -> Result<SignIn, Fault> {
        let PasskeyAttempt { reply, place } = &attempt;
        let opened = self.open::<DiscoverableAuthentication>(*reply, (Purpose::SignIn, place.browser), now);
        let (Some(opened), Some(assertion)) = (opened, Assertion::parse(reply.answer)) else {
            return Ok(refused(None));
        };
        let guess = Guess::Passkey(assertion.credential_id());
        let counted = match self.admit(guess, place.address, now).await? {
            Admission::Now(counted) => counted,
            Admission::Until(at) => return Ok(SignIn::Throttled(at)),
        };
        let Some(state) = self.spend_challenge(opened, now).await? else { return Ok(refused(None)) };
        let Some(passkey) = self.store.passkey(assertion.credential_id()).await? else { return Ok(refused(None)) };
        let user = passkey.user;
        let verdict = self.verify(&assertion, &passkey, (Purpose::SignIn, state))?;
        self.note(&passkey, &verdict, now).await?;
        let Verdict::Right(counter) = verdict else { return Ok(refused(Some(user))) };
        let present = self.present(place, user, now).await?;
        let owner = if self.is_news(place, user) { self.store.user(user).await? } else { None };
        let mut tx = self.store.begin().await?;
        if tx.confirm_user(user).await? == Stored::Conflict || !tx.use_passkey(passkey.id, counter, now).await? {
            return Ok(refused(Some(user)));
        }
        let proved = Authentication::by_passkey(now);
        let session = self.open_session(&mut tx, (user, proved), (present, place), now).await?;
        if let Some(owner) = &owner {
            self.tell(&mut tx, owner, signed_in(owner, place, now), now).await?;
        }
        tx.log(Event::within(&session, EventKind::SignedIn, now).about(passkey.name)).await?;
        tx.commit().await?;
        self.was_right(counted).await?;
        Ok(SignIn::Done(Box::new(session)))
    }

    /// What the browser of somebody is asked who has given their password, and needs a first passkey.
    pub(super) fn ask_for_first_passkey(
        &self,
        user: &User,
        (sign_in, browser): (SignInId, &str),
        now: Timestamp,
    ) -> Result<Option<Ceremony>, Fault> {
        self.ask_to_create(user, &[], (Purpose::AddFirst(sign_in), browser), now)
    }

    /// What the browser of somebody is asked who has given their password; `None` for whoever has no passkey.
    pub(super) async fn ask_for_own_passkey(
        &self,
        user: UserId,
        (sign_in, browser): (SignInId, &str),
        now: Timestamp,
    ) -> Result<Option<Ceremony>, Fault> {
        let own = self.store.passkeys_of(user).await?;
        if own.is_empty() {
            return Ok(None);
        }
        self.ask_for(&own, (Purpose::SecondStep(sign_in), browser), now)
    }

    /// What an answer to that would spend, if it is right.
    pub(super) async fn judge_passkey(
        &self,
        user: UserId,
        reply: Reply<'_>,
        (sign_in, browser): (SignInId, &str),
        now: Timestamp,
    ) -> Result<Option<Spent>, Fault> {
        let purpose = Purpose::SecondStep(sign_in);
        let opened = self.open::<DiscoverableAuthentication>(reply, (purpose, browser), now);
        let (Some(opened), Some(assertion)) = (opened, Assertion::parse(reply.answer)) else { return Ok(None) };
        let Some(state) = self.spend_challenge(opened, now).await? else { return Ok(None) };
        // WebAuthn §7.2 step 5: one of those that were asked for, and theirs still.
        let passkey = self.store.passkey(assertion.credential_id()).await?.filter(|passkey| passkey.user == user);
        let Some(passkey) = passkey else { return Ok(None) };
        let verdict = self.verify(&assertion, &passkey, (purpose, state))?;
        self.note(&passkey, &verdict, now).await?;
        Ok(match verdict {
            Verdict::Right(counter) => Some(Spent::Passkey(passkey.id, counter)),
            Verdict::Wrong | Verdict::CountedBack => None,
        })
    }

    /// A device that counted back may have been copied: its owner should know.
    async fn note(&self, passkey: &Passkey, verdict: &Verdict, now: Timestamp) -> Result<(), Fault> {
        if matches!(verdict, Verdict::CountedBack) {
            let mut tx = self.store.begin().await?;
            tx.log(Event::new(passkey.user, EventKind::PasskeyCountedBack, now).about(&*passkey.name)).await?;
            tx.commit().await?;
        }
        Ok(())
    }
}

fn refused(user: Option<UserId>) -> SignIn {
    tracing::warn!(target: "audit", event = "sign_in", outcome = "refused", by = "passkey", ?user);
    SignIn::Wrong
}

/// What a passkey is called.
fn called(name: &str) -> String {
    short(name).unwrap_or_else(|| "Passkey".to_owned())
}
