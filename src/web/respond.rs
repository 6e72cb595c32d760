//! The one place where answers are written: errors and their headers, redirects with `iss` and `state`, pages.

use std::sync::Arc;
use std::time::Duration;

use askama::Template;
use axum::Json;
use axum::response::{Html, IntoResponse, Response};
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION, PRAGMA, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderValue, StatusCode};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde_json::json;

use super::Services;
use super::extract::{DPOP, DPOP_NONCE};
use super::pages::{self, Site};
use crate::oauth::authorize::{self, Answer, RedirectTarget};
use crate::oauth::error::{invalid_request, temporarily_unavailable};
use crate::oauth::sender::Scheme;
use crate::oauth::{Context, Error, ErrorCode, OAuthError, dpop, profile};
use crate::telemetry::correlation_id;
use crate::types::Fault;
use crate::types::fault::FaultKind;
use crate::types::response_mode::Carrier;

/// When to come back after a 503, in seconds.
const RETRY_SECONDS: &str = "2";

/// An answer of an endpoint that clients authenticate at.
pub fn api<T: Serialize>(outcome: Result<T, Error>, request: &HeaderMap) -> Response {
    to_party(outcome.map(Json), request)
}

/// The same where the answer is not always JSON.
pub fn to_party<T: IntoResponse>(outcome: Result<T, Error>, request: &HeaderMap) -> Response {
    match outcome {
        Ok(answer) => no_store(answer.into_response()),
        Err(Error::Fault(fault)) => self::fault(&fault),
        Err(Error::Refused(error)) => {
            let mut response = refusal(error.code.status(), &error);
            // RFC 6749 §5.2: MUST where the client tried the header; elsewhere a browser would ask its user.
            if error.code == ErrorCode::InvalidClient && request.contains_key(http::header::AUTHORIZATION) {
                let challenge = HeaderValue::from_static("Basic realm=\"grantor\", charset=\"UTF-8\"");
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            }
            response
        }
    }
}

/// What a bearer token opens (RFC 6750 §3).
pub fn bearer<T: Serialize>(outcome: Result<T, Error>) -> Response {
    challenged(outcome.map(Json), "Bearer ")
}

/// What a token opens that may be bound to a key.
pub fn protected<T: IntoResponse>(cx: &Context, outcome: Result<T, Error>, scheme: Scheme) -> Response {
    if scheme == Scheme::Dpop {
        return challenged(outcome, &format!("{}, ", dpop_challenge(cx)));
    }
    let mut response = challenged(outcome, &format!("Bearer {}, ", resource_metadata(cx)));
    if response.status() == StatusCode::UNAUTHORIZED {
        offer_dpop(cx, &mut response);
    }
    response
}

/// The answer, or a challenge that begins like this.
fn challenged<T: IntoResponse>(outcome: Result<T, Error>, challenge: &str) -> Response {
    match outcome {
        Ok(answer) => no_store(answer.into_response()),
        Err(Error::Fault(fault)) => self::fault(&fault),
        Err(Error::Refused(error)) => {
            let status = match error.code {
                // RFC 9449 §7.1, §9: here they are told by 401.
                ErrorCode::InvalidDpopProof | ErrorCode::UseDpopNonce => StatusCode::UNAUTHORIZED,
                code => code.status(),
            };
            let mut response = refusal(status, &error);
            let scope = if error.code == ErrorCode::InsufficientScope { ", scope=\"openid\"" } else { "" };
            let (code, words) = (error.code.as_str(), &error.description);
            let challenge = format!("{challenge}error=\"{code}\", error_description=\"{words}\"{scope}");
            if let Ok(challenge) = HeaderValue::from_str(&challenge) {
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            }
            response
        }
    }
}

/// RFC 6750 §3.1: who shows no token at all is not told an error.
pub fn no_token(cx: &Context) -> Response {
    let challenge = format!("Bearer {}", resource_metadata(cx));
    let mut response = (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, challenge)]).into_response();
    offer_dpop(cx, &mut response);
    response
}

/// RFC 9449 §7.2: a token that is bound to a key may come by its own scheme alone.
fn offer_dpop(cx: &Context, response: &mut Response) {
    if let Ok(challenge) = HeaderValue::from_str(&dpop_challenge(cx)) {
        response.headers_mut().append(WWW_AUTHENTICATE, challenge);
    }
}

/// RFC 9449 §7.1
fn dpop_challenge(cx: &Context) -> String {
    let algorithms = profile::algorithms_of_all(&cx.config);
    let names: Vec<_> = algorithms.iter().map(|algorithm| algorithm.as_str()).collect();
    format!("DPoP algs=\"{}\", {}", names.join(" "), resource_metadata(cx))
}

