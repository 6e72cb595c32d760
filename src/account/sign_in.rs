//! Signing in by name and password.

use secrecy::SecretString;

use super::Accounts;
use crate::crypto::{Busy, Verdict, random};
use crate::store::{Ending, Stored};
use crate::types::{Authentication, Fault, Session, SessionId, Timestamp, User, UserId};

/// What somebody typed into the sign-in form, and where.
pub struct Attempt<'a> {
    /// A user name or an e-mail address.
    pub login: &'a str,
    /// Verified exactly as typed (ASVS 6.2.8).
    pub password: SecretString,
    /// Kind of browser and machine, in words.
    pub device: String,
    /// Who is signed in there already.
    pub current: Option<SessionId>,
}

/// The hash that a password was verified against, and the one to keep: the same, or a stronger one.
struct Proof {
    hash: String,
    kept: String,
}

/// What came of it.
pub enum SignIn {
    Done(Box<Session>),
    /// Unknown name, wrong password, disabled account: one answer for all (ASVS 6.3.8).
    Wrong,
    /// Too many are signing in at this moment: 503, at once.
    Busy,
}

impl Accounts {
    /// Checks the password, and begins a session or renews the present one of the same person.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn sign_in(&self, attempt: Attempt<'_>, now: Timestamp) -> Result<SignIn, Fault> {
        let credentials = self.store.credentials(attempt.login).await?;
        let hash = credentials.as_ref().and_then(|known| known.password_hash.clone());
        // Without a hash the same work is done, so that time does not tell who exists (ASVS 6.3.8).
        let verdict = match self.hashing.verify(hash.clone(), attempt.password.clone()).await {
            Ok(verdict) => verdict,
            Err(Busy) => return Ok(SignIn::Busy),
        };
        let proved = match (verdict, credentials, hash) {
            (Verdict::Right | Verdict::RightButOutdated, Some(known), Some(hash)) => {
                let kept = if verdict == Verdict::RightButOutdated {
                    self.upgraded(attempt.password.clone()).await
                } else {
                    None
                };
                self.begin_session(
                    &known.user,
                    Proof { kept: kept.unwrap_or_else(|| hash.clone()), hash },
                    &attempt,
                    now,
                )
                .await?
            }
            (_, known, _) => {
                // What was typed is not logged: people type their password into the wrong field.
                let user = known.map(|known| known.user.id);
                tracing::warn!(target: "audit", event = "sign_in", outcome = "refused", ?user);
                None
            }
        };
        Ok(proved.map_or(SignIn::Wrong, |session| SignIn::Done(Box::new(session))))
    }

    /// The password hashed anew with today's parameters. If nobody has time for it, the next sign-in will.
    async fn upgraded(&self, password: SecretString) -> Option<String> {
        self.hashing.hash(password, &*self.rng).await.ok()
    }

    /// In one transaction: the password is still the one that was verified, and the session begins or goes on.
    /// `None` when it was changed, or its user disabled, while it was being verified.
    async fn begin_session(
        &self,
        user: &User,
        proof: Proof,
        attempt: &Attempt<'_>,
        now: Timestamp,
    ) -> Result<Option<Session>, Fault> {
        let present = match attempt.current {
            Some(id) => self.store.session(id, now).await?,
            None => None,
        };
        let mut tx = self.store.begin().await?;
        if tx.confirm_password(user.id, &proof.hash, &proof.kept).await? == Stored::Conflict {
            tracing::warn!(target: "audit", event = "sign_in", outcome = "refused", user = ?Some(user.id));
            return Ok(None);
        }
        let renewed = match present {
            // The same person again: the session goes on, and so do the tokens that hang on it.
            Some(session) if session.user == user.id => {
                let renewed = self.renewed(session, now);
                tx.renew_session(&renewed).await?.then_some(renewed)
            }
            // Somebody else: whoever was there is signed out.
            Some(other) => {
                tx.end_session(other.id, Ending::SignOut, now).await?;
                None
            }
            None => None,
        };
        let session = match renewed {
            Some(session) => session,
            None => {
                let session = self.new_session(user.id, attempt.device.clone(), now);
                tx.create_session(&session).await?;
                session
            }
        };
        tx.commit().await?;
        tracing::info!(target: "audit", event = "sign_in", outcome = "done", user = %user.id, session = %session.id);
        Ok(Some(session))
    }

    fn renewed(&self, session: Session, now: Timestamp) -> Session {
        Session {
            authentication: Authentication::by_password(now),
            seen_at: now,
            idle_expires_at: now.plus(self.config.session.idle_lifetime),
            expires_at: now.plus(self.config.session.absolute_lifetime),
            ..session
        }
    }

    pub(super) fn new_session(&self, user: UserId, device: String, now: Timestamp) -> Session {
        Session {
            id: SessionId::new(random::uuid_v4(&*self.rng)),
            user,
            authentication: Authentication::by_password(now),
            device,
            created_at: now,
            seen_at: now,
            idle_expires_at: now.plus(self.config.session.idle_lifetime),
            expires_at: now.plus(self.config.session.absolute_lifetime),
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
