//! `GET /oauth/jwks`, `/.well-known/openid-configuration` and `/.well-known/oauth-authorization-server`

use axum::extract::State;
use axum::response::Response;

use crate::oauth::metadata::document;
use crate::web::{Shared, respond};

pub async fn metadata(State(services): State<Shared>) -> Response {
    respond::public_json(document(&services.context()).to_string())
}

pub async fn jwks(State(services): State<Shared>) -> Response {
    respond::public_json(services.keys.snapshot().jwks().to_string())
}
