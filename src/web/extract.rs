//! Parameters, read strictly at the door: once each, in UTF-8, of the right type, and not too many.

use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::response::{IntoResponse, Response};
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderMap, HeaderName, StatusCode};

use super::Shared;
use super::peer::Peer;
use super::respond::{self, PageError};
use crate::oauth::OAuthError;
use crate::oauth::client_auth::Presented;
use crate::oauth::error::{invalid_client_metadata, invalid_dpop_proof, invalid_request};
use crate::types::{Params, json};

/// A refusal before any handler has seen the request.
pub struct Refused {
    pub status: StatusCode,
    pub error: OAuthError,
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        respond::refusal(self.status, &self.error)
    }
}

impl From<Refused> for PageError {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused.status, refused.error)
    }
}

fn bad(description: impl Into<std::borrow::Cow<'static, str>>) -> Refused {
    Refused { status: StatusCode::BAD_REQUEST, error: invalid_request(description) }
}

/// The form that an API client posts; refusals are JSON.
pub struct Form(pub Params);

/// The form of a page; refusals are pages.
pub struct PageForm(pub Params);

/// The query of a page; refusals are pages.
pub struct PageQuery(pub Params);

impl FromRequest<Shared> for Form {
    type Rejection = Refused;

    async fn from_request(request: Request, services: &Shared) -> Result<Self, Refused> {
        read_form(request, services).await.map(Self)
    }
}

impl FromRequest<Shared> for PageForm {
    type Rejection = PageError;

    async fn from_request(request: Request, services: &Shared) -> Result<Self, PageError> {
        Ok(Self(read_form(request, services).await?))
    }
}

impl FromRequestParts<Shared> for PageQuery {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, PageError> {
        let query = parts.uri.query().unwrap_or_default();
        if query.len() > MAX_QUERY {
            let error = invalid_request(format!("the query is longer than {MAX_QUERY} characters"));
            return Err(Refused { status: StatusCode::URI_TOO_LONG, error }.into());
        }
        Ok(Self(Params::parse(query.as_bytes()).map_err(|error| bad(error.to_string()))?))
    }
}

/// The longest query of a page, in characters: that of an authorization request with an `id_token_hint` is a fourth of it.
const MAX_QUERY: usize = 8 * 1024;

/// Holds a form that will be kept to the same bound.
///
/// # Errors
/// When it is longer.
pub fn bounded(params: &Params) -> Result<(), PageError> {
    let length: usize = params.pairs().iter().map(|(name, value)| name.len() + value.len()).sum();
    if length > MAX_QUERY {
        return Err(bad(format!("the form is longer than {MAX_QUERY} characters")).into());
    }
    Ok(())
}

/// What is a little too long is read to its end all the same, and what is of the wrong type too: to close a connection
/// on which the client still sends is to reset it, and the answer is lost (RFC 9112 §9.6).
const SLACK: usize = 256 * 1024;

async fn read_form(request: Request, services: &Shared) -> Result<Params, Refused> {
    let (headers, body) = read_body(request, services).await?;
    // RFC 6749 §3.2, appendix B
    if !is_form(&headers) {
        return Err(bad("the body must be application/x-www-form-urlencoded"));
    }
    Params::parse(&body).map_err(|error| bad(error.to_string()))
}

/// The document that a client registers (RFC 7591 §3.1), at most so long; refusals are JSON.
pub struct Json(pub serde_json::Value);

const MAX_DOCUMENT: usize = 32 * 1024;

impl FromRequest<Shared> for Json {
    type Rejection = Refused;

    async fn from_request(request: Request, services: &Shared) -> Result<Self, Refused> {
        let (headers, body) = read_body(request, services).await?;
        if !media_type(&headers).eq_ignore_ascii_case("application/json") {
            return Err(bad("the body must be application/json"));
        }
        let wrong = |why: String| Refused { status: StatusCode::BAD_REQUEST, error: invalid_client_metadata(why) };
        if body.len() > MAX_DOCUMENT {
            return Err(wrong(format!("the document is larger than {MAX_DOCUMENT} bytes")));
        }
        json::strict(&body).map(Self).map_err(|why| wrong(format!("the body is not sound JSON: {why}")))
    }
}

async fn read_body(request: Request, services: &Shared) -> Result<(HeaderMap, Bytes), Refused> {
    let limit = services.config.server.max_body_bytes;
    let too_large = || Refused {
        status: StatusCode::PAYLOAD_TOO_LARGE,
        error: invalid_request(format!("the body is larger than {limit} bytes")),
    };
    let announced = text(request.headers(), &CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit + SLACK) {
        return Err(too_large());
    }
    let (parts, body) = request.into_parts();
    // Whoever hangs up in the middle does not read the answer either.
    let body = to_bytes(body, limit + SLACK).await.map_err(|_| too_large())?;
    if body.len() > limit {
        return Err(too_large());
    }
    Ok((parts.headers, body))
}

/// Whether the body says that it is a form.
pub fn is_form(headers: &HeaderMap) -> bool {
    media_type(headers).eq_ignore_ascii_case("application/x-www-form-urlencoded")
}

fn media_type(headers: &HeaderMap) -> &str {
    text(headers, &CONTENT_TYPE).unwrap_or_default().split(';').next().unwrap_or_default().trim()
}

/// A header, where it is text.
pub fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// What a client shows of itself.
///
/// # Errors
/// As `authorization`.
pub fn presented<'a>(headers: &'a HeaderMap, peer: &'a Peer, params: &'a Params) -> Result<Presented<'a>, OAuthError> {
    let (address, certificate) = (peer.address, peer.certificate.as_ref());
    Ok(Presented { authorization: authorization(headers)?, certificate, address, params })
}

/// The `DPoP` header.
///
/// # Errors
/// `invalid_dpop_proof`, when it comes twice (RFC 9449 §4.3 (1)).
pub fn dpop(headers: &HeaderMap) -> Result<Option<&str>, OAuthError> {
    let mut values = headers.get_all(DPOP).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(invalid_dpop_proof("the DPoP header comes twice"));
    }
    Ok(first.map(|value| value.to_str().unwrap_or("not text")))
}

/// RFC 9449 §4.1
pub const DPOP: HeaderName = HeaderName::from_static("dpop");

/// RFC 9449 §8
pub const DPOP_NONCE: HeaderName = HeaderName::from_static("dpop-nonce");

/// The `Authorization` header. One that is not text is malformed, not absent.
///
/// # Errors
/// `invalid_request`, when it comes twice (RFC 6749 §2.3).
pub fn authorization(headers: &HeaderMap) -> Result<Option<&str>, OAuthError> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(invalid_request("the Authorization header comes twice"));
    }
    Ok(first.map(|value| value.to_str().unwrap_or("not text")))
}
