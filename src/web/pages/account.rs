//! `GET /account` and what can be ended there

use std::sync::Arc;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::details::sentence;
use super::select_account::AccountView;
use super::words::{ago, day, in_reading_order, scope_words};
use super::{Site, forged, initial};
use crate::account::overview::Connected;
use crate::types::{AuthorizationTypes, Client, ClientId, Session, SessionId, Timestamp, User};
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery};
use crate::web::respond::{self, PageError, Policy};
use crate::web::{Services, Shared};

type Page = Result<Response, PageError>;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    site: Site,
    csrf: String,
    username: String,
    name: Option<String>,
    email: Option<String>,
    notice: Option<String>,
    applications: Vec<ApplicationView>,
    others: Vec<OtherView>,
    sessions: Vec<SessionView>,
    has_second_factor: bool,
    /// Whether people may make personal access tokens here.
    tokens: bool,
    /// Who else is signed in in this browser.
    accounts: Vec<AccountView>,
}

struct ApplicationView {
    client_id: String,
    name: String,
    initial: String,
    host: Option<String>,
    permissions: Vec<String>,
    since: String,
    used: Option<String>,
    /// Where a sign-in there begins (OpenID Connect Core §4).
    open: Option<String>,
}

/// An application that nothing was allowed yet.
struct OtherView {
    name: String,
    initial: String,
    host: String,
    open: String,
}

struct SessionView {
    id: String,
    current: bool,
    device: String,
    address: Option<String>,
    started: String,
    last_seen: String,
}

impl ApplicationView {
    fn of(services: &Services, connected: &Connected, (types, now): (&AuthorizationTypes, Timestamp)) -> Self {
        let (consent, client) = (&connected.consent, connected.client.as_deref());
        let name = client.map_or(consent.client.as_str(), |client| &client.metadata.client_name);
        let words = |token| scope_words(&services.config, token, None).title;
        Self {
            client_id: consent.client.to_string(),
            initial: initial(name),
            name: name.to_owned(),
            host: client.and_then(Client::display_host),
            permissions: in_reading_order(&consent.scope)
                .into_iter()
                .map(words)
                .chain(consent.details.iter().map(|detail| sentence(detail, types)))
                .collect(),
            since: day(consent.granted_at),
            used: connected.used_at.map(|at| ago(at, now)),
            open: client.filter(|client| !client.is_disabled()).and_then(|client| open(services, client)),
        }
    }
}

impl OtherView {
    fn of(services: &Services, client: &Client) -> Option<Self> {
        let name = &client.metadata.client_name;
        Some(Self {
            name: name.clone(),
            initial: initial(name),
            host: client.display_host().unwrap_or_default(),
            open: open(services, client)?,
        })
    }
}

/// Where a sign-in at a client begins (OpenID Connect Core §4: `iss` is required).
fn open(services: &Services, client: &Client) -> Option<String> {
    let uri = client.metadata.initiate_login_uri.as_ref()?;
    Some(respond::with_query(uri, &[("iss", services.config.server.issuer.as_str())]))
}

impl SessionView {
    fn of(session: &Session, current: SessionId, now: Timestamp) -> Self {
        Self {
            id: session.id.to_string(),
            current: session.id == current,
            device: session.device.clone(),
            address: session.address.map(|address| address.to_string()),
            started: ago(session.created_at, now),
            last_seen: ago(session.seen_at, now),
        }
    }
}

/// The root has nothing of its own.
pub async fn home(State(services): State<Shared>) -> Response {
    respond::see_other(&services.path("/account"))
}

