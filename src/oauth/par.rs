//! Pushed authorization requests (RFC 9126): the client sends its request ahead, and the browser brings a reference.

use std::sync::Arc;

use secrecy::ExposeSecret;
use serde::Serialize;

use super::authorize::{self, Refusal};
use super::error::invalid_request;
use super::{Context, Error, dpop, profile, sender};
use crate::crypto::{hash, random};
use crate::store::PushedRequest;
use crate::types::{Client, Params, SenderKey};

/// RFC 9126 §2.2
const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// What the client is told (RFC 9126 §2.2).
#[derive(Serialize)]
pub struct Pushed {
    pub request_uri: String,
    /// Seconds.
    pub expires_in: u64,
}

/// The hash under which a pushed request is kept, of the `request_uri` that names it: `Some(None)` when that has our
/// form and cannot be one of ours.
pub fn reference(request_uri: &str) -> Option<Option<[u8; 32]>> {
    let secret = request_uri.strip_prefix(PREFIX)?;
    Some(random::is_secret(secret).then(|| hash::sha256(secret.as_bytes())))
}

/// Takes down the request of an authenticated client.
///
/// # Errors
/// Those of the authorization endpoint, told at once (RFC 9126 §2.3), and those of a DPoP proof (RFC 9449 §10.1).
pub async fn push(
    cx: &Context,
    client: Arc<Client>,
    params: &Params,
    request: dpop::Request<'_>,
) -> Result<Pushed, Error> {
    // RFC 9126 §2.1: "The request_uri authorization request parameter is one exception, and it MUST NOT be provided."
    if params.get("request_uri").is_some() {
        return Err(invalid_request("a pushed request cannot refer to another: leave request_uri out").into());
    }
    // RFC 9126 §2.1: "bound to the client that posted" it. What else authenticated it is not kept.
    if params.get("client_id").is_some_and(|id| id != client.id.as_str()) {
        return Err(invalid_request("client_id is not the client that authenticated").into());
    }
    let id = client.id.clone();
    let validated = authorize::validate_pushed(cx, client, params).await?;
    let mut kept = authorize::kept(validated.referred.as_ref().map_or(params, |referred| &referred.params));
    if !kept.iter().any(|(name, _)| name == "client_id") {
        kept.push(("client_id".to_owned(), id.to_string()));
    }
    let named = validated.request.sender_key;
    let is_named = named.is_some();
    if let Some(SenderKey::Jwk(thumbprint)) =
        sender::pushed_binding(cx, &validated.client, named, request).await?.filter(|_| !is_named)
    {
        kept.push(("dpop_jkt".to_owned(), thumbprint));
    }

    let secret = random::secret(&*cx.rng);
    let secret = secret.expose_secret();
    let lifetime = profile::pushed_lifetime(&cx.config, &validated.client.metadata);
    let request = PushedRequest {
        id_hash: hash::sha256(secret.as_bytes()),
        client: id,
        params: Params::from_pairs(kept),
        hint: validated.request.hint,
        expires_at: cx.now.plus(lifetime),
    };
    cx.store.create_pushed(&request).await?;
    Ok(Pushed { request_uri: format!("{PREFIX}{secret}"), expires_in: lifetime.as_secs() })
}

impl From<Refusal> for Error {
    /// For an endpoint that the client itself speaks to, so that it can be told everything.
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Page(error) | Refusal::Redirect(_, error) => error.into(),
            Refusal::Fault(fault) => fault.into(),
        }
    }
}
