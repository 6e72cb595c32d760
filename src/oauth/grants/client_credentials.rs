//! The client credentials grant (OAuth 2.1 §4.2): a client acts for itself. Nothing is written.

use crate::oauth::issue;
use crate::oauth::scope::{self, OFFLINE_ACCESS, OPENID};
use crate::oauth::token::TokenResponse;
use crate::oauth::{Context, Error};
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

/// Issues an access token whose subject is the client (RFC 9068 §2.2). That only confidential clients are registered
/// for this grant, registration sees to.
///
/// # Errors
/// `invalid_scope`.
pub fn exchange(cx: &Context, client: &Client, request: &Request) -> Result<TokenResponse, Error> {
    let scope = scope::requested(cx, client, request.scope.as_deref())?;
    // There is no user to identify, and nothing to stay connected to; the answer's scope says so (RFC 6749 §5.1).
    let scope = scope.without(OPENID).without(OFFLINE_ACCESS);
    Ok(issue::for_client(cx, client, scope)?)
}
