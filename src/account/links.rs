//! Links that are mailed: a secret of 256 bits in the address, good for one purpose, once, until a time (ASVS 6.4.1). What
//! it may do stands in the database, which has a hash of the secret alone.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::crypto::{Digest, Random, random, sha256, sha256_base64url};
use crate::store::{Link, Purpose};
use crate::types::{Fault, RequestId, Timestamp};

/// What a link needs to know besides whom it is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detail {
    /// The address that it was sent to, or is to become somebody's.
    pub email: Option<String>,
    /// The request that waited where it was asked for.
    pub request: Option<RequestId>,
    /// What must still be so when it is used, so that it ends together with that.
    pub bound: Option<String>,
}

/// A link that is to be made.
pub struct Order<'a> {
    pub purpose: Purpose,
    pub subject: String,
    pub detail: &'a Detail,
    pub lifetime: Duration,
}

/// Makes a link, and the secret that goes into its address.
///
/// # Errors
/// Never, but serialization says that it may.
pub fn make(order: Order<'_>, rng: &dyn Random, now: Timestamp) -> Result<(SecretString, Link), Fault> {
    let secret = random::secret(rng);
    let link = Link {
        purpose: order.purpose,
        subject: order.subject,
        secret_hash: sha256(secret.expose_secret().as_bytes()),
        detail: serde_json::to_string(order.detail).map_err(Fault::internal)?,
        created_at: now,
        expires_at: now.plus(order.lifetime),
    };
    Ok((secret, link))
}

/// The hash under which a link is kept, of what came in an address.
pub fn hash(secret: &str) -> Option<Digest> {
    random::is_secret(secret).then(|| sha256(secret.as_bytes()))
}

/// # Errors
/// When the row was not written by `make`.
pub fn detail(link: &Link) -> Result<Detail, Fault> {
    serde_json::from_str(&link.detail).map_err(Fault::internal)
}

/// How long links for a purpose live. What sets a password lives for minutes (ASVS 6.4.1).
pub const fn lifetime(purpose: Purpose) -> Duration {
    match purpose {
        Purpose::ResetPassword => Duration::from_mins(15),
        Purpose::SignUp | Purpose::ConfirmEmail => Duration::from_hours(1),
        Purpose::UndoEmail => Duration::from_hours(7 * 24),
    }
}

/// How long somebody who was invited may take.
pub const INVITATION: Duration = Duration::from_hours(7 * 24);

/// The address that is mailed. The page behind it takes the secret out of it at once.
pub fn address(config: &Config, purpose: Purpose, secret: &str) -> String {
    let page = match purpose {
        Purpose::ResetPassword => "/reset-password",
        Purpose::SignUp => "/sign-up/confirm",
        Purpose::ConfirmEmail => "/account/email/confirm",
        Purpose::UndoEmail => "/account/email/undo",
    };
    config.server.issuer.url(&format!("{page}?link={secret}"))
}

/// What a link is bound to that must end when the password is another.
pub fn of_password(hash: Option<&str>) -> String {
    sha256_base64url(hash.unwrap_or_default().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SystemRandom;

    #[test]
    fn a_link_has_256_bits_of_which_only_a_hash_is_kept() {
        let detail = Detail { email: Some("ada@example.org".to_owned()), ..Detail::default() };
        let lifetime = lifetime(Purpose::ResetPassword);
        let order = || Order { purpose: Purpose::ResetPassword, subject: "ada".to_owned(), detail: &detail, lifetime };
        let (rng, now) = (SystemRandom::new(), Timestamp::from_secs(0));
        let (secret, link) = make(order(), &rng, now).unwrap();
        let secret = secret.expose_secret();
        // ASVS 6.4.1
        assert_eq!(secret.len(), 43);
        assert_ne!(make(order(), &rng, now).unwrap().0.expose_secret(), secret);
        assert_eq!(hash(secret), Some(link.secret_hash));
        assert!(!format!("{link:?}").contains(secret));
        assert_eq!(super::detail(&link).unwrap(), detail);
        for wrong in ["", "short", &secret[1..], &format!("{secret}x"), &secret.replace(&secret[..1], " ")] {
            assert_eq!(hash(wrong), None, "{wrong:?}");
        }
    }
}
