//! Cross-origin requests: single-page applications of registered clients may call some endpoints (RFC 10017).

use std::time::Duration;

use http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, Method};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

use crate::store::Store;
use crate::web::extract::{DPOP, DPOP_NONCE};

/// Answers the browser's questions for the origins of registered clients. No cookie is ever allowed along.
pub fn layer(store: Store) -> CorsLayer {
    let is_registered = move |origin: HeaderValue, _: &http::request::Parts| {
        let store = store.clone();
        async move {
            let Ok(origin) = origin.to_str() else { return false };
            match store.client_origins().await {
                Ok(origins) => origins.contains(origin),
                Err(fault) => {
                    tracing::warn!(%fault, "the origins of clients could not be read");
                    false
                }
            }
        }
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::async_predicate(is_registered))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, DPOP])
        .expose_headers([WWW_AUTHENTICATE, DPOP_NONCE])
        .max_age(Duration::from_secs(600))
}

/// Where strangers may become clients: a page has no registered origin before it has registered, or somebody has allowed
/// it something. What it needs is in the request, so the origin proves nothing that anybody could not have.
pub fn anybody() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST, Method::PUT, Method::DELETE])
        .allow_headers([AUTHORIZATION, CONTENT_TYPE, DPOP])
        .expose_headers([WWW_AUTHENTICATE, RETRY_AFTER, DPOP_NONCE])
        .max_age(Duration::from_secs(600))
}