pub async fn show(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    let now = services.clock.now();
    let Some((session, user)) = services.accounts.signed_in(browser.session(), now).await? else {
        return Ok(respond::see_other(&services.path("/sign-in")));
    };
    let overview = services.accounts.overview(&user, now).await?;
    let connected = overview.connected.iter();
    let types = if connected.clone().any(|connected| !connected.consent.details.is_empty()) {
        services.store.authorization_types().await?
    } else {
        Arc::default()
    };
    let page = AccountPage {
        site: Site::of(&services),
        csrf: browser.csrf(&services).await?,
        username: user.username.clone(),
        name: user.name().map(str::to_owned),
        email: user.email.clone(),
        // A word from our own list, never text from the address.
        notice: params.get("done").and_then(notice).map(str::to_owned),
        applications: connected.map(|connected| ApplicationView::of(&services, connected, (&types, now))).collect(),
        others: overview.others.iter().filter_map(|client| OtherView::of(&services, client)).collect(),
        accounts: others_here(&services, &browser, session.id).await?,
        tokens: services.config.personal_tokens.are_on(),
        has_second_factor: services.store.has_factors(user.id).await?,
        sessions: overview.sessions.iter().map(|own| SessionView::of(own, session.id, now)).collect(),
    };
    Ok(respond::page(StatusCode::OK, &page, &Policy::default()))
}

/// The other accounts that are signed in in this browser.
async fn others_here(
    services: &Services,
    browser: &Browser,
    current: SessionId,
) -> Result<Vec<AccountView>, PageError> {
    let mut others = Vec::new();
    for id in browser.sessions().into_iter().filter(|id| *id != current) {
        if let Some((session, user)) = services.store.signed_in(id, services.clock.now()).await? {
            others.push(AccountView::of(session.id, &user));
        }
    }
    Ok(others)
}

fn notice(done: &str) -> Option<&'static str> {
    match done {
        "withdrawn" => Some("The application can no longer use your account."),
        "ended" => Some("That browser is signed out."),
        "others-ended" => Some("You are signed out everywhere else."),
        _ => None,
    }
}

pub async fn withdraw(State(services): State<Shared>, browser: Browser, PageForm(params): PageForm) -> Page {
    let Some((_, user)) = own_form(&services, &browser, params.get("csrf")).await? else {
        return Ok(respond::see_other(&services.path("/sign-in")));
    };
    let withdrawn = match params.get("client_id").and_then(ClientId::parse) {
        Some(client) => services.accounts.withdraw(&user, &client, services.clock.now()).await?,
        None => false,
    };
    // Only what happened is told.
    Ok(respond::see_other(&services.path(if withdrawn { "/account?done=withdrawn" } else { "/account" })))
}

pub async fn end_session(State(services): State<Shared>, mut browser: Browser, PageForm(params): PageForm) -> Page {
    let Some((current, user)) = own_form(&services, &browser, params.get("csrf")).await? else {
        return Ok(respond::see_other(&services.path("/sign-in")));
    };
    let Some(session) = params.get("session").and_then(SessionId::parse) else {
        return Ok(respond::see_other(&services.path("/account")));
    };
    let ended = services.accounts.end_own(&user, session, services.clock.now()).await?;
    if session == current.id {
        browser.leave(&services, session).await?;
        return Ok(respond::see_other(&services.path("/signed-out")));
    }
    Ok(respond::see_other(&services.path(if ended { "/account?done=ended" } else { "/account" })))
}

/// Another account of this browser.
pub async fn switch(State(services): State<Shared>, mut browser: Browser, PageForm(params): PageForm) -> Page {
    if own_form(&services, &browser, params.get("csrf")).await?.is_none() {
        return Ok(respond::see_other(&services.path("/sign-in")));
    }
    let chosen = params.get("session").and_then(SessionId::parse);
    if let Some(session) = chosen.filter(|id| browser.sessions().contains(id)) {
        browser.switch(&services, session).await?;
    }
    Ok(respond::see_other(&services.path("/account")))
}

pub async fn end_others(State(services): State<Shared>, browser: Browser, PageForm(params): PageForm) -> Page {
    let Some((current, _)) = own_form(&services, &browser, params.get("csrf")).await? else {
        return Ok(respond::see_other(&services.path("/sign-in")));
    };
    services.accounts.end_others(&current, services.clock.now()).await?;
    Ok(respond::see_other(&services.path("/account?done=others-ended")))
}

/// Who sent a form of the account page; `None` when they are signed out by now.
pub(super) async fn own_form(
    services: &Services,
    browser: &Browser,
    csrf: Option<&str>,
) -> Result<Option<(Session, User)>, PageError> {
    if !browser.sent(csrf) {
        return Err(forged());
    }
    Ok(services.accounts.signed_in(browser.session(), services.clock.now()).await?)
}
