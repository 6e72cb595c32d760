//! A cookie that outlives sessions: who has signed in with this browser, so that strangers who guess elsewhere cannot
//! keep them out (ASVS 6.3.1). It lets nobody in.

use std::time::Duration;

use axum::response::Response;
use http::header::{COOKIE, SET_COOKIE};
use http::{HeaderMap, HeaderValue};
use tower_sessions::cookie::{Cookie, SameSite};

use super::Services;
use super::browser::cookie_name;
use crate::account::throttle::KnownBrowser;
use crate::types::UserId;

/// Browsers keep no cookie for longer.
const LIFETIME: Duration = Duration::from_hours(400 * 24);

/// Who is known to have signed in here.
pub fn read(services: &Services, headers: &HeaderMap) -> KnownBrowser {
    let name = name(services);
    let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
    let written = lines.flat_map(Cookie::split_parse).flatten().find(|cookie| cookie.name() == name);
    services.accounts.known_browser(written.as_ref().map(Cookie::value))
}

/// Somebody has signed in here.
pub fn keep(services: &Services, known: &KnownBrowser, user: UserId, mut response: Response) -> Response {
    let cookie = Cookie::build((name(services), services.accounts.remember(known, user)))
        .path("/")
        .http_only(true)
        .secure(services.config.server.issuer.is_https())
        .same_site(SameSite::Lax)
        .max_age(LIFETIME.try_into().unwrap_or(time::Duration::DAY))
        .build();
    if let Ok(cookie) = HeaderValue::from_str(&cookie.to_string()) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

fn name(services: &Services) -> String {
    cookie_name(services, "-known")
}
