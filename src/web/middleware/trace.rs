//! One line a request, with a correlation id and no secret: no query, no body, no header is ever logged.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::{HeaderName, HeaderValue};
use tracing::Instrument;

use crate::crypto::random;
use crate::web::Services;

tokio::task_local! {
    static CORRELATION: HeaderValue;
}

const X_CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");

/// What ties an answer to its line in the log.
pub fn correlation_id() -> String {
    CORRELATION.try_with(|id| text(id).to_owned()).unwrap_or_default()
}

pub async fn traced(services: &Services, request: Request, answer: impl AsyncFnOnce(Request) -> Response) -> Response {
    // base64url always fits a header.
    let id: [u8; 12] = random::bytes(&*services.rng);
    let id = HeaderValue::try_from(URL_SAFE_NO_PAD.encode(id)).unwrap_or(HeaderValue::from_static(""));
    let method = request.method().clone();
    // The pattern of the route, not the path: ids stay out of the log, and a stranger's text too.
    let route = request.extensions().get::<MatchedPath>().cloned();
    let started_at = services.clock.now();

    // Whatever is logged on the way carries the id, and who is at the other end of the connection (ASVS 16.2.1).
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let span = tracing::info_span!("request", correlation_id = text(&id), peer = peer.map(tracing::field::display));
    let mut response = CORRELATION.scope(id.clone(), answer(request)).instrument(span.clone()).await;

    let micros = services.clock.now().since(started_at).as_micros();
    let route = route.as_ref().map_or("unmatched", MatchedPath::as_str);
    let status = response.status().as_u16();
    span.in_scope(|| tracing::info!(%method, route, status, micros, "answered"));
    response.headers_mut().insert(X_CORRELATION_ID, id);
    response
}

fn text(id: &HeaderValue) -> &str {
    id.to_str().unwrap_or_default()
}
