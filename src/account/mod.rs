//! People and their accounts: signing in, and what they may see and undo afterwards.
//!
//! | file | what |
//! |---|---|
//! | `password` | which passwords are good enough (ASVS V6.2) |
//! | `sign_in` | from name and password, and a second factor, to a session (ASVS V6.3, V7.2) |
//! | `second_factor`, `totp` | authenticator apps and recovery codes (ASVS V6.5) |
//! | `passkeys`, `ceremony` | passkeys, beside a password and instead of one (Web Authentication) |
//! | `profile` | what people change, take with them, and delete |
//! | `personal_tokens` | personal access tokens |
//! | `throttle` | how often somebody may guess (ASVS V6.3.1) |
//! | `overview` | what the account page shows and ends (ASVS V7.5.2, V10.7.3) |
//! | `links` | what a mailed link is (ASVS V6.4.1) |
//! | `letters` | what people are written |
//! | `wishes` | what strangers may ask for, done aside (ASVS V6.3.8) |
//! | `recovery` | a forgotten password (ASVS V6.4) |
//! | `registration` | accounts that people make for themselves |
//! | `upstream` | other providers (ASVS V6.8) |
//! | `email`, `change_password` | another address, another password (ASVS V6.2.3, V7.5.1) |

pub mod ceremony;
pub mod change_password;
pub mod email;
pub mod letters;
pub mod links;
pub mod names;
pub mod overview;
pub mod passkeys;
pub mod password;
pub mod personal_tokens;
pub mod profile;
pub mod recovery;
pub mod registration;
pub mod second_factor;
pub mod sign_in;
pub mod throttle;
mod totp;
pub mod upstream;
pub mod wishes;

use std::sync::Arc;

use crate::config::Config;
use crate::crypto::{KeyRing, Mac, PasswordHashing, Random};
use crate::store::Store;
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
    /// Hashes what attempts are counted under, and marks browsers that are known. All nodes have the same.
    pub mac: Mac,
    pub rng: Arc<dyn Random>,
}
