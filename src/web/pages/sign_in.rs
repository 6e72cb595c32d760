//! `GET` and `POST /sign-in`

use std::time::Duration;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::{HeaderMap, StatusCode};

use super::device::confirm_at;
use super::words::at_least;
use super::{ClientView, LinkView, Site, forged, second, upstream};
use crate::account::ceremony::Ceremony;
use crate::account::sign_in::{Attempt, Place, SignIn};
use crate::config::sign_up::Who;
use crate::oauth::Context;
use crate::oauth::authorize::{NeedSignIn, Step};
use crate::store::Ending;
use crate::types::{Fault, GrantId, OfferId, Params, Session};
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery};
use crate::web::oauth::authorize::{Waiting, gone};
use crate::web::peer::Peer;
use crate::web::respond::{self, PageError, Policy};
use crate::web::{Services, Shared};
use crate::web::{device, known_browser};

type Page = Result<Response, PageError>;

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    site: Site,
    csrf: String,
    request: Option<String>,
    next: Next,
    client: Option<ClientView>,
    links: Vec<LinkView>,
    username: String,
    locked_username: bool,
    error: Option<String>,
    passkey: Option<Ceremony>,
    passkey_error: Option<String>,
    /// Whether staying signed in is wished for, where it can be.
    remember: Option<bool>,
    /// Whether a forgotten password can be replaced by mail.
    recovery: bool,
    /// Whether everybody may make an account.
    sign_up: bool,
    notice: Option<&'static str>,
    /// Other providers, by name and title, and why one was of no use just now.
    upstreams: Vec<(String, String)>,
    turned_back: Option<&'static str>,
}

pub async fn show(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    let cx = services.context();
    let turned_back = upstream::turned_back(&params);
    if params.get("request").is_none() {
        // Straight to the account, or to a device, without an application that one returns to.
        let next = Next::of(&params);
        let switch = matches!(next, Next::Device(_)) && params.get("switch").is_some();
        let present = services.accounts.signed_in(browser.session(), cx.now).await?.filter(|_| !switch);
        let form = match (present, next) {
            // Who is there must prove it again.
            (
                Some((session, user)),
                Next::Security | Next::Profile | Next::Tokens | Next::Email | Next::Password | Next::Link(_),
            ) if !services.accounts.is_fresh(&session, cx.now).await? => {
                Form { username: user.username, locked: true, next, turned_back, ..Form::default() }
            }
            (Some(_), _) => return Ok(respond::see_other(&services.path(&next.path()))),
            (None, _) => Form { next, notice: notice(&params), turned_back, ..Form::default() },
        };
        return render(&services, &mut browser, None, form).await;
    }
    let waiting = Waiting::load(&services, &cx, &browser, &params).await?;
    let hint = waiting.validated.request.login_hint.clone().unwrap_or_default();
    // Somebody else wants to sign in: whoever is there now does not matter.
    if params.get("switch").is_some() {
        return render(&services, &mut browser, Some(&waiting), Form { username: hint, ..Form::default() }).await;
    }
    match waiting.next(&cx, &browser).await? {
        Step::NeedSignIn(need) => {
            let form = match need.again {
                Some(user) => Form { username: user.username, locked: true, turned_back, ..Form::default() },
                None => Form { username: hint, notice: notice(&params), turned_back, ..Form::default() },
            };
            render(&services, &mut browser, Some(&waiting), form).await
        }
        _ => Ok(respond::see_other(&services.path(&waiting.resume_at()))),
    }
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
    let waiting = match params.get("request") {
        Some(_) => Some(Waiting::load(&services, &cx, &browser, &params).await?),
        None => None,
    };
    if let (Some("cancel"), Some(waiting)) = (params.get("decision"), &waiting) {
        return waiting.deny(&services, &cx).await;
    }
    let id = browser.open_id(&services).await?;
    let remembered = services.config.session.remembered_lifetime.is_some() && params.get("remember").is_some();
    let attempt = Attempt {
        login: params.get("username").unwrap_or_default(),
        password: params.get("password").unwrap_or_default().into(),
        place: Place { remembered, ..place(&services, &browser, &id, (&headers, &peer)) },
    };
    let known = attempt.place.known.clone();
    let next = Next::of(&params);
    match services.accounts.sign_in(attempt, cx.now).await? {
        SignIn::Done(session) => {
            let to = arrive(&services, &mut browser, waiting.as_ref(), (&session, next)).await?;
            Ok(known_browser::keep(&services, &known, session.user, respond::see_other(&to)))
        }
        SignIn::Second(sign_in) => {
            Ok(respond::see_other(&services.path(&second::page(sign_in, waiting.as_ref(), next))))
        }
        SignIn::Wrong => {
            let form = wrong(&cx, &browser, waiting.as_ref(), &params).await?;
            render(&services, &mut browser, waiting.as_ref(), form).await
        }
        SignIn::Throttled(at) => {
            let wait = at.since(cx.now);
            let form = Form { error: Some(wait_words(wait)), ..wrong(&cx, &browser, waiting.as_ref(), &params).await? };
            Ok(respond::throttled(render(&services, &mut browser, waiting.as_ref(), form).await?, wait))
        }
        SignIn::Busy => Err(Fault::unavailable(anyhow::anyhow!("too many people are signing in")).into()),
    }
}

