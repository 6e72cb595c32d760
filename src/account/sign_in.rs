//! Signing in: by name and password, and then, where it is asked for, by a second factor. By a passkey alone: `passkeys`.

use std::net::IpAddr;
use std::time::Duration;

use secrecy::SecretString;

use super::Accounts;
use super::ceremony::{Ceremony, Reply};
use super::letters::Letter;
use super::second_factor::SetUp;
use super::throttle::{Admission, Guess, KnownBrowser};
use crate::crypto::{Busy, Verdict, random};
use crate::store::{Ending, Stored, Tx};
use crate::types::{
    Authentication, Event, EventKind, Fault, Session, SessionId, SignInId, Step, Timestamp, User, UserId,
};

/// How long a sign-in waits for its second step (ASVS 6.5.5 has it for codes that are sent).
const SECOND_STEP: Duration = Duration::from_mins(10);

/// What somebody typed into the sign-in form, and where.
pub struct Attempt<'a> {
    /// A user name or an e-mail address.
    pub login: &'a str,
    /// Verified exactly as typed (ASVS 6.2.8).
    pub password: SecretString,
    pub place: Place<'a>,
}

/// Where somebody signs in.
pub struct Place<'a> {
    /// The id of the browser's record, to which what waits is bound.
    pub browser: &'a str,
    /// Kind of browser and machine, in words.
    pub device: String,
    /// Who is signed in there already.
    pub sessions: Vec<SessionId>,
    /// Where the attempt comes from.
    pub address: Option<IpAddr>,
    /// Who has signed in with this browser before.
    pub known: KnownBrowser,
    /// Whether they ask to stay signed in.
    pub remembered: bool,
}

/// The hash that a password was verified against, and the one to keep: the same, or a stronger one.
struct Proof {
    hash: String,
    kept: String,
}

/// What came of it.
pub enum SignIn {
    Done(Box<Session>),
    /// The password is right, and more is asked for.
    Second(SignInId),
    /// Unknown name, wrong password, disabled account: one answer for all (ASVS 6.3.8).
    Wrong,
    /// Too many are signing in at this moment: 503, at once.
    Busy,
    /// There were too many wrong attempts: the next one is let through at this time.
    Throttled(Timestamp),
}

/// What somebody showed as their second factor.
pub struct SecondAttempt<'a> {
    pub sign_in: SignInId,
    pub shown: Shown<'a>,
    pub place: Place<'a>,
}

