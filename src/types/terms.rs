//! What was asked and allowed beside the scope.

use serde::{Deserialize, Serialize};

/// The terms of a grant. They are stored as one JSON document, so each member has a default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Terms {
    /// Where tokens of the grant may be used (RFC 8707 §2.1); nowhere but at the issuer when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
}
