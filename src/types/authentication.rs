//! How and when a person proved who they are; what `auth_time`, `acr` and `amr` tell of it.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// One authentication of a person (OpenID Connect Core §2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Authentication {
    /// `auth_time`.
    pub at: Timestamp,
    /// `amr`: the methods used (RFC 8176).
    pub methods: Vec<Method>,
}

/// An authentication method (RFC 8176 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    #[serde(rename = "pwd")]
    Password,
}

/// `acr` of an authentication by one factor. "0" would say less than is true (OpenID Connect Core §2).
pub const ACR_SINGLE_FACTOR: &str = "1";

impl Authentication {
    pub fn by_password(at: Timestamp) -> Self {
        Self { at, methods: vec![Method::Password] }
    }

    /// The authentication context class that the methods amount to.
    pub fn acr(&self) -> &'static str {
        ACR_SINGLE_FACTOR
    }
}
