//! Second factors: an authenticator app or a passkey, and recovery codes for whoever has lost it (ASVS 6.3.3, 6.5).

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::Accounts;
use super::letters::{Factors, Letter};
use super::totp::{Seed, base32, grouped};
use crate::crypto::{Random, random, sha256};
use crate::store::{Stored, Tx};
use crate::types::authentication::Method;
use crate::types::{Event, Factor, FactorId, Fault, Session, Timestamp, User, UserId};

/// How many recovery codes somebody has.
const RECOVERY_CODES: usize = 10;

/// How long what was begun to be set up can be gone on with.
const SET_UP: Duration = Duration::from_hours(1);

/// What is shown of an app that is being set up.
pub struct SetUp {
    /// What a picture says.
    pub uri: SecretString,
    /// What is typed instead.
    pub text: SecretString,
}

/// What a code that was typed, or the answer of a passkey, would spend.
pub(super) enum Spent {
    Step(FactorId, i64),
    Recovery([u8; 32]),
    /// The first code of an app that is being set up.
    First(Box<Factor>, i64),
    /// With what its device has counted to.
    Passkey(FactorId, u32),
}

impl Spent {
    /// What its owner is told when it is spent, beyond the ordinary.
    pub(super) fn news(&self) -> Option<Factors> {
        match self {
            Self::Step(..) | Self::Passkey(..) => None,
            Self::Recovery(_) => Some(Factors::CodeUsed),
            Self::First(..) => Some(Factors::Added),
        }
    }

    /// What it proves.
    pub(super) fn methods(&self) -> &'static [Method] {
        match self {
            Self::Step(..) | Self::Recovery(_) | Self::First(..) => &[Method::OneTimePassword],
            Self::Passkey(..) => &Method::PASSKEY,
        }
    }
}

