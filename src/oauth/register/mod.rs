//! Dynamic client registration (RFC 7591, OpenID Connect Dynamic Client Registration 1.0): `POST /oauth/register`.
//!
//! 1. may this caller register at all (§3: an initial access token, or nothing where registration is open);
//! 2. `document`: what is asked for becomes what is registered;
//! 3. the client is written, and its token with it is spent: one commit.

mod choices;
mod document;
mod limit;
mod manage;
mod statement;

use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

pub use document::{Members, metadata};
pub use limit::Limiter;
pub use manage::{Caller, delete, read, replace};

use super::error::{invalid_client_metadata, invalid_token};
use super::{Context, Error, client_secret};
use crate::config::registration::Mode;
use crate::crypto::{JwkSet, hash, random};
use crate::outgoing::Outgoing;
use crate::store::{RegistrationToken, Stored};
use crate::types::client::Registration;
use crate::types::{Client, ClientId, Fault, SecretForm};

/// What registration needs besides a request's `Context`.
pub struct Registrar {
    pub limiter: Limiter,
    /// Whose software statements are believed.
    pub statement_keys: JwkSet,
    /// Fetches what a client names as its sector.
    pub outgoing: Outgoing,
}

/// What a client can neither set nor see.
const FOR_ADMINISTRATORS: [&str; 12] = [
    "profile",
    "pkce",
    "skip_consent",
    "require_second_factor",
    "resource_server",
    "resources",
    "signed_url_prefixes",
    "always_issue_refresh_token",
    "default_scope",
    "access_token_lifetime",
    "refresh_token_idle_lifetime",
    "refresh_token_absolute_lifetime",
];

/// Registers a client; `token` is what stood in the `Authorization` header.
///
/// # Errors
/// `invalid_token`, and those of RFC 7591 §3.2.2.
pub async fn register(
    cx: &Context,
    registrar: &Registrar,
    token: Option<&str>,
    document: Value,
) -> Result<Value, Error> {
    let voucher = voucher(cx, token).await?;
    let metadata = document::read(cx, registrar, document).await?;
    let access = random::secret(&*cx.rng);
    let registration = Registration {
        by: voucher.as_ref().map_or_else(|| "open registration".to_owned(), |token| format!("token {}", token.id)),
        token_hash: hashed(&access),
        verified: voucher.as_ref().is_some_and(|token| token.verifies),
    };
    let mut client = Client {
        id: ClientId::parse(&format!("dyn-{}", random::token(&*cx.rng, 16)))
            .ok_or_else(|| Fault::because("no client id could be made"))?,
        secret_hash: None,
        secret_sealed: None,
        metadata,
        created_at: cx.now,
        updated_at: cx.now,
        disabled_at: None,
        registration: Some(registration),
    };
    let secret = make_secret(cx, &mut client)?;

    let mut tx = cx.store.begin().await?;
    if let Some(token) = &voucher
        && tx.spend_registration_token(&token.id, cx.now).await? == Stored::Conflict
    {
        return Err(invalid_token("the initial access token was used up").into());
    }
    if tx.insert_client(&client).await? == Stored::Conflict {
        return Err(Fault::because("a random client id was taken").into());
    }
    tx.keep_client_unused_until(&client.id, cx.now.plus(cx.config.registration.unused_for)).await?;
    tx.commit().await?;
    audit("client_registered", &client);
    information(cx, &client, secret.as_ref(), access.expose_secret())
}

/// Makes the secret that the client needs and does not have.
fn make_secret(cx: &Context, client: &mut Client) -> Result<Option<SecretString>, Error> {
    if client_secret::is_kept(client) {
        return Ok(None);
    }
    let secret = random::secret(&*cx.rng);
    cx.client_keys.keep_secret(client, &secret, &*cx.rng).map_err(Fault::because)?;
    Ok((client.metadata.token_endpoint_auth_method.secret() != SecretForm::None).then_some(secret))
}

/// RFC 7591 §3: the initial access token that lets a caller register; `None` when none is needed and none came.
async fn voucher(cx: &Context, token: Option<&str>) -> Result<Option<RegistrationToken>, Error> {
    match token {
        None if cx.config.registration.mode == Mode::Open => Ok(None),
        None => {
            Err(invalid_token("an initial access token is needed to register a client; ask the administrator").into())
        }
        // What is shown must be good, needed or not.
        Some(token) => match cx.store.registration_token(&hash::sha256(token.as_bytes()), cx.now).await? {
            Some(token) => Ok(Some(token)),
            None => Err(invalid_token("the initial access token is unknown, expired or used up").into()),
        },
    }
}

/// The client information response (RFC 7591 §3.2.1, RFC 7592 §3): everything that was registered, and nothing that is
/// for administrators alone. A secret is told when it is made, and never again.
fn information(cx: &Context, client: &Client, secret: Option<&SecretString>, access: &str) -> Result<Value, Error> {
    let mut document = serde_json::to_value(&client.metadata).map_err(Fault::internal)?;
    if let Some(members) = document.as_object_mut() {
        FOR_ADMINISTRATORS.iter().for_each(|name| drop(members.remove(*name)));
    }
    document["client_id"] = json!(client.id);
    document["client_id_issued_at"] = json!(client.created_at.secs());
    document["response_types"] = json!(["code"]);
    document["registration_access_token"] = json!(access);
    document["registration_client_uri"] = json!(cx.config.server.issuer.url(&format!("/oauth/register/{}", client.id)));
    if let Some(secret) = secret {
        document["client_secret"] = json!(secret.expose_secret());
        // RFC 7591 §3.2.1: "REQUIRED if 'client_secret' is issued", 0 is never.
        document["client_secret_expires_at"] = json!(0);
    }
    Ok(document)
}

fn hashed(secret: &SecretString) -> [u8; 32] {
    hash::sha256(secret.expose_secret().as_bytes())
}

fn audit(event: &'static str, client: &Client) {
    let by = client.registration.as_ref().map_or("an administrator", |registration| &registration.by);
    tracing::info!(target: "audit", event, client = %client.id, by);
}
