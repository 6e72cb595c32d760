//! Signing out at the wish of a client (OpenID Connect RP-Initiated Logout 1.0).

use std::sync::Arc;

use super::error::{OAuthError, invalid_request};
use super::issue::id_token;
use super::{Context, Error};
use crate::types::{Client, ClientId, Params, Session, SessionId};

/// A sign-out request, checked.
pub struct Logout {
    pub client: Option<Arc<Client>>,
    /// Where to return afterwards: a registered URI of the client.
    pub return_to: Option<String>,
    pub state: Option<String>,
    /// The session that the hint proves to be meant.
    hinted: Option<SessionId>,
}

impl Logout {
    /// Whether the person need not be asked: the request proves that it comes from a client of this very session
    /// (RP-Initiated Logout §2).
    pub fn is_proved_for(&self, session: &Session) -> bool {
        self.hinted == Some(session.id)
    }
}

/// Checks the parameters of a sign-out request (RP-Initiated Logout §2).
///
/// # Errors
/// `invalid_request`, shown as a page: there is nobody to redirect to.
pub async fn read(cx: &Context, params: &Params) -> Result<Logout, Error> {
    let hint = params.get("id_token_hint").map(|hint| {
        id_token::verify_hint(cx, hint)
            .ok_or_else(|| invalid_request("id_token_hint is not an ID token of this issuer"))
    });
    let hint = hint.transpose()?;
    let named = params.get("client_id").map(|id| ClientId::parse(id).ok_or_else(unknown_client)).transpose()?;
    if let (Some(hint), Some(named)) = (&hint, &named)
        && hint.aud != *named
    {
        // RP-Initiated Logout §2: "the OP MUST verify that the Client Identifier matches".
        return Err(invalid_request("client_id is not the client of the id_token_hint").into());
    }
    let client = match hint.as_ref().map(|hint| &hint.aud).or(named.as_ref()) {
        Some(id) => Some(cx.store.client(id).await?.filter(|c| !c.is_disabled()).ok_or_else(unknown_client)?),
        None => None,
    };
    let return_to = match (params.get("post_logout_redirect_uri"), &client) {
        (None, _) => None,
        // RP-Initiated Logout §3: only to "a post_logout_redirect_uri value previously registered".
        (Some(uri), Some(client)) if client.metadata.post_logout_redirect_uris.iter().any(|own| own.matches(uri)) => {
            Some(uri.to_owned())
        }
        (Some(_), _) => {
            return Err(invalid_request("post_logout_redirect_uri is not registered for this application").into());
        }
    };
    let state = params.get("state").map(str::to_owned);
    Ok(Logout { client, return_to, state, hinted: hint.map(|hint| hint.sid) })
}

fn unknown_client() -> OAuthError {
    invalid_request("no application is registered under this client_id")
}
