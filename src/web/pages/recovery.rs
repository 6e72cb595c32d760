//! `/forgot-password` and `/reset-password`

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::error::sentence;
use super::links::{NoticePage, dead, taken, waits};
use super::words::at_least;
use super::{Site, forged};
use crate::account::recovery::{Chosen, Reset};
use crate::types::{Fault, RequestId};
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery};
use crate::web::peer::Peer;
use crate::web::respond::{self, PageError, Policy};
use crate::web::{Services, Shared};

type Page = Result<Response, PageError>;

#[derive(Template)]
#[template(path = "forgot_password.html")]
struct ForgotPage {
    site: Site,
    csrf: String,
    request: Option<RequestId>,
    username: String,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "reset_password.html")]
struct ResetPage {
    site: Site,
    csrf: String,
    username: String,
    least: usize,
    error: Option<String>,
}

pub async fn forgot(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    if let Some(done) = params.get("done") {
        return Ok(told(&services, done));
    }
    let now = services.clock.now();
    let request = waits(&services, &browser, params.get("request").and_then(RequestId::parse), now).await?;
    forgot_page(&services, &mut browser, (request, String::new()), None).await
}

/// What was done: words of our own, the address only tells which.
fn told(services: &Services, done: &str) -> Response {
    let site = Site::of(services);
    let page = if done == "undone" {
        NoticePage {
            site,
            icon: "check",
            title: "The old address is back",
            lead: "Everybody who was signed in is signed out.".to_owned(),
            hint: Some("Whoever changed the address may know your password: choose another one now."),
            action: Some(("/forgot-password", "Choose another password")),
        }
    } else {
        NoticePage {
            site,
            icon: "mail",
            title: "Look into your mail",
            lead: "If there is such an account, a link is on its way to its e-mail address.".to_owned(),
            hint: Some("It works once, for 15 minutes. Nothing there? Look among the unwanted mail, or try again."),
            action: None,
        }
    };
    respond::page(StatusCode::OK, &page, &Policy::default())
}

async fn forgot_page(
    services: &Services,
    browser: &mut Browser,
    (request, username): (Option<RequestId>, String),
    error: Option<(StatusCode, String)>,
) -> Page {
    let (status, error) = error.map_or((StatusCode::OK, None), |(status, error)| (status, Some(error)));
    let page = ForgotPage { site: Site::of(services), csrf: browser.csrf(services).await?, request, username, error };
    Ok(respond::page(status, &page, &Policy::default()))
}

/// The same answer, whoever is named (ASVS 6.3.8).
pub async fn ask(State(services): State<Shared>, peer: Peer, mut browser: Browser, PageForm(params): PageForm) -> Page {
    if !browser.sent(params.get("csrf")) {
        return Err(forged());
    }
    let now = services.clock.now();
    let request = waits(&services, &browser, params.get("request").and_then(RequestId::parse), now).await?;
    let login = params.get("username").unwrap_or_default().trim();
    if login.is_empty() {
        let error = "Type your user name or your e-mail address.".to_owned();
        let error = Some((StatusCode::UNPROCESSABLE_ENTITY, error));
        return forgot_page(&services, &mut browser, (request, String::new()), error).await;
    }
    if let Some(at) = services.accounts.mail_waits(login, peer.address, now).await? {
        let wait = at.since(now);
        let error = Some((StatusCode::TOO_MANY_REQUESTS, too_many(wait)));
        let page = forgot_page(&services, &mut browser, (request, login.to_owned()), error).await?;
        return Ok(respond::throttled(page, wait));
    }
    services.accounts.forgot_password(login, request, now).await?;
    Ok(respond::see_other(&services.path("/forgot-password?done=sent")))
}

/// In words, for who asks too often.
pub fn too_many(wait: Duration) -> String {
    format!("Several mails were asked for lately. Look into your mail, or wait {}, and try again.", at_least(wait))
}

pub async fn show(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    if let Some(response) = taken(&services, &mut browser, &params, "/reset-password").await? {
        return Ok(response);
    }
    let reset = match browser.link() {
        Some(link) => services.accounts.reset(link, services.clock.now()).await?,
        None => None,
    };
    match reset {
        Some(reset) => reset_page(&services, &mut browser, &reset, None).await,
        None => gone(&services),
    }
}

fn gone(services: &Services) -> Page {
    let action = services.config.mail.is_on().then_some(("/forgot-password", "Send another link"));
    dead(services, "Your password is what it was.", action)
}

async fn reset_page(services: &Services, browser: &mut Browser, reset: &Reset, error: Option<String>) -> Page {
    let page = ResetPage {
        site: Site::of(services),
        csrf: browser.csrf(services).await?,
        username: reset.user.username.clone(),
        least: services.config.password.min_length,
        error,
    };
    let status = if page.error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(respond::page(status, &page, &Policy::default()))
}

/// Signs nobody in: whatever else signing in asks for is asked then (ASVS 6.4.3).
pub async fn answer(State(services): State<Shared>, mut browser: Browser, PageForm(params): PageForm) -> Page {
    if !browser.sent(params.get("csrf")) {
        return Err(forged());
    }
    let Some(link) = browser.link() else { return gone(&services) };
    let now = services.clock.now();
    let password = params.get("password").unwrap_or_default().into();
    match services.accounts.choose_password(link, password, now).await? {
        Chosen::Done(request) => {
            let request = waits(&services, &browser, request, now).await?;
            let request = request.map(|request| format!("&request={request}")).unwrap_or_default();
            Ok(respond::see_other(&services.path(&format!("/sign-in?done=password{request}"))))
        }
        Chosen::Weak(problem) => match services.accounts.reset(link, now).await? {
            Some(reset) => reset_page(&services, &mut browser, &reset, Some(sentence(&problem.to_string()))).await,
            None => gone(&services),
        },
        Chosen::Gone => gone(&services),
        Chosen::Busy => Err(Fault::unavailable(anyhow::anyhow!("too many passwords are being hashed")).into()),
    }
}
