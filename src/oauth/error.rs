//! Every error that a client may see, in one table.

use std::borrow::Cow;

use http::StatusCode;

use crate::types::Fault;

/// What came of a request that did not succeed.
#[derive(Debug)]
pub enum Error {
    /// The client's doing; it is told.
    Refused(OAuthError),
    /// Ours; it is logged, and the client gets a number to quote.
    Fault(Fault),
}

/// A refusal in the protocol's own words.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {description}", code.as_str())]
pub struct OAuthError {
    pub code: ErrorCode,
    /// For the developer of the client: what was wrong, and what to do.
    pub description: Cow<'static, str>,
}

macro_rules! error_codes {
    ($($(#[$section:meta])* $variant:ident => ($name:literal, $status:ident, $make:ident);)*) => {
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum ErrorCode { $($(#[$section])* $variant),* }

        impl ErrorCode {
            /// The value of the `error` parameter.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// The status of a direct answer; errors that travel by redirect do not use it.
            pub const fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status),* }
            }
        }

        $(
            $(#[$section])*
            pub fn $make(description: impl Into<Cow<'static, str>>) -> OAuthError {
                OAuthError::new(ErrorCode::$variant, description)
            }
        )*
    };
}

error_codes! {
    /// RFC 6749 §4.1.2.1, §5.2
    InvalidRequest => ("invalid_request", BAD_REQUEST, invalid_request);
    /// RFC 6749 §5.2
    InvalidClient => ("invalid_client", UNAUTHORIZED, invalid_client);
    /// RFC 6749 §5.2
    InvalidGrant => ("invalid_grant", BAD_REQUEST, invalid_grant);
    /// RFC 6749 §4.1.2.1, §5.2
    UnauthorizedClient => ("unauthorized_client", BAD_REQUEST, unauthorized_client);
    /// RFC 6749 §5.2
    UnsupportedGrantType => ("unsupported_grant_type", BAD_REQUEST, unsupported_grant_type);
    /// RFC 6749 §4.1.2.1, §5.2
    InvalidScope => ("invalid_scope", BAD_REQUEST, invalid_scope);
    /// RFC 6749 §4.1.2.1, RFC 8628 §3.5
    AccessDenied => ("access_denied", BAD_REQUEST, access_denied);
    /// RFC 8628 §3.5
    AuthorizationPending => ("authorization_pending", BAD_REQUEST, authorization_pending);
    /// RFC 8628 §3.5
    SlowDown => ("slow_down", BAD_REQUEST, slow_down);
    /// RFC 8628 §3.5
    ExpiredToken => ("expired_token", BAD_REQUEST, expired_token);
    /// RFC 6749 §4.1.2.1
    UnsupportedResponseType => ("unsupported_response_type", BAD_REQUEST, unsupported_response_type);
    /// RFC 6749 §4.1.2.1
    ServerError => ("server_error", INTERNAL_SERVER_ERROR, server_error);
    /// RFC 6749 §4.1.2.1
    TemporarilyUnavailable => ("temporarily_unavailable", SERVICE_UNAVAILABLE, temporarily_unavailable);
    /// OpenID Connect Core §3.1.2.6
    LoginRequired => ("login_required", BAD_REQUEST, login_required);
    /// OpenID Connect Core §3.1.2.6
    AccountSelectionRequired => ("account_selection_required", BAD_REQUEST, account_selection_required);
    /// OpenID Connect Core §3.1.2.6
    ConsentRequired => ("consent_required", BAD_REQUEST, consent_required);
    /// OpenID Connect Core §3.1.2.6
    InteractionRequired => ("interaction_required", BAD_REQUEST, interaction_required);
    /// OpenID Connect Core Error Code unmet_authentication_requirements §2
    UnmetAuthenticationRequirements => ("unmet_authentication_requirements", BAD_REQUEST, unmet_authentication_requirements);
    /// OpenID Connect Core §3.1.2.6
    RequestUriNotSupported => ("request_uri_not_supported", BAD_REQUEST, request_uri_not_supported);
    /// OpenID Connect Core §3.1.2.6
    RegistrationNotSupported => ("registration_not_supported", BAD_REQUEST, registration_not_supported);
    /// RFC 9101 §7
    InvalidRequestObject => ("invalid_request_object", BAD_REQUEST, invalid_request_object);
    /// RFC 9101 §7: also of a pushed request's (RFC 9126 §2.2)
    InvalidRequestUri => ("invalid_request_uri", BAD_REQUEST, invalid_request_uri);
    /// RFC 7591 §3.2.2
    InvalidRedirectUri => ("invalid_redirect_uri", BAD_REQUEST, invalid_redirect_uri);
    /// RFC 7591 §3.2.2
    InvalidClientMetadata => ("invalid_client_metadata", BAD_REQUEST, invalid_client_metadata);
    /// RFC 7591 §3.2.2
    InvalidSoftwareStatement => ("invalid_software_statement", BAD_REQUEST, invalid_software_statement);
    /// RFC 7591 §3.2.2
    UnapprovedSoftwareStatement => ("unapproved_software_statement", BAD_REQUEST, unapproved_software_statement);
    /// RFC 8707 §2
    InvalidTarget => ("invalid_target", BAD_REQUEST, invalid_target);
    /// RFC 9396 §5
    InvalidAuthorizationDetails => ("invalid_authorization_details", BAD_REQUEST, invalid_authorization_details);
    /// RFC 9449 §5
    InvalidDpopProof => ("invalid_dpop_proof", BAD_REQUEST, invalid_dpop_proof);
    /// RFC 9449 §8
    UseDpopNonce => ("use_dpop_nonce", BAD_REQUEST, use_dpop_nonce);
    /// RFC 6750 §3.1
    InvalidToken => ("invalid_token", UNAUTHORIZED, invalid_token);
    /// RFC 6750 §3.1
    InsufficientScope => ("insufficient_scope", FORBIDDEN, insufficient_scope);
}

/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 300;

impl OAuthError {
    fn new(code: ErrorCode, description: impl Into<Cow<'static, str>>) -> Self {
        let description = description.into();
        // RFC 6749 §5.2: "%x20-21 / %x23-5B / %x5D-7E"; what a stranger sent may stand in it, but not all of it: a
        // description travels in the address of a redirect.
        let allowed = |c: char| matches!(c, ' '..='!' | '#'..='[' | ']'..='~');
        if description.len() <= MAX_DESCRIPTION && description.chars().all(allowed) {
            return Self { code, description };
        }
        let clean = description.chars().map(|c| match c {
            '"' => '\'',
            c if allowed(c) => c,
            _ => '?',
        });
        Self { code, description: clean.take(MAX_DESCRIPTION).collect::<String>().into() }
    }
}

impl From<OAuthError> for Error {
    fn from(refusal: OAuthError) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_keeps_to_the_characters_that_the_specification_allows() {
        let error = invalid_scope("the scope \"a\\b\" is\nünknown");
        assert_eq!(error.description, "the scope 'a?b' is??nknown");
        assert_eq!(invalid_scope("a".repeat(1_000)).description.len(), MAX_DESCRIPTION);
    }
}
