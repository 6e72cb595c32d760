//! `GET` and `POST /oauth/userinfo`

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::HeaderMap;
use http::header::CONTENT_TYPE;

use crate::oauth::error::{OAuthError, invalid_request};
use crate::oauth::sender::{Scheme, Sender};
use crate::oauth::userinfo::{self, Shown, UserInfo};
use crate::oauth::{Context, dpop};
use crate::web::extract::{self, Form};
use crate::web::peer::Peer;
use crate::web::{Shared, respond};

pub async fn get(State(services): State<Shared>, peer: Peer, headers: HeaderMap) -> Response {
    answer(&services.context(), &peer, &headers, ("GET", None)).await
}

/// The token may stand in the form (RFC 6750 §2.2) or in the header; a body of another type has no say.
pub async fn post(State(services): State<Shared>, peer: Peer, request: axum::extract::Request) -> Response {
    let cx = services.context();
    let headers = request.headers().clone();
    if !extract::is_form(&headers) {
        return answer(&cx, &peer, &headers, ("POST", None)).await;
    }
    match <Form as axum::extract::FromRequest<Shared>>::from_request(request, &services).await {
        Ok(Form(params)) => answer(&cx, &peer, &headers, ("POST", params.get("access_token"))).await,
        Err(refused) => refused.into_response(),
    }
}

async fn answer(cx: &Context, peer: &Peer, headers: &HeaderMap, (method, in_body): (&str, Option<&str>)) -> Response {
    let (token, scheme) = match token(headers, in_body) {
        Ok(Some(shown)) => shown,
        Ok(None) => return respond::no_token(cx),
        Err(error) => return respond::protected::<Response>(cx, Err(error.into()), Scheme::Bearer),
    };
    let outcome = match extract::dpop(headers) {
        Ok(proof) => {
            let request = dpop::Request { proof, method, path: "/oauth/userinfo" };
            let sender = Sender { request, certificate: peer.certificate.as_ref() };
            userinfo::userinfo(cx, &Shown { token, scheme, sender }).await
        }
        Err(error) => Err(error.into()),
    };
    respond::with_nonce(cx, headers, respond::protected(cx, outcome.map(written), scheme))
}

/// OpenID Connect Core §5.3.2
fn written(answer: UserInfo) -> Response {
    match answer {
        UserInfo::Plain(claims) => Json(claims).into_response(),
        UserInfo::Jwt(jwt) => ([(CONTENT_TYPE, "application/jwt")], jwt).into_response(),
    }
}

/// RFC 6750 §2: "MUST NOT use more than one method to transmit the token".
fn token<'a>(headers: &'a HeaderMap, in_body: Option<&'a str>) -> Result<Option<(&'a str, Scheme)>, OAuthError> {
    let in_body = in_body.map(|token| (token, Scheme::Bearer));
    let Some(header) = extract::authorization(headers)? else { return Ok(in_body) };
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    let scheme = match scheme {
        name if name.eq_ignore_ascii_case("bearer") => Scheme::Bearer,
        name if name.eq_ignore_ascii_case("dpop") => Scheme::Dpop,
        _ => return Ok(in_body),
    };
    if in_body.is_some() {
        return Err(invalid_request("the access token is sent twice: in the Authorization header and in the body"));
    }
    Ok(Some((token.trim(), scheme)))
}
