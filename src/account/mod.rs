//! People and their accounts: signing in, and what they may see and undo afterwards.
//!
//! | file | what |
//! |---|---|
//! | `password` | which passwords are good enough (ASVS V6.2) |
//! | `sign_in` | from name and password to a session (ASVS V6.3, V7.2) |
//! | `overview` | what the account page shows and ends (ASVS V7.5.2, V10.7.3) |

pub mod names;
pub mod overview;
pub mod password;
pub mod sign_in;

use std::sync::Arc;

use crate::config::Config;
use crate::crypto::{PasswordHashing, Random};
use crate::store::Store;

/// What the account functions work with; the instant is an argument of each.
#[derive(Clone)]
pub struct Accounts {
    pub config: Arc<Config>,
    pub store: Store,
    pub hashing: PasswordHashing,
    pub rng: Arc<dyn Random>,
}
