//! `POST /oauth/introspect`

use axum::extract::State;
use axum::response::Response;
use http::HeaderMap;

use crate::oauth::client_auth::{self, Presented};
use crate::oauth::introspect::{self, Introspection};
use crate::oauth::{Context, Error};
use crate::types::Params;
use crate::web::extract::{self, Form};
use crate::web::{Shared, respond};

pub async fn introspect(State(services): State<Shared>, headers: HeaderMap, Form(params): Form) -> Response {
    respond::api(answer(&services.context(), &headers, &params).await, &headers)
}

async fn answer(cx: &Context, headers: &HeaderMap, params: &Params) -> Result<Introspection, Error> {
    let presented = Presented { authorization: extract::authorization(headers)?, params };
    let caller = client_auth::authenticate_confidential(cx, &presented).await?;
    introspect::introspect(cx, &caller, params).await
}
