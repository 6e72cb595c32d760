//! `GET` and `POST /oauth/logout` (OpenID Connect RP-Initiated Logout).

use axum::extract::State;
use axum::response::Response;

use crate::oauth::logout;
use crate::store::{Ending, PendingKind};
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery};
use crate::web::pages::sign_out::after;
use crate::web::respond::{self, PageError};
use crate::web::{Held, Shared};

type Page = Result<Response, PageError>;

pub async fn get(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    let cx = services.context();
    let logout = logout::read(&cx, &params, None).await?;
    let Some((session, _)) = services.accounts.signed_in(browser.session(), cx.now).await? else {
        // Nobody to sign out: where they wanted to go is all that is left.
        browser.sign_out().await?;
        return Ok(after(&services, &logout));
    };
    // RP-Initiated Logout §2: without proof, "the OP SHOULD ask the End-User".
    if logout.is_proved_for(&session) {
        services.accounts.end(session.id, Ending::SignOut, cx.now).await?;
        browser.sign_out().await?;
        return Ok(after(&services, &logout));
    }
    let held = Held { kind: PendingKind::Logout, params: &params, hint: logout.hint.as_ref() };
    let request = services.hold(held, &mut browser, cx.now).await?;
    Ok(respond::see_other(&services.path(&format!("/oauth/logout/confirm?request={request}"))))
}

/// RP-Initiated Logout §2: POST too; it is cross-site, so it comes without our cookie.
pub async fn post(State(services): State<Shared>, PageForm(params): PageForm) -> Page {
    let fields: Vec<_> = params.pairs().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Ok(respond::see_other(&respond::with_query(&services.path("/oauth/logout"), &fields)))
}
