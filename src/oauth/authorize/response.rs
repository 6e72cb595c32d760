//! The answer as one signed JWT (JARM, JWT Secured Authorization Response Mode).

use std::time::Duration;

use serde_json::{Map, Value};

use super::RedirectTarget;
use crate::crypto::{TokenType, jwt};
use crate::oauth::Context;
use crate::types::{Algorithm, Client, ClientId, Fault};

/// JARM §2.1: "A maximum JWT lifetime of 10 minutes is RECOMMENDED."
const LIFETIME: Duration = Duration::from_mins(5);

/// For whom it is signed, and with what.
#[derive(Clone, Debug)]
pub struct Signing {
    audience: ClientId,
    algorithm: Algorithm,
}

impl Signing {
    pub(super) fn of(client: &Client) -> Self {
        // JARM §3: "The default, if omitted, is RS256."
        let algorithm = client.metadata.authorization_signed_response_alg.unwrap_or(Algorithm::Rs256);
        Self { audience: client.id.clone(), algorithm }
    }
}

/// The parameter that takes the place of the others; `None` where they travel as they are.
///
/// # Errors
/// When there is no key for the client's algorithm.
pub fn sign(cx: &Context, target: &RedirectTarget, fields: &[(&str, &str)]) -> Result<Option<String>, Fault> {
    let Some(signing) = target.signing() else { return Ok(None) };
    // `iss` is among the fields (RFC 9207 §2.4: in JARM it stands there, and not beside the JWT).
    let mut claims: Map<String, Value> =
        fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).into())).collect();
    // JARM §2.1
    claims.insert("aud".to_owned(), signing.audience.as_str().into());
    claims.insert("exp".to_owned(), cx.now.plus(LIFETIME).secs().into());
    let key = cx.keys.active(signing.algorithm, cx.now)?;
    jwt::sign(key, TokenType::AuthorizationResponse, &claims).map(Some).map_err(Fault::internal)
}
