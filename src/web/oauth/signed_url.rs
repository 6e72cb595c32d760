//! `POST /oauth/signed-url`

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use crate::oauth::client_auth;
use crate::oauth::signed_url::{self, Signed};
use crate::oauth::{Context, Error};
use crate::types::Params;
use crate::web::extract::{self, Form};
use crate::web::peer::Peer;
use crate::web::{Shared, respond};

pub async fn sign(State(services): State<Shared>, peer: Peer, headers: HeaderMap, Form(params): Form) -> Response {
    respond::api(answer(&services.context(), &peer, &headers, &params).await, &headers)
}

async fn answer(cx: &Context, peer: &Peer, headers: &HeaderMap, params: &Params) -> Result<Signed, Error> {
    let presented = extract::presented(headers, peer, params)?;
    let client = client_auth::authenticate_confidential(cx, &presented).await?;
    signed_url::sign(cx, &client, params).await
}
