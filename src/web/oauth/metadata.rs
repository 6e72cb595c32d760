//! `GET /oauth/jwks`, `/.well-known/openid-configuration`, `/.well-known/oauth-authorization-server` and
//! `/.well-known/oauth-protected-resource`

use axum::extract::State;
use axum::response::Response;

use crate::oauth::metadata::{protected_resource as resource_document, published};
use crate::web::{Shared, respond};

/// One document for both well-known addresses.
pub async fn metadata(State(services): State<Shared>) -> Response {
    respond::public_json(published(&services.context()).await.to_string())
}

pub async fn protected_resource(State(services): State<Shared>) -> Response {
    respond::public_json(resource_document(&services.context()).to_string())
}

pub async fn jwks(State(services): State<Shared>) -> Response {
    respond::public_json(services.keys.snapshot().jwks().to_string())
}
