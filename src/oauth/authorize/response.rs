//! The answer as one JWT, signed and perhaps encrypted (JARM, JWT Secured Authorization Response Mode).

use std::time::Duration;

use serde_json::{Map, Value};

use super::{RedirectTarget, Refusal, Validated};
use crate::crypto::{TokenType, jwt};
use crate::oauth::error::invalid_request;
use crate::oauth::{Context, encryption, profile};
use crate::types::{Algorithm, Client, ClientId, Encryption, Fault};

/// JARM §2.1: "A maximum JWT lifetime of 10 minutes is RECOMMENDED."
const LIFETIME: Duration = Duration::from_mins(5);

/// For whom it is signed, and with what.
#[derive(Clone, Debug)]
pub struct Signing {
    audience: ClientId,
    algorithm: Algorithm,
    encryption: Option<Encryption>,
}

impl Signing {
    pub(super) fn of(cx: &Context, client: &Client) -> Self {
        let algorithm = profile::response_algorithm(&cx.config, &client.metadata);
        let encryption = client.metadata.protection.of_authorization();
        Self { audience: client.id.clone(), algorithm, encryption }
    }
}

/// The parameter that takes the place of the others; `None` where they travel as they are.
///
/// # Errors
/// When there is no key for the client's algorithm, or it has none that the answer could be encrypted to.
pub async fn sign(cx: &Context, target: &RedirectTarget, fields: &[(&str, &str)]) -> Result<Option<String>, Fault> {
    let Some(signing) = target.signing() else { return Ok(None) };
    // `iss` is among the fields (RFC 9207 §2.4: in JARM it stands there, and not beside the JWT).
    let mut claims: Map<String, Value> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    // JARM §2.1
    claims.insert("aud".to_owned(), signing.audience.as_str().into());
    claims.insert("exp".to_owned(), cx.now.plus(LIFETIME).secs().into());
    let key = cx.keys.active(signing.algorithm, cx.now)?;
    let signed = jwt::sign(key, TokenType::AuthorizationResponse, &claims).map_err(Fault::internal)?;
    let Some(how) = signing.encryption else { return Ok(Some(signed)) };
    let client = cx.store.client(&signing.audience).await?;
    let client = client.ok_or_else(|| Fault::because("a client is gone whose request is answered"))?;
    Ok(Some(encryption::nested(cx, (&client, Some(how)), Map::new(), signed).await?))
}

/// Looks for the key that the answers of a request are encrypted to, before anybody is asked.
///
/// # Errors
/// To a page: the client wants to be told nothing in clear.
pub(super) async fn ready(cx: &Context, validated: Validated) -> Result<Validated, Refusal> {
    let Some(how) = validated.target.signing().and_then(|signing| signing.encryption) else { return Ok(validated) };
    match cx.client_keys.encrypting(&validated.client, how.key, cx.now).await {
        Ok(_) => Ok(validated),
        Err(why) => Err(Refusal::Page(invalid_request(format!("no answer can be encrypted: {why}")))),
    }
}
