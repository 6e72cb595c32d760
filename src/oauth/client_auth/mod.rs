//! Who is asking? Client authentication (OAuth 2.1 §2.4, RFC 6749 §2.3).

mod assertion;
mod none;
mod secret;
mod tls;

use std::net::IpAddr;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;

use super::error::{OAuthError, invalid_client, invalid_request};
use super::{Context, Error, client_documents, profile};
use crate::crypto::PeerCertificate;
use crate::types::{AuthMethod, Client, ClientId, Params, params};

/// What came with the request: the `Authorization` header, the certificate of the connection, and the body.
pub struct Presented<'a> {
    pub authorization: Option<&'a str>,
    /// Not believed of itself: the client has proved to hold its key, and nobody vouches for it.
    pub certificate: Option<&'a PeerCertificate>,
    /// Where it comes from.
    pub address: Option<IpAddr>,
    pub params: &'a Params,
}

/// The methods that can work here: those with certificates need somebody who asks for them.
pub fn methods(cx: &Context) -> impl Iterator<Item = AuthMethod> {
    let certificates = cx.config.takes_client_certificates();
    let authorities = certificates && cx.config.tls.client_ca.is_some();
    let able = AuthMethod::ALL.into_iter().filter(move |method| match method {
        AuthMethod::TlsClientAuth => authorities,
        AuthMethod::SelfSignedTlsClientAuth => certificates,
        _ => true,
    });
    able.filter(|method| profile::takes(&cx.config, *method))
}

/// How a client identified itself.
enum Proof {
    /// By its id alone.
    None,
    Secret(SecretString),
    /// A JWT (RFC 7523 §2.2).
    Assertion(String),
}

/// The same words for an unknown client, a disabled one, and a wrong secret.
const FAILED: &str = "client authentication failed: unknown client, or the wrong secret or method for it";

/// Authenticates the client of a request; a public client is merely identified.
///
/// # Errors
/// `invalid_client`; `invalid_request` when it authenticates twice.
pub async fn authenticate(cx: &Context, presented: &Presented<'_>) -> Result<Arc<Client>, Error> {
    let (id, proof) = read(presented)?;
    // What cannot be an id is not recorded: it may be anything, a secret in the wrong field too.
    let id = ClientId::parse(&id).ok_or_else(|| invalid_client(FAILED))?;
    let Some(client) = client_documents::current_or_kept(cx, &id, presented.address).await? else {
        return Err(refuse(&id).into());
    };
    profile::check(&cx.config, &client.metadata).map_err(|why| refuse_because(&id, why))?;
    let proved = !client.is_disabled()
        && match client.metadata.token_endpoint_auth_method {
            AuthMethod::None => none::is_enough(&proof),
            // OAuth 2.1 §2.4.1: a secret may come either way.
            AuthMethod::ClientSecretBasic | AuthMethod::ClientSecretPost => secret::is_right(&client, &proof),
            AuthMethod::ClientSecretJwt | AuthMethod::PrivateKeyJwt => assertion::is_right(cx, &client, &proof).await?,
            AuthMethod::TlsClientAuth => noted(&id, tls::is_named(cx, &client, presented, &proof)),
            AuthMethod::SelfSignedTlsClientAuth => noted(&id, tls::holds_key(cx, &client, presented, &proof).await),
        };
    if proved { Ok(client) } else { Err(refuse(&id).into()) }
}

/// The client that a request says it is of; believed by nobody yet.
///
/// # Errors
/// As `authenticate`, for what cannot be read.
pub fn claimed_id(presented: &Presented<'_>) -> Result<String, OAuthError> {
    read(presented).map(|(id, _)| id)
}

fn refuse(client: &ClientId) -> OAuthError {
    tracing::warn!(target: "audit", event = "client_authentication", outcome = "refused", %client);
    invalid_client(FAILED)
}

/// Whether it is so; if not, the log says why, and nobody else.
fn noted(client: &ClientId, outcome: Result<(), String>) -> bool {
    if let Err(why) = &outcome {
        tracing::info!(%client, why, "the certificate of a client was refused");
    }
    outcome.is_ok()
}

/// For a proof that names its own fault: whoever has no key of the client learns nothing by it.
fn refuse_because(client: &ClientId, why: String) -> OAuthError {
    tracing::warn!(target: "audit", event = "client_authentication", outcome = "refused", %client, why);
    invalid_client(why)
}

