//! Signing out at the wish of a client (OpenID Connect RP-Initiated Logout 1.0), and telling the others.

pub mod back_channel;
pub mod front_channel;

use std::sync::Arc;

use super::authorize::MAX_STATE;
use super::error::{OAuthError, invalid_request};
use super::{Context, Error, hint};
use crate::types::{Client, ClientId, Hint, Params, Session};

/// A sign-out request, checked; by default that of somebody who came by themselves.
#[derive(Default)]
pub struct Logout {
    pub client: Option<Arc<Client>>,
    /// Where to return afterwards: a registered URI of the client.
    pub return_to: Option<String>,
    pub state: Option<String>,
    /// Whom the `id_token_hint` proves to be meant.
    pub hint: Option<Hint>,
}

impl Logout {
    /// Whether the person need not be asked: the request proves that it comes from a client of this very session
    /// (RP-Initiated Logout §2).
    pub fn is_proved_for(&self, session: &Session) -> bool {
        self.hint.as_ref().is_some_and(|hint| hint.session == session.id)
    }
}

/// The parameters that are read again when a request goes on that has waited; what its hint proved is kept beside them.
pub const KEPT: [&str; 3] = ["client_id", "post_logout_redirect_uri", "state"];

/// Checks the parameters of a sign-out request (RP-Initiated Logout §2); `kept` is what the hint of one proved that has
/// waited.
///
/// # Errors
/// `invalid_request`, shown as a page: there is nobody to redirect to.
pub async fn read(cx: &Context, params: &Params, kept: Option<&Hint>) -> Result<Logout, Error> {
    let hint = hint::read(cx, params, kept)
        .map_err(|hint::Unproved| invalid_request("id_token_hint is not an ID token of this issuer"))?;
    let named = params.get("client_id").map(|id| ClientId::parse(id).ok_or_else(unknown_client)).transpose()?;
    if let (Some(hint), Some(named)) = (&hint, &named)
        && hint.client != *named
    {
        // RP-Initiated Logout §2: "the OP MUST verify that the Client Identifier matches".
        return Err(invalid_request("client_id is not the client of the id_token_hint").into());
    }
    let client = match hint.as_ref().map(|hint| &hint.client).or(named.as_ref()) {
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
    if state.as_ref().is_some_and(|state| state.len() > MAX_STATE) {
        return Err(invalid_request(format!("state must have at most {MAX_STATE} characters")).into());
    }
    Ok(Logout { client, return_to, state, hint })
}

fn unknown_client() -> OAuthError {
    invalid_request("no application is registered under this client_id")
}
