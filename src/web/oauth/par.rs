//! `POST /oauth/par`

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use crate::oauth::client_auth;
use crate::oauth::par::{self, Pushed};
use crate::oauth::{Context, Error, dpop};
use crate::types::Params;
use crate::web::extract::{self, Form};
use crate::web::peer::Peer;
use crate::web::{Shared, respond};

pub async fn push(State(services): State<Shared>, peer: Peer, headers: HeaderMap, Form(params): Form) -> Response {
    let cx = services.context();
    let answer = answer(&cx, &peer, &headers, &params).await;
    let created = answer.is_ok();
    let mut response = respond::api(answer, &headers);
    if created {
        // RFC 9126 §2.2
        *response.status_mut() = StatusCode::CREATED;
    }
    respond::with_nonce(&cx, &headers, response)
}

async fn answer(cx: &Context, peer: &Peer, headers: &HeaderMap, params: &Params) -> Result<Pushed, Error> {
    // RFC 9126 §2: "the same way as at the token endpoint".
    let presented = extract::presented(headers, peer, params)?;
    let client = client_auth::authenticate(cx, &presented).await?;
    let request = dpop::Request { proof: extract::dpop(headers)?, method: "POST", path: "/oauth/par" };
    par::push(cx, client, params, request).await
}