/// RFC 9728 §5.1: where it is said who issues tokens for what is protected here.
fn resource_metadata(cx: &Context) -> String {
    let issuer = &cx.config.server.issuer;
    let origin = issuer.as_str().strip_suffix(issuer.path()).unwrap_or(issuer.as_str());
    format!("resource_metadata=\"{origin}/.well-known/oauth-protected-resource{}\"", issuer.path())
}

/// Gives whoever proves possession the nonce of their next proof (RFC 9449 §8.2), where one is asked for.
pub fn with_nonce(cx: &Context, request: &HeaderMap, mut response: Response) -> Response {
    if !cx.config.dpop.require_nonce || !request.contains_key(DPOP) {
        return response;
    }
    match dpop::nonce(cx) {
        Ok(nonce) => {
            response.headers_mut().extend(HeaderValue::from_str(&nonce).ok().map(|nonce| (DPOP_NONCE, nonce)));
        }
        Err(fault) => log(&fault),
    }
    response
}

/// RFC 6749 §5.2
pub fn refusal(status: StatusCode, error: &OAuthError) -> Response {
    tracing::debug!(code = error.code.as_str(), description = %error.description, "refused");
    let body = json!({ "error": error.code.as_str(), "error_description": error.description });
    no_store((status, Json(body)).into_response())
}

/// RFC 6585 §4: so often from this address; come again after a while.
pub fn too_many(wait: Duration) -> Response {
    let error =
        temporarily_unavailable("too many of these from this address; the header Retry-After says when to try again");
    let mut response = refusal(StatusCode::TOO_MANY_REQUESTS, &error);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    response
}

/// The same for a page that says so in words.
pub fn throttled(mut page: Response, wait: Duration) -> Response {
    *page.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    page.headers_mut().insert(RETRY_AFTER, HeaderValue::from(wait.as_secs() + 1));
    page
}

/// RFC 9110 §15.5.6; the router adds `Allow`.
pub async fn wrong_method() -> Response {
    let words = "this address does not take the method; the Allow header names those that it takes";
    refusal(StatusCode::METHOD_NOT_ALLOWED, &invalid_request(words))
}

/// Logs a fault, once, and answers with nothing of it but the number to quote.
pub fn fault(fault: &Fault) -> Response {
    log(fault);
    let code = code_of(fault);
    let status = code.status();
    let body = json!({
        "error": code.as_str(),
        "error_description": format!("the request could not be served; its reference is {}", correlation_id()),
    });
    retry_later(status, no_store((status, Json(body)).into_response()))
}

/// A handler panicked: a bug, and nothing else stops.
#[allow(clippy::needless_pass_by_value, reason = "the signature is tower-http's")]
pub fn panicked(payload: Box<dyn std::any::Any + Send>) -> Response {
    let text = payload.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| payload.downcast_ref::<String>().cloned()).unwrap_or_default();
    fault(&Fault::because(format!("panic: {text}")))
}

fn code_of(fault: &Fault) -> ErrorCode {
    match fault.kind() {
        FaultKind::Unavailable => ErrorCode::TemporarilyUnavailable,
        FaultKind::Internal => ErrorCode::ServerError,
    }
}

pub fn log(fault: &Fault) {
    match fault.kind() {
        FaultKind::Unavailable => tracing::warn!(%fault, "unavailable"),
        FaultKind::Internal => tracing::error!(%fault, "fault"),
    }
}

/// RFC 9110 §10.2.3
pub fn retry_later(status: StatusCode, mut response: Response) -> Response {
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(RETRY_SECONDS));
    }
    response
}

/// RFC 6749 §5.1
fn no_store(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response.headers_mut().insert(PRAGMA, HeaderValue::from_static("no-cache"));
    response
}

/// What goes wrong on a page is told on a page, which `middleware::error_pages` makes.
pub enum PageError {
    NotFound,
    Refused(StatusCode, OAuthError),
    Fault(Fault),
}

