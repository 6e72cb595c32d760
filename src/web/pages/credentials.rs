//! `/account/password` and `/account/email`, and the pages behind the links that confirm or undo another address

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use super::account::own_form;
use super::error::sentence;
use super::links::{NoticePage, dead, taken};
use super::recovery::too_many;
use super::sign_in::{Next, prove, wait_words};
use super::{Site, forged};
use crate::account::change_password::{NewPassword, PasswordChange};
use crate::account::email::{Change, Changed};
use crate::account::registration;
use crate::types::{Fault, User};
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery};
use crate::web::peer::Peer;
use crate::web::respond::{self, PageError, Policy};
use crate::web::{Services, Shared, known_browser};

type Page = Result<Response, PageError>;

const WRONG: &str = "The password is not right. Try again.";

#[derive(Template)]
#[template(path = "password.html")]
struct PasswordPage {
    site: Site,
    csrf: String,
    username: String,
    least: usize,
    wrong: Option<String>,
    error: Option<String>,
}

#[derive(Template)]
#[template(path = "email.html")]
struct EmailPage {
    site: Site,
    csrf: String,
    /// That they have.
    email: Option<String>,
    typed: String,
    error: Option<String>,
}

/// Whether somebody who holds a mailed link wants what it is for.
#[derive(Template)]
#[template(path = "confirm.html")]
struct ConfirmPage {
    site: Site,
    csrf: String,
    icon: &'static str,
    title: &'static str,
    email: String,
    username: String,
    hint: &'static str,
    path: &'static str,
    button: &'static str,
}

fn busy() -> PageError {
    Fault::unavailable(anyhow::anyhow!("too many passwords are being hashed")).into()
}

pub async fn password(State(services): State<Shared>, mut browser: Browser) -> Page {
    let now = services.clock.now();
    let Some((session, user)) = services.accounts.signed_in(browser.session(), now).await? else {
        return Ok(prove(&services, Next::Password));
    };
    if !services.accounts.may_change_password(&session, now).await? {
        return Ok(prove(&services, Next::Password));
    }
    password_page(&services, &mut browser, &user, (None, None)).await
}

async fn password_page(
    services: &Services,
    browser: &mut Browser,
    user: &User,
    (wrong, error): (Option<String>, Option<String>),
) -> Page {
    let status = if wrong.is_some() || error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    let page = PasswordPage {
        site: Site::of(services),
        csrf: browser.csrf(services).await?,
        username: user.username.clone(),
        least: services.config.password.min_length,
        wrong,
        error,
    };
    Ok(respond::page(status, &page, &Policy::default()))
}

pub async fn change_password(
    State(services): State<Shared>,
    peer: Peer,
    headers: HeaderMap,
    mut browser: Browser,
    PageForm(params): PageForm,
) -> Page {
    let now = services.clock.now();
    let Some((session, user)) = own_form(&services, &browser, params.get("csrf")).await? else {
        return Ok(prove(&services, Next::Password));
    };
    if !services.accounts.may_change_password(&session, now).await? {
        return Ok(prove(&services, Next::Password));
    }
    let wanted = NewPassword {
        current: params.get("current").unwrap_or_default().into(),
        new: params.get("password").unwrap_or_default().into(),
        end_others: params.get("end_others").is_some(),
        address: peer.address,
        known: known_browser::read(&services, &headers),
    };
    let problems = match services.accounts.change_password(&session, &user, wanted, now).await? {
        PasswordChange::Done => {
            // ASVS 7.2.4
            browser.sign_in(&services, session.id).await?;
            return Ok(respond::see_other(&services.path("/account/security?done=password")));
        }
        PasswordChange::Wrong => (Some(WRONG.to_owned()), None),
        PasswordChange::Throttled(at) => {
            let wait = at.since(now);
            let page = password_page(&services, &mut browser, &user, (Some(wait_words(wait)), None)).await?;
            return Ok(respond::throttled(page, wait));
        }
        PasswordChange::Weak(problem) => (None, Some(sentence(&problem.to_string()))),
        PasswordChange::Busy => return Err(busy()),
    };
    password_page(&services, &mut browser, &user, problems).await
}

pub async fn email(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    if params.get("done") == Some("sent") {
        let page = NoticePage {
            site: Site::of(&services),
            icon: "mail",
            title: "Look into your mail",
            lead: "A link is on its way to the new address. When you have opened it there, the address counts."
                .to_owned(),
            hint: Some("It works once, for an hour. Until then nothing changes."),
            action: Some(("/account", "Back to your account")),
        };
        return Ok(respond::page(StatusCode::OK, &page, &Policy::default()));
    }
    let now = services.clock.now();
    let Some((session, user)) = services.accounts.signed_in(browser.session(), now).await? else {
        return Ok(prove(&services, Next::Email));
    };
    // ASVS 7.5.1
    if !services.accounts.is_fresh(&session, now).await? {
        return Ok(prove(&services, Next::Email));
    }
    email_page(&services, &mut browser, (&user, String::new()), None).await
}

