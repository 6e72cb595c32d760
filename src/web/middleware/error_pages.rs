//! A handler says what went wrong; the page is made here, where the site's name and path are known.

use std::sync::Arc;

use axum::response::Response;

use crate::telemetry::correlation_id;
use crate::web::respond::{self, PageError};
use crate::web::{Services, pages};

pub fn render(services: &Services, mut response: Response) -> Response {
    let Some(error) = response.extensions_mut().remove::<Arc<PageError>>() else { return response };
    match &*error {
        PageError::Fault(fault) => respond::log(fault),
        PageError::Refused(_, why) => {
            tracing::info!(code = why.code.as_str(), description = %why.description, "refused")
        }
        PageError::NotFound => {}
    }
    let status = response.status();
    let mut page = pages::error::render(services, status, &error, correlation_id());
    // What was set on the way stays: a cookie may have been.
    for (name, value) in response.headers() {
        page.headers_mut().append(name, value.clone());
    }
    respond::retry_later(status, page)
}
