//! HTTP: routes, headers, cookies, pages. What is decided, is decided below.
//!
//! | path | file |
//! |---|---|
//! | `/oauth/*`, `/.well-known/*` | `oauth/` |
//! | `/sign-in`, `/select-account`, `/consent`, `/device`, `/account` | `pages/` |
//! | `/static/*` | `assets` |
//! | `/healthz`, `/readyz` | `health` |

mod assets;
pub mod brand;
mod browser;
mod device;
mod extract;
mod health;
mod known_browser;
mod middleware;
mod oauth;
mod pages;
mod peer;
mod respond;
mod session_store;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::CorsLayer;

use crate::account::Accounts;
use crate::account::upstream::Upstreams;
use crate::config::Config;
use crate::config::registration::Mode;
use crate::config::sign_up::Who;
use crate::crypto::{Random, random};
use crate::oauth::{ClientDocuments, ClientKeys, Context, Keys, Registrar, Subjects, authorize, logout};
use crate::store::{PendingKind, PendingRequest, Store};
use crate::telemetry::RequestIds;
use crate::types::{Clock, Fault, Hint, Params, RequestId, Timestamp};
use brand::BrandFiles;
use browser::Browser;

/// What every handler may reach.
pub struct Services {
    pub config: Arc<Config>,
    pub store: Store,
    pub keys: Arc<Keys>,
    pub client_keys: Arc<ClientKeys>,
    pub client_documents: Arc<ClientDocuments>,
    pub subjects: Arc<Subjects>,
    pub registrar: Registrar,
    pub accounts: Accounts,
    pub upstreams: Upstreams,
    pub brand: BrandFiles,
    pub rng: Arc<dyn Random>,
    pub clock: Arc<dyn Clock>,
    pub request_ids: RequestIds,
}

type Shared = Arc<Services>;

impl Services {
    /// One instant and one snapshot of the keys, for one request.
    fn context(&self) -> Context {
        Context {
            config: self.config.clone(),
            store: self.store.clone(),
            keys: self.keys.snapshot(),
            client_keys: self.client_keys.clone(),
            client_documents: self.client_documents.clone(),
            subjects: self.subjects.clone(),
            rng: self.rng.clone(),
            now: self.clock.now(),
        }
    }
}

impl Services {
    /// A path of ours, under the path of the issuer.
    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.config.server.issuer.path())
    }

    /// Keeps a request while its user is on our pages.
    async fn hold(&self, request: Held<'_>, now: Timestamp) -> Result<RequestId, Fault> {
        self.hold_pushed(request, None, now).await
    }

    /// As `hold`, for a request that is answered together with a pushed one, if it is.
    async fn hold_pushed(
        &self,
        request: Held<'_>,
        pushed: Option<[u8; 32]>,
        now: Timestamp,
    ) -> Result<RequestId, Fault> {
        let kept: &[&str] = match request.kind {
            PendingKind::Authorize => &authorize::KEPT,
            PendingKind::Logout => &logout::KEPT,
        };
        let params = request.params.pairs().iter().filter(|(name, _)| kept.contains(&name.as_str()));
        let pending = PendingRequest {
            id: RequestId::new(random::uuid_v4(&*self.rng)),
            kind: request.kind,
            browser: request.browser,
            params: Params::from_pairs(params.cloned().collect()),
            hint: request.hint.cloned(),
            chosen_session: None,
            pushed,
            created_at: now,
            expires_at: now.plus(self.config.authorization.request_lifetime),
        };
        self.store.create_pending(&pending).await?;
        Ok(pending.id)
    }

    /// The request that an address names, if it is this browser's, or nobody's yet: then it is from now on.
    async fn claim(
        &self,
        kind: PendingKind,
        browser: &mut Browser,
        params: &Params,
        now: Timestamp,
    ) -> Result<Option<PendingRequest>, Fault> {
        let Some(id) = params.get("request").and_then(RequestId::parse) else { return Ok(None) };
        // The browser's record first: a request must not be bound to a browser that does not know it.
        let owner = browser.open_id(self).await?;
        match self.store.pending(kind, id, &owner, now).await? {
            Some(own) => Ok(Some(own)),
            None => self.store.adopt_pending(kind, id, &owner, now).await,
        }
    }
}

