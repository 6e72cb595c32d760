//! What people are written. A letter waits sealed in the outbox, for the link in it is a secret, and is put into words when
//! it is sent.

mod words;

use std::time::Duration;

use askama::Template;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use super::Accounts;
use crate::config::Config;
use crate::crypto::{KeyRing, random};
use crate::outgoing::mail::Mail;
use crate::store::{Kind, Purpose, Sealed, Tx};
use crate::types::{EventKind, Fault, Timestamp, User};

pub use words::Words;

/// One of ours. `account` is the user name of whom it is about, `link` the secret of a link.
#[derive(Serialize, Deserialize)]
#[serde(tag = "letter", rename_all = "snake_case")]
pub enum Letter {
    /// Somebody forgot their password.
    ResetPassword { account: String, link: String },
    /// Another password was set.
    PasswordChanged { account: String, at: Timestamp },
    /// Somebody wants an account.
    SignUp { link: String },
    /// An administrator wants somebody to have an account.
    Invitation { link: String },
    /// Somebody wants an account who has one.
    AccountExists { account: String },
    /// To the new address.
    ConfirmEmail { account: String, link: String },
    /// To the new address, of somebody else already.
    AddressTaken { account: String },
    /// To the old address.
    EmailChanged { account: String, email: String, at: Timestamp, link: String },
    /// Somebody signed in where they had not before.
    SignedIn { account: String, device: String, at: Timestamp },
    /// What proves who somebody is has changed.
    SecondFactor { account: String, what: Factors, at: Timestamp },
    /// Somebody has one more personal access token.
    TokenMade { account: String, name: String, at: Timestamp },
    /// Another provider lets somebody in, or no more. `provider` is what people call it.
    Identity { account: String, provider: String, linked: bool, at: Timestamp },
    /// Somebody deleted their account.
    AccountDeleted { account: String, at: Timestamp },
    /// `grantor mail test`.
    Test,
}

/// What became of somebody's second factor.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Factors {
    Added,
    Removed,
    PasskeyAdded,
    PasskeyRemoved,
    /// All, by an administrator.
    AllRemoved,
    CodesReplaced,
    CodeUsed,
}

impl Factors {
    pub const fn event(self) -> EventKind {
        match self {
            Self::Added => EventKind::FactorAdded,
            Self::Removed => EventKind::FactorRemoved,
            Self::PasskeyAdded => EventKind::PasskeyAdded,
            Self::PasskeyRemoved => EventKind::PasskeyRemoved,
            Self::AllRemoved => EventKind::FactorRemoved,
            Self::CodesReplaced => EventKind::RecoveryCodesMade,
            Self::CodeUsed => EventKind::RecoveryCodeUsed,
        }
    }
}

impl Letter {
    /// With the link that it is about.
    pub fn with_link(link: &SecretString, letter: impl FnOnce(String) -> Self) -> Self {
        letter(link.expose_secret().to_owned())
    }

    /// How long it is tried to deliver it: not longer than its link works.
    fn life(&self) -> Duration {
        match self {
            Self::ResetPassword { .. } => super::links::lifetime(Purpose::ResetPassword),
            Self::SignUp { .. } | Self::AccountExists { .. } => super::links::lifetime(Purpose::SignUp),
            Self::ConfirmEmail { .. } | Self::AddressTaken { .. } => super::links::lifetime(Purpose::ConfirmEmail),
            Self::PasswordChanged { .. }
            | Self::Invitation { .. }
            | Self::EmailChanged { .. }
            | Self::SecondFactor { .. }
            | Self::TokenMade { .. }
            | Self::Identity { .. }
            | Self::AccountDeleted { .. }
            | Self::SignedIn { .. }
            | Self::Test => Duration::from_hours(72),
        }
    }

