//! Refresh tokens: JWTs for our own eyes, the same string for the same generation of a grant.

use serde::{Deserialize, Serialize};

use super::super::Context;
use crate::crypto::{TokenType, jwt};
use crate::store::Grant;
use crate::types::{AuthorizationDetails, ClientId, Fault, GrantId, Scope, SenderKey, Timestamp};

/// What a refresh token says, all of it computed from the row of its grant.
#[derive(Debug, Serialize, Deserialize)]
pub struct RefreshClaims {
    pub iss: String,
    pub aud: String,
    pub client_id: ClientId,
    pub grant: GrantId,
    pub generation: i64,
    pub scope: Scope,
    /// Where its access tokens may be used (RFC 8707 §2.2).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resources: Vec<String>,
    /// What they are good for in particular (RFC 9396 §6).
    #[serde(default, rename = "authorization_details", skip_serializing_if = "AuthorizationDetails::is_empty")]
    pub details: AuthorizationDetails,
    /// The key whose possession its user must prove.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cnf: Option<SenderKey>,
    pub iat: i64,
    pub exp: i64,
}

impl RefreshClaims {
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.exp <= now.secs()
    }
}

/// Signs with the key that the row names: a retry gets the same string, even across a rotation of keys.
///
/// # Errors
/// When this node does not know the key, or signing fails.
pub fn sign(cx: &Context, grant: &Grant) -> Result<String, Fault> {
    let claims = RefreshClaims {
        iss: cx.issuer().to_owned(),
        aud: cx.issuer().to_owned(),
        client_id: grant.client.clone(),
        grant: grant.id,
        generation: grant.generation,
        scope: grant.scope.clone(),
        resources: grant.terms.resources.clone(),
        details: grant.terms.details.clone(),
        cnf: grant.sender_key.clone(),
        iat: grant.rotated_at.secs(),
        exp: grant.refresh_expires_at.secs(),
    };
    let key = cx
        .keys
        .signing(&grant.refresh_key)
        .ok_or_else(|| Fault::because(format!("the refresh key {} is not known to this node", grant.refresh_key)))?;
    jwt::sign(key, TokenType::RefreshToken, &claims).map_err(Fault::internal)
}

/// The claims of a token that we signed, expired ones too: a revocation may name one.
pub fn verify(cx: &Context, token: &str) -> Option<RefreshClaims> {
    let claims: RefreshClaims = jwt::verify(token, TokenType::RefreshToken, |kid| cx.keys.verifying(kid)).ok()?;
    (claims.iss == cx.issuer() && claims.aud == cx.issuer()).then_some(claims)
}
