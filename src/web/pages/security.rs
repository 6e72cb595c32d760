//! `/account/security`: how somebody signs in, and what they may change of it.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::linked::{self, LinkedView};
use super::second::{CodesPage, SetUpView};
use super::sign_in::{Next, prove};
use super::words::ago;
use super::{Site, forged};
use crate::types::{Factor, FactorId, Params, Passkey, Session, Timestamp, User};
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery};
use crate::web::respond::{self, PageError, Policy};
use crate::web::{Services, Shared};

type Page = Result<Response, PageError>;

#[derive(Template)]
#[template(path = "security.html")]
struct SecurityPage {
    site: Site,
    csrf: String,
    username: String,
    /// With whether it is known to be theirs.
    email: Option<(String, bool)>,
    /// Whether mail goes out, without which no address can be proved.
    mail: bool,
    notice: Option<&'static str>,
    /// Whether one can be added.
    can_have_passkeys: bool,
    passkeys: Vec<OwnView>,
    apps: Vec<OwnView>,
    codes_left: i64,
    linked: Option<LinkedView>,
}

/// An app or a passkey of theirs.
struct OwnView {
    id: String,
    name: String,
    added: String,
    used: Option<String>,
}

#[derive(Template)]
#[template(path = "add_app.html")]
struct AddPage {
    site: Site,
    csrf: String,
    set_up: SetUpView,
    name: String,
    error: Option<&'static str>,
}

impl OwnView {
    fn app(factor: &Factor, now: Timestamp) -> Self {
        Self::of((factor.id, &factor.name), (factor.created_at, factor.used_at), now)
    }

    fn passkey(passkey: &Passkey, now: Timestamp) -> Self {
        Self::of((passkey.id, &passkey.name), (passkey.created_at, passkey.used_at), now)
    }

    fn of((id, name): (FactorId, &str), (added, used): (Timestamp, Option<Timestamp>), now: Timestamp) -> Self {
        let (added, used) = (ago(added, now), used.map(|at| ago(at, now)));
        Self { id: id.to_string(), name: name.to_owned(), added, used }
    }
}

pub async fn show(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    let now = services.clock.now();
    let Some((_, user)) = services.accounts.signed_in(browser.session(), now).await? else {
        return Ok(prove(&services, Next::Security));
    };
    let apps = services.accounts.factors(user.id, now).await?;
    let passkeys = services.accounts.passkeys(user.id).await?;
    let page = SecurityPage {
        site: Site::of(&services),
        csrf: browser.csrf(&services).await?,
        codes_left: services.store.recovery_codes_left(user.id).await?,
        can_have_passkeys: services.accounts.can_have_passkeys(),
        passkeys: passkeys.iter().map(|passkey| OwnView::passkey(passkey, now)).collect(),
        apps: apps.iter().map(|factor| OwnView::app(factor, now)).collect(),
        email: user.email.map(|email| (email, user.email_verified)),
        mail: services.config.mail.is_on(),
        linked: LinkedView::of(&services, user.id, now).await?,
        username: user.username,
        // Words from our own list, never text from the address.
        notice: match params.get("done") {
            Some("password") => Some("Your password is changed."),
            Some("added") => Some("The app is set up. You will be asked for its code when you sign in."),
            Some("removed") => Some("The app was removed. Its codes are worth nothing any more."),
            Some("passkey") => Some("The passkey was added. You can sign in with it from now on."),
            Some("passkey-renamed") => Some("The passkey has another name."),
            Some("passkey-removed") => {
                Some("The passkey was removed. Your device may offer it still: remove it there, too.")
            }
            Some("kept") => {
                Some("Nothing was removed. Here everybody needs an app or a passkey: add another one first.")
            }
            done => done.and_then(linked::notice),
        },
    };
    Ok(respond::page(StatusCode::OK, &page, &Policy::default()))
}

pub async fn begin(State(services): State<Shared>, mut browser: Browser) -> Page {
    let Some((_, user)) = fresh(&services, &browser).await? else { return Ok(prove(&services, Next::Security)) };
    add_page(&services, &mut browser, (&user, String::new()), None).await
}

pub async fn add(State(services): State<Shared>, mut browser: Browser, PageForm(params): PageForm) -> Page {
    let Some((_, user)) = own_form(&services, &browser, &params).await? else {
        return Ok(prove(&services, Next::Security));
    };
    let (code, name) = (params.get("code").unwrap_or_default(), params.get("name").unwrap_or_default());
    match services.accounts.confirm(user.id, (code, name), services.clock.now()).await? {
        Some(codes) if codes.is_empty() => Ok(respond::see_other(&services.path("/account/security?done=added"))),
        Some(codes) => Ok(CodesPage::response(&services, &codes, services.path("/account/security?done=added"))),
        None => {
            let error = "That is not the code that belongs to this key. Enter the one that the app shows now.";
            add_page(&services, &mut browser, (&user, name.to_owned()), Some(error)).await
        }
    }
}

pub async fn remove(State(services): State<Shared>, browser: Browser, PageForm(params): PageForm) -> Page {
    let Some((_, user)) = own_form(&services, &browser, &params).await? else {
        return Ok(prove(&services, Next::Security));
    };
    let removed = match params.get("app").and_then(FactorId::parse) {
        Some(id) => services.accounts.remove_factor(user.id, id, services.clock.now()).await?,
        None => false,
    };
    let done = if removed { "removed" } else { "kept" };
    Ok(respond::see_other(&services.path(&format!("/account/security?done={done}"))))
}

pub async fn renew_codes(State(services): State<Shared>, browser: Browser, PageForm(params): PageForm) -> Page {
    let Some((_, user)) = own_form(&services, &browser, &params).await? else {
        return Ok(prove(&services, Next::Security));
    };
    let codes = services.accounts.other_recovery_codes(user.id, services.clock.now()).await?;
    Ok(CodesPage::response(&services, &codes, services.path("/account/security")))
}

/// Who sent a form of these pages, and proved just now that it is them.
pub(super) async fn own_form(
    services: &Services,
    browser: &Browser,
    params: &Params,
) -> Result<Option<(Session, User)>, PageError> {
    if !browser.sent(params.get("csrf")) {
        return Err(forged());
    }
    fresh(services, browser).await
}

/// ASVS 7.5.1: whoever changes what proves who they are has to have proved it just now.
pub(super) async fn fresh(services: &Services, browser: &Browser) -> Result<Option<(Session, User)>, PageError> {
    let now = services.clock.now();
    let Some((session, user)) = services.accounts.signed_in(browser.session(), now).await? else { return Ok(None) };
    Ok(services.accounts.is_fresh(&session, now).await?.then_some((session, user)))
}

async fn add_page(
    services: &Services,
    browser: &mut Browser,
    (user, name): (&User, String),
    error: Option<&'static str>,
) -> Page {
    let set_up = services.accounts.set_up(user, services.clock.now()).await?;
    let page = AddPage {
        site: Site::of(services),
        csrf: browser.csrf(services).await?,
        set_up: SetUpView::of(&set_up)?,
        name,
        error,
    };
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(respond::page(status, &page, &Policy::default()))
}
