//! Makes tokens out of grants: the one place where each kind is signed.

pub mod access_token;
pub mod id_token;
pub mod refresh_token;

use super::Context;
use super::scope::OPENID;
use super::token::TokenResponse;
use crate::store::{Grant, RefreshTerms};
use crate::types::{Algorithm, Client, Fault, Scope};

/// What the next refresh token of this client's grants will be.
///
/// # Errors
/// When there is no key for it.
pub fn refresh_terms<'a>(cx: &'a Context, client: &Client) -> Result<RefreshTerms<'a>, Fault> {
    Ok(RefreshTerms {
        idle_lifetime: cx.config.refresh.idle(client),
        key: cx.keys.active(Algorithm::Hs256, cx.now)?.kid(),
        retry_window: cx.config.refresh.retry_window,
    })
}

/// The tokens of a grant whose transition is committed; `scope` is that of the access token.
///
/// # Errors
/// When signing fails.
pub fn for_grant(cx: &Context, client: &Client, grant: &Grant, scope: Scope) -> Result<TokenResponse, Fault> {
    let access = access_token::for_grant(cx, client, grant, &scope)?;
    let id_token = if scope.contains(OPENID) { Some(id_token::sign(cx, client, grant, &access.token)?) } else { None };
    let refresh_token = if grant.refreshable { Some(refresh_token::sign(cx, grant)?) } else { None };
    Ok(TokenResponse {
        access_token: access.token,
        token_type: "Bearer",
        expires_in: access.expires_in,
        refresh_token,
        id_token,
        scope,
    })
}

/// The token of a client that acts for itself.
///
/// # Errors
/// When signing fails.
pub fn for_client(cx: &Context, client: &Client, scope: Scope) -> Result<TokenResponse, Fault> {
    let access = access_token::for_client(cx, client, &scope)?;
    Ok(TokenResponse {
        access_token: access.token,
        token_type: "Bearer",
        expires_in: access.expires_in,
        // RFC 6749 §4.4.3: "A refresh token SHOULD NOT be included".
        refresh_token: None,
        id_token: None,
        scope,
    })
}