impl From<Fault> for PageError {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<OAuthError> for PageError {
    fn from(error: OAuthError) -> Self {
        // 401 would ask the browser for credentials that no person has.
        let status = match error.code.status() {
            StatusCode::UNAUTHORIZED => StatusCode::BAD_REQUEST,
            status => status,
        };
        Self::Refused(status, error)
    }
}

impl From<Error> for PageError {
    fn from(error: Error) -> Self {
        match error {
            Error::Refused(error) => error.into(),
            Error::Fault(fault) => fault.into(),
        }
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let status = match &self {
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Refused(status, _) => *status,
            Self::Fault(fault) => code_of(fault).status(),
        };
        let mut response = status.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// What a page may do besides showing itself.
#[derive(Default)]
pub struct Policy {
    /// Where its forms may lead in the end, besides ourselves: Chromium applies `form-action` to the redirect too.
    pub form_action: Option<String>,
    pub script: bool,
    /// The origins of what it shows in frames.
    pub frames: Vec<String>,
    /// The origin of a picture that is not ours.
    pub image: Option<String>,
}

/// A page, under a policy that allows our stylesheet and nothing inline.
pub fn page(status: StatusCode, template: &impl Template, policy: &Policy) -> Response {
    let body = match template.render() {
        Ok(body) => body,
        Err(error) => return fault(&Fault::internal(error)),
    };
    let csp = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'{}; {}{}form-action 'self'{}; base-uri 'none'; frame-ancestors 'none'",
        policy.image.as_ref().map(|origin| format!(" {origin}")).unwrap_or_default(),
        if policy.script { "script-src 'self'; " } else { "" },
        if policy.frames.is_empty() { String::new() } else { format!("frame-src {}; ", policy.frames.join(" ")) },
        policy.form_action.as_ref().map(|source| format!(" {source}")).unwrap_or_default(),
    );
    let mut response = (status, Html(body)).into_response();
    let csp = HeaderValue::from_str(&csp).unwrap_or(HeaderValue::from_static("default-src 'none'"));
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, csp);
    response
}

/// After a POST, and to our own pages (OAuth 2.1 §7.5.3: 303, so that no credential is posted on).
pub fn see_other(location: &str) -> Response {
    match HeaderValue::from_str(location) {
        Ok(location) => (StatusCode::SEE_OTHER, [(LOCATION, location)]).into_response(),
        Err(error) => fault(&Fault::internal(error)),
    }
}

/// The answer of the authorization endpoint, to where it was proved to belong. `state` and `iss` are added here.
pub async fn to_client(services: &Services, target: &RedirectTarget, answer: &Answer) -> Response {
    let mut fields: Vec<(&str, &str)> = Vec::with_capacity(4);
    match answer {
        Answer::Code(code) => fields.push(("code", code.expose_secret())),
        Answer::Error(error) => {
            tracing::debug!(code = error.code.as_str(), description = %error.description, "refused");
            fields.push(("error", error.code.as_str()));
            fields.push(("error_description", &error.description));
        }
    }
    // RFC 6749 §4.1.2: "REQUIRED if the state parameter was present".
    fields.extend(target.state().map(|state| ("state", state)));
    // RFC 9207 §2: in errors too.
    fields.push(("iss", services.config.server.issuer.as_str()));

    let signed = match authorize::sign_response(&services.context(), target, &fields).await {
        Ok(signed) => signed,
        Err(fault) => return self::fault(&fault),
    };
    if let Some(jwt) = &signed {
        // JARM §2.3
        fields = vec![("response", jwt)];
    }

    match target.carrier() {
        Carrier::Query => see_other(&with_query(target.uri(), &fields)),
        Carrier::FormPost => {
            let form = pages::FormPost {
                site: Site::of(services),
                action: target.uri().to_owned(),
                fields: fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            };
            page(
                StatusCode::OK,
                &form,
                &Policy { form_action: Some(target.form_action()), script: true, ..Policy::default() },
            )
        }
    }
}

/// Adds parameters to a URI, and leaves what is there letter for letter (RFC 6749 §3.1.2).
pub fn with_query(uri: &str, fields: &[(&str, &str)]) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
    if query.is_empty() {
        return uri.to_owned();
    }
    let separator = match uri.find('?') {
        None => "?",
        Some(at) if at + 1 == uri.len() || uri.ends_with('&') => "",
        Some(_) => "&",
    };
    format!("{uri}{separator}{query}")
}

/// A document that may be kept for a little while.
pub fn public_json(body: String) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=60")];
    (headers, body).into_response()
}

#[cfg(test)]
mod tests {
    use super::with_query;

    #[test]
    fn the_query_of_a_redirect_uri_comes_back_intact() {
        let fields = [("code", "a b"), ("state", "x&y")];
        for (uri, expected) in [
            ("https://a.example/cb", "https://a.example/cb?code=a+b&state=x%26y"),
            ("https://a.example/cb?x=%20", "https://a.example/cb?x=%20&code=a+b&state=x%26y"),
            ("https://a.example/cb?", "https://a.example/cb?code=a+b&state=x%26y"),
            ("com.example.app:/cb", "com.example.app:/cb?code=a+b&state=x%26y"),
        ] {
            assert_eq!(with_query(uri, &fields), expected);
        }
    }
}