/// A request that must wait.
struct Held<'a> {
    kind: PendingKind,
    /// Empty when it came without its browser's cookie.
    browser: String,
    params: &'a Params,
    hint: Option<&'a Hint>,
}

/// Every route, under the path of the issuer.
pub fn router(services: Services) -> Router {
    let services: Shared = Arc::new(services);

    let cross_origin = Router::new()
        .route("/oauth/token", post(oauth::token::token))
        .route("/oauth/device_authorization", post(oauth::device_authorization::authorize))
        .route("/oauth/par", post(oauth::par::push))
        .route("/oauth/revoke", post(oauth::revoke::revoke))
        .route("/oauth/userinfo", get(oauth::userinfo::get).post(oauth::userinfo::post))
        .route("/oauth/jwks", get(oauth::metadata::jwks))
        .route("/.well-known/openid-configuration", get(oauth::metadata::metadata))
        .route("/.well-known/oauth-authorization-server", get(oauth::metadata::metadata))
        .route("/.well-known/oauth-protected-resource", get(oauth::metadata::protected_resource))
        .method_not_allowed_fallback(respond::wrong_method)
        .layer(cross_origin_layer(&services));
    let introspection = Router::new()
        .route("/oauth/introspect", post(oauth::introspect::introspect))
        .route("/oauth/signed-url", post(oauth::signed_url::sign))
        .method_not_allowed_fallback(respond::wrong_method);

    let browser = Router::new()
        .route("/", get(pages::account::home))
        .route("/oauth/authorize", get(oauth::authorize::get).post(oauth::authorize::post).head(nothing))
        .route("/oauth/authorize/continue", get(oauth::authorize::resume).head(nothing))
        .route("/oauth/logout", get(oauth::logout::get).post(oauth::logout::post).head(nothing))
        .route("/oauth/logout/continue", get(oauth::logout::resume).head(nothing))
        .route("/oauth/logout/confirm", get(pages::sign_out::show).post(pages::sign_out::answer))
        .route("/signed-out", get(pages::sign_out::done))
        .route("/sign-in", get(pages::sign_in::show).post(pages::sign_in::answer))
        .route("/sign-in/passkey", post(pages::passkeys::sign_in))
        .route("/sign-in/second", get(pages::second::show).post(pages::second::answer))
        .route("/sign-in/second/passkey", post(pages::passkeys::add_first))
        .route("/select-account", get(pages::select_account::show).post(pages::select_account::answer))
        .route("/consent", get(pages::consent::show).post(pages::consent::answer))
        .route("/device", get(pages::device::show).post(pages::device::enter))
        .route("/device/confirm", get(pages::device::ask).post(pages::device::answer))
        .route("/device/done", get(pages::device::done))
        .route("/account", get(pages::account::show))
        .route("/account/consents/withdraw", post(pages::account::withdraw))
        .route("/account/security", get(pages::security::show))
        .route("/account/security/app", get(pages::security::begin).post(pages::security::add))
        .route("/account/security/app/remove", post(pages::security::remove))
        .route("/account/security/passkey", get(pages::passkeys::begin).post(pages::passkeys::add))
        .route("/account/security/passkey/rename", get(pages::passkeys::naming).post(pages::passkeys::rename))
        .route("/account/security/passkey/remove", post(pages::passkeys::remove))
        .route("/account/security/recovery-codes", post(pages::security::renew_codes))
        .route("/account/events", get(pages::events::show))
        .route("/account/profile", get(pages::profile::show).post(pages::profile::change))
        .route("/account/data", post(pages::profile::data))
        .route("/account/switch", post(pages::account::switch))
        .route("/account/sessions/end", post(pages::account::end_session))
        .route("/account/sessions/end-others", post(pages::account::end_others))
        .merge(self_service(&services))
        .method_not_allowed_fallback(pages::error::wrong_method)
        .layer(browser::layer(&services));

    let routes = Router::new()
        .route("/static/{*path}", get(assets::serve))
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .merge(cross_origin)
        .merge(introspection)
        .merge(registration(services.config.registration.mode))
        .merge(browser)
        .fallback(pages::error::not_found)
        .with_state(services.clone());

    let path = services.config.server.issuer.path();
    let prefixed = if path.is_empty() { routes } else { under(path, routes, &services) };
    prefixed
        .layer(CatchPanicLayer::custom(respond::panicked))
        .layer(axum::middleware::from_fn_with_state(services, middleware::around))
}

