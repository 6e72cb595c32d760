//! Stylesheet, icon and script: from the binary, or the operator's own (`brand`).

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use http::{HeaderMap, StatusCode};
use rust_embed::RustEmbed;

use super::Shared;
use crate::crypto::sha256_base64url;

#[derive(RustEmbed)]
#[folder = "static/"]
struct Files;

/// A file as it is sent.
pub struct File {
    pub data: Bytes,
    etag: String,
    media_type: String,
}

impl File {
    /// One of the operator's; its name says what it is.
    pub fn new(name: &str, data: Bytes) -> Self {
        let media_type = match name.rsplit('.').next() {
            Some("svg") => "image/svg+xml",
            Some("png") => "image/png",
            Some("webp") => "image/webp",
            Some("woff2") => "font/woff2",
            _ => "text/css",
        };
        Self { etag: format!("\"{}\"", sha256_base64url(&data)), media_type: media_type.to_owned(), data }
    }
}

pub async fn serve(State(services): State<Shared>, Path(path): Path<String>, request: HeaderMap) -> Response {
    if let Some(own) = services.brand.get(&path) {
        return respond(&request, &own.etag, &own.media_type, own.data.clone());
    }
    let Some(file) = Files::get(&path) else { return StatusCode::NOT_FOUND.into_response() };
    let etag = format!("\"{}\"", URL_SAFE_NO_PAD.encode(file.metadata.sha256_hash()));
    respond(&request, &etag, file.metadata.mimetype(), file.data)
}

fn respond(request: &HeaderMap, etag: &str, media_type: &str, data: impl IntoResponse) -> Response {
    let kept = [(CACHE_CONTROL, "public, max-age=300".to_owned()), (ETAG, etag.to_owned())];
    if knows(request, etag) {
        return (StatusCode::NOT_MODIFIED, kept).into_response();
    }
    (kept, [(CONTENT_TYPE, media_type.to_owned())], data).into_response()
}

/// Whether the browser has this already (RFC 9110 §13.1.2).
fn knows(request: &HeaderMap, etag: &str) -> bool {
    let lists = request.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}
