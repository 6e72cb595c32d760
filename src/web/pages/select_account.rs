//! `GET` and `POST /select-account` (`prompt=select_account`)

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::{ClientView, Site, forged, initial};
use crate::oauth::authorize::Step;
use crate::types::{SessionId, User};
use crate::web::Shared;
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery};
use crate::web::oauth::authorize::{Waiting, gone};
use crate::web::respond::{self, PageError, Policy};

type Page = Result<Response, PageError>;

#[derive(Template)]
#[template(path = "select_account.html")]
struct SelectAccountPage {
    site: Site,
    csrf: String,
    request: String,
    client: ClientView,
    accounts: Vec<AccountView>,
}

pub struct AccountView {
    pub session: String,
    pub username: String,
    pub name: Option<String>,
    pub initial: String,
}

impl AccountView {
    pub fn of(session: SessionId, user: &User) -> Self {
        let name = user.name().map(str::to_owned);
        Self {
            session: session.to_string(),
            initial: initial(name.as_deref().unwrap_or(&user.username)),
            username: user.username.clone(),
            name,
        }
    }
}

pub async fn show(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    let cx = services.context();
    let waiting = Waiting::load(&services, &cx, &browser, &params).await?;
    let Step::NeedAccount(accounts) = waiting.next(&cx, &browser).await? else {
        return Ok(respond::see_other(&services.path(&waiting.resume_at())));
    };
    let page = SelectAccountPage {
        site: Site::of(&services),
        csrf: browser.csrf(&services).await?,
        request: waiting.pending.id.to_string(),
        client: ClientView::of(&waiting.validated.client, &waiting.validated.target),
        accounts: accounts.iter().map(|(session, user)| AccountView::of(session.id, user)).collect(),
    };
    let form_action = Some(waiting.validated.target.form_action());
    Ok(respond::page(StatusCode::OK, &page, &Policy { form_action, ..Policy::default() }))
}

pub async fn answer(State(services): State<Shared>, browser: Browser, PageForm(params): PageForm) -> Page {
    if !browser.sent(params.get("csrf")) {
        return Err(forged());
    }
    let cx = services.context();
    let waiting = Waiting::load(&services, &cx, &browser, &params).await?;
    // Only an account of this browser can be chosen; anything else is "another account".
    let chosen = params.get("session").and_then(SessionId::parse).filter(|id| browser.sessions().contains(id));
    let Some(session) = chosen else {
        let sign_in = format!("/sign-in?request={}&switch=1", waiting.pending.id);
        return Ok(respond::see_other(&services.path(&sign_in)));
    };
    if !services.store.choose_session(&waiting.pending, session, cx.now).await? {
        return Err(gone());
    }
    Ok(respond::see_other(&services.path(&waiting.resume_at())))
}
