//! No request takes for ever.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use crate::types::Fault;
use crate::web::{Shared, respond};

pub async fn limit(State(services): State<Shared>, request: Request, next: Next) -> Response {
    let limit = services.config.server.request_timeout;
    match tokio::time::timeout(limit, next.run(request)).await {
        Ok(response) => response,
        Err(_) => respond::fault(&Fault::unavailable(anyhow::anyhow!("the request took longer than {limit:?}"))),
    }
}
