//! `POST /oauth/revoke`

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};

use crate::oauth::client_auth;
use crate::oauth::{Context, Error, revoke};
use crate::types::Params;
use crate::web::extract::{self, Form};
use crate::web::peer::Peer;
use crate::web::{Shared, respond};

pub async fn revoke(State(services): State<Shared>, peer: Peer, headers: HeaderMap, Form(params): Form) -> Response {
    match answer(&services.context(), &peer, &headers, &params).await {
        // RFC 7009 §2.2: the status says it all.
        Ok(()) => StatusCode::OK.into_response(),
        refused => respond::api(refused, &headers),
    }
}

async fn answer(cx: &Context, peer: &Peer, headers: &HeaderMap, params: &Params) -> Result<(), Error> {
    let presented = extract::presented(headers, peer, params)?;
    let client = client_auth::authenticate(cx, &presented).await?;
    revoke::revoke(cx, &client, params).await
}
