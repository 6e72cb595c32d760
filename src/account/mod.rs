//! People and their accounts: signing in, and what they may see and undo afterwards.
//!
//! | file | what |
//! |---|---|
//! | `password` | which passwords are good enough (ASVS V6.2) |
//! | `sign_in` | from name and password, and a second factor, to a session (ASVS V6.3, V7.2) |
//! | `second_factor`, `totp` | authenticator apps and recovery codes (ASVS V6.5) |
//! | `overview` | what the account page shows and ends (ASVS V7.5.2, V10.7.3) |
//! | `links` | what a mailed link is (ASVS V6.4.1) |
//! | `letters` | what people are written |
//! | `wishes` | what strangers may ask for, done aside (ASVS V6.3.8) |
//! | `recovery` | a forgotten password (ASVS V6.4) |
//! | `registration` | accounts that people make for themselves |
//! | `email`, `change_password` | another address, another password (ASVS V6.2.3, V7.5.1) |

pub mod change_password;
pub mod email;
pub mod letters;
mod limit;
pub mod links;
pub mod names;
pub mod overview;
pub mod password;
pub mod recovery;
pub mod registration;
pub mod second_factor;
pub mod sign_in;
mod totp;
pub mod wishes;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::config::Config;
use crate::crypto::{KeyRing, PasswordHashing, Random};
use crate::store::Store;
use crate::types::Timestamp;
use limit::MailLimit;
use password::PasswordRules;

/// What the account functions work with; the instant is an argument of each.
#[derive(Clone)]
pub struct Accounts {
    pub config: Arc<Config>,
    pub store: Store,
    pub hashing: PasswordHashing,
    pub rules: Arc<PasswordRules>,
    /// Seeds of second factors and letters are sealed under it.
    pub ring: Arc<KeyRing>,
    pub rng: Arc<dyn Random>,
    mail_limit: Arc<MailLimit>,
}

impl Accounts {
    /// # Errors
    /// When the rules for passwords cannot be read.
    pub fn new(
        config: Arc<Config>,
        store: Store,
        hashing: PasswordHashing,
        ring: Arc<KeyRing>,
        rng: Arc<dyn Random>,
    ) -> anyhow::Result<Self> {
        let rules = Arc::new(PasswordRules::new(&config)?);
        Ok(Self { config, store, hashing, rules, ring, rng, mail_limit: Arc::default() })
    }

    /// Counts a mail that somebody asks for, to whoever `named` is.
    ///
    /// # Errors
    /// After which time to come again.
    pub fn may_mail(&self, address: Option<IpAddr>, named: &str, now: Timestamp) -> Result<(), Duration> {
        self.mail_limit.admit(&self.config, address, named, now)
    }
}
