//! `POST /oauth/par`

use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use crate::oauth::client_auth::{self, Presented};
use crate::oauth::par::{self, Pushed};
use crate::oauth::{Context, Error};
use crate::types::Params;
use crate::web::extract::{self, Form};
use crate::web::{Shared, respond};

pub async fn push(State(services): State<Shared>, headers: HeaderMap, Form(params): Form) -> Response {
    let answer = answer(&services.context(), &headers, &params).await;
    let created = answer.is_ok();
    let mut response = respond::api(answer, &headers);
    if created {
        // RFC 9126 §2.2
        *response.status_mut() = StatusCode::CREATED;
    }
    response
}

async fn answer(cx: &Context, headers: &HeaderMap, params: &Params) -> Result<Pushed, Error> {
    // RFC 9126 §2: "the same way as at the token endpoint".
    let presented = Presented { authorization: extract::authorization(headers)?, params };
    let client = client_auth::authenticate(cx, &presented).await?;
    par::push(cx, client, params).await
}
