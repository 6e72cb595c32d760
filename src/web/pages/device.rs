//! `/device`: a person enters the code that their device shows, sees who asks for what, and decides (RFC 8628 §3.3).

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::details::{self, DetailView};
use super::words::{PlaceView, ScopeView, ago, in_reading_order, scope_words, span};
use super::{ClientView, Site, forged};
use crate::oauth::Context;
use crate::oauth::device::{self, Entered, Question};
use crate::oauth::error::invalid_request;
use crate::oauth::resource;
use crate::oauth::scope::{self, OFFLINE_ACCESS};
use crate::types::{GrantId, Params, Session, User};
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery};
use crate::web::oauth::device_authorization::address;
use crate::web::peer::Peer;
use crate::web::respond::{self, PageError, Policy};
use crate::web::{Services, Shared};

type Page = Result<Response, PageError>;

#[derive(Template)]
#[template(path = "device.html")]
struct EnterPage {
    site: Site,
    csrf: String,
    user_code: String,
    /// It came with the address: somebody else may have made that.
    given: bool,
    error: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "device_confirm.html")]
struct ConfirmPage {
    site: Site,
    csrf: String,
    request: String,
    client: ClientView,
    username: String,
    scopes: Vec<ScopeView>,
    details: Vec<DetailView>,
    places: Vec<PlaceView>,
    duration: String,
    asked: String,
    address: Option<String>,
    same_address: bool,
}

#[derive(Template)]
#[template(path = "device_done.html")]
struct DonePage {
    site: Site,
    allowed: bool,
}

/// The longest code that is shown again; whatever is longer is none.
const LONGEST: usize = 32;

/// RFC 8628 §3.3.1: a code in the address is shown, and goes nowhere until its person says that they see it too.
pub async fn show(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    let user_code = params.get("user_code").unwrap_or_default();
    enter_page(&services, &mut browser, (user_code, !user_code.is_empty()), None).await
}

pub async fn enter(
    State(services): State<Shared>,
    mut browser: Browser,
    peer: Peer,
    PageForm(params): PageForm,
) -> Page {
    if !browser.sent(params.get("csrf")) {
        return Err(forged());
    }
    let owner = browser.open_id(&services).await?;
    let typed = params.get("user_code").unwrap_or_default();
    let error = match device::enter(&services.context(), &owner, typed, peer.address).await? {
        Entered::Known(request) => return Ok(respond::see_other(&services.path(&confirm_at(request.id)))),
        Entered::Unknown => {
            let error = "There is no such code, or its time is over. Check it on your device and try again.";
            (StatusCode::UNPROCESSABLE_ENTITY, error)
        }
        Entered::TooMany => {
            (StatusCode::TOO_MANY_REQUESTS, "Too many codes were tried. Wait a few minutes, then try again.")
        }
    };
    enter_page(&services, &mut browser, (typed, false), Some(error)).await
}

/// The address of the question.
pub fn confirm_at(request: GrantId) -> String {
    format!("/device/confirm?request={request}")
}

async fn enter_page(
    services: &Services,
    browser: &mut Browser,
    (user_code, given): (&str, bool),
    error: Option<(StatusCode, &'static str)>,
) -> Page {
    let page = EnterPage {
        site: Site::of(services),
        csrf: browser.csrf(services).await?,
        user_code: user_code.chars().take(LONGEST).collect(),
        given,
        error: error.map(|(_, words)| words),
    };
    Ok(respond::page(error.map_or(StatusCode::OK, |(status, _)| status), &page, &Policy::default()))
}

/// Who asks, from where, and for what.
pub async fn ask(
    State(services): State<Shared>,
    mut browser: Browser,
    peer: Peer,
    PageQuery(params): PageQuery,
) -> Page {
    let cx = services.context();
    let question = question(&cx, &browser, &params).await?;
    let Some((_, user)) = signed_in(&services, &cx, &browser).await? else {
        return Ok(respond::see_other(&services.path(&sign_in_at(&question))));
    };
    let question = question.to(&cx, user.id).await?;
    let user = scope::seen_by(&cx, [question.client.id.as_str()], user);
    let places = resource::shown(&cx, &question.request.resources, &question.request.scope).await?;
    let page = ConfirmPage {
        details: details::shown(&cx, &question.request.details).await?,
        places: places.into_iter().map(PlaceView::of).collect(),
        csrf: browser.csrf(&services).await?,
        request: question.request.id.to_string(),
        client: ClientView::registered(&question.client),
        scopes: in_reading_order(&question.request.scope)
            .into_iter()
            .map(|token| scope_words(&services.config, token, Some(&user)))
            .collect(),
        duration: if question.request.scope.contains(OFFLINE_ACCESS) {
            let longest = services.config.refresh.absolute(&question.client);
            format!("Until you withdraw it, {} at most.", span(longest))
        } else {
            "Until you sign out of this browser or withdraw it.".to_owned()
        },
        asked: ago(question.request.created_at, cx.now),
        same_address: address(&peer) == question.request.address,
        address: question.request.address,
        username: user.username,
        site: Site::of(&services),
    };
    Ok(respond::page(StatusCode::OK, &page, &Policy::default()))
}

pub async fn answer(State(services): State<Shared>, browser: Browser, PageForm(params): PageForm) -> Page {
    if !browser.sent(params.get("csrf")) {
        return Err(forged());
    }
    let cx = services.context();
    let question = question(&cx, &browser, &params).await?;
    let Some((session, _)) = signed_in(&services, &cx, &browser).await? else {
        return Ok(respond::see_other(&services.path(&sign_in_at(&question))));
    };
    let question = question.to(&cx, session.user).await?;
    let (decided, done) = match params.get("decision") {
        // RFC 6749 §4.1.2.1: the device hears `access_denied`, as an application that sends its user here does.
        Some("allow") if question.barred => (device::deny(&cx, &question).await?, "/device/done?outcome=denied"),
        Some("allow") => (device::allow(&cx, &question, &session).await?, "/device/done?outcome=allowed"),
        Some("deny") => (device::deny(&cx, &question).await?, "/device/done?outcome=denied"),
        Some("switch") => {
            let sign_in = format!("{}&switch=1", sign_in_at(&question));
            return Ok(respond::see_other(&services.path(&sign_in)));
        }
        // Nothing was decided, so nothing happens: the question stands.
        _ => return Ok(respond::see_other(&services.path(&confirm_at(question.request.id)))),
    };
    if decided { Ok(respond::see_other(&services.path(done))) } else { Err(gone()) }
}

pub async fn done(State(services): State<Shared>, PageQuery(params): PageQuery) -> Page {
    // Words of our own: the address only tells which.
    let page = DonePage { site: Site::of(&services), allowed: params.get("outcome") == Some("allowed") };
    Ok(respond::page(StatusCode::OK, &page, &Policy::default()))
}

fn sign_in_at(question: &Question) -> String {
    format!("/sign-in?device={}", question.request.id)
}

fn gone() -> PageError {
    invalid_request("this code has expired or was answered before; ask your device for another").into()
}

/// The question that an address or a form names, if its code was entered in this browser.
async fn question(cx: &Context, browser: &Browser, params: &Params) -> Result<Question, PageError> {
    let id = params.get("request").and_then(GrantId::parse).ok_or_else(gone)?;
    let owner = browser.id().ok_or_else(gone)?;
    device::question(cx, id, owner).await?.ok_or_else(gone)
}

async fn signed_in(services: &Services, cx: &Context, browser: &Browser) -> Result<Option<(Session, User)>, PageError> {
    Ok(services.accounts.signed_in(browser.session(), cx.now).await?)
}
