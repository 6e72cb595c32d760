//! `POST /oauth/device_authorization`

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use crate::oauth::client_auth;
use crate::oauth::device::{self, DeviceAuthorization};
use crate::oauth::{Context, Error};
use crate::types::Params;
use crate::web::extract::{self, Form};
use crate::web::peer::Peer;
use crate::web::{Shared, respond};

pub async fn authorize(State(services): State<Shared>, peer: Peer, headers: HeaderMap, Form(params): Form) -> Response {
    respond::api(answer(&services.context(), &peer, &headers, &params).await, &headers)
}

async fn answer(cx: &Context, peer: &Peer, headers: &HeaderMap, params: &Params) -> Result<DeviceAuthorization, Error> {
    let presented = extract::presented(headers, peer, params)?;
    let client = client_auth::authenticate(cx, &presented).await?;
    device::authorize(cx, &client, params, address(peer)).await
}

/// An address as people write it.
pub fn address(peer: &Peer) -> Option<String> {
    peer.address.map(|address| address.to_canonical().to_string())
}
