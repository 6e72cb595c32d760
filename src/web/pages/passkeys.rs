//! `/account/security/passkey`: adding, naming and removing passkeys; `POST /sign-in/passkey`: signing in with one;
//! `POST /sign-in/second/passkey`: adding the first, to go on.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use super::second::{self, CodesPage, Mistake};
use super::security::{fresh, own_form};
use super::sign_in::{Form, Next, arrive, place, prove, render, wait_words};
use super::{Site, forged};
use crate::account::ceremony::{Ceremony, Reply};
use crate::account::passkeys::{Added, NewPasskey, PasskeyAttempt};
use crate::account::sign_in::SignIn;
use crate::oauth::authorize::Step;
use crate::types::{FactorId, Params, SignInId, User};
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery};
use crate::web::oauth::authorize::Waiting;
use crate::web::peer::Peer;
use crate::web::respond::{self, PageError, Policy};
use crate::web::{Services, Shared, device, known_browser};

type Page = Result<Response, PageError>;

/// The same whatever was wrong with it (ASVS 6.3.8).
pub(super) const NOT_RIGHT: &str =
    "That did not work: the passkey is not known here, or the page was open for too long. Try again.";

const KNOWN: &str = "This passkey is added already. You can sign in with it.";

const NOT_ADDED: &str =
    "That did not work: your device did not make sure that it is you, or the page was open for too long. Try again.";

#[derive(Template)]
#[template(path = "add_passkey.html")]
struct AddPage {
    site: Site,
    csrf: String,
    passkey: Ceremony,
    name: String,
    error: Option<&'static str>,
}

#[derive(Template)]
#[template(path = "rename_passkey.html")]
struct RenamePage {
    site: Site,
    csrf: String,
    id: String,
    name: String,
}

/// What a browser answered, where it was asked for a passkey.
pub(super) fn reply(params: &Params) -> Option<Reply<'_>> {
    Some(Reply { state: params.get("challenge")?, answer: params.get("answer")? })
}

pub async fn sign_in(
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
    let waiting = match params.get("request") {
        Some(_) => Some(Waiting::load(&services, &cx, &browser, &params).await?),
        None => None,
    };
    let next = Next::of(&params);
    let id = browser.open_id(&services).await?;
    let place = place(&services, &browser, &id, (&headers, &peer));
    let known = place.known.clone();
    let reply = reply(&params).unwrap_or_default();
    let (words, wait) = match services.accounts.sign_in_by_passkey(PasskeyAttempt { reply, place }, cx.now).await? {
        SignIn::Done(session) => {
            let to = arrive(&services, &mut browser, waiting.as_ref(), (&session, next)).await?;
            return Ok(known_browser::keep(&services, &known, session.user, respond::see_other(&to)));
        }
        SignIn::Throttled(at) => (wait_words(at.since(cx.now)), Some(at.since(cx.now))),
        SignIn::Wrong | SignIn::Second(_) | SignIn::Busy => (NOT_RIGHT.to_owned(), None),
    };
    // Who has to prove it again stays on the page that names them.
    let again = match (params.get("again"), &waiting) {
        (Some(_), Some(waiting)) => match waiting.next(&cx, &browser).await? {
            Step::NeedSignIn(need) => need.again,
            _ => None,
        },
        (Some(_), None) => services.accounts.signed_in(browser.session(), cx.now).await?.map(|(_, user)| user),
        (None, _) => None,
    };
    let (locked, username) = (again.is_some(), again.map(|user| user.username).unwrap_or_default());
    let form = Form { username, locked, passkey_error: Some(words), next, ..Form::default() };
    let page = render(&services, &mut browser, waiting.as_ref(), form).await?;
    Ok(match wait {
        Some(wait) => respond::throttled(page, wait),
        None => page,
    })
}

