//! Identifiers. Each is parsed before it reaches the store, so a NUL or an overlong one never does.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An identifier that we make: a UUID in its usual text form.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// `None` unless `text` is what `Display` prints.
            pub fn parse(text: &str) -> Option<Self> {
                let uuid = Uuid::try_parse(text).ok()?;
                (uuid.as_hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text).then_some(Self(uuid))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

uuid_id!(
    /// A user, and where subjects are public the `sub` of their tokens. Never used again.
    UserId
);
uuid_id!(
    /// The `sub` of a user's tokens at a client: their id, or a pairwise one. Never the id of a client (RFC 9700 §4.15).
    Subject
);
uuid_id!(
    /// One grant, one row of `grants`. Stands in tokens, so it proves nothing by itself.
    GrantId
);
uuid_id!(
    /// A sign-in of one user in one browser: the `sid` of OpenID Connect. Not the cookie.
    SessionId
);
uuid_id!(
    /// An authorization or sign-out request that waits for its user.
    RequestId
);
uuid_id!(
    /// The `jti` of an access token: a UUIDv7, so it tells the millisecond of minting.
    TokenId
);

uuid_id!(
    /// What a user proves who they are by besides their password: one row of `factors`, or of `passkeys`.
    FactorId
);
uuid_id!(
    /// A sign-in of which the first step is done. It is bound to its browser, so it proves nothing by itself.
    SignInId
);
uuid_id!(
    /// What links a user to an account at another provider, one row of `identities`.
    IdentityId
);
uuid_id!(
    /// An identity that was proved and is nobody's yet. It is bound to its browser, so it proves nothing by itself.
    OfferId
);

impl TokenId {
    /// Milliseconds since the epoch at which the token was minted (RFC 9562 §5.7).
    pub fn minted_millis(self) -> i64 {
        let (high, _) = self.0.as_u64_pair();
        i64::try_from(high >> 16).unwrap_or(i64::MAX)
    }
}

/// The `client_id`: 1 to 255 visible ASCII characters (RFC 6749 §A.1, without the space).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ClientId(Box<str>);

impl ClientId {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn parse(text: &str) -> Option<Self> {
        text.parse().ok()
    }
}

impl FromStr for ClientId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.is_empty() || text.len() > 255 || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("a client id has 1 to 255 visible ASCII characters and no space");
        }
        // RFC 9700 §4.15: a client id must not look like a subject, and all our subjects are UUIDs.
        if Uuid::try_parse(text).is_ok() {
            return Err("a client id must not be a UUID, because the subjects of users are");
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for ClientId {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ClientId> for String {
    fn from(id: ClientId) -> Self {
        id.0.into()
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_read_in_the_one_form_that_is_written() {
        let text = "01890a5d-ac96-774b-bcce-b302099a8057";
        assert_eq!(GrantId::parse(text).unwrap().to_string(), text);
        for other in ["01890A5D-AC96-774B-BCCE-B302099A8057", "01890a5dac96774bbcceb302099a8057", "", "x\0"] {
            assert!(GrantId::parse(other).is_none(), "{other:?}");
        }
    }

    #[test]
    fn a_token_id_tells_when_it_was_minted() {
        let id = TokenId::parse("01890a5d-ac96-774b-bcce-b302099a8057").unwrap();
        assert_eq!(id.minted_millis(), 0x0189_0a5d_ac96);
    }

    #[test]
    fn a_client_id_is_visible_ascii_and_never_a_subject() {
        for good in ["web", "https://client.example/meta.json", "a.b~c"] {
            assert!(ClientId::parse(good).is_some(), "{good}");
        }
        let long = "x".repeat(256);
        for bad in ["", "with space", "nul\0", "ümlaut", &long, "01890a5d-ac96-774b-bcce-b302099a8057"] {
            assert!(ClientId::parse(bad).is_none(), "{bad}");
        }
    }
}
