//! The kinds of token that we sign. A token of one kind is never taken for another (ASVS 9.1.2, 9.2.2).

use crate::types::Algorithm;

/// What a token is, as its `typ` says (RFC 7515 §4.1.9, RFC 8725 §3.11).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenType {
    /// RFC 9068 §2.1.
    AccessToken,
    /// OIDC Core §2. Relying parties expect nothing but the general name.
    IdToken,
    /// JARM §2.1, which gives it no name; clients expect the general one. We sign it and never read it.
    AuthorizationResponse,
    /// OIDC Core §5.3.2, which gives it no name either. We sign it and never read it.
    UserInfo,
    /// RFC 9701 §5. We sign it and never read it.
    Introspection,
    /// Ours alone: nobody else reads it.
    RefreshToken,
    /// OIDC Back-Channel Logout §2.4.
    LogoutToken,
    /// An address that a client had signed (`oauth/signed_url.rs`).
    SignedUrl,
}

impl TokenType {
    pub(super) const ALL: [Self; 8] = [
        Self::AccessToken,
        Self::IdToken,
        Self::AuthorizationResponse,
        Self::UserInfo,
        Self::Introspection,
        Self::RefreshToken,
        Self::LogoutToken,
        Self::SignedUrl,
    ];

    /// The `typ` of its header.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "at+jwt",
            Self::IdToken | Self::AuthorizationResponse | Self::UserInfo => "JWT",
            Self::Introspection => "token-introspection+jwt",
            Self::RefreshToken => "rt+jwt",
            Self::LogoutToken => "logout+jwt",
            Self::SignedUrl => "signed-url+jwt",
        }
    }

    /// Whether `typ` names this type: a media type, so in any case, with or without `application/` (RFC 7515 §4.1.9).
    pub fn is_named(self, typ: &str) -> bool {
        const PREFIX: &str = "application/";
        let short = match typ.split_at_checked(PREFIX.len()) {
            Some((prefix, rest)) if prefix.eq_ignore_ascii_case(PREFIX) => rest,
            _ => typ,
        };
        !matches!(self, Self::AuthorizationResponse | Self::UserInfo | Self::Introspection)
            && short.eq_ignore_ascii_case(self.as_str())
    }

    /// Those that are read again.
    #[cfg(test)]
    pub(super) fn read() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|typ| typ.is_named(typ.as_str()))
    }

    /// What others verify is signed with a private key, and what we alone read with a secret (ASVS 9.1.2).
    pub const fn fits(self, algorithm: Algorithm) -> bool {
        algorithm.is_asymmetric() != matches!(self, Self::RefreshToken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_is_known_by_its_media_type_in_any_case() {
        for typ in ["at+jwt", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
            assert!(TokenType::AccessToken.is_named(typ), "{typ}");
        }
        for typ in
            ["", "JWT", "rt+jwt", "at+jwt ", "at", "text/at+jwt", "application/", "application/application/at+jwt"]
        {
            assert!(!TokenType::AccessToken.is_named(typ), "{typ}");
        }
    }

    #[test]
    fn no_two_types_share_a_name() {
        for one in TokenType::read() {
            for other in TokenType::read() {
                assert_eq!(one.is_named(other.as_str()), one == other);
            }
        }
    }

    #[test]
    fn only_refresh_tokens_are_symmetric() {
        for algorithm in Algorithm::ALL {
            for typ in TokenType::ALL {
                let symmetric = algorithm == Algorithm::Hs256;
                assert_eq!(typ.fits(algorithm), symmetric == (typ == TokenType::RefreshToken), "{typ:?} {algorithm}");
            }
        }
    }
}
