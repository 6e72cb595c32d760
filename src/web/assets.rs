//! Stylesheet, icon and script, from the binary.

use axum::extract::Path;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

pub async fn serve(Path(path): Path<String>) -> Response {
    let Some(file) = Files::get(&path) else { return StatusCode::NOT_FOUND.into_response() };
    let headers =
        [(CONTENT_TYPE, file.metadata.mimetype().to_owned()), (CACHE_CONTROL, "public, max-age=300".to_owned())];
    (headers, file.data.into_owned()).into_response()
}
