//! No request takes for ever.

use axum::response::Response;

use crate::types::Fault;
use crate::web::{Services, respond};

pub async fn limit(services: &Services, answering: impl Future<Output = Response>) -> Response {
    let limit = services.config.server.request_timeout;
    match tokio::time::timeout(limit, answering).await {
        Ok(response) => response,
        Err(_) => respond::fault(&Fault::unavailable(anyhow::anyhow!("the request took longer than {limit:?}"))),
    }
}
