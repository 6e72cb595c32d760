//! Another password, by who knows the one that there is (ASVS 6.2.2, 6.2.3), and what a person must prove once more before
//! anything of the kind (ASVS 7.5.1).

use std::time::Duration;

use secrecy::SecretString;

use super::letters::Letter;
use super::password::PasswordProblem;
use super::{Accounts, names};
use crate::crypto::{Busy, Verdict};
use crate::store::Stored;
use crate::types::{Authentication, Fault, Session, Timestamp, User};

/// How long ago an authentication may be to count as fresh.
pub const FRESH: Duration = Duration::from_mins(5);

/// Whether somebody is who they say they are.
pub enum Proof {
    /// With the hash that their password was verified against.
    Right(String),
    Wrong,
    /// Too many passwords are hashed at this moment.
    Busy,
}

/// What somebody wants.
pub struct NewPassword {
    pub current: SecretString,
    pub new: SecretString,
    /// Whether everybody else who is signed in is signed out (ASVS 7.4.3).
    pub end_others: bool,
}

/// What came of it.
pub enum PasswordChange {
    /// The session goes on, with another authentication.
    Done,
    /// It is not the current password.
    Wrong,
    Weak(PasswordProblem),
    /// Too many passwords are hashed at this moment.
    Busy,
}

impl Accounts {
    /// Verifies a password of somebody who is signed in.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn prove(&self, user: &User, password: SecretString) -> Result<Proof, Fault> {
        let known = self.store.credentials(&user.username).await?.filter(|known| known.user.id == user.id);
        let hash = known.and_then(|known| known.password_hash);
        let verdict = self.hashing.verify(hash.clone(), password).await;
        Ok(match (verdict, hash) {
            (Ok(Verdict::Right | Verdict::RightButOutdated), Some(hash)) => Proof::Right(hash),
            (Err(Busy), _) => Proof::Busy,
            _ => {
                tracing::warn!(target: "audit", event = "proof", outcome = "refused", user = %user.id);
                Proof::Wrong
            }
        })
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
        let known = match self.prove(user, wanted.current).await? {
            Proof::Right(hash) => hash,
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
        let renewed = Session {
            authentication: Authentication::by_password(now),
            seen_at: now,
            idle_expires_at: now.plus(self.config.session.idle_lifetime).min(session.expires_at),
            ..session.clone()
        };
        // If it has ended meanwhile, so be it.
        tx.renew_session(&renewed).await?;
        // ASVS 6.3.7
        if let Some(to) = user.email.as_deref().filter(|_| user.email_verified) {
            let letter = Letter::PasswordChanged { account: user.username.clone(), at: now };
            self.write(&mut tx, to, letter, now).await?;
        }
        tx.commit().await?;
        tracing::info!(target: "audit", event = "password_changed", by = "owner", user = %user.id);
        Ok(PasswordChange::Done)
    }
}
