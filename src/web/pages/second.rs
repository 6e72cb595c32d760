//! `GET` and `POST /sign-in/second`: the second step of a sign-in, by a passkey or a code; where there is neither yet, an
//! app is set up.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use secrecy::{ExposeSecret, SecretString};

use super::passkeys::{NOT_RIGHT, reply};
use super::qr::Qr;
use super::sign_in::{Next, arrive, place, wait_words};
use super::{ClientView, Site, forged};
use crate::account::ceremony::Ceremony;
use crate::account::second_factor::SetUp;
use crate::account::sign_in::{Awaited, SecondAttempt, SecondStep, Shown};
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
    title: &'static str,
    sign_in: SignInId,
    request: Option<String>,
    next: Next,
    client: Option<ClientView>,
    username: String,
    /// Where they have nothing yet.
    set_up: Option<SetUpView>,
    has_app: bool,
    /// The one to show; the one to add of whoever has nothing yet.
    passkey: Option<Ceremony>,
    shows_passkey: bool,
    /// What is typed.
    label: &'static str,
    error: Option<String>,
    passkey_error: Option<String>,
}

/// What was wrong with what was shown.
pub(super) struct Mistake {
    pub of_passkey: bool,
    pub words: String,
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
    let reply = reply(&params);
    let of_passkey = reply.is_some();
    let shown = reply.map_or_else(|| Shown::Code(params.get("code").unwrap_or_default()), Shown::Passkey);
    let attempt = SecondAttempt { sign_in, shown, place };
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
            let words = if of_passkey {
                NOT_RIGHT
            } else {
                "That code is not right, or was used before. Wait for the next one and enter that."
            };
            let mistake = Mistake { of_passkey, words: words.to_owned() };
            render(&services, &mut browser, (sign_in, waiting.as_ref(), next), Some(mistake)).await
        }
        SecondStep::Throttled(at) => {
            let wait = at.since(cx.now);
            let page = (sign_in, waiting.as_ref(), next);
            let mistake = Mistake { of_passkey, words: wait_words(wait) };
            Ok(respond::throttled(render(&services, &mut browser, page, Some(mistake)).await?, wait))
        }
        SecondStep::Gone => Ok(again(&services, waiting.as_ref(), next)),
    }
}

/// The password comes first again.
pub(super) fn again(services: &Services, waiting: Option<&Waiting>, next: Next) -> Response {
    let page = match (waiting, next.field()) {
        (Some(waiting), _) => waiting.resume_at(),
        (None, Some((name, value))) => format!("/sign-in?{name}={value}"),
        (None, None) => "/sign-in".to_owned(),
    };
    respond::see_other(&services.path(&page))
}

pub(super) async fn waiting(
    services: &Services,
    browser: &Browser,
    params: &Params,
) -> Result<Option<Waiting>, PageError> {
    match params.get("request") {
        Some(_) => Ok(Some(Waiting::load(services, &services.context(), browser, params).await?)),
        None => Ok(None),
    }
}

pub(super) async fn render(
    services: &Services,
    browser: &mut Browser,
    (sign_in, waiting, next): (SignInId, Option<&Waiting>, Next),
    mistake: Option<Mistake>,
) -> Page {
    let now = services.clock.now();
    let id = browser.open_id(services).await?;
    let Some(awaited) = services.accounts.waiting_sign_in(sign_in, &id, now).await? else {
        return Ok(again(services, waiting, next));
    };
    let Awaited { user, set_up, has_app, passkey } = awaited;
    let (title, label) = match (&set_up, has_app, &passkey) {
        (Some(_), ..) => ("Set up an authenticator app", "Six digits"),
        (None, true, None) => ("Enter your code", "Code"),
        (None, true, Some(_)) => ("Show that it is you", "Code of your app"),
        (None, false, _) => ("Show that it is you", "Recovery code"),
    };
    let (script, shows_passkey) = (passkey.is_some(), passkey.is_some() && set_up.is_none());
    let status = if mistake.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = SecondPage {
        site: Site::of(services),
        csrf: browser.csrf(services).await?,
        title,
        sign_in,
        request: waiting.map(|waiting| waiting.pending.id.to_string()),
        next,
        client: waiting.map(|waiting| ClientView::of(&waiting.validated.client, &waiting.validated.target)),
        username: user.username,
        set_up: set_up.as_ref().map(SetUpView::of).transpose()?,
        has_app,
        passkey,
        shows_passkey,
        label,
        error: mistake.as_ref().filter(|mistake| !mistake.of_passkey).map(|mistake| mistake.words.clone()),
        passkey_error: mistake.filter(|mistake| mistake.of_passkey).map(|mistake| mistake.words),
    };
    let form_action = waiting.map(|waiting| waiting.validated.target.form_action());
    Ok(respond::page(status, &page, &Policy { form_action, script, ..Policy::default() }))
}
