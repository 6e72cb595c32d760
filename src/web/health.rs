//! For whoever runs it: is the process alive, and may it be sent requests?

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::{Shared, respond};

pub async fn alive() -> &'static str {
    "ok\n"
}

/// Ready when the database answers and this node can vouch for tokens.
pub async fn ready(State(services): State<Shared>) -> Response {
    let vouches = match services.store.ping().await {
        Ok(()) => services.store.ensure_fresh().await,
        Err(fault) => Err(fault),
    };
    match vouches {
        Ok(()) => (StatusCode::OK, "ready\n").into_response(),
        Err(fault) => respond::fault(&fault),
    }
}
