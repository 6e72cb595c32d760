//! The client credentials grant (OAuth 2.1 §4.2): a client acts for itself. Nothing is written.

use crate::oauth::error::{invalid_scope, unauthorized_client};
use crate::oauth::issue::{self, Access};
use crate::oauth::scope::{self, OFFLINE_ACCESS, OPENID};
use crate::oauth::token::{Asked, TokenResponse};
use crate::oauth::{Context, Error, details, resource};
use crate::types::{Client, Params};

/// What the client sent.
pub struct Request {
    scope: Option<String>,
}

impl Request {
    pub fn parse(params: &Params) -> Self {
        Self { scope: params.get("scope").map(str::to_owned) }
    }
}

/// Issues an access token whose subject is the client (RFC 9068 §2.2).
///
/// # Errors
/// `invalid_scope`, `invalid_target`, `invalid_authorization_details`; `unauthorized_client` for a public client.
pub async fn exchange(
    cx: &Context,
    client: &Client,
    request: &Request,
    asked: Asked<'_>,
) -> Result<TokenResponse, Error> {
    // RFC 6749 §4.4: "MUST only be used by confidential clients". Registration sees to it, and this does not rely on it.
    if client.is_public() {
        return Err(unauthorized_client("a public client cannot act for itself").into());
    }
    let scope = scope::requested(cx, client, request.scope.as_deref())?;
    // There is no user to identify, and nothing to stay connected to; the answer's scope says so (RFC 6749 §5.1).
    let scope = scope.without(OPENID).without(OFFLINE_ACCESS);
    let wanted_none = scope.is_empty();
    let scope = scope::allowed(cx, None, scope);
    if scope.is_empty() && !wanted_none && asked.details.is_empty() {
        return Err(invalid_scope("the scope is for people in certain groups, and a client is in none").into());
    }
    let places = details::places(cx, &asked.details, (&scope, asked.resources)).await?;
    let particular = asked.details.len();
    // RFC 9396 §6: "the client's policy" are the types that it is registered for, and their schemas.
    let access = resource::aim(cx, client, &places, (scope, asked.details)).await?;
    details::whole(particular, &access)?;
    Ok(issue::for_client(cx, client, Access { sender: asked.sender, ..access })?)
}
