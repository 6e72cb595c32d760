//! Client configuration endpoint (RFC 7592): a client reads, replaces and deletes its own registration.

use std::sync::Arc;

use secrecy::ExposeSecret;
use serde_json::Value;

use super::{Registrar, audit, document, hashed, information, invalid_client_metadata, invalid_token, make_secret};
use crate::crypto::{hash, random};
use crate::oauth::{Context, Error, OAuthError, profile};
use crate::store::Stored;
use crate::types::client::Registration;
use crate::types::{Client, ClientId, ClientMetadata, PkcePolicy};

/// The client that a caller names, and the registration access token that it shows.
#[derive(Clone, Copy)]
pub struct Caller<'a> {
    pub client: &'a str,
    pub token: Option<&'a str>,
}

/// How often a change is tried again that another forestalled.
const ATTEMPTS: usize = 3;

/// Members that only the server writes (RFC 7592 §2.2: "MUST NOT be included").
const OURS: [&str; 4] =
    ["registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at"];

/// The same words for a client that is not there, one that is disabled, and a wrong token (RFC 7592 §2.1).
fn refused() -> OAuthError {
    invalid_token("there is no such client, or the registration access token is not its own")
}

async fn authenticate(cx: &Context, caller: Caller<'_>) -> Result<(Arc<Client>, Registration), Error> {
    let (Some(token), Some(id)) = (caller.token, ClientId::parse(caller.client)) else { return Err(refused().into()) };
    let Some(client) = cx.store.client(&id).await? else { return Err(refused().into()) };
    match &client.registration {
        Some(own) if !client.is_disabled() && hash::equal(&own.token_hash, &hash::sha256(token.as_bytes())) => {
            let own = own.clone();
            Ok((client, own))
        }
        _ => Err(refused().into()),
    }
}

/// RFC 7592 §2.1
///
/// # Errors
/// `invalid_token`.
pub async fn read(cx: &Context, caller: Caller<'_>) -> Result<Value, Error> {
    let (client, _) = authenticate(cx, caller).await?;
    information(cx, &client, None, caller.token.unwrap_or_default())
}

/// RFC 7592 §2.2: what is not in the document is not registered any more. The registration access token becomes another.
///
/// # Errors
/// `invalid_token`, and those of RFC 7591 §3.2.2.
pub async fn replace(cx: &Context, registrar: &Registrar, caller: Caller<'_>, document: Value) -> Result<Value, Error> {
    for _ in 0..ATTEMPTS {
        let (before, own) = authenticate(cx, caller).await?;
        check_identity(cx, &before, &document)?;
        let read = document::read(cx, registrar, document.clone()).await?;
        let metadata = limited_as(&before.metadata, read);
        profile::check(&cx.config, &metadata).map_err(invalid_client_metadata)?;
        let access = random::secret(&*cx.rng);
        let mut client = Client {
            registration: Some(Registration {
                token_hash: hashed(&access),
                // An administrator answered for what was there.
                verified: own.verified && metadata == before.metadata,
                by: own.by,
            }),
            metadata,
            ..(*before).clone()
        };
        let made = make_secret(cx, &mut client)?;
        let mut tx = cx.store.begin().await?;
        if tx.update_client(&client, cx.now).await? == Stored::Stored {
            tx.commit().await?;
            audit("client_replaced", &client);
            return information(cx, &client, made.as_ref(), access.expose_secret());
        }
        drop(tx);
        // Forgets what was read of it.
        cx.store.read_changes().await?;
    }
    Err(crate::oauth::error::temporarily_unavailable("the client is being changed by others; try again").into())
}

/// What an administrator limited stays so; what an administrator allowed was allowed to what the client was before.
fn limited_as(before: &ClientMetadata, replaced: ClientMetadata) -> ClientMetadata {
    ClientMetadata {
        profile: before.profile,
        pkce: before.pkce.filter(|policy| *policy == PkcePolicy::Required),
        access_token_lifetime: before.access_token_lifetime,
        refresh_token_idle_lifetime: before.refresh_token_idle_lifetime,
        refresh_token_absolute_lifetime: before.refresh_token_absolute_lifetime,
        ..replaced
    }
}

/// RFC 7592 §2.2: the client says who it is, and chooses nothing that the server chooses.
fn check_identity(cx: &Context, client: &Client, document: &Value) -> Result<(), Error> {
    if document.get("client_id").and_then(Value::as_str) != Some(client.id.as_str()) {
        return Err(invalid_client_metadata("client_id must be there, and be the client's own").into());
    }
    if let Some(ours) = OURS.into_iter().find(|name| document.get(name).is_some()) {
        return Err(invalid_client_metadata(format!("{ours} must not be there: only the server writes it")).into());
    }
    let Some(secret) = document.get("client_secret") else { return Ok(()) };
    match secret.as_str() {
        Some(secret) if cx.client_keys.is_secret(client, secret)? => Ok(()),
        _ => Err(invalid_client_metadata("client_secret is not the client's own: it cannot be chosen").into()),
    }
}

/// RFC 7592 §2.3: what was granted to it ends with it.
///
/// # Errors
/// `invalid_token`.
pub async fn delete(cx: &Context, caller: Caller<'_>) -> Result<(), Error> {
    let (client, _) = authenticate(cx, caller).await?;
    let mut tx = cx.store.begin().await?;
    if tx.delete_client(&client.id, cx.now).await? == Stored::Conflict {
        return Err(refused().into());
    }
    tx.commit().await?;
    audit("client_deleted", &client);
    Ok(())
}
