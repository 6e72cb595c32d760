//! What is told of personal access tokens and API keys. They are no JWTs, so a resource server asks for each of them.

use std::sync::Arc;

use serde::Serialize;

use super::Context;
use super::scope::{allowed, seen_by, still_registered};
use crate::crypto::{Digest, api_token};
use crate::types::user::RIGHTS;
use crate::types::{ApiToken, Audience, ClientId, Fault, Holder, Scope, TokenId, User};

/// The members that RFC 7662 §2.2 and RFC 9068 §2.2.3.1 give a meaning.
#[derive(Serialize)]
pub struct ApiTokenClaims {
    pub iss: String,
    /// The user's own id, as in tokens of clients whose subjects are public; or the client's id.
    pub sub: String,
    pub aud: Audience,
    /// Of an API key. A personal access token was issued to nobody but its person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<ClientId>,
    pub exp: i64,
    pub iat: i64,
    pub jti: TokenId,
    #[serde(skip_serializing_if = "Scope::is_empty")]
    pub scope: Scope,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub entitlements: Vec<String>,
}

/// A token that is good at this moment, and the hash under which it is kept.
///
/// # Errors
/// When the database is away, or this node may not vouch for tokens.
pub async fn find(cx: &Context, text: &str) -> Result<Option<(Digest, Arc<ApiToken>)>, Fault> {
    let Some(hash) = api_token::hash(text) else { return Ok(None) };
    cx.store.ensure_fresh().await?;
    let token = cx.store.api_token(&hash).await?;
    Ok(token.filter(|token| token.expires_at > cx.now).map(|token| (hash, token)))
}

/// What a token says now: of what it was made for, what its holder still may. `None` where its holder is gone.
///
/// # Errors
/// When the database is away.
pub async fn claims(cx: &Context, token: &ApiToken) -> Result<Option<ApiTokenClaims>, Fault> {
    let (sub, scope, user) = match &token.holder {
        Holder::Client(id) => {
            let Some(client) = cx.store.client(id).await? else { return Ok(None) };
            (id.to_string(), allowed(cx, None, still_registered(&client, &token.scope)), None)
        }
        Holder::User(id) => {
            let scope = token.scope.intersection(&cx.config.personal_tokens.scope);
            let depends = cx.config.scopes.guard(&scope) || RIGHTS.iter().any(|right| scope.contains(right));
            let user = if depends { cx.store.user(*id).await? } else { None };
            (id.to_string(), allowed(cx, user.as_ref(), scope), user)
        }
    };
    let user = user.map(|user| seen_by(cx, token.audience.uris().collect::<Vec<_>>(), user));
    let right =
        |name| user.as_ref().filter(|_| scope.contains(name)).map_or_else(Vec::new, |user: &User| user.right(name));
    Ok(Some(ApiTokenClaims {
        iss: cx.issuer().to_owned(),
        sub,
        aud: token.audience.clone(),
        client_id: token.holder.client().cloned(),
        exp: token.expires_at.secs(),
        iat: token.created_at.secs(),
        jti: token.id,
        groups: right("groups"),
        roles: right("roles"),
        entitlements: right("entitlements"),
        scope,
    }))
}
