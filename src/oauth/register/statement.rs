//! Software statements (RFC 7591 §2.3): what somebody whom we know says of a client, signed.

use serde_json::{Map, Value};

use crate::crypto::JwkSet;
use crate::crypto::jws::{JwsError, Unverified};
use crate::oauth::error::{OAuthError, invalid_software_statement, unapproved_software_statement};
use crate::types::{Algorithm, Timestamp};

/// The claims of a statement, if one of those signed it whom we believe.
pub(super) fn claims(keys: &JwkSet, statement: &str, now: Timestamp) -> Result<Map<String, Value>, OAuthError> {
    if keys.keys().is_empty() {
        return Err(unapproved_software_statement("no software statements are believed here; register without one"));
    }
    let invalid = |why: JwsError| invalid_software_statement(format!("the software statement: {why}"));
    let statement = Unverified::parse(statement, &Algorithm::ASYMMETRIC).map_err(invalid)?;
    let claims: Map<String, Value> = match statement.verify(keys.keys()) {
        Err(JwsError::UnknownKey) => {
            return Err(unapproved_software_statement("the software statement is of nobody who is believed here"));
        }
        verified => verified.map_err(invalid)?,
    };
    // RFC 7591 §2.3: "MUST contain an 'iss' (issuer) claim".
    if !claims.get("iss").is_some_and(Value::is_string) {
        return Err(invalid_software_statement("the software statement has no iss"));
    }
    let seconds = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(value) => value.as_i64().map(Some).ok_or_else(|| {
            invalid_software_statement(format!("{name} of the software statement is not a whole number of seconds"))
        }),
    };
    // RFC 7519 §4.1.4, §4.1.5
    if seconds("exp")?.is_some_and(|exp| exp <= now.secs()) || seconds("nbf")?.is_some_and(|nbf| nbf > now.secs()) {
        return Err(invalid_software_statement("the software statement has expired, or is not valid yet"));
    }
    Ok(claims)
}
