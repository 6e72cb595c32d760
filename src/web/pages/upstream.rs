//! `/sign-in/upstream/{name}`: to another provider, and back; and whoever comes back and is nobody here.

use std::time::Duration;

use askama::Template;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, StatusCode};

use super::sign_in::{Next, arrive, place, wait_words};
use super::{Site, forged, linked, second};
use crate::account::sign_in::SignIn;
use crate::account::throttle::{Admission, Guess};
use crate::account::upstream::{Arrival, Came, Errand, Fresh, Provider, Return, Trouble};
use crate::config::sign_up::Who;
use crate::oauth::error::temporarily_unavailable;
use crate::types::{OfferId, Params, RequestId, Timestamp};
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery};
use crate::web::oauth::authorize::{Waiting, gone};
use crate::web::peer::Peer;
use crate::web::respond::{self, PageError, Policy};
use crate::web::{Services, Shared, known_browser};

type Page = Result<Response, PageError>;

/// On the way there. A form that led there by a redirect would need the policy of its page to name every address that the
/// provider sends people on to (Chromium applies `form-action` to redirects); the address of a page does not.
#[derive(Template)]
#[template(path = "going_on.html")]
struct GoingOnPage {
    site: Site,
    title: String,
    url: String,
}

#[derive(Template)]
#[template(path = "unknown.html")]
struct UnknownPage {
    site: Site,
    offer: OfferId,
    request: Option<RequestId>,
    title: String,
    email: Option<String>,
    /// Whether everybody may make an account.
    sign_up: bool,
}

/// The providers that are of use on a sign-in page, by name and title.
pub fn buttons(services: &Services, waiting: Option<&Waiting>, again: bool) -> Vec<(String, String)> {
    let fresh = again || waiting.is_some_and(|waiting| asked_for(waiting) != Fresh::Any);
    let providers = services.upstreams.providers().filter(|provider| !fresh || provider.settings.can_ask_again());
    providers.map(|provider| (provider.name.clone(), provider.settings.title.clone())).collect()
}

/// How fresh a sign-in an application asks for (OpenID Connect Core §3.1.2.1).
fn asked_for(waiting: &Waiting) -> Fresh {
    let request = &waiting.validated.request;
    match request.max_age {
        _ if request.prompt.login => Fresh::Now,
        Some(age) => Fresh::Within(age),
        None => Fresh::Any,
    }
}

/// Why somebody is back on the sign-in page: words from our own list, never text from the address.
pub fn turned_back(params: &Params) -> Option<&'static str> {
    match params.get("done")? {
        "declined" => Some("You did not go on there, so you are not signed in. Choose how you want to go on."),
        "not_again" => {
            Some("It was not asked again there who you are, and that is needed now. Sign in with your password.")
        }
        _ => None,
    }
}

pub async fn depart(
    State(services): State<Shared>,
    Path(name): Path<String>,
    mut browser: Browser,
    PageForm(params): PageForm,
) -> Page {
    if !browser.sent(params.get("csrf")) {
        return Err(forged());
    }
    let cx = services.context();
    let provider = services.upstreams.provider(&name).ok_or(PageError::NotFound)?;
    let waiting = match params.get("request") {
        Some(_) => Some(Waiting::load(&services, &cx, &browser, &params).await?),
        None => None,
    };
    let next = Next::of(&params);
    let fresh = match (&waiting, next) {
        (Some(waiting), _) => asked_for(waiting),
        (None, Next::Account | Next::Device(_)) => Fresh::Any,
        // Whoever is there must prove it again.
        (None, _) if services.accounts.signed_in(browser.session(), cx.now).await?.is_some() => Fresh::Now,
        (None, _) => Fresh::Any,
    };
    let errand = Errand {
        request: waiting.map(|waiting| waiting.pending.id),
        next: next.field().map(|(name, value)| (name.to_owned(), value)),
        link: None,
        fresh,
    };
    send(&services, &mut browser, provider, errand).await
}

/// Sends somebody there.
///
/// # Errors
/// When it cannot be reached.
pub async fn send(services: &Services, browser: &mut Browser, provider: &Provider, errand: Errand) -> Page {
    let id = browser.open_id(services).await?;
    let left = services.upstreams.depart(provider, errand, &id, services.clock.now()).await;
    let url = left.map_err(|trouble| told(provider, trouble))?;
    let page = GoingOnPage { site: Site::of(services), title: provider.settings.title.clone(), url };
    Ok(respond::page(StatusCode::OK, &page, &Policy::default()))
}

