//! Notes, the demo application: a relying party and an API in one small program, as other people would write them.
//!
//! It knows Grantor only by its issuer, over HTTP, and uses the `openidconnect` crate as it comes. Every request that it
//! sends and every answer is kept for the person to read, with the client secrets left out.
//!
//! | file | what |
//! |---|---|
//! | `sign_in.rs` | discovery -> authorize (PKCE, state, nonce) -> callback (RFC 9207) -> tokens -> a verified ID token |
//! | `actions.rs` | the buttons: call the API, ask UserInfo, refresh, revoke, sign out |
//! | `api.rs` | the resource server: `GET /api/notes`, which introspects what it is given |
//! | `provider.rs` | what discovery says, learnt at first use, because both servers start at once |
//! | `http.rs`, `exchange.rs` | the HTTP client, and what it writes down |
//! | `token.rs`, `explain.rs`, `json.rs` | tokens, claims and JSON in words |
//! | `session.rs`, `pages.rs` | this application's own session and pages |
//!
//! # How to register it
//!
//! | | relying party | API |
//! |---|---|---|
//! | client | confidential, `client_secret_basic`, named "Notes" | confidential, `client_secret_basic`, a resource server |
//! | redirect URI | `{app_url}/callback` | none |
//! | post-logout redirect URI | `{app_url}/` | none |
//! | grant types | `authorization_code`, `refresh_token` | none |
//! | scopes | `openid profile email offline_access notes:read` | none |

mod actions;
mod api;
mod exchange;
mod explain;
mod http;
mod json;
mod pages;
mod provider;
mod session;
mod sign_in;
mod token;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{DefaultBodyLimit, Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, Uri, header},
    middleware::{self, Next},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use rust_embed::RustEmbed;
use secrecy::SecretString;
use url::Url;

use self::{exchange::Redactor, provider::Provider, session::Sessions};
use crate::types::{Clock, SystemClock, Timestamp};

/// What it asks for. `offline_access` is what makes a refresh token; `notes:read` is the API's own scope.
pub const SCOPES: [&str; 5] = ["openid", "profile", "email", "offline_access", "notes:read"];

/// Who the application is, and where its provider is.
pub struct Demo {
    /// As discovery states it, for example `http://localhost:8080`.
    pub issuer: String,
    /// Where browsers find this application, without a final slash, for example `http://localhost:8081`.
    pub app_url: String,
    pub client_id: String,
    pub client_secret: SecretString,
    /// The API's own credentials, with which it introspects.
    pub api_client_id: String,
    pub api_client_secret: SecretString,
    /// Whom the sign-in page expects; its password is in the terminal.
    pub username: String,
}

/// What a handler has at hand.
struct App {
    demo: Demo,
    http: reqwest::Client,
    redactor: Arc<Redactor>,
    provider: Provider,
    sessions: Sessions,
    api: api::Desk,
    policy: HeaderValue,
}

impl App {
    /// One instant a request.
    fn now() -> Timestamp {
        SystemClock.now()
    }
}

/// The application's routes. Nothing is asked of the provider before the first sign-in.
///
/// # Panics
/// When the platform's TLS roots cannot be set up.
pub fn router(demo: Demo) -> Router {
    let app = Arc::new(App {
        http: client(),
        redactor: Arc::new(Redactor::new(&demo)),
        provider: Provider::default(),
        sessions: Sessions::default(),
        api: api::Desk::default(),
        policy: policy(&demo),
        demo,
    });
    Router::new()
        .route("/", get(home))
        .route("/sign-in", post(sign_in::start))
        .route("/callback", get(sign_in::callback))
        .route("/call-api", post(actions::call_api))
        .route("/userinfo", post(actions::userinfo))
        .route("/refresh", post(actions::refresh))
        .route("/revoke", post(actions::revoke))
        .route("/sign-out", post(actions::sign_out))
        .route("/api/notes", get(api::notes))
        .route("/static/{name}", get(asset))
        .fallback(|| async { (StatusCode::NOT_FOUND, "There is nothing here. Notes begins at /.\n") })
        .layer(DefaultBodyLimit::max(16 * 1024))
        .layer(middleware::from_fn_with_state(Arc::clone(&app), headers))
        .with_state(app)
}

fn client() -> reqwest::Client {
    // Fails harmlessly when the program has installed one already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    #[allow(clippy::expect_used, reason = "reqwest::Client::new does the same, without the two settings")]
    reqwest::Client::builder()
        // A client that followed redirects could be led to any address of this machine's network.
        .redirect(reqwest::redirect::Policy::none())
        .timeout(Duration::from_secs(10))
        .build()
        .expect("an HTTP client")
}

async fn home(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Response {
    // The session's cookie must be where the callback comes back: 127.0.0.1 and localhost do not share it.
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if host.is_some_and(|host| Some(host) != authority(&app.demo.app_url).as_deref()) {
        return Redirect::temporary(&format!("{}/", app.demo.app_url)).into_response();
    }
    let (session, cookie) = app.sessions.open(&headers, &app.demo.app_url);
    let mut session = session.lock().await;
    if uri.query().is_some_and(|query| session.came_back_from_sign_out(query)) {
        session.notice = Some(pages::signed_out());
        return Redirect::to("/").into_response();
    }
    let page = pages::home(&app.demo, &mut session, App::now());
    (cookie, page).into_response()
}

/// `localhost:8081` of `http://localhost:8081`.
fn authority(url: &str) -> Option<String> {
    let url = Url::parse(url).ok()?;
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

#[derive(RustEmbed)]
#[folder = "static/"]
struct Assets;

async fn asset(Path(name): Path<String>) -> Response {
    let kind = match name.as_str() {
        "app.css" | "demo.css" => "text/css; charset=utf-8",
        "icon.svg" => "image/svg+xml",
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    let Some(file) = Assets::get(&name) else { return StatusCode::NOT_FOUND.into_response() };
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], file.data).into_response()
}

/// `form-action` names the provider too: Chromium holds it against the redirect that answers a form.
fn policy(demo: &Demo) -> HeaderValue {
    let provider = Url::parse(&demo.issuer).map(|url| url.origin().ascii_serialization()).unwrap_or_default();
    let policy = format!(
        "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; frame-ancestors 'none'; \
         form-action 'self' {provider}"
    );
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
}

async fn headers(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, app.policy.clone());
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests;