    /// For a log: which it is, and nothing of what it says.
    pub fn name(&self) -> &'static str {
        match self {
            Self::ResetPassword { .. } => "reset_password",
            Self::PasswordChanged { .. } => "password_changed",
            Self::SignUp { .. } => "sign_up",
            Self::Invitation { .. } => "invitation",
            Self::AccountExists { .. } => "account_exists",
            Self::ConfirmEmail { .. } => "confirm_email",
            Self::AddressTaken { .. } => "address_taken",
            Self::EmailChanged { .. } => "email_changed",
            Self::SecondFactor { .. } => "second_factor",
            Self::SignedIn { .. } => "signed_in",
            Self::TokenMade { .. } => "token_made",
            Self::Identity { .. } => "identity",
            Self::AccountDeleted { .. } => "account_deleted",
            Self::Test => "test",
        }
    }
}

/// A letter and whom it goes to.
#[derive(Serialize, Deserialize)]
pub struct Envelope {
    pub to: String,
    pub letter: Letter,
}

#[derive(Template)]
#[template(path = "mail/letter.txt")]
struct Text<'a> {
    site: &'a str,
    words: &'a Words,
}

#[derive(Template)]
#[template(path = "mail/letter.html")]
struct Html<'a> {
    site: &'a str,
    words: &'a Words,
}

impl Envelope {
    /// The message: `id` is that of the outbox.
    ///
    /// # Errors
    /// When a template cannot be filled in.
    pub fn written<'a>(&'a self, config: &Config, id: &'a str, words: &'a Words) -> Result<Mail<'a>, Fault> {
        let site = config.server.name.as_str();
        Ok(Mail {
            id,
            to: &self.to,
            subject: &words.subject,
            text: Text { site, words }.render().map_err(Fault::internal)?,
            html: Html { site, words }.render().map_err(Fault::internal)?,
        })
    }
}

impl Accounts {
    /// Writes a letter, which goes out when the transaction is committed. Where no mail goes out, nobody is written to.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn write(&self, tx: &mut Tx, to: &str, letter: Letter, now: Timestamp) -> Result<(), Fault> {
        if !self.config.mail.is_on() {
            return Ok(());
        }
        let (name, expires_at) = (letter.name(), now.plus(letter.life()));
        let sealed = self.seal(Kind::Mail, &Envelope { to: to.to_owned(), letter })?;
        tx.post(Kind::Mail, &sealed, expires_at, now).await?;
        tracing::info!(target: "audit", event = "mail_written", letter = name, message = sealed.id);
        Ok(())
    }

    /// Tells somebody of a change to what proves who they are, at the address that is known to be theirs (ASVS 6.3.7).
    ///
    /// # Errors
    /// When the database is away.
    pub async fn tell(&self, tx: &mut Tx, user: &User, letter: Letter, now: Timestamp) -> Result<(), Fault> {
        match user.email.as_deref().filter(|_| user.email_verified) {
            Some(to) => self.write(tx, to, letter, now).await,
            None => Ok(()),
        }
    }

    /// Seals what is put into the outbox, for its place there alone.
    pub(super) fn seal(&self, kind: Kind, content: &impl Serialize) -> Result<Sealed, Fault> {
        let id = random::uuid_v4(&*self.rng).to_string();
        let plain = zeroize::Zeroizing::new(serde_json::to_vec(content).map_err(Fault::internal)?);
        let bytes = self.ring.seal(&*self.rng, &context(kind, &id), &plain);
        Ok(Sealed { id, bytes })
    }
}

/// Opens what `seal` has sealed.
///
/// # Errors
/// When the key ring has not the key.
pub fn open<T: for<'de> Deserialize<'de>>(ring: &KeyRing, kind: Kind, sealed: &Sealed) -> Result<T, Fault> {
    let plain = ring.open(&context(kind, &sealed.id), &sealed.bytes).map_err(Fault::internal)?;
    // What it says must not get into an error.
    serde_json::from_slice(&plain).map_err(|_| Fault::because("a sealed message is not what this version writes"))
}

fn context(kind: Kind, id: &str) -> String {
    format!("outbox:{kind:?}:{id}")
}
