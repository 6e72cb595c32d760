//! Makes tokens out of grants: the one place where each kind is signed.

pub mod access_token;
pub mod id_token;
pub mod refresh_token;

use serde_json::{Map, Value};

use super::resource::Target;
use super::scope::{OPENID, allowed, seen_by};
use super::token::TokenResponse;
use super::{Context, encryption, profile};
use crate::store::{Grant, RefreshTerms};
use crate::types::{Algorithm, AuthorizationDetails, Client, Fault, Scope, SenderKey, User, user};

/// What the next refresh token of this client's grants will be.
///
/// # Errors
/// When there is no key for it.
pub fn refresh_terms<'a>(cx: &'a Context, client: &Client) -> Result<RefreshTerms<'a>, Fault> {
    let refresh = &cx.config.refresh;
    // What is not replaced cannot be made to last longer by its use.
    let rotates = profile::rotates(&cx.config, &client.metadata);
    Ok(RefreshTerms {
        idle_lifetime: if rotates { refresh.idle(client) } else { refresh.absolute(client) },
        key: cx.keys.active(Algorithm::Hs256, cx.now)?.kid(),
        retry_window: refresh.retry_window,
    })
}

/// What an access token says besides its grant.
pub struct Access<'a> {
    pub scope: Scope,
    /// What it is good for in particular (RFC 9396).
    pub details: AuthorizationDetails,
    /// Where it will be good.
    pub target: Target,
    /// The key to which it is bound.
    pub sender: Option<&'a SenderKey>,
}

/// RFC 9449 §5; a token that is bound to a certificate is a Bearer token still (RFC 8705 §3).
pub const fn token_type(sender: Option<&SenderKey>) -> &'static str {
    match sender {
        Some(SenderKey::Jwk(_)) => "DPoP",
        Some(SenderKey::Certificate(_)) | None => "Bearer",
    }
}

/// The tokens of a grant whose transition is committed.
///
/// # Errors
/// When signing fails, or the database is away.
pub async fn for_grant(
    cx: &Context,
    client: &Client,
    grant: &Grant,
    wanted: Access<'_>,
) -> Result<TokenResponse, Fault> {
    let user = whose_rights(cx, grant, &wanted.scope).await?;
    // The grant keeps what was granted; whoever is in the group no more gets it no more.
    let scope = allowed(cx, user.as_ref(), wanted.scope);
    let wanted = Access { scope, ..wanted };
    let user = user.map(|user| {
        let readers = std::iter::once(client.id.as_str()).chain(wanted.target.audience.uris());
        seen_by(cx, readers.collect::<Vec<_>>(), user)
    });
    let access = access_token::for_grant(cx, client, grant, (&wanted, user.as_ref()))?;
    let id_token = if wanted.scope.contains(OPENID) {
        let asked = told_of(cx, client, grant).await?;
        let signed = id_token::sign(cx, client, grant, (&access.token, asked))?;
        let how = client.metadata.protection.of_id_tokens();
        Some(encryption::nested(cx, (client, how), Map::new(), signed).await?)
    } else {
        None
    };
    let refresh_token = if grant.refreshable { Some(refresh_token::sign(cx, grant)?) } else { None };
    Ok(TokenResponse {
        access_token: access.token,
        token_type: token_type(wanted.sender),
        expires_in: access.expires_in,
        refresh_token,
        id_token,
        scope: wanted.scope,
        authorization_details: wanted.details,
    })
}

/// The user, where the access token says more of them than who they are (RFC 9068 §2.2.3.1), or their groups decide what
/// it may say.
async fn whose_rights(cx: &Context, grant: &Grant, scope: &Scope) -> Result<Option<User>, Fault> {
    let tells = scope.tokens().any(|token| user::RIGHTS.contains(&token));
    if tells || cx.config.scopes.guard(scope) { cx.store.user(grant.user).await } else { Ok(None) }
}

/// The claims of the user that the ID token was asked for by name (OpenID Connect Core §5.5).
async fn told_of(cx: &Context, client: &Client, grant: &Grant) -> Result<Map<String, Value>, Fault> {
    let names = still_registered(client, &grant.terms.claims.id_token);
    if names.is_empty() {
        return Ok(Map::new());
    }
    let user = cx.store.user(grant.user).await?;
    let user = user.map(|user| seen_by(cx, [client.id.as_str()], user));
    Ok(user.map(|user| user.claims_named(&names)).unwrap_or_default())
}

/// Of the claims that were asked for by name, those whose scope the client is registered for by now (ASVS 10.4.11).
fn still_registered(client: &Client, names: &[String]) -> Vec<String> {
    let registered =
        |name: &&String| user::scope_of_claim(name).is_some_and(|scope| client.metadata.scope.contains(scope));
    names.iter().filter(registered).cloned().collect()
}

/// The token of a client that acts for itself.
///
/// # Errors
/// When signing fails.
pub fn for_client(cx: &Context, client: &Client, wanted: Access<'_>) -> Result<TokenResponse, Fault> {
    let access = access_token::for_client(cx, client, &wanted)?;
    Ok(TokenResponse {
        access_token: access.token,
        token_type: token_type(wanted.sender),
        expires_in: access.expires_in,
        // RFC 6749 §4.4.3: "A refresh token SHOULD NOT be included".
        refresh_token: None,
        id_token: None,
        scope: wanted.scope,
        authorization_details: wanted.details,
    })
}
