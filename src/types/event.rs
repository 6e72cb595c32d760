//! What happens to an account: one record each, for its owner's security log and for the log of the server.

use std::net::IpAddr;

use super::{Session, Timestamp, UserId};

/// A row of `events`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub user: UserId,
    pub at: Timestamp,
    pub kind: EventKind,
    /// A client, or what its owner calls something; empty where there is nothing more to say. Never a secret.
    pub about: String,
    /// Whether an administrator did it.
    pub by_admin: bool,
    /// What kind of browser on what kind of machine, in words.
    pub device: Option<String>,
    pub address: Option<IpAddr>,
}

/// Makes the kinds, and their names in the database and in the log.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident = $name:literal),+ $(,)?) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum EventKind {
            $($(#[$doc])* $kind),+
        }

        impl EventKind {
            pub const ALL: &[Self] = &[$(Self::$kind),+];

            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name),+
                }
            }
        }
    };
}

kinds!(
    SignedUp = "signed_up",
    /// About: what its owner calls the passkey, where they needed nothing else.
    SignedIn = "signed_in",
    /// About: the device whose session it was.
    SessionEnded = "session_ended",
    /// All sessions, or all but one.
    SignedOutElsewhere = "signed_out_elsewhere",
    PasswordChanged = "password_changed",
    /// By a mailed link.
    PasswordReset = "password_reset",
    EmailChanged = "email_changed",
    /// By the link to the old address.
    EmailRestored = "email_restored",
    ProfileChanged = "profile_changed",
    /// About: what its owner calls it.
    FactorAdded = "factor_added",
    FactorRemoved = "factor_removed",
    PasskeyAdded = "passkey_added",
    PasskeyRemoved = "passkey_removed",
    /// About: what its owner calls it. There may be a copy of it.
    PasskeyCountedBack = "passkey_counted_back",
    RecoveryCodesMade = "recovery_codes_made",
    RecoveryCodeUsed = "recovery_code_used",
    /// About: the other provider.
    IdentityLinked = "identity_linked",
    /// About: the other provider.
    IdentityUnlinked = "identity_unlinked",
    /// About: the client.
    Allowed = "allowed",
    /// About: the client.
    Withdrawn = "withdrawn",
    /// About: what its owner calls it.
    TokenMade = "token_made",
    TokenEnded = "token_ended",
    DataTaken = "data_taken",
    Disabled = "disabled",
    Enabled = "enabled",
);

impl EventKind {
    /// `None` for what a newer version wrote.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

impl Event {
    pub const fn new(user: UserId, kind: EventKind, at: Timestamp) -> Self {
        Self { user, at, kind, about: String::new(), by_admin: false, device: None, address: None }
    }

    /// What somebody does who is signed in.
    pub fn within(session: &Session, kind: EventKind, at: Timestamp) -> Self {
        let (device, address) = (Some(session.device.clone()), session.address);
        Self { device, address, ..Self::new(session.user, kind, at) }
    }

    #[must_use]
    pub fn about(self, about: impl Into<String>) -> Self {
        Self { about: about.into(), ..self }
    }

    #[must_use]
    pub fn by_admin(self) -> Self {
        Self { by_admin: true, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_has_a_name_of_its_own() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::parse(kind.name()), Some(*kind));
        }
        assert_eq!(EventKind::parse("tomorrow"), None);
    }
}
