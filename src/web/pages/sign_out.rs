//! `GET` and `POST /oauth/logout/confirm`, `GET /signed-out`

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::{ClientView, Site, forged};
use crate::oauth::Context;
use crate::oauth::logout::{self, Logout};
use crate::store::{Ending, PendingKind, PendingRequest};
use crate::types::{Params, RequestId, redirect_uri};
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

/// Asks before anybody is signed out.
pub async fn show(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    let cx = services.context();
    let Some((_, user)) = services.accounts.signed_in(browser.session(), cx.now).await? else {
        return Ok(respond::see_other(&services.path("/signed-out")));
    };
    let waiting = waiting(&services, &cx, &browser, &params).await?;
    let logout = waiting.as_ref().map(|(_, logout)| logout);
    let page = SignOutPage {
        site: Site::of(&services),
        csrf: browser.csrf(&services).await?,
        request: waiting.as_ref().map(|(pending, _)| pending.id.to_string()),
        client: logout.and_then(|logout| logout.client.as_deref()).map(ClientView::registered),
        username: user.username,
    };
    let form_action = logout.and_then(|logout| logout.return_to.as_deref()).map(redirect_uri::form_source);
    Ok(respond::page(StatusCode::OK, &page, &Policy { form_action, script: false }))
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
    // ASVS 7.4.1: on the server first; the cookie is a courtesy.
    if let Some(session) = browser.session() {
        services.accounts.end(session, Ending::SignOut, cx.now).await?;
    }
    browser.sign_out().await?;
    Ok(match waiting {
        Some((_, logout)) => after(&services, &logout),
        None => respond::see_other(&services.path("/signed-out")),
    })
}

/// Everybody is signed out.
pub async fn done(State(services): State<Shared>) -> Response {
    let page = SignedOutPage { site: Site::of(&services), client: None, continue_to: None };
    respond::page(StatusCode::OK, &page, &Policy::default())
}

/// Where a sign-out ends (RP-Initiated Logout §3): at the client, with its `state`, or on a page.
pub fn after(services: &Services, logout: &Logout) -> Response {
    match &logout.return_to {
        Some(uri) => {
            let state: Vec<_> = logout.state.iter().map(|state| ("state", state.as_str())).collect();
            respond::see_other(&respond::with_query(uri, &state))
        }
        None => respond::see_other(&services.path("/signed-out")),
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
