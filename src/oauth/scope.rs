//! Which scope a request gets: what it asks for, or a default, within what its client is registered for.

use super::error::{OAuthError, invalid_scope};
use super::{Context, engine};
use crate::types::{Client, Fault, Scope, User, UserId};

/// The OpenID Connect request marker (OpenID Connect Core §3.1.2.1).
pub const OPENID: &str = "openid";

/// Asks for refresh tokens that outlive the session (OpenID Connect Core §11).
pub const OFFLINE_ACCESS: &str = "offline_access";

/// The scopes that this server itself gives a meaning.
pub const STANDARD: [&str; 9] =
    [OPENID, "profile", "email", "address", "phone", "groups", "roles", "entitlements", OFFLINE_ACCESS];

/// The scope of a request (RFC 6749 §3.3): none asked is the client's default, else the server's.
///
/// # Errors
/// `invalid_scope`, when it is malformed or beyond the client's registration; of clients that nobody registered, when
/// nothing of it is within.
pub fn requested(cx: &Context, client: &Client, asked: Option<&str>) -> Result<Scope, OAuthError> {
    let Some(asked) = asked else { return Ok(default(cx, client)) };
    let scope = engine::scope(asked)?;
    if client.registration.is_some() {
        // Its administrator has never heard of it, and it may ask for all that the metadata names, as MCP clients do. §3.3:
        // "fully or partially ignore the scope requested"; the answer tells what is left.
        let known = still_registered(client, &scope);
        if !known.is_empty() {
            return Ok(known);
        }
    }
    if !scope.is_within(&client.metadata.scope) {
        let beyond = Scope::from_tokens(scope.tokens().filter(|token| !client.metadata.scope.contains(token)));
        return Err(invalid_scope(format!("the client is not registered for the scope {beyond}")));
    }
    Ok(scope)
}

/// What is left of a granted scope in new tokens: what the client is registered for by now (ASVS 10.4.11). The grant
/// keeps what was granted, so that it comes back with the registration.
pub fn still_registered(client: &Client, granted: &Scope) -> Scope {
    granted.intersection(&client.metadata.scope)
}

/// What of a scope somebody may get, or a client for itself, which is in no group. The groups of the store count, and what
/// a claim says does not: they alone are changed together with the feed that ends the tokens.
pub fn allowed(cx: &Context, user: Option<&User>, scope: Scope) -> Scope {
    let scopes = &cx.config.scopes;
    // Costs nothing where nothing is guarded.
    if !scopes.guard(&scope) {
        return scope;
    }
    scopes.allowed_in(user.map_or(&[], |user| &user.memberships.groups), &scope)
}

/// The same by their id.
///
/// # Errors
/// When the database is away.
pub async fn for_user(cx: &Context, user: UserId, scope: Scope) -> Result<Scope, Fault> {
    let user = if cx.config.scopes.guard(&scope) { cx.store.user(user).await? } else { None };
    Ok(allowed(cx, user.as_ref(), scope))
}

/// Somebody with the groups that these may be told of: a client, and the places of a token.
pub fn seen_by<'a>(cx: &Context, readers: impl IntoIterator<Item = &'a str> + Clone, user: User) -> User {
    user.with_groups(|group| cx.config.groups.may_be_told(readers.clone(), group))
}

fn default(cx: &Context, client: &Client) -> Scope {
    let default = match (&client.metadata.default_scope, &cx.config.authorization.default_scope) {
        (Some(own), _) => own.clone(),
        (None, Some(servers)) => {
            Scope::from_tokens(servers.tokens().filter(|token| client.metadata.scope.contains(token)))
        }
        (None, None) => Scope::default(),
    };
    // Nobody stays connected without having asked.
    default.without(OFFLINE_ACCESS)
}
