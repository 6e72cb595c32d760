//! Signed addresses: whoever has one may do one thing at one address.

use super::{Audience, ClientId, Timestamp, TokenId};

/// A row of `signed_urls`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedUrl {
    pub id: TokenId,
    /// Who had it signed, and may revoke it.
    pub client: ClientId,
    /// The address without the signature.
    pub url: String,
    /// The resource to which the address belongs, or the issuer.
    pub audience: Audience,
    /// What it is for, in the client's words.
    pub purpose: Option<String>,
    /// Whom it is for, as the client names them.
    pub subject: Option<String>,
    pub single_use: bool,
    pub created_at: Timestamp,
    pub expires_at: Timestamp,
}
