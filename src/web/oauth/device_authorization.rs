//! `POST /oauth/device_authorization`

use std::net::SocketAddr;

use axum::Extension;
use axum::extract::{ConnectInfo, State};
use axum::response::Response;
use http::HeaderMap;

use crate::oauth::client_auth;
use crate::oauth::device::{self, DeviceAuthorization};
use crate::oauth::{Context, Error};
use crate::types::Params;
use crate::web::certificate::Certificate;
use crate::web::extract::{self, Form};
use crate::web::{Shared, respond};

/// Who is at the other end of the connection.
pub type Peer = Option<Extension<ConnectInfo<SocketAddr>>>;

pub async fn authorize(
    State(services): State<Shared>,
    certificate: Certificate,
    headers: HeaderMap,
    peer: Peer,
    Form(params): Form,
) -> Response {
    respond::api(answer(&services.context(), &certificate, &headers, &peer, &params).await, &headers)
}

async fn answer(
    cx: &Context,
    certificate: &Certificate,
    headers: &HeaderMap,
    peer: &Peer,
    params: &Params,
) -> Result<DeviceAuthorization, Error> {
    let presented = extract::presented(headers, certificate, params)?;
    let client = client_auth::authenticate(cx, &presented).await?;
    device::authorize(cx, &client, params, address(peer)).await
}

/// An address as people write it.
pub fn address(peer: &Peer) -> Option<String> {
    peer.as_ref().map(|Extension(ConnectInfo(peer))| peer.ip().to_canonical().to_string())
}
