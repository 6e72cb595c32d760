//! `/sign-up`, and `/sign-up/confirm` behind the mailed link

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use super::error::sentence;
use super::links::{NoticePage, dead, taken, waits};
use super::recovery::too_many;
use super::sign_in::{Next, arrive, place};
use super::{Site, forged, second};
use crate::account::registration::{self, Invited, NewAccount, SignedUp};
use crate::account::sign_in::SignIn;
use crate::account::throttle::KnownBrowser;
use crate::config::sign_up::Who;
use crate::types::{Fault, Params, RequestId};
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery};
use crate::web::oauth::authorize::Waiting;
use crate::web::peer::Peer;
use crate::web::respond::{self, PageError, Policy};
use crate::web::{Services, Shared, known_browser};

type Page = Result<Response, PageError>;

#[derive(Template)]
#[template(path = "sign_up.html")]
struct SignUpPage {
    site: Site,
    csrf: String,
    request: Option<RequestId>,
    email: String,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "sign_up_confirm.html")]
struct ConfirmPage {
    site: Site,
    csrf: String,
    email: String,
    name: String,
    least: usize,
    name_error: Option<&'static str>,
    error: Option<String>,
}

pub async fn show(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    if params.get("done") == Some("sent") {
        let page = NoticePage {
            site: Site::of(&services),
            icon: "mail",
            title: "Look into your mail",
            lead: "A link is on its way to you. With it you go on.".to_owned(),
            hint: Some("It works once, for an hour. Nothing there? Look among the unwanted mail, or try again."),
            action: None,
        };
        return Ok(respond::page(StatusCode::OK, &page, &Policy::default()));
    }
    let now = services.clock.now();
    let request = waits(&services, &browser, params.get("request").and_then(RequestId::parse), now).await?;
    ask_page(&services, &mut browser, (request, String::new()), None).await
}

async fn ask_page(
    services: &Services,
    browser: &mut Browser,
    (request, email): (Option<RequestId>, String),
    error: Option<(StatusCode, String)>,
) -> Page {
    let (status, error) = error.map_or((StatusCode::OK, None), |(status, error)| (status, Some(error)));
    let page = SignUpPage { site: Site::of(services), csrf: browser.csrf(services).await?, request, email, error };
    Ok(respond::page(status, &page, &Policy::default()))
}

/// The same answer, whether the address has an account or not (ASVS 6.3.8).
pub async fn ask(State(services): State<Shared>, peer: Peer, mut browser: Browser, PageForm(params): PageForm) -> Page {
    if !browser.sent(params.get("csrf")) {
        return Err(forged());
    }
    let now = services.clock.now();
    let request = waits(&services, &browser, params.get("request").and_then(RequestId::parse), now).await?;
    let typed = params.get("email").unwrap_or_default();
    let Some(email) = registration::address(typed) else {
        let error = "This is not an e-mail address. One looks like name@example.org.".to_owned();
        let error = Some((StatusCode::UNPROCESSABLE_ENTITY, error));
        return ask_page(&services, &mut browser, (request, typed.to_owned()), error).await;
    };
    if let Some(at) = services.accounts.mail_waits(&email, peer.address, now).await? {
        let wait = at.since(now);
        let error = Some((StatusCode::TOO_MANY_REQUESTS, too_many(wait)));
        return Ok(respond::throttled(ask_page(&services, &mut browser, (request, email), error).await?, wait));
    }
    services.accounts.ask_to_sign_up(email, request, now).await?;
    Ok(respond::see_other(&services.path("/sign-up?done=sent")))
}

pub async fn confirm(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    if let Some(response) = taken(&services, &mut browser, &params, "/sign-up/confirm").await? {
        return Ok(response);
    }
    let invited = match browser.link() {
        Some(link) => services.accounts.invited(link, services.clock.now()).await?,
        None => None,
    };
    match invited {
        Some(invited) => confirm_page(&services, &mut browser, invited, Form::default()).await,
        None => gone(&services),
    }
}

/// What was typed, and what was wrong with it.
#[derive(Default)]
struct Form {
    name: String,
    name_error: Option<&'static str>,
    error: Option<String>,
}

async fn confirm_page(services: &Services, browser: &mut Browser, invited: Invited, form: Form) -> Page {
    let wrong = form.error.is_some() || form.name_error.is_some();
    let page = ConfirmPage {
        site: Site::of(services),
        csrf: browser.csrf(services).await?,
        email: invited.email,
        name: form.name,
        least: services.config.password.min_length,
        name_error: form.name_error,
        error: form.error,
    };
    let status = if wrong { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(respond::page(status, &page, &Policy::default()))
}

fn gone(services: &Services) -> Page {
    let open = services.config.sign_up.mode == Who::Open;
    let hint = if open { "If you have no account yet, begin anew." } else { "Ask whoever invited you for another." };
    dead(services, hint, open.then_some(("/sign-up", "Begin anew")))
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
    let Some(link) = browser.link() else { return gone(&services) };
    let now = services.clock.now();
    let name = params.get("name").unwrap_or_default();
    let id = browser.open_id(&services).await?;
    let place = place(&services, &browser, &id, (&headers, &peer));
    let known = place.known.clone();
    let new = NewAccount { name, password: params.get("password").unwrap_or_default().into(), place };
    let form = match services.accounts.sign_up(link, new, now).await? {
        SignedUp::Done(signed_in, request) => {
            return go_on(&services, &mut browser, (signed_in, &known), request).await;
        }
        SignedUp::Gone => return gone(&services),
        SignedUp::Taken => {
            let hint = "There is an account with this address already: sign in with it.";
            return dead(&services, hint, Some(("/sign-in", "Sign in")));
        }
        SignedUp::Busy => {
            return Err(Fault::unavailable(anyhow::anyhow!("too many passwords are being hashed")).into());
        }
        SignedUp::Name(error) => Form { name: name.to_owned(), name_error: Some(error), error: None },
        SignedUp::Weak(problem) => {
            Form { name: name.to_owned(), name_error: None, error: Some(sentence(&problem.to_string())) }
        }
    };
    match services.accounts.invited(link, now).await? {
        Some(invited) => confirm_page(&services, &mut browser, invited, form).await,
        None => gone(&services),
    }
}

/// On to what waited for the account, as after any sign-in.
async fn go_on(
    services: &Services,
    browser: &mut Browser,
    (signed_in, known): (SignIn, &KnownBrowser),
    request: Option<RequestId>,
) -> Page {
    let cx = services.context();
    let waiting = match waits(services, browser, request, cx.now).await? {
        Some(request) => {
            let params = Params::from_pairs(vec![("request".to_owned(), request.to_string())]);
            Some(Waiting::load(services, &cx, browser, &params).await?)
        }
        None => None,
    };
    match signed_in {
        SignIn::Done(session) => {
            let to = arrive(services, browser, waiting.as_ref(), (&session, Next::Account)).await?;
            Ok(known_browser::keep(services, known, session.user, respond::see_other(&to)))
        }
        SignIn::Second(sign_in) => {
            Ok(respond::see_other(&services.path(&second::page(sign_in, waiting.as_ref(), Next::Account))))
        }
        SignIn::Wrong | SignIn::Busy | SignIn::Throttled(_) => Ok(respond::see_other(&services.path("/sign-in"))),
    }
}