/// What goes into the log, and what of it a person is told: that it did not work.
fn told(provider: &Provider, trouble: Trouble) -> PageError {
    match trouble {
        Trouble::Stale => {
            tracing::warn!(target: "audit", event = "upstream", outcome = "stale", provider = provider.name);
            gone()
        }
        Trouble::Refused(why) => {
            tracing::warn!(target: "audit", event = "upstream", outcome = "refused", provider = provider.name, why);
            let title = &provider.settings.title;
            let error = temporarily_unavailable(format!("signing in with {title} did not work this time"));
            PageError::Refused(StatusCode::BAD_GATEWAY, error)
        }
        Trouble::Fault(fault) => fault.into(),
    }
}

pub async fn receive(
    State(services): State<Shared>,
    Path(name): Path<String>,
    peer: Peer,
    (headers, mut browser): (HeaderMap, Browser),
    PageQuery(params): PageQuery,
) -> Page {
    let cx = services.context();
    let provider = services.upstreams.provider(&name).ok_or(PageError::NotFound)?;
    // ASVS 6.3.1: counted before it is judged, as a password is.
    let counted = match services.accounts.admit(Guess::Answer, peer.address, cx.now).await? {
        Admission::Now(counted) => counted,
        Admission::Until(at) => return Ok(too_many(at.since(cx.now))),
    };
    let Some(id) = browser.id().map(str::to_owned) else { return Err(told(provider, Trouble::Stale)) };
    let back = services.upstreams.receive(provider, &params, &id, cx.now).await;
    let Return { errand, came } = back.map_err(|trouble| told(provider, trouble))?;
    services.accounts.was_right(counted).await?;
    let found = match came {
        Came::Proved(found) => found,
        Came::Declined => return Ok(turn_back(&services, &errand, "declined")),
        Came::NotAgain => return Ok(turn_back(&services, &errand, "not_again")),
    };
    if let Some(user) = errand.link {
        return linked::receive(&services, &browser, (user, &found), cx.now).await;
    }
    let next = Next::of(&Params::from_pairs(errand.next.into_iter().collect()));
    let waiting = match errand.request {
        Some(request) => {
            let named = Params::from_pairs(vec![("request".to_owned(), request.to_string())]);
            Some(Waiting::load(&services, &cx, &browser, &named).await?)
        }
        None => None,
    };
    let place = place(&services, &browser, &id, (&headers, &peer));
    let known = place.known.clone();
    match services.accounts.arrive(provider, &found, (&place, errand.request), cx.now).await? {
        Arrival::Known(SignIn::Done(session)) => {
            let to = arrive(&services, &mut browser, waiting.as_ref(), (&session, next)).await?;
            Ok(known_browser::keep(&services, &known, session.user, respond::see_other(&to)))
        }
        Arrival::Known(SignIn::Second(sign_in)) => {
            Ok(respond::see_other(&services.path(&second::page(sign_in, waiting.as_ref(), next))))
        }
        Arrival::Known(SignIn::Wrong | SignIn::Busy | SignIn::Throttled(_)) => Err(gone()),
        Arrival::Unknown(offer) => Ok(respond::see_other(&services.path(&format!("/sign-in/unknown?offer={offer}")))),
    }
}

fn too_many(wait: Duration) -> Response {
    let error = temporarily_unavailable(wait_words(wait).trim_end_matches('.').to_owned());
    let page = PageError::Refused(StatusCode::TOO_MANY_REQUESTS, error).into_response();
    respond::throttled(page, wait)
}

/// Back to where they came from.
fn turn_back(services: &Services, errand: &Errand, why: &'static str) -> Response {
    if errand.link.is_some() {
        return respond::see_other(&services.path("/account/security?done=not_linked"));
    }
    let request = errand.request.map(|request| ("request", request.to_string()));
    let next = errand.next.as_ref().map(|(name, value)| (name.as_str(), value.clone()));
    let more = request.or(next).map(|(name, value)| format!("{name}={value}&")).unwrap_or_default();
    respond::see_other(&services.path(&format!("/sign-in?{more}done={why}")))
}

/// Nobody here is known by what was proved there.
pub async fn unknown(State(services): State<Shared>, browser: Browser, PageQuery(params): PageQuery) -> Page {
    let (offer, title) = offered(&services, &browser, &params, services.clock.now()).await?;
    let page = UnknownPage {
        site: Site::of(&services),
        offer: offer.id,
        request: offer.request,
        title,
        email: offer.email,
        sign_up: services.config.sign_up.mode == Who::Open,
    };
    Ok(respond::page(StatusCode::OK, &page, &Policy::default()))
}

/// The offer that a page names, if it is this browser's, with what its provider is called.
///
/// # Errors
/// When it stands no more.
pub async fn offered(
    services: &Services,
    browser: &Browser,
    params: &Params,
    now: Timestamp,
) -> Result<(crate::types::Offer, String), PageError> {
    let offer = params.get("offer").and_then(OfferId::parse).ok_or_else(gone)?;
    let id = browser.id().ok_or_else(gone)?;
    services.accounts.offered(offer, id, now).await?.ok_or_else(gone)
}