/// What people do for themselves, as far as the configuration lets them.
fn self_service(services: &Services) -> Router<Shared> {
    use pages::{credentials, profile, recovery, sign_up, tokens};
    let mut routes = Router::new()
        .route("/reset-password", get(recovery::show).post(recovery::answer))
        .route("/account/password", get(credentials::password).post(credentials::change_password));
    if services.config.mail.is_on() {
        routes = routes
            .route("/forgot-password", get(recovery::forgot).post(recovery::ask))
            .route("/account/email", get(credentials::email).post(credentials::ask_for_email))
            .route("/account/email/confirm", get(credentials::confirm).post(credentials::confirmed))
            .route("/account/email/undo", get(credentials::undo).post(credentials::undone));
    }
    let mode = services.config.sign_up.mode;
    if mode == Who::Open {
        routes = routes.route("/sign-up", get(sign_up::show).post(sign_up::ask));
    }
    if mode != Who::Off {
        routes = routes.route("/sign-up/confirm", get(sign_up::confirm).post(sign_up::answer));
    }
    if services.upstreams.providers().next().is_some() {
        routes = routes.merge(upstream());
    }
    if services.config.account.may_delete {
        routes = routes.route("/account/delete", get(profile::ask_to_delete).post(profile::delete));
    }
    if services.config.personal_tokens.are_on() {
        routes = routes
            .route("/account/tokens", get(tokens::show))
            .route("/account/tokens/new", get(tokens::begin).post(tokens::make))
            .route("/account/tokens/end", post(tokens::end));
    }
    routes
}

/// Other providers, where there are any.
fn upstream() -> Router<Shared> {
    use pages::{linked, upstream};
    Router::new()
        .route("/sign-in/upstream/{name}", post(upstream::depart))
        .route("/sign-in/upstream/{name}/callback", get(upstream::receive).head(nothing))
        .route("/sign-in/unknown", get(upstream::unknown))
        .route("/account/security/linked/new", post(linked::depart))
        .route("/account/security/linked/offer", get(linked::show).post(linked::take_up))
        .route("/account/security/linked/remove", post(linked::remove))
}

/// Client registration, where there is any.
fn registration(mode: Mode) -> Router<Shared> {
    if mode == Mode::Off {
        return Router::new();
    }
    let managed = get(oauth::register::show).put(oauth::register::replace).delete(oauth::register::delete);
    let routes = Router::new()
        .route("/oauth/register", post(oauth::register::create))
        .route("/oauth/register/{client_id}", managed)
        .method_not_allowed_fallback(respond::wrong_method);
    if mode == Mode::Open { routes.layer(middleware::cors::anybody()) } else { routes }
}

/// Where strangers may become clients, their pages read the metadata before anybody knows their origin.
fn cross_origin_layer(services: &Shared) -> CorsLayer {
    let registration = &services.config.registration;
    let strangers = registration.mode == Mode::Open || registration.client_id_metadata_documents;
    if strangers { middleware::cors::anybody() } else { middleware::cors::layer(services.store.clone()) }
}

/// HEAD, where a GET would act: safe methods do nothing (RFC 9110 §9.2.1), but a person's browser opens the address by
/// GET. Without this the router would run the GET and drop its body, the code in its `Location` kept.
async fn nothing() {}

/// An issuer with a path: the path goes before every route, and into the well-known addresses (RFC 8414 §3.1).
fn under(path: &str, routes: Router, services: &Shared) -> Router {
    let well_known = Router::new()
        .route(&format!("/.well-known/oauth-authorization-server{path}"), get(oauth::metadata::metadata))
        .route(&format!("/.well-known/openid-configuration{path}"), get(oauth::metadata::metadata))
        // RFC 9728 §3.1
        .route(&format!("/.well-known/oauth-protected-resource{path}"), get(oauth::metadata::protected_resource))
        .layer(cross_origin_layer(services))
        // Whoever runs it behind a proxy probes the root.
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(pages::error::not_found)
        .with_state(services.clone());
    // `nest` leaves the slash at the end of the path to nobody.
    let home = Router::new().route(&format!("{path}/"), get(pages::account::home)).with_state(services.clone());
    Router::new().nest(path, routes).merge(well_known).merge(home)
}
