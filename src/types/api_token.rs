//! API tokens: what a person or a client shows to an API for a long time.

use serde::Serialize;

use super::{Audience, ClientId, Scope, Timestamp, TokenId, UserId};

/// A row of `api_tokens`, without the hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// The `jti` of what is said of it.
    pub id: TokenId,
    pub holder: Holder,
    /// What it is for, in its holder's words.
    pub name: String,
    pub scope: Scope,
    pub audience: Audience,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
    /// When it was last asked about, to within minutes.
    pub used_at: Option<Timestamp>,
}

/// Whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Holder {
    /// A personal access token.
    User(UserId),
    /// An API key.
    Client(ClientId),
}

impl Holder {
    /// How the text of such a token begins, by which scanners find one that has leaked.
    pub const fn prefix(&self) -> &'static str {
        match self {
            Self::User(_) => "gr_pat_",
            Self::Client(_) => "gr_key_",
        }
    }

    pub const fn user(&self) -> Option<UserId> {
        match self {
            Self::User(id) => Some(*id),
            Self::Client(_) => None,
        }
    }

    pub const fn client(&self) -> Option<&ClientId> {
        match self {
            Self::User(_) => None,
            Self::Client(id) => Some(id),
        }
    }
}
