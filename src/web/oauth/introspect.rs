//! `POST /oauth/introspect`

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use crate::oauth::client_auth;
use crate::oauth::introspect::{self, Introspection};
use crate::oauth::{Context, Error};
use crate::types::Params;
use crate::web::certificate::Certificate;
use crate::web::extract::{self, Form};
use crate::web::{Shared, respond};

pub async fn introspect(
    State(services): State<Shared>,
    certificate: Certificate,
    headers: HeaderMap,
    Form(params): Form,
) -> Response {
    respond::api(answer(&services.context(), &certificate, &headers, &params).await, &headers)
}

async fn answer(
    cx: &Context,
    certificate: &Certificate,
    headers: &HeaderMap,
    params: &Params,
) -> Result<Introspection, Error> {
    let presented = extract::presented(headers, certificate, params)?;
    let caller = client_auth::authenticate_confidential(cx, &presented).await?;
    introspect::introspect(cx, &caller, params).await
}
