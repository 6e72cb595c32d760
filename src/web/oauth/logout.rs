//! `GET` and `POST /oauth/logout` (OpenID Connect RP-Initiated Logout).

use axum::extract::State;
use axum::response::Response;

use crate::oauth::Context;
use crate::oauth::error::invalid_request;
use crate::oauth::logout::{self, Logout};
use crate::store::{PendingKind, PendingRequest};
use crate::types::RequestId;
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery, bounded};
use crate::web::pages::sign_out::{finish, meant, next};
use crate::web::respond::{self, PageError};
use crate::web::{Held, Services, Shared};

type Page = Result<Response, PageError>;

/// A request as it comes from a client.
pub async fn get(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    let cx = services.context();
    let logout = logout::read(&cx, &params, None).await?;
    if let Some(done) = without_a_question(&services, &cx, &mut browser, &logout).await? {
        return Ok(done);
    }
    let browser = browser.open_id(&services).await?;
    let held = Held { kind: PendingKind::Logout, browser, params: &params, hint: logout.hint.as_ref() };
    Ok(ask(&services, services.hold(held, cx.now).await?))
}

/// RP-Initiated Logout §2: POST too. It is cross-site, so it comes without our cookie: what is certain without it is
/// answered, and the rest waits for the browser, which is asked to come back by itself.
pub async fn post(State(services): State<Shared>, PageForm(params): PageForm) -> Page {
    bounded(&params)?;
    let cx = services.context();
    let logout = logout::read(&cx, &params, None).await?;
    let (browser, hint) = (String::new(), logout.hint.as_ref());
    let request = services.hold(Held { kind: PendingKind::Logout, browser, params: &params, hint }, cx.now).await?;
    Ok(respond::see_other(&services.path(&format!("/oauth/logout/continue?request={request}"))))
}

/// A request that was posted goes on.
pub async fn resume(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    let cx = services.context();
    let pending = services.claim(PendingKind::Logout, &mut browser, &params, cx.now).await?;
    let pending = pending.ok_or_else(|| invalid_request("this sign-out has expired or was finished elsewhere"))?;
    let logout = logout::read(&cx, &pending.params, pending.hint.as_ref()).await?;
    match without_a_question(&services, &cx, &mut browser, &logout).await? {
        Some(done) => {
            spend(&services, &pending).await?;
            Ok(done)
        }
        None => Ok(ask(&services, pending.id)),
    }
}

/// Signs out where nobody need be asked; `None` where the person must be.
async fn without_a_question(
    services: &Services,
    cx: &Context,
    browser: &mut Browser,
    logout: &Logout,
) -> Result<Option<Response>, PageError> {
    match services.accounts.signed_in(meant(browser, Some(logout)), cx.now).await? {
        // RP-Initiated Logout §2: without proof, "the OP SHOULD ask the End-User".
        Some((session, _)) if !logout.is_proved_for(&session) => Ok(None),
        Some(_) => finish(services, cx, browser, logout).await.map(Some),
        // Nobody to sign out: where they wanted to go is all that is left.
        None => {
            browser.sign_out().await?;
            Ok(Some(respond::see_other(&next(services, logout))))
        }
    }
}

fn ask(services: &Services, request: RequestId) -> Response {
    respond::see_other(&services.path(&format!("/oauth/logout/confirm?request={request}")))
}

/// Takes a request away that has its answer. That somebody else did before is no matter: nothing comes of it twice.
pub async fn spend(services: &Services, pending: &PendingRequest) -> Result<(), PageError> {
    let mut tx = services.store.begin().await?;
    tx.spend_pending(pending).await?;
    Ok(tx.commit().await?)
}