/// Where somebody signs in.
pub fn place<'a>(
    services: &Services,
    browser: &Browser,
    id: &'a str,
    (headers, peer): (&HeaderMap, &Peer),
) -> Place<'a> {
    Place {
        browser: id,
        device: device::name(headers),
        sessions: browser.sessions(),
        address: peer.address,
        known: known_browser::read(services, headers),
        remembered: false,
    }
}

/// What whoever guessed too often is told; it is the same whether there is such an account or not.
pub fn wait_words(wait: Duration) -> String {
    format!("There were too many attempts. Wait {}, and try again.", at_least(wait))
}

/// Somebody has signed in: the address at which they go on.
///
/// # Errors
/// When what waited for them was answered before, or the database is away.
pub async fn arrive(
    services: &Services,
    browser: &mut Browser,
    waiting: Option<&Waiting>,
    (session, next): (&Session, Next),
) -> Result<String, PageError> {
    let chosen = match waiting {
        Some(waiting) => services.store.choose_session(&waiting.pending, session.id, services.clock.now()).await?,
        None => true,
    };
    // Last, so that what fails before can be sent again by the same browser.
    for left in browser.sign_in(services, session.id).await? {
        services.accounts.end(left, Ending::SignOut, services.clock.now()).await?;
    }
    if !chosen {
        return Err(gone());
    }
    Ok(services.path(&waiting.map_or_else(|| next.path(), Waiting::resume_at)))
}

/// Where somebody goes who came without an application.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Next {
    #[default]
    Account,
    /// How they sign in, which only those may change who have proved just now who they are.
    Security,
    /// What is told of them, and their account as a whole.
    Profile,
    /// Personal access tokens.
    Tokens,
    /// Another e-mail address.
    Email,
    /// Another password.
    Password,
    /// A device that waits for whoever signs in: named by the id of its request alone.
    Device(GrantId),
    /// An identity that was proved elsewhere and is to be theirs: named by the id of its offer alone.
    Link(OfferId),
}

impl Next {
    pub fn of(params: &Params) -> Self {
        if let Some(offer) = params.get("offer").and_then(OfferId::parse) {
            return Self::Link(offer);
        }
        match (params.get("device").and_then(GrantId::parse), params.get("next")) {
            (Some(device), _) => Self::Device(device),
            (None, Some("security")) => Self::Security,
            (None, Some("profile")) => Self::Profile,
            (None, Some("tokens")) => Self::Tokens,
            (None, Some("email")) => Self::Email,
            (None, Some("password")) => Self::Password,
            _ => Self::Account,
        }
    }

    /// The parameter that says so.
    pub fn field(&self) -> Option<(&'static str, String)> {
        match self {
            Self::Account => None,
            Self::Security => Some(("next", "security".to_owned())),
            Self::Profile => Some(("next", "profile".to_owned())),
            Self::Tokens => Some(("next", "tokens".to_owned())),
            Self::Email => Some(("next", "email".to_owned())),
            Self::Password => Some(("next", "password".to_owned())),
            Self::Device(device) => Some(("device", device.to_string())),
            Self::Link(offer) => Some(("offer", offer.to_string())),
        }
    }

