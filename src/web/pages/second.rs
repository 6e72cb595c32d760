//! `GET` and `POST /sign-in/second`: the second step of a sign-in, by a code; where there is no app yet, it is set up.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};

use super::qr::Qr;
use super::sign_in::{Next, arrive, place, wait_words};
use super::{ClientView, Site, forged};
use crate::account::second_factor::SetUp;
use crate::account::sign_in::{SecondAttempt, SecondStep};
use crate::oauth::authorize::Step;
use crate::types::{Fault, Params, SignInId};
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery};
use crate::web::known_browser;
use crate::web::oauth::authorize::Waiting;
use crate::web::peer::Peer;
use crate::web::respond::{self, PageError, Policy};
use crate::web::{Services, Shared};

type Page = Result<Response, PageError>;

#[derive(Template)]
#[template(path = "second.html")]
struct SecondPage {
    site: Site,
    csrf: String,
    sign_in: SignInId,
    request: Option<String>,
    next: Next,
    client: Option<ClientView>,
    username: String,
    /// Where they have no app yet.
    set_up: Option<SetUpView>,
    error: Option<String>,
}

/// Recovery codes, shown this once, and where its reader goes on.
#[derive(Template)]
#[template(path = "recovery_codes.html")]
pub struct CodesPage {
    site: Site,
    codes: Vec<String>,
    go_on: String,
}

/// An app to be set up.
pub struct SetUpView {
    pub qr: Qr,
    pub text: String,
}

impl SetUpView {
    pub fn of(set_up: &SetUp) -> Result<Self, Fault> {
        Ok(Self { qr: Qr::of(&set_up.uri)?, text: set_up.text.expose_secret().to_owned() })
    }
}

impl CodesPage {
    pub fn response(services: &Services, codes: &[SecretString], go_on: String) -> Response {
        let codes = codes.iter().map(|code| code.expose_secret().to_owned()).collect();
        respond::page(StatusCode::OK, &Self { site: Site::of(services), codes, go_on }, &Policy::default())
    }
}

/// The address of the page of a sign-in that waits for its second step.
pub fn page(sign_in: SignInId, waiting: Option<&Waiting>, next: Next) -> String {
    let request = waiting.map(|waiting| ("request", waiting.pending.id.to_string()));
    let fields = request.or_else(|| next.field()).into_iter();
    fields.fold(format!("/sign-in/second?sign_in={sign_in}"), |page, (name, value)| format!("{page}&{name}={value}"))
}

pub async fn show(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    let cx = services.context();
    let waiting = waiting(&services, &browser, &params).await?;
    if let Some(sign_in) = params.get("sign_in").and_then(SignInId::parse) {
        return render(&services, &mut browser, (sign_in, waiting.as_ref(), Next::of(&params)), None).await;
    }
    // Of somebody who is signed in, an application wants to know more.
    let Some(waiting) = waiting else { return Ok(respond::see_other(&services.path("/sign-in"))) };
    let Step::NeedSecondFactor(session) = waiting.next(&cx, &browser).await? else {
        return Ok(respond::see_other(&services.path(&waiting.resume_at())));
    };
    let id = browser.open_id(&services).await?;
    let sign_in = services.accounts.raise(&session, &id, cx.now).await?;
    Ok(respond::see_other(&services.path(&page(sign_in, Some(&waiting), Next::Account))))
}

pub async fn answer(
    State(services): State<Shared>,
    peer: Peer,
    headers: HeaderMap,
    mut browser: Browser,
    PageForm(params): PageForm,
) -> Page {
    if !browser.sent(params.get("csrf")) {
        return Err(forged());
    }
    let cx = services.context();
    let waiting = waiting(&services, &browser, &params).await?;
    if let (Some("cancel"), Some(waiting)) = (params.get("decision"), &waiting) {
        return waiting.deny(&services, &cx).await;
    }
    let next = Next::of(&params);
    let Some(sign_in) = params.get("sign_in").and_then(SignInId::parse) else {
        return Ok(again(&services, waiting.as_ref(), next));
    };
    let id = browser.open_id(&services).await?;
    let place = place(&services, &browser, &id, (&headers, &peer));
    let known = place.known.clone();
    let attempt = SecondAttempt { sign_in, code: params.get("code").unwrap_or_default(), place };
    match services.accounts.second_step(attempt, cx.now).await? {
        SecondStep::Done { session, recovery_codes } => {
            let to = arrive(&services, &mut browser, waiting.as_ref(), (&session, next)).await?;
            let response = if recovery_codes.is_empty() {
                respond::see_other(&to)
            } else {
                CodesPage::response(&services, &recovery_codes, to)
            };
            Ok(known_browser::keep(&services, &known, session.user, response))
        }
        SecondStep::Wrong => {
            let error = "That code is not right, or was used before. Wait for the next one and enter that.";
            render(&services, &mut browser, (sign_in, waiting.as_ref(), next), Some(error.to_owned())).await
        }
        SecondStep::Throttled(at) => {
            let wait = at.since(cx.now);
            let page = (sign_in, waiting.as_ref(), next);
            Ok(respond::throttled(render(&services, &mut browser, page, Some(wait_words(wait))).await?, wait))
        }
        SecondStep::Gone => Ok(again(&services, waiting.as_ref(), next)),
    }
}

/// The password comes first again.
fn again(services: &Services, waiting: Option<&Waiting>, next: Next) -> Response {
    let page = match (waiting, next.field()) {
        (Some(waiting), _) => waiting.resume_at(),
        (None, Some((name, value))) => format!("/sign-in?{name}={value}"),
        (None, None) => "/sign-in".to_owned(),
    };
    respond::see_other(&services.path(&page))
}

async fn waiting(services: &Services, browser: &Browser, params: &Params) -> Result<Option<Waiting>, PageError> {
    match params.get("request") {
        Some(_) => Ok(Some(Waiting::load(services, &services.context(), browser, params).await?)),
        None => Ok(None),
    }
}

async fn render(
    services: &Services,
    browser: &mut Browser,
    (sign_in, waiting, next): (SignInId, Option<&Waiting>, Next),
    error: Option<String>,
) -> Page {
    let now = services.clock.now();
    let id = browser.open_id(services).await?;
    let Some((user, set_up)) = services.accounts.waiting_sign_in(sign_in, &id, now).await? else {
        return Ok(again(services, waiting, next));
    };
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = SecondPage {
        site: Site::of(services),
        csrf: browser.csrf(services).await?,
        sign_in,
        request: waiting.map(|waiting| waiting.pending.id.to_string()),
        next,
        client: waiting.map(|waiting| ClientView::of(&waiting.validated.client, &waiting.validated.target)),
        username: user.username,
        set_up: set_up.as_ref().map(SetUpView::of).transpose()?,
        error,
    };
    let form_action = waiting.map(|waiting| waiting.validated.target.form_action());
    Ok(respond::page(status, &page, &Policy { form_action, ..Policy::default() }))
}
