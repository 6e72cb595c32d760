//! No request takes for ever.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use axum::response::Response;

use crate::types::Fault;
use crate::web::{Services, respond};

pub async fn limit(services: &Services, answering: impl Future<Output = Response>) -> Response {
    let limit = services.config.server.request_timeout;
    let mut answering = pin!(answering);
    // Most answers need not wait for anything, and no timer.
    if let Poll::Ready(response) = poll_fn(|cx| Poll::Ready(answering.as_mut().poll(cx))).await {
        return response;
    }
    match tokio::time::timeout(limit, answering).await {
        Ok(response) => response,
        Err(_) => respond::fault(&Fault::unavailable(anyhow::anyhow!("the request took longer than {limit:?}"))),
    }
}
