//! People and their accounts: signing in, and what they may see and undo afterwards.
//!
//! | file | what |
//! |---|---|
//! | `password` | which passwords are good enough (ASVS V6.2) |
//! | `sign_in` | from name and password, and a second factor, to a session (ASVS V6.3, V7.2) |
//! | `second_factor`, `totp` | authenticator apps and recovery codes (ASVS V6.5) |
//! | `throttle` | how often somebody may guess (ASVS V6.3.1) |
//! | `overview` | what the account page shows and ends (ASVS V7.5.2, V10.7.3) |

pub mod names;
pub mod overview;
pub mod password;
pub mod second_factor;
pub mod sign_in;
pub mod throttle;
mod totp;

use std::sync::Arc;

use crate::config::Config;
use crate::crypto::{KeyRing, Mac, PasswordHashing, Random};
use crate::store::Store;

/// What the account functions work with; the instant is an argument of each.
#[derive(Clone)]
pub struct Accounts {
    pub config: Arc<Config>,
    pub store: Store,
    pub hashing: PasswordHashing,
    /// Seeds of second factors are sealed under it.
    pub ring: Arc<KeyRing>,
    /// Hashes what attempts are counted under, and marks browsers that are known. All nodes have the same.
    pub mac: Mac,
    pub rng: Arc<dyn Random>,
}
