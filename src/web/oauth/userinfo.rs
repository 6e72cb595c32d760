//! `GET` and `POST /oauth/userinfo`

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use crate::oauth::error::{OAuthError, invalid_request};
use crate::oauth::userinfo;
use crate::web::extract::{self, Form};
use crate::web::{Services, Shared, respond};

pub async fn get(State(services): State<Shared>, headers: HeaderMap) -> Response {
    answer(&services, &headers, None).await
}

/// The token may stand in the form (RFC 6750 §2.2) or in the header; a body of another type has no say.
pub async fn post(State(services): State<Shared>, request: axum::extract::Request) -> Response {
    let headers = request.headers().clone();
    if !extract::is_form(&headers) {
        return answer(&services, &headers, None).await;
    }
    match <Form as axum::extract::FromRequest<Shared>>::from_request(request, &services).await {
        Ok(Form(params)) => answer(&services, &headers, params.get("access_token")).await,
        Err(refused) => axum::response::IntoResponse::into_response(refused),
    }
}

async fn answer(services: &Services, headers: &HeaderMap, in_body: Option<&str>) -> Response {
    match token(headers, in_body) {
        Ok(Some(token)) => respond::bearer(userinfo::userinfo(&services.context(), token).await),
        Ok(None) => respond::no_token(),
        Err(error) => respond::bearer::<()>(Err(error.into())),
    }
}

/// RFC 6750 §2: "MUST NOT use more than one method to transmit the token".
fn token<'a>(headers: &'a HeaderMap, in_body: Option<&'a str>) -> Result<Option<&'a str>, OAuthError> {
    let Some(header) = extract::authorization(headers)? else { return Ok(in_body) };
    let (scheme, token) = header.split_once(' ').unwrap_or((header, ""));
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(in_body);
    }
    if in_body.is_some() {
        return Err(invalid_request("the access token is sent twice: in the Authorization header and in the body"));
    }
    Ok(Some(token.trim()))
}
