//! What happens around every request, in this order.

pub mod cors;
mod error_pages;
mod headers;
mod timeout;
mod trace;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;

use super::Shared;

/// One layer for all of it: each layer of a router costs every request a few allocations.
pub async fn around(State(services): State<Shared>, request: Request, next: Next) -> Response {
    let services = &*services;
    trace::traced(services, request, async |request| {
        let response = timeout::limit(services, next.run(request)).await;
        let response = error_pages::render(services, response);
        headers::add(services, response)
    })
    .await
}
