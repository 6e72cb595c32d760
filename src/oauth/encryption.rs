//! What is encrypted to a client, because it is registered so (OpenID Connect Core §10.2).

use serde_json::{Map, Value};

use super::client_keys::ClientKeysError;
use super::error::invalid_request;
use super::{Context, Error};
use crate::crypto::jwe;
use crate::types::{Client, Encryption, Fault};

/// Why nothing was encrypted to a client.
pub enum Unencrypted {
    /// Its key cannot be had.
    NoKey(ClientKeysError),
    Fault(Fault),
}

/// Where the client itself asks, and can do something about its keys.
impl From<Unencrypted> for Error {
    fn from(why: Unencrypted) -> Self {
        match why {
            Unencrypted::NoKey(why) if !matches!(why, ClientKeysError::Fetch(_)) => {
                invalid_request(format!("the answer cannot be encrypted to the client: {why}")).into()
            }
            ours => Fault::from(ours).into(),
        }
    }
}

/// Where nobody can be told.
impl From<Unencrypted> for Fault {
    fn from(why: Unencrypted) -> Self {
        match why {
            // It may be there in a moment.
            Unencrypted::NoKey(ClientKeysError::Fetch(why)) => Self::unavailable(why)
                .context("the keys of a client, to which something is encrypted, cannot be fetched"),
            Unencrypted::NoKey(why) => Self::internal(why).context("nothing can be encrypted to a client"),
            Unencrypted::Fault(fault) => fault,
        }
    }
}

/// Looks for the keys that the tokens of a client are encrypted to, before anything is spent for them.
///
/// # Errors
/// When there is none: a client that gets no answer would send its code once more, and be taken for a thief.
pub async fn ready(cx: &Context, client: &Client) -> Result<(), Error> {
    let Some(how) = client.metadata.protection.of_id_tokens() else { return Ok(()) };
    match cx.client_keys.encrypting(client, how.key, cx.now).await {
        Ok(_) => Ok(()),
        Err(why) => Err(invalid_request(format!("no ID token can be encrypted: {why}")).into()),
    }
}

/// A JWT that we signed, encrypted where the client wants that (OpenID Connect Core §2: "MUST be signed then encrypted").
/// `header` is what the outer header repeats of the claims (RFC 7519 §5.3).
///
/// # Errors
/// When the client's key cannot be had.
pub async fn nested(
    cx: &Context,
    (client, how): (&Client, Option<Encryption>),
    mut header: Map<String, Value>,
    token: String,
) -> Result<String, Unencrypted> {
    let Some(how) = how else { return Ok(token) };
    // RFC 7519 §5.2: "MUST be present" where a JWT is nested.
    header.insert("cty".to_owned(), "JWT".into());
    encrypt(cx, (client, how), header, token.as_bytes()).await
}

/// Encrypts to a client.
///
/// # Errors
/// When the client's key cannot be had.
pub async fn encrypt(
    cx: &Context,
    (client, how): (&Client, Encryption),
    header: Map<String, Value>,
    plain: &[u8],
) -> Result<String, Unencrypted> {
    let key = cx.client_keys.encrypting(client, how.key, cx.now).await.map_err(Unencrypted::NoKey)?;
    jwe::encrypt(&*cx.rng, (&key, how), header, plain).map_err(|why| Unencrypted::Fault(Fault::internal(why)))
}