impl Accounts {
    /// The apps that a user has set up.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn factors(&self, user: UserId, now: Timestamp) -> Result<Vec<Factor>, Fault> {
        let mut factors = self.store.factors_of(user, now).await?;
        factors.retain(|factor| factor.confirmed_at.is_some());
        Ok(factors)
    }

    /// An app to be set up: the one that was begun last, so that a page that is loaded again shows the same, or a new one.
    ///
    /// # Errors
    /// When the database is away, or what it holds cannot be opened.
    pub async fn set_up(&self, user: &User, now: Timestamp) -> Result<SetUp, Fault> {
        let seed = match self.begun(user.id, now).await? {
            Some(factor) => self.seed(&factor)?,
            None => {
                let seed = Seed::new(&*self.rng);
                let id = FactorId::new(random::uuid_v4(&*self.rng));
                let sealed = self.ring.seal(&*self.rng, &context(id), seed.as_bytes());
                let name = String::new();
                let (created_at, confirmed_at, used_at) = (now, None, None);
                self.store
                    .create_factor(&Factor { id, user: user.id, name, sealed, created_at, confirmed_at, used_at })
                    .await?;
                seed
            }
        };
        Ok(SetUp { uri: seed.uri(&self.config.server.name, &user.username)?, text: seed.text() })
    }

    /// The first code of an app: it counts from now on. With the first app come recovery codes; `None` if the code is
    /// wrong.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn confirm(
        &self,
        user: UserId,
        (code, name): (&str, &str),
        now: Timestamp,
    ) -> Result<Option<Vec<SecretString>>, Fault> {
        let Some(factor) = self.begun(user, now).await? else { return Ok(None) };
        let Some(step) = self.seed(&factor)?.step_of(&typed(code), now)? else { return Ok(None) };
        let factor = Factor { name: called(name), ..factor };
        let owner = self.store.user(user).await?;
        let mut tx = self.store.begin().await?;
        if tx.confirm_user(user).await? == Stored::Conflict || !tx.confirm_factor(&factor, step, now).await? {
            return Ok(None);
        }
        let codes = self.first_recovery_codes(&mut tx, user, now).await?;
        self.tell_of(&mut tx, owner.as_ref(), Factors::Added, now).await?;
        tx.commit().await?;
        Ok(Some(codes))
    }

    /// Takes an app or a passkey away; with the last one go the recovery codes. `false` if it was not theirs, or must not
    /// be the last.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn remove_factor(&self, user: UserId, id: FactorId, now: Timestamp) -> Result<bool, Fault> {
        let owner = self.store.user(user).await?;
        let mut tx = self.store.begin().await?;
        // Of two who each take away one of the last two, the second sees what the first has left.
        if tx.confirm_user(user).await? == Stored::Conflict {
            return Ok(false);
        }
        let told = match (tx.delete_factor(user, id).await?, tx.delete_passkey(user, id).await?) {
            (false, false) => return Ok(false),
            (true, _) => Factors::Removed,
            (false, true) => Factors::PasskeyRemoved,
        };
        // A passkey may be how they sign in at all.
        if !self.can_come_in(&mut tx, user).await? {
            return Ok(false);
        }
        if tx.count_factors(user).await? == 0 {
            if owner.as_ref().is_some_and(|owner| self.config.second_factor.is_required_of(owner)) {
                return Ok(false);
            }
            tx.replace_recovery_codes(user, &[], now).await?;
        }
        self.tell_of(&mut tx, owner.as_ref(), told, now).await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Other recovery codes; those before are worth nothing any more. None for whoever has no app and no passkey.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn other_recovery_codes(&self, user: UserId, now: Timestamp) -> Result<Vec<SecretString>, Fault> {
        let owner = self.store.user(user).await?;
        let mut tx = self.store.begin().await?;
        if tx.confirm_user(user).await? == Stored::Conflict || tx.count_factors(user).await? == 0 {
            return Ok(Vec::new());
        }
        let codes = recovery_codes(&*self.rng);
        tx.replace_recovery_codes(user, &hashes(&codes), now).await?;
        self.tell_of(&mut tx, owner.as_ref(), Factors::CodesReplaced, now).await?;
        tx.commit().await?;
        Ok(codes)
    }

    /// Whether somebody has proved themselves recently enough, and with all that they have, to change what proves them
    /// (ASVS 7.5.1).
    ///
    /// # Errors
    /// When the database is away.
    pub async fn is_fresh(&self, session: &Session, now: Timestamp) -> Result<bool, Fault> {
        let authentication = &session.authentication;
        let recent = now.since(authentication.at) <= self.config.session.fresh_for;
        Ok(recent && (authentication.has_two_factors() || !self.store.has_factors(session.user).await?))
    }

    /// Tells the owner of a second factor what became of it (ASVS 6.3.7).
    pub(super) async fn tell_of(
        &self,
        tx: &mut Tx,
        owner: Option<&User>,
        what: Factors,
        now: Timestamp,
    ) -> Result<(), Fault> {
        let Some(owner) = owner else { return Ok(()) };
        tx.log(Event::new(owner.id, what.event(), now)).await?;
        let letter = Letter::SecondFactor { account: owner.username.clone(), what, at: now };
        self.tell(tx, owner, letter, now).await
    }

    /// What a code of a user would spend, by the apps that they have, or are setting up where they have nothing else: who
    /// knows their password alone must not get past a passkey by that.
    pub(super) async fn judge(&self, user: UserId, code: &str, now: Timestamp) -> Result<Option<Spent>, Fault> {
        let factors = self.factors_and_begun(user, now).await?;
        let set_up = self.store.has_factors(user).await?;
        let code = typed(code);
        let is_recovery = code.len() > 6;
        if set_up && is_recovery {
            return Ok(Some(Spent::Recovery(sha256(code.as_bytes()))));
        }
        for factor in factors.iter().filter(|factor| factor.confirmed_at.is_some() == set_up) {
            if let Some(step) = self.seed(factor)?.step_of(&code, now)? {
                return Ok(Some(if set_up {
                    Spent::Step(factor.id, step)
                } else {
                    Spent::First(Box::new(factor.clone()), step)
                }));
            }
        }
        Ok(None)
    }

    /// Spends a code: `None` if it was spent before, or is none; else the recovery codes that come with it.
    pub(super) async fn spend(
        &self,
        tx: &mut Tx,
        user: UserId,
        spent: Spent,
        now: Timestamp,
    ) -> Result<Option<Vec<SecretString>>, Fault> {
        let is_spent = match &spent {
            Spent::Step(factor, step) => tx.use_factor(*factor, *step, now).await?,
            Spent::Recovery(hash) => tx.use_recovery_code(user, hash, now).await?,
            // It is the first still: its owner may have added another one meanwhile.
            Spent::First(factor, step) => {
                tx.confirm_factor(factor, *step, now).await? && tx.count_factors(user).await? == 1
            }
            Spent::Passkey(passkey, counter) => tx.use_passkey(*passkey, *counter, now).await?,
        };
        match spent {
            _ if !is_spent => Ok(None),
            Spent::First(..) => Ok(Some(self.first_recovery_codes(tx, user, now).await?)),
            Spent::Step(..) | Spent::Recovery(_) | Spent::Passkey(..) => Ok(Some(Vec::new())),
        }
    }

    /// Those that come with the first app, or the first passkey.
    pub(super) async fn first_recovery_codes(
        &self,
        tx: &mut Tx,
        user: UserId,
        now: Timestamp,
    ) -> Result<Vec<SecretString>, Fault> {
        if tx.count_factors(user).await? != 1 {
            return Ok(Vec::new());
        }
        let codes = recovery_codes(&*self.rng);
        tx.replace_recovery_codes(user, &hashes(&codes), now).await?;
        Ok(codes)
    }

    /// What a user began to set up last.
    async fn begun(&self, user: UserId, now: Timestamp) -> Result<Option<Factor>, Fault> {
        Ok(self.factors_and_begun(user, now).await?.into_iter().rfind(|factor| factor.confirmed_at.is_none()))
    }

    async fn factors_and_begun(&self, user: UserId, now: Timestamp) -> Result<Vec<Factor>, Fault> {
        self.store.factors_of(user, now.minus(SET_UP)).await
    }

    fn seed(&self, factor: &Factor) -> Result<Seed, Fault> {
        let bytes = self.ring.open(&context(factor.id), &factor.sealed).map_err(Fault::internal)?;
        Ok(Seed::from_bytes(bytes))
    }
}

/// What a seed is sealed to.
fn context(id: FactorId) -> String {
    format!("factor {id}")
}

/// A code without what people put between its parts, in the case in which we made it.
fn typed(code: &str) -> String {
    code.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
}

/// What an app is called if its owner does not say.
fn called(name: &str) -> String {
    short(name).unwrap_or_else(|| "Authenticator app".to_owned())
}

/// What somebody calls one of theirs, if they do.
pub(super) fn short(name: &str) -> Option<String> {
    let name: String = name.trim().chars().filter(|c| !c.is_control()).take(60).collect();
    Some(name).filter(|name| !name.is_empty())
}

/// 120 bits each, so a hash without salt is as good as any (ASVS 6.5.2: 112 bits).
fn recovery_codes(rng: &dyn Random) -> Vec<SecretString> {
    let code = || grouped(&base32(&random::bytes::<15>(rng)), 6, '-').into();
    (0..RECOVERY_CODES).map(|_| code()).collect()
}

fn hashes(codes: &[SecretString]) -> Vec<[u8; 32]> {
    codes.iter().map(|code| sha256(typed(code.expose_secret()).as_bytes())).collect()
}
