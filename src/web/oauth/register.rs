//! `POST /oauth/register`, and `GET`, `PUT` and `DELETE /oauth/register/{client_id}`

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::oauth::register::{self, Caller};
use crate::oauth::{Error, ErrorCode, OAuthError};
use crate::web::extract::{self, Json};
use crate::web::peer::Peer;
use crate::web::{Shared, respond};

pub async fn create(State(services): State<Shared>, peer: Peer, headers: HeaderMap, Json(document): Json) -> Response {
    let cx = services.context();
    if let Some(address) = peer.address
        && let Err(wait) = services.registrar.limiter.admit(&cx.config.registration, address, cx.now)
    {
        return respond::too_many(wait);
    }
    let registered = match token(&headers) {
        Ok(token) => register::register(&cx, &services.registrar, token, document).await,
        Err(error) => Err(error.into()),
    };
    answer(StatusCode::CREATED, registered)
}

pub async fn show(State(services): State<Shared>, headers: HeaderMap, Path(client): Path<String>) -> Response {
    let shown = match token(&headers) {
        Ok(token) => register::read(&services.context(), Caller { client: &client, token }).await,
        Err(error) => Err(error.into()),
    };
    answer(StatusCode::OK, shown)
}

pub async fn replace(
    State(services): State<Shared>,
    headers: HeaderMap,
    Path(client): Path<String>,
    Json(document): Json,
) -> Response {
    let cx = services.context();
    let replaced = match token(&headers) {
        Ok(token) => register::replace(&cx, &services.registrar, Caller { client: &client, token }, document).await,
        Err(error) => Err(error.into()),
    };
    answer(StatusCode::OK, replaced)
}

pub async fn delete(State(services): State<Shared>, headers: HeaderMap, Path(client): Path<String>) -> Response {
    let deleted = match token(&headers) {
        Ok(token) => register::delete(&services.context(), Caller { client: &client, token }).await,
        Err(error) => Err(error.into()),
    };
    match deleted {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error) => answer(StatusCode::OK, Err(error)),
    }
}

/// RFC 6750 §2.1: the header alone; the body is the client's document.
fn token(headers: &HeaderMap) -> Result<Option<&str>, OAuthError> {
    let header = extract::authorization(headers)?;
    Ok(header.and_then(|header| {
        let (scheme, token) = header.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    }))
}

fn answer(status: StatusCode, outcome: Result<Value, Error>) -> Response {
    match outcome {
        // RFC 7591 §3.2.2: these are not about the token, so they are no challenge.
        Err(Error::Refused(error)) if error.code != ErrorCode::InvalidToken => {
            respond::refusal(error.code.status(), &error)
        }
        outcome => {
            let mut response = respond::bearer(outcome);
            if response.status() == StatusCode::OK {
                *response.status_mut() = status;
            }
            response
        }
    }
}