    pub fn path(&self) -> String {
        match self {
            Self::Account => "/account".to_owned(),
            Self::Security => "/account/security".to_owned(),
            Self::Profile => "/account/profile".to_owned(),
            Self::Tokens => "/account/tokens".to_owned(),
            Self::Email => "/account/email".to_owned(),
            Self::Password => "/account/password".to_owned(),
            Self::Device(device) => confirm_at(*device),
            Self::Link(offer) => format!("/account/security/linked/offer?offer={offer}"),
        }
    }
}

/// To the sign-in, for whoever has to prove who they are, and on from there.
pub fn prove(services: &Services, next: Next) -> Response {
    let next = next.field().map(|(name, value)| format!("?{name}={value}")).unwrap_or_default();
    respond::see_other(&services.path(&format!("/sign-in{next}")))
}

/// What the form shows besides itself.
#[derive(Default)]
pub(super) struct Form {
    pub username: String,
    /// The person must prove again that they are this one.
    pub locked: bool,
    pub error: Option<String>,
    pub passkey_error: Option<String>,
    pub remember: bool,
    pub next: Next,
    pub notice: Option<&'static str>,
    pub turned_back: Option<&'static str>,
}

/// A word from our own list, never text from the address.
fn notice(params: &Params) -> Option<&'static str> {
    match params.get("done")? {
        "password" => Some("Your password is changed. Sign in with it."),
        _ => None,
    }
}

/// What was typed stays, the password excepted; the words do not tell which of the two was wrong (ASVS 6.3.8).
async fn wrong(cx: &Context, browser: &Browser, waiting: Option<&Waiting>, params: &Params) -> Result<Form, PageError> {
    let username = params.get("username").unwrap_or_default().to_owned();
    let again = match waiting {
        Some(waiting) => matches!(waiting.next(cx, browser).await?,
            Step::NeedSignIn(NeedSignIn { again: Some(user) }) if user.username == username),
        None => false,
    };
    let error = if again {
        "The password is not right. Try again."
    } else {
        "The user name or the password is not right. Check both and try again."
    };
    let (error, remember) = (Some(error.to_owned()), params.get("remember").is_some());
    Ok(Form { username, locked: again, error, remember, next: Next::of(params), ..Form::default() })
}

pub(super) async fn render(services: &Services, browser: &mut Browser, waiting: Option<&Waiting>, form: Form) -> Page {
    let csrf = browser.csrf(services).await?;
    // By now it has one.
    let id = browser.id().unwrap_or_default();
    let passkey = services.accounts.ask_for_any_passkey(id, services.clock.now())?;
    let script = passkey.is_some();
    let status = if form.error.is_some() || form.passkey_error.is_some() {
        StatusCode::UNPROCESSABLE_ENTITY
    } else {
        StatusCode::OK
    };
    let mut client = waiting.map(|waiting| ClientView::of(&waiting.validated.client, &waiting.validated.target));
    let image = waiting.zip(client.as_mut()).and_then(|(waiting, client)| client.show_logo(&waiting.validated.client));
    let page = SignInPage {
        site: Site::of(services),
        csrf,
        request: waiting.map(|waiting| waiting.pending.id.to_string()),
        next: form.next,
        client,
        links: waiting.map(|waiting| LinkView::of(&waiting.validated.client)).unwrap_or_default(),
        username: form.username,
        locked_username: form.locked,
        error: form.error,
        passkey,
        passkey_error: form.passkey_error,
        // Whoever proves it again goes on as they were.
        remember: services.config.session.remembered_lifetime.filter(|_| !form.locked).map(|_| form.remember),
        recovery: services.config.mail.is_on(),
        sign_up: services.config.sign_up.mode == Who::Open,
        notice: form.notice,
        upstreams: upstream::buttons(services, waiting, form.locked),
        turned_back: form.turned_back,
    };
    let form_action = waiting.map(|waiting| waiting.validated.target.form_action());
    Ok(respond::page(status, &page, &Policy { form_action, image, script, ..Policy::default() }))
}