/// As `authenticate`, for endpoints that only confidential clients may use.
///
/// # Errors
/// As `authenticate`, and `invalid_client` for a public client.
pub async fn authenticate_confidential(cx: &Context, presented: &Presented<'_>) -> Result<Arc<Client>, Error> {
    let client = authenticate(cx, presented).await?;
    // RFC 7662 §2.1: "the protected resource MUST also" be authorised.
    if client.is_public() {
        return Err(invalid_client("this endpoint is for clients that authenticate, not for public ones").into());
    }
    Ok(client)
}

/// Finds the one way in which the client authenticates.
fn read(presented: &Presented<'_>) -> Result<(String, Proof), OAuthError> {
    let in_body = presented.params.get("client_id");
    let secret_in_body = presented.params.get("client_secret");
    if let Some(assertion) = assertion::read(presented.params)? {
        // RFC 6749 §2.3: "MUST NOT use more than one authentication method in each request".
        if presented.authorization.is_some() || secret_in_body.is_some() {
            return Err(invalid_request("the client authenticates twice: by an assertion and by a secret"));
        }
        // RFC 7521 §4.2: the id is optional beside an assertion, which names the client too.
        let id = in_body.map_or_else(|| assertion::subject(assertion), |id| Ok(id.to_owned()))?;
        return Ok((id, Proof::Assertion(assertion.to_owned())));
    }
    let Some(header) = presented.authorization else {
        // RFC 6749 §5.2: "no client authentication included" is invalid_client.
        let id = in_body.ok_or_else(|| invalid_client("client authentication is missing: no client_id"))?;
        return Ok((id.to_owned(), secret_in_body.map_or(Proof::None, |secret| Proof::Secret(secret.into()))));
    };
    // RFC 6749 §2.3: "MUST NOT use more than one authentication method in each request".
    if secret_in_body.is_some() {
        return Err(invalid_request("the client authenticates twice: in the Authorization header and in the body"));
    }
    let (id, secret) = basic(header)?;
    // mod_auth_openidc and others repeat their id in the body: one method still.
    if in_body.is_some_and(|other| other != id) {
        return Err(invalid_request("client_id in the body is not the client of the Authorization header"));
    }
    Ok((id, if secret.is_empty() { Proof::None } else { Proof::Secret(secret.into()) }))
}

/// Reads HTTP Basic, whose two halves are form-encoded (RFC 6749 §2.3.1).
fn basic(header: &str) -> Result<(String, String), OAuthError> {
    let malformed = || invalid_client("the Authorization header is not Basic with form-encoded client id and secret");
    let (scheme, encoded) = header.split_once(' ').ok_or_else(malformed)?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return Err(invalid_client("clients authenticate here by HTTP Basic or in the body"));
    }
    let decoded = STANDARD.decode(encoded.trim()).map_err(|_| malformed())?;
    let text = String::from_utf8(decoded).map_err(|_| malformed())?;
    let (id, secret) = text.split_once(':').ok_or_else(malformed)?;
    let half = |encoded: &str| params::decode(encoded.as_bytes()).map_err(|_| malformed());
    Ok((half(id)?, half(secret)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(text: &str) -> String {
        format!("Basic {}", STANDARD.encode(text))
    }

    #[test]
    fn basic_is_form_decoded() {
        assert_eq!(basic(&header("web:s%3Acret+%2B")).unwrap(), ("web".into(), "s:cret +".into()));
        assert_eq!(basic(&header("web:a=b&c")).unwrap(), ("web".into(), "a=b&c".into()));
        assert_eq!(basic(&header("web:")).unwrap(), ("web".into(), String::new()));
        assert_eq!(basic(&header("web:s").replace("Basic", "bAsIc")).unwrap().0, "web");
        for bad in ["Basic", "Basic !!!", &header("no colon"), "Bearer abc", &header("web:%zz"), &header("w\0:s")] {
            assert!(basic(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_client_authenticates_in_one_way() {
        let read = |authorization: Option<&str>, body: &str| {
            let params = Params::parse(body.as_bytes()).unwrap();
            read(&Presented { authorization, certificate: None, address: None, params: &params })
                .map(|(id, _)| id)
                .map_err(|error| error.code.as_str())
        };
        let header = header("web:hush");
        assert_eq!(read(Some(&header), "client_id=web"), Ok("web".into()));
        assert_eq!(read(None, "client_id=web&client_secret=hush"), Ok("web".into()));
        assert_eq!(read(Some(&header), "client_id=web&client_secret=hush"), Err("invalid_request"));
        assert_eq!(read(Some(&header), "client_id=other"), Err("invalid_request"));
        assert_eq!(read(None, ""), Err("invalid_client"));
        assert_eq!(read(None, "client_id=web&client_assertion=x"), Err("invalid_client"));
    }
}
