//! Another password, by who knows the one that there is (ASVS 6.2.2, 6.2.3).

use std::net::IpAddr;

use secrecy::SecretString;

use super::letters::Letter;
use super::password::PasswordProblem;
use super::throttle::{Admission, Guess, KnownBrowser};
use super::{Accounts, names};
use crate::crypto::{Busy, Verdict};
use crate::store::Stored;
use crate::types::{Event, EventKind, Fault, Session, Timestamp, User};

/// Whether somebody is who they say they are.
enum Proof {
    /// With the hash that their password was verified against.
    Right(String),
    Wrong,
    Throttled(Timestamp),
    /// Too many passwords are hashed at this moment.
    Busy,
}

/// What somebody wants.
pub struct NewPassword {
    pub current: SecretString,
    pub new: SecretString,
    /// Whether everybody else who is signed in is signed out (ASVS 7.4.3).
    pub end_others: bool,
    /// Where it is wanted.
    pub address: Option<IpAddr>,
    /// Who has signed in with this browser before.
    pub known: KnownBrowser,
}

/// What came of it.
pub enum PasswordChange {
    /// The session goes on.
    Done,
    /// It is not the current password.
    Wrong,
    /// There were too many wrong attempts: the next one is let through at this time.
    Throttled(Timestamp),
    Weak(PasswordProblem),
    /// Too many passwords are hashed at this moment.
    Busy,
}

impl Accounts {
    /// Verifies the current password, as often as it may be guessed at the sign-in: a session that was left open must not
    /// be a way to find it out (ASVS 6.3.1).
    async fn prove(&self, user: &User, wanted: &NewPassword, now: Timestamp) -> Result<Proof, Fault> {
        let guess = Guess::Password { login: &user.username, browser: wanted.known.of(Some(user.id)) };
        let counted = match self.admit(guess, wanted.address, now).await? {
            Admission::Now(counted) => counted,
            Admission::Until(at) => return Ok(Proof::Throttled(at)),
        };
        let known = self.store.credentials(&user.username).await?.filter(|known| known.user.id == user.id);
        let hash = known.and_then(|known| known.password_hash);
        let verdict = self.hashing.verify(hash.clone(), wanted.current.clone()).await;
        Ok(match (verdict, hash) {
            (Ok(Verdict::Right | Verdict::RightButOutdated), Some(hash)) => {
                self.was_right(counted).await?;
                Proof::Right(hash)
            }
            (Err(Busy), _) => {
                self.was_not_judged(counted).await?;
                Proof::Busy
            }
            _ => {
                tracing::warn!(target: "audit", event = "proof", outcome = "refused", user = %user.id);
                Proof::Wrong
            }
        })
    }

    /// Whether somebody may give their current password for another one: whoever has a second factor has to have shown it
    /// just now (ASVS 7.5.1).
    ///
    /// # Errors
    /// When the database is away.
    pub async fn may_change_password(&self, session: &Session, now: Timestamp) -> Result<bool, Fault> {
        Ok(self.is_fresh(session, now).await? || !self.store.has_factors(session.user).await?)
    }

    /// Sets another password in the place of the current one.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn change_password(
        &self,
        session: &Session,
        user: &User,
        wanted: NewPassword,
        now: Timestamp,
    ) -> Result<PasswordChange, Fault> {
        // ASVS 6.2.3
        let known = match self.prove(user, &wanted, now).await? {
            Proof::Right(hash) => hash,
            Proof::Throttled(at) => return Ok(PasswordChange::Throttled(at)),
            Proof::Wrong => return Ok(PasswordChange::Wrong),
            Proof::Busy => return Ok(PasswordChange::Busy),
        };
        if let Err(problem) = self.rules.check(&wanted.new, &names::context_of(user)) {
            return Ok(PasswordChange::Weak(problem));
        }
        let hash = match self.hashing.hash(wanted.new, &*self.rng).await {
            Ok(hash) => hash,
            Err(Busy) => return Ok(PasswordChange::Busy),
        };
        let mut tx = self.store.begin().await?;
        if tx.replace_password(user.id, Some(&known), &hash, now).await? == Stored::Conflict {
            return Ok(PasswordChange::Wrong);
        }
        if wanted.end_others {
            tx.end_sessions_of(user.id, Some(session.id), now).await?;
        }
        // ASVS 6.3.7
        let letter = Letter::PasswordChanged { account: user.username.clone(), at: now };
        self.tell(&mut tx, user, letter, now).await?;
        tx.log(Event::within(session, EventKind::PasswordChanged, now)).await?;
        tx.commit().await?;
        Ok(PasswordChange::Done)
    }
}
