//! `GET` and `POST /oauth/logout/confirm`, `GET /signed-out`

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::{ClientView, Site, forged};
use crate::oauth::Context;
use crate::oauth::logout::{self, Logout, front_channel};
use crate::store::{Ending, PendingKind, PendingRequest};
use crate::types::{ClientId, Params, RequestId, SessionId, redirect_uri};
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery};
use crate::web::oauth::logout::spend;
use crate::web::respond::{self, PageError, Policy};
use crate::web::{Services, Shared};

type Page = Result<Response, PageError>;

#[derive(Template)]
#[template(path = "sign_out.html")]
struct SignOutPage {
    site: Site,
    csrf: String,
    request: Option<String>,
    client: Option<ClientView>,
    username: String,
}

#[derive(Template)]
#[template(path = "signed_out.html")]
struct SignedOutPage {
    site: Site,
    client: Option<ClientView>,
    continue_to: Option<String>,
}

#[derive(Template)]
#[template(path = "signing_out.html")]
struct SigningOutPage {
    site: Site,
    client: Option<ClientView>,
    frames: Vec<String>,
    next: String,
}

/// Asks before anybody is signed out.
pub async fn show(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    let cx = services.context();
    let waiting = waiting(&services, &cx, &browser, &params).await?;
    let logout = waiting.as_ref().map(|(_, logout)| logout);
    let session = meant(&browser, logout);
    let Some((_, user)) = services.accounts.signed_in(session, cx.now).await? else {
        return Ok(respond::see_other(&services.path("/signed-out")));
    };
    let page = SignOutPage {
        site: Site::of(&services),
        csrf: browser.csrf(&services).await?,
        request: waiting.as_ref().map(|(pending, _)| pending.id.to_string()),
        client: logout.and_then(|logout| logout.client.as_deref()).map(ClientView::registered),
        username: user.username,
    };
    let form_action = logout.and_then(|logout| logout.return_to.as_deref()).map(redirect_uri::form_source);
    Ok(respond::page(StatusCode::OK, &page, &Policy { form_action, ..Policy::default() }))
}

pub async fn answer(State(services): State<Shared>, mut browser: Browser, PageForm(params): PageForm) -> Page {
    if !browser.sent(params.get("csrf")) {
        return Err(forged());
    }
    let cx = services.context();
    if params.get("decision") != Some("sign_out") {
        return Ok(respond::see_other(&services.path("/account")));
    }
    let waiting = waiting(&services, &cx, &browser, &params).await?;
    if let Some((pending, _)) = &waiting {
        spend(&services, pending).await?;
    }
    let logout = waiting.map_or_else(Logout::default, |(_, logout)| logout);
    finish(&services, &cx, &mut browser, &logout).await
}

/// Who is signed out: whom the request proves to be meant, if they are here, else the account that was used last. Others
/// stay signed in.
pub fn meant(browser: &Browser, logout: Option<&Logout>) -> Option<SessionId> {
    let hinted = logout.and_then(|logout| logout.hint.as_ref()).map(|hint| hint.session);
    hinted.filter(|session| browser.sessions().contains(session)).or(browser.session())
}

/// Signs the browser out, and goes on to where that leads.
pub async fn finish(services: &Services, cx: &Context, browser: &mut Browser, logout: &Logout) -> Page {
    let session = meant(browser, Some(logout));
    let frames = match session {
        Some(session) => frames(services, cx, session).await?,
        None => Vec::new(),
    };
    // ASVS 7.4.1: on the server first; the cookie is a courtesy.
    if let Some(session) = session {
        services.accounts.end(session, Ending::SignOut, cx.now).await?;
        browser.leave(services, session).await?;
    }
    let next = next(services, logout);
    if frames.is_empty() {
        return Ok(respond::see_other(&next));
    }
    // Front-Channel Logout §2: "renders <iframe src="frontchannel_logout_uri"> in a page".
    let mut origins: Vec<String> = frames.iter().filter_map(|uri| redirect_uri::origin(uri)).collect();
    origins.sort_unstable();
    origins.dedup();
    let client = logout.client.as_deref().map(ClientView::registered);
    let page = SigningOutPage { site: Site::of(services), client, frames, next };
    Ok(respond::page(StatusCode::OK, &page, &Policy { script: true, frames: origins, ..Policy::default() }))
}

/// What this browser has to load so that the applications of a session sign it out too.
async fn frames(services: &Services, cx: &Context, session: SessionId) -> Result<Vec<String>, PageError> {
    // Front-Channel Logout §2: both or none, and none does without them.
    let (iss, sid) = (services.config.server.issuer.as_str(), session.to_string());
    let uris = front_channel::uris(cx, session).await?;
    Ok(uris.iter().map(|uri| respond::with_query(uri, &[("iss", iss), ("sid", &sid)])).collect())
}

/// Everybody is signed out. A client that asked for it without naming an address to return to may be gone on to at its
/// registered home.
pub async fn done(State(services): State<Shared>, PageQuery(params): PageQuery) -> Page {
    let client = match params.get("client_id").and_then(ClientId::parse) {
        Some(id) => services.store.client(&id).await?.filter(|client| !client.is_disabled()),
        None => None,
    };
    let continue_to = client.as_ref().and_then(|client| client.metadata.client_uri.clone());
    let home = continue_to.as_deref().map(redirect_uri::display_host);
    let client = client.as_deref().map(ClientView::registered);
    let client = client.map(|client| ClientView { host: home.unwrap_or_default(), ..client });
    let page = SignedOutPage { site: Site::of(&services), client, continue_to };
    Ok(respond::page(StatusCode::OK, &page, &Policy::default()))
}

/// Where a sign-out ends (RP-Initiated Logout §3): at the client, with its `state`, or on a page.
pub fn next(services: &Services, logout: &Logout) -> String {
    match &logout.return_to {
        Some(uri) => {
            let state: Vec<_> = logout.state.iter().map(|state| ("state", state.as_str())).collect();
            respond::with_query(uri, &state)
        }
        None => {
            let client: Vec<_> = logout.client.iter().map(|client| ("client_id", client.id.as_str())).collect();
            respond::with_query(&services.path("/signed-out"), &client)
        }
    }
}

/// The request that a client sent; none when the person came by themselves.
async fn waiting(
    services: &Services,
    cx: &Context,
    browser: &Browser,
    params: &Params,
) -> Result<Option<(PendingRequest, Logout)>, PageError> {
    let (Some(id), Some(owner)) = (params.get("request").and_then(RequestId::parse), browser.id()) else {
        return Ok(None);
    };
    let Some(pending) = services.store.pending(PendingKind::Logout, id, owner, cx.now).await? else { return Ok(None) };
    let logout = logout::read(cx, &pending.params, pending.hint.as_ref()).await?;
    Ok(Some((pending, logout)))
}
