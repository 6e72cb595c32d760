//! `/account/security/linked`: by which other providers somebody signs in. Whoever changes it has proved just now who they
//! are (ASVS 7.5.1).

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::security::{fresh, own_form};
use super::sign_in::{Next, prove};
use super::upstream::{offered, send};
use super::words::ago;
use super::{Site, forged};
use crate::account::upstream::{Errand, Found, Fresh, Linked, Unlinked};
use crate::oauth::Context;
use crate::types::{Fault, Identity, IdentityId, OfferId, Params, Timestamp, User, UserId};
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery};
use crate::web::oauth::authorize::{Waiting, gone};
use crate::web::respond::{self, PageError, Policy};
use crate::web::{Services, Shared};

type Page = Result<Response, PageError>;

/// What stands on the page of how somebody signs in.
pub struct LinkedView {
    pub identities: Vec<IdentityView>,
    /// By name and title.
    pub providers: Vec<(String, String)>,
}

pub struct IdentityView {
    pub id: String,
    pub title: String,
    pub email: Option<String>,
    pub added: String,
    pub used: Option<String>,
}

/// Whether somebody wants an identity to be theirs that was proved in this browser.
#[derive(Template)]
#[template(path = "link.html")]
struct LinkPage {
    site: Site,
    csrf: String,
    offer: OfferId,
    title: String,
    email: Option<String>,
    username: String,
}

impl LinkedView {
    /// `None` where there is no other provider.
    pub async fn of(services: &Services, user: UserId, now: Timestamp) -> Result<Option<Self>, Fault> {
        let providers = services.upstreams.providers();
        let providers: Vec<_> =
            providers.map(|provider| (provider.name.clone(), provider.settings.title.clone())).collect();
        if providers.is_empty() {
            return Ok(None);
        }
        let view = |identity: Identity| IdentityView {
            id: identity.id.to_string(),
            title: services.accounts.title_of(&identity.provider).to_owned(),
            email: identity.email,
            added: ago(identity.created_at, now),
            used: identity.used_at.map(|at| ago(at, now)),
        };
        let identities = services.store.identities_of(user).await?.into_iter().map(view).collect();
        Ok(Some(Self { identities, providers }))
    }
}

/// What came of it, in words from our own list.
pub fn notice(done: &str) -> Option<&'static str> {
    match done {
        "linked" => Some("It is linked. You can sign in with it from now on."),
        "linked_already" => Some("It was linked already. Nothing was changed."),
        "linked_elsewhere" => Some("Nothing was linked: it belongs to another account here."),
        "not_linked" => Some("Nothing was linked: you did not go on there."),
        "unlinked" => Some("It is unlinked. Nobody signs in with it any more."),
        "only_way_in" => {
            Some("Nothing was unlinked: it is your only way in. Add a passkey or choose a password first.")
        }
        _ => None,
    }
}

/// There, to be linked when they are back.
pub async fn depart(State(services): State<Shared>, mut browser: Browser, PageForm(params): PageForm) -> Page {
    let Some((_, user)) = own_form(&services, &browser, &params).await? else {
        return Ok(prove(&services, Next::Security));
    };
    let provider = params.get("provider").and_then(|name| services.upstreams.provider(name));
    let provider = provider.ok_or(PageError::NotFound)?;
    let errand = Errand { link: Some(user.id), fresh: Fresh::Any, ..Errand::default() };
    send(&services, &mut browser, provider, errand).await
}

/// Back from there: it is theirs if they are still who they were when they left.
///
/// # Errors
/// When the database is away.
pub async fn receive(
    services: &Services,
    browser: &Browser,
    (wanted, found): (UserId, &Found),
    now: Timestamp,
) -> Page {
    let Some((_, user)) = fresh(services, browser).await?.filter(|(_, user)| user.id == wanted) else {
        return Ok(prove(services, Next::Security));
    };
    let linked = services.accounts.link(&user, found, now).await?;
    Ok(done(services, said(linked)))
}

/// Asks whoever has proved an account in this browser whether it is to be linked.
pub async fn show(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    let (offer, title) = offered(&services, &browser, &params, services.clock.now()).await?;
    let Some((_, user)) = fresh(&services, &browser).await? else {
        return Ok(prove(&services, Next::Link(offer.id)));
    };
    let page = LinkPage {
        site: Site::of(&services),
        csrf: browser.csrf(&services).await?,
        offer: offer.id,
        title,
        email: offer.email,
        username: user.username,
    };
    Ok(respond::page(StatusCode::OK, &page, &Policy::default()))
}

/// ASVS 6.8.1: an account that exists is linked by its owner, who has just proved it, and by nobody else.
pub async fn take_up(State(services): State<Shared>, browser: Browser, PageForm(params): PageForm) -> Page {
    if !browser.sent(params.get("csrf")) {
        return Err(forged());
    }
    let cx = services.context();
    let id = params.get("offer").and_then(OfferId::parse).ok_or_else(gone)?;
    let Some((session, user)) = fresh(&services, &browser).await? else {
        return Ok(prove(&services, Next::Link(id)));
    };
    let owner = browser.id().ok_or_else(gone)?;
    let taken = services.accounts.take_up(&user, (id, owner), cx.now).await?;
    let (linked, request) = taken.ok_or_else(gone)?;
    // Where an application waits, they go on to it; it may have given up meanwhile.
    if let (Linked::Done | Linked::Already, Some(request)) = (linked, request)
        && let Some(waiting) = waiting(&services, &cx, &browser, request.to_string()).await
        && services.store.choose_session(&waiting.pending, session.id, cx.now).await?
    {
        return Ok(respond::see_other(&services.path(&waiting.resume_at())));
    }
    Ok(done(&services, said(linked)))
}

async fn waiting(services: &Services, cx: &Context, browser: &Browser, request: String) -> Option<Waiting> {
    let named = Params::from_pairs(vec![("request".to_owned(), request)]);
    Waiting::load(services, cx, browser, &named).await.ok()
}

pub async fn remove(State(services): State<Shared>, browser: Browser, PageForm(params): PageForm) -> Page {
    let Some((_, user)) = own_form(&services, &browser, &params).await? else {
        return Ok(prove(&services, Next::Security));
    };
    Ok(match unlink(&services, &user, &params).await? {
        Unlinked::Done => done(&services, "unlinked"),
        Unlinked::Last => done(&services, "only_way_in"),
        Unlinked::Gone => respond::see_other(&services.path("/account/security")),
    })
}

async fn unlink(services: &Services, user: &User, params: &Params) -> Result<Unlinked, Fault> {
    match params.get("identity").and_then(IdentityId::parse) {
        Some(id) => services.accounts.unlink(user, id, services.clock.now()).await,
        None => Ok(Unlinked::Gone),
    }
}

const fn said(linked: Linked) -> &'static str {
    match linked {
        Linked::Done => "linked",
        Linked::Already => "linked_already",
        Linked::Taken => "linked_elsewhere",
    }
}

fn done(services: &Services, what: &str) -> Response {
    respond::see_other(&services.path(&format!("/account/security?done={what}")))
}
