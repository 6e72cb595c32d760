//! Request objects (RFC 9101, JAR): the parameters as one JWT that the client signed.

use serde_json::{Map, Value};

use crate::crypto::jws::Unverified;
use crate::oauth::client_keys::ClientKeysError;
use crate::oauth::error::{OAuthError, invalid_request_object};
use crate::oauth::{CLOCK_SKEW, Context, Error, profile};
use crate::types::{Algorithm, Client, Params};

/// RFC 9101 §10.8: the type that says what it is.
const TYPE: &str = "oauth-authz-req+jwt";

/// FAPI 2.0 Message Signing §5.3.1: the longest life, and the greatest age, in seconds.
const LONGEST: i64 = 3_600;

/// What the JWT itself says, which is no parameter.
const OF_THE_JWT: [&str; 7] = ["iss", "aud", "exp", "nbf", "iat", "jti", "sub"];

/// The parameters in a request object of this client.
pub(super) async fn open(cx: &Context, client: &Client, object: &str) -> Result<Params, Error> {
    // RFC 9101 §6.2, §10.2: the algorithm is the registered one, if there is one.
    let registered = client.metadata.request_object_signing_alg;
    let usual = || profile::algorithms(&cx.config, &client.metadata, &Algorithm::ASYMMETRIC);
    let algorithms = registered.as_ref().map_or_else(usual, std::slice::from_ref);
    let token = Unverified::parse(object, algorithms).map_err(|why| wrong(why.to_string()))?;
    // RFC 9101 §10.8: a JWT that says that it is something else is no request object. Many say nothing.
    if token.header.typ.is_some() && !token.header.is_type(TYPE) && !token.header.is_type("JWT") {
        return Err(wrong(format!("its typ must be {TYPE}")).into());
    }
    let claims: Map<String, Value> = cx.client_keys.verify(client, &token, cx.now).await.map_err(|why| {
        if let ClientKeysError::Fetch(why) = &why {
            tracing::warn!(client = %client.id, %why, "the keys of a client cannot be fetched");
        }
        wrong(why.to_string())
    })?;
    check(cx, client, &claims)?;
    Ok(parameters(client, &claims)?)
}

fn check(cx: &Context, client: &Client, claims: &Map<String, Value>) -> Result<(), OAuthError> {
    let id = client.id.as_str();
    // RFC 9101 §4: "MUST NOT be included in Request Objects".
    if claims.contains_key("request") || claims.contains_key("request_uri") {
        return Err(wrong("request and request_uri cannot stand in it"));
    }
    // RFC 9101 §5: "MUST match"
    if claims.get("client_id").is_some_and(|other| other != id) {
        return Err(wrong("its client_id is not that of the request"));
    }
    // RFC 9101 §4: they SHOULD be there; what is there must be right.
    let may_lack = !profile::wants_whole_objects(&cx.config, &client.metadata);
    if claims.get("iss").map_or(!may_lack, |iss| iss != id) {
        return Err(wrong("its iss must be the client_id"));
    }
    let is_us = |aud: &Value| aud == cx.issuer();
    let is_for_us = |aud: &Value| is_us(aud) || aud.as_array().is_some_and(|many| many.iter().any(is_us));
    if !claims.get("aud").map_or(may_lack, is_for_us) {
        return Err(wrong("its aud must be this issuer"));
    }
    // RFC 9101 §10.8: an assertion that authenticates the client has itself as `sub`.
    if claims.get("sub").is_some_and(|sub| sub == id) {
        return Err(wrong("its sub is the client, so it is an assertion and no request"));
    }
    check_times(cx, client, claims)
}

/// RFC 7519 §4.1.4, §4.1.5
fn check_times(cx: &Context, client: &Client, claims: &Map<String, Value>) -> Result<(), OAuthError> {
    let time = |name: &str| match claims.get(name) {
        None => Ok(None),
        Some(at) => at.as_i64().map(Some).ok_or_else(|| wrong(format!("its {name} is not a number of seconds"))),
    };
    let (exp, nbf, now) = (time("exp")?, time("nbf")?, cx.now.secs());
    // FAPI 2.0 Message Signing §5.3.1 has both, of clients that must sign.
    if profile::wants_whole_objects(&cx.config, &client.metadata) && (exp.is_none() || nbf.is_none()) {
        return Err(wrong("it must have exp and nbf"));
    }
    if exp.is_some_and(|exp| exp <= now) {
        return Err(wrong("it has expired"));
    }
    if nbf.is_some_and(|nbf| nbf > now + CLOCK_SKEW) {
        return Err(wrong("its nbf is in the future"));
    }
    if nbf.is_some_and(|nbf| nbf < now - LONGEST) {
        return Err(wrong("its nbf is more than an hour ago"));
    }
    // Counted from now where it does not say when it begins.
    if exp.is_some_and(|exp| exp > nbf.unwrap_or(now).saturating_add(LONGEST)) {
        return Err(wrong("its exp is more than an hour after its nbf"));
    }
    Ok(())
}

/// The claims as parameters (RFC 9101 §4: strings and numbers as they are, the rest as JSON).
///
/// # Errors
/// `invalid_request_object`, when one cannot be a parameter.
pub fn parameters(client: &Client, claims: &Map<String, Value>) -> Result<Params, OAuthError> {
    let mut pairs = vec![("client_id".to_owned(), client.id.to_string())];
    let own = |name: &str| name == "client_id" || OF_THE_JWT.contains(&name);
    for (name, value) in claims.iter().filter(|(name, _)| !own(name)) {
        match value {
            Value::Null => {}
            Value::String(text) => pairs.push((name.clone(), text.clone())),
            // RFC 8707 §2: the one parameter that may stand there several times.
            Value::Array(values) if name == "resource" => {
                for value in values {
                    let text = value.as_str().ok_or_else(|| wrong("resource must be a list of strings"))?;
                    pairs.push((name.clone(), text.to_owned()));
                }
            }
            other => pairs.push((name.clone(), other.to_string())),
        }
    }
    if pairs.iter().any(|(_, value)| value.contains('\0')) {
        return Err(wrong("a parameter has a NUL character"));
    }
    Ok(Params::from_pairs(pairs))
}

/// RFC 9101 §7
fn wrong(why: impl std::fmt::Display) -> OAuthError {
    invalid_request_object(format!("the request object is refused: {why}"))
}