pub async fn add_first(
    State(services): State<Shared>,
    headers: HeaderMap,
    mut browser: Browser,
    PageForm(params): PageForm,
) -> Page {
    if !browser.sent(params.get("csrf")) {
        return Err(forged());
    }
    let waiting = second::waiting(&services, &browser, &params).await?;
    let next = Next::of(&params);
    let Some(sign_in) = params.get("sign_in").and_then(SignInId::parse) else {
        return Ok(second::again(&services, waiting.as_ref(), next));
    };
    let id = browser.open_id(&services).await?;
    let (reply, name) = (reply(&params).unwrap_or_default(), device::name(&headers));
    let new = NewPasskey { reply, browser: &id, name: &name, waits: Some(sign_in) };
    let words = match services.accounts.add_first_passkey(new, services.clock.now()).await? {
        None => return Ok(second::again(&services, waiting.as_ref(), next)),
        Some(Added::Done(codes)) => {
            // There they show it.
            let go_on = services.path(&second::page(sign_in, waiting.as_ref(), next));
            return Ok(CodesPage::response(&services, &codes, go_on));
        }
        Some(Added::Known) => KNOWN,
        Some(Added::Refused) => NOT_ADDED,
    };
    let mistake = Mistake { of_passkey: true, words: words.to_owned() };
    second::render(&services, &mut browser, (sign_in, waiting.as_ref(), next), Some(mistake)).await
}

pub async fn begin(State(services): State<Shared>, headers: HeaderMap, mut browser: Browser) -> Page {
    let Some((_, user)) = fresh(&services, &browser).await? else { return Ok(prove(&services, Next::Security)) };
    add_page(&services, &mut browser, (&user, device::name(&headers)), None).await
}

pub async fn add(State(services): State<Shared>, mut browser: Browser, PageForm(params): PageForm) -> Page {
    let Some((_, user)) = own_form(&services, &browser, &params).await? else {
        return Ok(prove(&services, Next::Security));
    };
    let name = params.get("name").unwrap_or_default();
    let id = browser.open_id(&services).await?;
    let new = NewPasskey { reply: reply(&params).unwrap_or_default(), browser: &id, name, waits: None };
    let done = services.path("/account/security?done=passkey");
    let error = match services.accounts.add_passkey(&user, new, services.clock.now()).await? {
        Added::Done(codes) if codes.is_empty() => return Ok(respond::see_other(&done)),
        Added::Done(codes) => return Ok(CodesPage::response(&services, &codes, done)),
        Added::Known => KNOWN,
        Added::Refused => NOT_ADDED,
    };
    add_page(&services, &mut browser, (&user, name.to_owned()), Some(error)).await
}

pub async fn naming(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    let Some((_, user)) = fresh(&services, &browser).await? else { return Ok(prove(&services, Next::Security)) };
    let own = services.accounts.passkeys(user.id).await?;
    let passkey = own.into_iter().find(|passkey| Some(passkey.id) == named(&params)).ok_or(PageError::NotFound)?;
    let csrf = browser.csrf(&services).await?;
    let page = RenamePage { site: Site::of(&services), csrf, id: passkey.id.to_string(), name: passkey.name };
    Ok(respond::page(StatusCode::OK, &page, &Policy::default()))
}

pub async fn rename(State(services): State<Shared>, browser: Browser, PageForm(params): PageForm) -> Page {
    let Some((_, user)) = own_form(&services, &browser, &params).await? else {
        return Ok(prove(&services, Next::Security));
    };
    let id = named(&params).ok_or(PageError::NotFound)?;
    let name = params.get("name").unwrap_or_default();
    if !services.accounts.rename_passkey(user.id, id, name).await? {
        return Err(PageError::NotFound);
    }
    Ok(respond::see_other(&services.path("/account/security?done=passkey-renamed")))
}

pub async fn remove(State(services): State<Shared>, browser: Browser, PageForm(params): PageForm) -> Page {
    let Some((_, user)) = own_form(&services, &browser, &params).await? else {
        return Ok(prove(&services, Next::Security));
    };
    let removed = match named(&params) {
        Some(id) => services.accounts.remove_factor(user.id, id, services.clock.now()).await?,
        None => false,
    };
    let done = if removed { "passkey-removed" } else { "kept" };
    Ok(respond::see_other(&services.path(&format!("/account/security?done={done}"))))
}

fn named(params: &Params) -> Option<FactorId> {
    params.get("passkey").and_then(FactorId::parse)
}

async fn add_page(
    services: &Services,
    browser: &mut Browser,
    (user, name): (&User, String),
    error: Option<&'static str>,
) -> Page {
    let id = browser.open_id(services).await?;
    let asked = services.accounts.ask_for_new_passkey(user, &id, services.clock.now()).await?;
    let Some(passkey) = asked else { return Err(PageError::NotFound) };
    let csrf = browser.csrf(services).await?;
    let page = AddPage { site: Site::of(services), csrf, passkey, name, error };
    let status = if error.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(respond::page(status, &page, &Policy { script: true, ..Policy::default() }))
}