async fn email_page(
    services: &Services,
    browser: &mut Browser,
    (user, typed): (&User, String),
    error: Option<(StatusCode, String)>,
) -> Page {
    let (status, error) = error.map_or((StatusCode::OK, None), |(status, error)| (status, Some(error)));
    let (site, csrf, email) = (Site::of(services), browser.csrf(services).await?, user.email.clone());
    Ok(respond::page(status, &EmailPage { site, csrf, email, typed, error }, &Policy::default()))
}

/// The same answer, whether the new address is somebody's or not (ASVS 6.3.8).
pub async fn ask_for_email(
    State(services): State<Shared>,
    peer: Peer,
    mut browser: Browser,
    PageForm(params): PageForm,
) -> Page {
    let Some((session, user)) = own_form(&services, &browser, params.get("csrf")).await? else {
        return Ok(prove(&services, Next::Email));
    };
    let now = services.clock.now();
    if !services.accounts.is_fresh(&session, now).await? {
        return Ok(prove(&services, Next::Email));
    }
    let typed = params.get("email").unwrap_or_default();
    let own_already =
        |email: &String| user.email.as_ref().is_some_and(|own| own.to_lowercase() == email.to_lowercase());
    let wrong = |words: &str| Some((StatusCode::UNPROCESSABLE_ENTITY, words.to_owned()));
    let Some(email) = registration::address(typed) else {
        let error = wrong("This is not an e-mail address. One looks like name@example.org.");
        return email_page(&services, &mut browser, (&user, typed.to_owned()), error).await;
    };
    // One that was never proved can be proved.
    if own_already(&email) && user.email_verified {
        let error = wrong("This is the address that you have.");
        return email_page(&services, &mut browser, (&user, email), error).await;
    }
    if let Some(at) = services.accounts.mail_waits(&user.id.to_string(), peer.address, now).await? {
        let wait = at.since(now);
        let error = Some((StatusCode::TOO_MANY_REQUESTS, too_many(wait)));
        return Ok(respond::throttled(email_page(&services, &mut browser, (&user, email), error).await?, wait));
    }
    services.accounts.ask_for_email(session.id, email, now).await?;
    Ok(respond::see_other(&services.path("/account/email?done=sent")))
}

pub async fn confirm(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    if params.get("done").is_some() {
        let page = NoticePage {
            site: Site::of(&services),
            icon: "check",
            title: "The new address counts from now on",
            lead: "The one before is told.".to_owned(),
            hint: None,
            action: Some(("/account", "Your account")),
        };
        return Ok(respond::page(StatusCode::OK, &page, &Policy::default()));
    }
    if let Some(response) = taken(&services, &mut browser, &params, "/account/email/confirm").await? {
        return Ok(response);
    }
    let change = match browser.link() {
        Some(link) => services.accounts.email_to_confirm(link, services.clock.now()).await?,
        None => None,
    };
    let Some(Change { user, email }) = change else { return gone(&services) };
    let page = ConfirmPage {
        site: Site::of(&services),
        csrf: browser.csrf(&services).await?,
        icon: "mail",
        title: "Use this e-mail address?",
        email,
        username: user.username,
        hint: "The address that the account has now is told, and can take it back for seven days.",
        path: "/account/email/confirm",
        button: "Use it",
    };
    Ok(respond::page(StatusCode::OK, &page, &Policy::default()))
}

fn gone(services: &Services) -> Page {
    dead(services, "The account has the address that it had.", Some(("/account", "Your account")))
}

fn taken_since(services: &Services) -> Page {
    dead(services, "The address belongs to another account by now.", Some(("/account", "Your account")))
}

pub async fn confirmed(State(services): State<Shared>, browser: Browser, PageForm(params): PageForm) -> Page {
    if !browser.sent(params.get("csrf")) {
        return Err(forged());
    }
    let Some(link) = browser.link() else { return gone(&services) };
    match services.accounts.confirm_email(link, services.clock.now()).await? {
        Changed::Done => Ok(respond::see_other(&services.path("/account/email/confirm?done=confirmed"))),
        Changed::Gone => gone(&services),
        Changed::Taken => taken_since(&services),
    }
}

pub async fn undo(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    if let Some(response) = taken(&services, &mut browser, &params, "/account/email/undo").await? {
        return Ok(response);
    }
    let change = match browser.link() {
        Some(link) => services.accounts.email_to_restore(link, services.clock.now()).await?,
        None => None,
    };
    let Some(Change { user, email }) = change else { return gone(&services) };
    let page = ConfirmPage {
        site: Site::of(&services),
        csrf: browser.csrf(&services).await?,
        icon: "warning",
        title: "Take the old address back?",
        email,
        username: user.username,
        hint: "Everybody who is signed in to the account is signed out. After that, choose another password.",
        path: "/account/email/undo",
        button: "Take it back",
    };
    Ok(respond::page(StatusCode::OK, &page, &Policy::default()))
}

pub async fn undone(State(services): State<Shared>, browser: Browser, PageForm(params): PageForm) -> Page {
    if !browser.sent(params.get("csrf")) {
        return Err(forged());
    }
    let Some(link) = browser.link() else { return gone(&services) };
    match services.accounts.restore_email(link, services.clock.now()).await? {
        // Whoever was in there may know the password.
        Changed::Done => Ok(respond::see_other(&services.path("/forgot-password?done=undone"))),
        Changed::Gone => gone(&services),
        Changed::Taken => taken_since(&services),
    }
}
