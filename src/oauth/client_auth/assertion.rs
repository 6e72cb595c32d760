//! `private_key_jwt` and `client_secret_jwt`: a JWT that the client signed (RFC 7523 §3, RFC 10070, OpenID Connect Core §9).

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::{Proof, refuse_because};
use crate::crypto::jws::{JwsError, Unverified};
use crate::oauth::client_keys::ClientKeysError;
use crate::oauth::error::{OAuthError, invalid_client};
use crate::oauth::{CLOCK_SKEW, Context, Error, profile, replay};
use crate::store::Use;
use crate::types::{Algorithm, AuthMethod, Client, NumericDate, Params};

/// RFC 7523 §2.2.
const TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

const SKEW: Duration = Duration::from_secs(CLOCK_SKEW.unsigned_abs());

/// Where an older client may have aimed its assertion.
const ENDPOINTS: [&str; 5] =
    ["/oauth/token", "/oauth/par", "/oauth/introspect", "/oauth/revoke", "/oauth/device_authorization"];

/// OpenID Connect Core §9: iss, sub, aud, jti and exp are required.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    sub: String,
    aud: Value,
    jti: String,
    exp: NumericDate,
    nbf: Option<NumericDate>,
    iat: Option<NumericDate>,
}

/// The assertion of a request, if there is one.
///
/// # Errors
/// `invalid_client`, when it is of a kind that is not known.
pub(super) fn read(params: &Params) -> Result<Option<&str>, OAuthError> {
    match (params.get("client_assertion"), params.get("client_assertion_type")) {
        (None, None) => Ok(None),
        (Some(assertion), Some(TYPE)) => Ok(Some(assertion)),
        _ => Err(invalid_client(format!("client_assertion and client_assertion_type={TYPE} belong together"))),
    }
}

/// Whom an assertion names, which is not believed yet.
///
/// # Errors
/// `invalid_client`, when it cannot be read.
pub(super) fn subject(assertion: &str) -> Result<String, OAuthError> {
    #[derive(Deserialize)]
    struct Named {
        sub: String,
    }
    let named = Unverified::parse(assertion, &Algorithm::ALL).and_then(|token| token.peek::<Named>());
    named.map(|named| named.sub).map_err(|why| invalid_client(format!("the client assertion: {why}")))
}

/// Whether the client made the assertion, for this server, now, and for the first time.
///
/// # Errors
/// `invalid_client` that says what is wrong with it; a fault when that cannot be found out.
pub(super) async fn is_right(cx: &Context, client: &Client, proof: &Proof) -> Result<bool, Error> {
    let Proof::Assertion(assertion) = proof else { return Ok(false) };
    let refused = |why: &str| Error::from(refuse_because(&client.id, format!("the client assertion: {why}")));
    let claims = verified(cx, client, assertion).await?.map_err(|why| refused(&why))?;

    // RFC 7523 §3 (1), (2), OpenID Connect Core §9: both "MUST contain the client_id".
    if claims.iss != client.id.as_str() || claims.sub != client.id.as_str() {
        return Err(refused("iss and sub must be the client_id"));
    }
    if !is_for_us(cx, client, &claims.aud) {
        return Err(refused(&format!("aud must be {}, as a single string", cx.issuer())));
    }
    // RFC 7523 §3 (4), (5), (6).
    if claims.exp.0 <= cx.now {
        return Err(refused("it has expired"));
    }
    let most = cx.config.client_authentication.max_assertion_lifetime;
    if claims.exp.0 > cx.now.plus(most + SKEW) {
        return Err(refused(&format!("its exp is more than {} ahead", humantime::format_duration(most))));
    }
    if [claims.nbf, claims.iat].into_iter().flatten().any(|from| from.0 > cx.now.plus(SKEW)) {
        return Err(refused("its nbf or iat lies ahead"));
    }
    // RFC 7523 §3 (7). The last check: what is refused for another reason is not used up.
    let used = replay::first_use(cx, replay::Kind::ClientAssertion, &claims.iss, &claims.jti, claims.exp.0).await?;
    if used == Use::Again {
        return Err(refused("its jti was used before: make a new one for each request"));
    }
    Ok(true)
}

/// The claims, when the signature is the client's; or what is wrong, in words.
async fn verified(cx: &Context, client: &Client, assertion: &str) -> Result<Result<Claims, String>, Error> {
    let only = client.metadata.token_endpoint_auth_signing_alg;
    let method = client.metadata.token_endpoint_auth_method;
    let usual = method.algorithms();
    let algorithms = || profile::algorithms(&cx.config, &client.metadata, usual);
    let token = match Unverified::parse(assertion, only.as_ref().map_or_else(algorithms, std::slice::from_ref)) {
        Ok(token) => token,
        Err(why) => return Ok(Err(why.to_string())),
    };
    // RFC 10070 §4: explicitly typed, or of no type in particular; but never what was signed for something else.
    let header = &token.header;
    if header.typ.is_some() && !header.is_type("client-authentication+jwt") && !header.is_type("JWT") {
        return Ok(Err("its typ must be client-authentication+jwt".to_owned()));
    }
    if method == AuthMethod::ClientSecretJwt {
        let Some(secret) = cx.client_keys.secret(client)? else { return Ok(Err(JwsError::UnknownKey.to_string())) };
        return Ok(token.verify_with_secret(&secret).map_err(|why| why.to_string()));
    }
    let claims: Result<Claims, ClientKeysError> = cx.client_keys.verify(client, &token, cx.now).await;
    Ok(claims.map_err(|why| why.to_string()))
}

/// RFC 10070 §4: the issuer identifier as a single string, or an assertion that one server was given could be shown to
/// another.
fn is_for_us(cx: &Context, client: &Client, audience: &Value) -> bool {
    if audience == cx.issuer() {
        return true;
    }
    if !profile::takes_endpoint_audience(&cx.config, &client.metadata) {
        return false;
    }
    // RFC 7523 §3 (3), before it was updated; OpenID Connect Core §9: "SHOULD be the URL of the Token Endpoint".
    let issuer = &cx.config.server.issuer;
    let ours = |audience: &Value| audience == cx.issuer() || ENDPOINTS.iter().any(|path| *audience == issuer.url(path));
    match audience {
        Value::Array(several) => several.iter().any(ours),
        one => ours(one),
    }
}
