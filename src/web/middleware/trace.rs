//! One line a request, with a correlation id and no secret: no query, no body, no header is ever logged.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::response::Response;
use http::{HeaderName, HeaderValue};

use crate::telemetry;
use crate::web::Services;
use crate::web::peer::client_address;

const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

pub async fn traced(services: &Services, request: Request, answer: impl AsyncFnOnce(Request) -> Response) -> Response {
    let id = services.request_ids.next();
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let peer = peer.map(|ConnectInfo(peer)| client_address(request.headers(), peer.ip(), &services.config));
    let method = request.method().clone();
    // The pattern of the route, not the path: ids stay out of the log, and a stranger's text too.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let started_at = services.clock.now();

    // Whatever is logged on the way carries the id, and where it comes from (ASVS 16.2.1).
    let answering = async {
        let response = answer(request).await;
        let micros = services.clock.now().since(started_at).as_micros() as u64;
        let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
        let status = response.status().as_u16();
        tracing::info!(%method, route, status, micros, "answered");
        response
    };
    let mut response = telemetry::within(telemetry::Request { id, peer }, answering).await;
    // base64url always fits a header.
    if let Ok(id) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(X_CORRELATION_ID, id);
    }
    response
}
