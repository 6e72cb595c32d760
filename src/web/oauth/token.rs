//! `POST /oauth/token`

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use crate::oauth::client_auth;
use crate::oauth::sender::{self, Sender};
use crate::oauth::token::{self, TokenResponse};
use crate::oauth::{Context, Error, dpop};
use crate::types::Params;
use crate::web::extract::{self, Form};
use crate::web::peer::Peer;
use crate::web::{Shared, respond};

pub async fn token(State(services): State<Shared>, peer: Peer, headers: HeaderMap, Form(params): Form) -> Response {
    let cx = services.context();
    let response = respond::api(answer(&cx, &peer, &headers, &params).await, &headers);
    respond::with_nonce(&cx, &headers, response)
}

async fn answer(cx: &Context, peer: &Peer, headers: &HeaderMap, params: &Params) -> Result<TokenResponse, Error> {
    let presented = extract::presented(headers, peer, params)?;
    let client = client_auth::authenticate(cx, &presented).await?;
    let request = dpop::Request { proof: extract::dpop(headers)?, method: "POST", path: "/oauth/token" };
    let sender = Sender { request, certificate: peer.certificate.as_ref() };
    let binding = sender::binding(cx, &client, sender).await?;
    token::token(cx, &client, params, binding.as_ref()).await
}
