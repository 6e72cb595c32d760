//! What was asked and allowed beside the scope.

use serde::{Deserialize, Serialize};

use super::{AuthorizationDetails, ClaimsRequest};

/// The terms of a grant. They are stored as one JSON document, so each member has a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// Where tokens of the grant may be used (RFC 8707 §2.1); nowhere but at the issuer when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// OpenID Connect Core §5.5
    #[serde(skip_serializing_if = "ClaimsRequest::is_empty")]
    pub claims: ClaimsRequest,
    /// RFC 9396 §2
    #[serde(rename = "authorization_details", skip_serializing_if = "AuthorizationDetails::is_empty")]
    pub details: AuthorizationDetails,
}
