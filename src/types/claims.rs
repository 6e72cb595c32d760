//! Claims that a client asks for by name (OpenID Connect Core §5.5).

use serde::{Deserialize, Serialize};

/// Names of claims, by where they are told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimsRequest {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub id_token: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub userinfo: Vec<String>,
}

impl ClaimsRequest {
    pub fn is_empty(&self) -> bool {
        self.id_token.is_empty() && self.userinfo.is_empty()
    }
}