pub enum Shown<'a> {
    /// Typed.
    Code(&'a str),
    Passkey(Reply<'a>),
}

/// Who waits for their second step, and by what they can take it.
pub struct Awaited {
    pub user: User,
    /// Whoever has nothing yet sets up an app, or adds a passkey.
    pub set_up: Option<SetUp>,
    pub has_app: bool,
    /// The one to show; the one to add of whoever has nothing yet.
    pub passkey: Option<Ceremony>,
}

/// What came of it.
pub enum SecondStep {
    Done {
        session: Box<Session>,
        /// To be shown this once, where the app was set up just now.
        recovery_codes: Vec<SecretString>,
    },
    /// Not a code of theirs, or one that was used.
    Wrong,
    /// The sign-in has expired, was finished, or was tried too often: the password comes first again.
    Gone,
    /// As at the first step.
    Throttled(Timestamp),
}

impl Accounts {
    /// Checks the password, and begins a session or renews the present one of the same person.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn sign_in(&self, attempt: Attempt<'_>, now: Timestamp) -> Result<SignIn, Fault> {
        let credentials = self.store.credentials(attempt.login).await?;
        let place = &attempt.place;
        let browser = place.known.of(credentials.as_ref().map(|known| known.user.id));
        let guess = Guess::Password { login: attempt.login, browser };
        let counted = match self.admit(guess, place.address, now).await? {
            Admission::Now(counted) => counted,
            Admission::Until(at) => return Ok(SignIn::Throttled(at)),
        };
        let hash = credentials.as_ref().and_then(|known| known.password_hash.clone());
        // Without a hash the same work is done, so that time does not tell who exists (ASVS 6.3.8).
        let verdict = match self.hashing.verify(hash.clone(), attempt.password.clone()).await {
            Ok(verdict) => verdict,
            Err(Busy) => {
                self.was_not_judged(counted).await?;
                return Ok(SignIn::Busy);
            }
        };
        match (verdict, credentials, hash) {
            (Verdict::Right | Verdict::RightButOutdated, Some(known), Some(hash)) => {
                let kept = if verdict == Verdict::RightButOutdated {
                    self.upgraded(attempt.password.clone()).await
                } else {
                    None
                };
                self.was_right(counted).await?;
                let proof = Proof { kept: kept.unwrap_or_else(|| hash.clone()), hash };
                self.first_step(&known.user, proof, &attempt.place, now).await
            }
            (_, known, _) => {
                // What was typed is not logged: people type their password into the wrong field.
                let user = known.map(|known| known.user.id);
                tracing::warn!(target: "audit", event = "sign_in", outcome = "refused", ?user);
                Ok(SignIn::Wrong)
            }
        }
    }

    /// The password hashed anew with today's parameters. If nobody has time for it, the next sign-in will.
    async fn upgraded(&self, password: SecretString) -> Option<String> {
        self.hashing.hash(password, &*self.rng).await.ok()
    }

    /// In one transaction: the password is still the one that was verified, and the session begins or goes on, or the
    /// sign-in waits for its second step. `Wrong` when the password was changed, or its user disabled, meanwhile.
    async fn first_step(&self, user: &User, proof: Proof, place: &Place<'_>, now: Timestamp) -> Result<SignIn, Fault> {
        let proved = Authentication::by_password(now);
        let is_asked = self.config.second_factor.is_required_of(user) || self.store.has_factors(user.id).await?;
        let present = self.present(place, user.id, now).await?;
        let mut tx = self.store.begin().await?;
        if tx.confirm_password(user.id, &proof.hash, &proof.kept).await? == Stored::Conflict {
            tracing::warn!(target: "audit", event = "sign_in", outcome = "refused", user = ?Some(user.id));
            return Ok(SignIn::Wrong);
        }
        if is_asked {
            let step = Step { remembered: place.remembered, ..self.step(user.id, proved, place.browser, now) };
            tx.create_sign_in(&step).await?;
            tx.commit().await?;
            return Ok(SignIn::Second(step.id));
        }
        let session = self.open_session(&mut tx, (user.id, proved), (present, place), now).await?;
        self.tell_if_news(&mut tx, user, place, now).await?;
        tx.log(Event::within(&session, EventKind::SignedIn, now)).await?;
        tx.commit().await?;
        Ok(SignIn::Done(Box::new(session)))
    }

    /// Asks somebody who is signed in for the second factor that they have not shown yet.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn raise(&self, session: &Session, browser: &str, now: Timestamp) -> Result<SignInId, Fault> {
        let step = self.step(session.user, session.authentication.clone(), browser, now);
        let mut tx = self.store.begin().await?;
        tx.create_sign_in(&Step { session: Some(session.id), ..step.clone() }).await?;
        tx.commit().await?;
        Ok(step.id)
    }

    pub(super) fn step(&self, user: UserId, proved: Authentication, browser: &str, now: Timestamp) -> Step {
        Step {
            id: SignInId::new(random::uuid_v4(&*self.rng)),
            browser: browser.to_owned(),
            user,
            session: None,
            remembered: false,
            proved,
            expires_at: now.plus(SECOND_STEP),
        }
    }

    /// The second step: a passkey, a code of the app, or a recovery code; or the first code of the app that is being set
    /// up, where there was nothing.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn second_step(&self, attempt: SecondAttempt<'_>, now: Timestamp) -> Result<SecondStep, Fault> {
        // Counted before it is judged.
        let Some(step) = self.store.try_sign_in(attempt.sign_in, attempt.place.browser, now).await? else {
            return Ok(SecondStep::Gone);
        };
        let place = &Place { remembered: step.remembered, ..attempt.place };
        let user = step.user;
        let counted = match self.admit(Guess::Code(user), place.address, now).await? {
            Admission::Now(counted) => counted,
            Admission::Until(at) => return Ok(SecondStep::Throttled(at)),
        };
        let present = match step.session {
            Some(raised) => match self.store.session(raised, now).await? {
                Some(session) => Some(session),
                None => return Ok(SecondStep::Gone),
            },
            None => self.present(place, user, now).await?,
        };
        let judged = match attempt.shown {
            Shown::Code(code) => self.judge(user, code, now).await?,
            Shown::Passkey(reply) => self.judge_passkey(user, reply, (step.id, place.browser), now).await?,
        };
        let Some(spent) = judged else { return Ok(refused(user)) };
        let methods = spent.methods();
        let (news, elsewhere) = (spent.news(), self.is_news(place, user));
        let owner = if elsewhere || news.is_some() { self.store.user(user).await? } else { None };
        let mut tx = self.store.begin().await?;
        if tx.confirm_user(user).await? == Stored::Conflict || !tx.finish_sign_in(step.id, now).await? {
            return Ok(SecondStep::Gone);
        }
        let Some(recovery_codes) = self.spend(&mut tx, user, spent, now).await? else { return Ok(refused(user)) };
        let proved = step.proved.and(methods, now);
        let session = self.open_session(&mut tx, (user, proved), (present, place), now).await?;
        if let Some(news) = news {
            self.tell_of(&mut tx, owner.as_ref(), news, now).await?;
        }
        if let (Some(owner), true) = (&owner, elsewhere) {
            self.tell(&mut tx, owner, signed_in(owner, place, now), now).await?;
        }
        tx.log(Event::within(&session, EventKind::SignedIn, now)).await?;
        tx.commit().await?;
        self.was_right(counted).await?;
        Ok(SecondStep::Done { session: Box::new(session), recovery_codes })
    }

    /// Who waits for their second step, and what they are asked.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn waiting_sign_in(
        &self,
        sign_in: SignInId,
        browser: &str,
        now: Timestamp,
    ) -> Result<Option<Awaited>, Fault> {
        let Some(step) = self.store.sign_in(sign_in, browser, now).await? else { return Ok(None) };
        let Some(user) = self.store.user(step.user).await? else { return Ok(None) };
        let has_app = !self.factors(user.id, now).await?.is_empty();
        let whose = (sign_in, browser);
        let (set_up, passkey) = if self.store.has_factors(user.id).await? {
            (None, self.ask_for_own_passkey(user.id, whose, now).await?)
        } else {
            (Some(self.set_up(&user, now).await?), self.ask_for_first_passkey(&user, whose, now)?)
        };
        Ok(Some(Awaited { user, set_up, has_app, passkey }))
    }

    pub(super) async fn tell_if_news(
        &self,
        tx: &mut Tx,
        user: &User,
        place: &Place<'_>,
        now: Timestamp,
    ) -> Result<(), Fault> {
        if self.is_news(place, user.id) {
            self.tell(tx, user, signed_in(user, place, now), now).await?;
        }
        Ok(())
    }

    /// Whether a person is told that they signed in here: where they have not before, as far as the browser knows
    /// (ASVS 6.3.5).
    pub(super) fn is_news(&self, place: &Place<'_>, user: UserId) -> bool {
        let mail = &self.config.mail;
        mail.is_on() && mail.new_devices && place.known.of(Some(user)).is_none()
    }

    /// The session that somebody has already where they sign in.
    pub(super) async fn present(
        &self,
        place: &Place<'_>,
        user: UserId,
        now: Timestamp,
    ) -> Result<Option<Session>, Fault> {
        for id in &place.sessions {
            if let Some(session) = self.store.session(*id, now).await?.filter(|session| session.user == user) {
                return Ok(Some(session));
            }
        }
        Ok(None)
    }

    /// The session of whoever has proved who they are: the present one of the same person, renewed, or a new one.
    pub(super) async fn open_session(
        &self,
        tx: &mut Tx,
        (user, proved): (UserId, Authentication),
        (present, place): (Option<Session>, &Place<'_>),
        now: Timestamp,
    ) -> Result<Session, Fault> {
        // The same person again: the session goes on, and so do the tokens that hang on it.
        let renewed = match present {
            Some(session) => {
                let renewed = self.renewed(session, (proved.clone(), place), now);
                tx.renew_session(&renewed).await?.then_some(renewed)
            }
            None => None,
        };
        match renewed {
            Some(session) => Ok(session),
            None => {
                let session = self.new_session((user, proved), place, now);
                tx.create_session(&session).await?;
                Ok(session)
            }
        }
    }

    fn renewed(
        &self,
        session: Session,
        (authentication, place): (Authentication, &Place<'_>),
        now: Timestamp,
    ) -> Session {
        // Who asked for it once need not ask again.
        let remembered = session.remembered || place.remembered;
        Session {
            authentication,
            address: place.address,
            seen_at: now,
            remembered,
            idle_expires_at: now.plus(self.config.session.idle(remembered)),
            expires_at: now.plus(self.config.session.absolute(remembered)),
            ..session
        }
    }

    fn new_session(
        &self,
        (user, authentication): (UserId, Authentication),
        place: &Place<'_>,
        now: Timestamp,
    ) -> Session {
        Session {
            id: SessionId::new(random::uuid_v4(&*self.rng)),
            user,
            authentication,
            device: place.device.clone(),
            address: place.address,
            created_at: now,
            seen_at: now,
            remembered: place.remembered,
            idle_expires_at: now.plus(self.config.session.idle(place.remembered)),
            expires_at: now.plus(self.config.session.absolute(place.remembered)),
        }
    }

    /// Ends a session and what hangs on it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn end(&self, session: SessionId, ending: Ending, now: Timestamp) -> Result<(), Fault> {
        let mut tx = self.store.begin().await?;
        let ended = tx.end_session(session, ending, now).await?;
        tx.commit().await?;
        if ended {
            tracing::info!(target: "audit", event = "session_ended", %session, ?ending);
        }
        Ok(())
    }
}

pub(super) fn signed_in(user: &User, place: &Place<'_>, now: Timestamp) -> Letter {
    Letter::SignedIn { account: user.username.clone(), device: place.device.clone(), at: now }
}

fn refused(user: UserId) -> SecondStep {
    tracing::warn!(target: "audit", event = "second_factor", outcome = "refused", %user);
    SecondStep::Wrong
}
