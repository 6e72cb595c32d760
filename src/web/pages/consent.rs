//! `GET` and `POST /consent`

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::details::{self, DetailView};
use super::words::{PlaceView, ScopeView, in_reading_order, scope_words, span};
use super::{ClientView, LinkView, Site, forged};
use crate::oauth::authorize::{NeedConsent, Step};
use crate::oauth::resource;
use crate::oauth::scope::OFFLINE_ACCESS;
use crate::types::redirect_uri::Destination;
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery};
use crate::web::oauth::authorize::Waiting;
use crate::web::respond::{self, PageError, Policy};
use crate::web::{Services, Shared};

type Page = Result<Response, PageError>;

#[derive(Template)]
#[template(path = "consent.html")]
struct ConsentPage {
    site: Site,
    csrf: String,
    request: String,
    client: ClientView,
    verified: bool,
    local: bool,
    username: String,
    scopes: Vec<ScopeView>,
    details: Vec<DetailView>,
    places: Vec<PlaceView>,
    duration: String,
    return_to: String,
    links: Vec<LinkView>,
}

pub async fn show(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    let cx = services.context();
    let waiting = Waiting::load(&services, &cx, &browser, &params).await?;
    let Step::NeedConsent(need) = waiting.next(&cx, &browser).await? else {
        return Ok(respond::see_other(&services.path(&waiting.resume_at())));
    };
    let csrf = browser.csrf(&services).await?;
    let places = resource::shown(&cx, &waiting.validated.request.resources, &need.scope).await?;
    let mut page = page(&services, csrf, &waiting, &need);
    page.details = details::shown(&cx, &waiting.validated.request.details).await?;
    page.places = places.into_iter().map(PlaceView::of).collect();
    let image = page.client.show_logo(&waiting.validated.client);
    let form_action = Some(waiting.validated.target.form_action());
    Ok(respond::page(StatusCode::OK, &page, &Policy { form_action, image, ..Policy::default() }))
}

pub async fn answer(State(services): State<Shared>, browser: Browser, PageForm(params): PageForm) -> Page {
    if !browser.sent(params.get("csrf")) {
        return Err(forged());
    }
    let cx = services.context();
    let waiting = Waiting::load(&services, &cx, &browser, &params).await?;
    match params.get("decision") {
        Some("allow") => waiting.go_on(&services, &cx, &browser, true).await,
        Some("deny") => waiting.deny(&services, &cx).await,
        Some("switch") => {
            let sign_in = format!("/sign-in?request={}&switch=1", waiting.pending.id);
            Ok(respond::see_other(&services.path(&sign_in)))
        }
        // Nothing was decided, so nothing happens: the question stands.
        _ => Ok(respond::see_other(&services.path(&format!("/consent?request={}", waiting.pending.id)))),
    }
}

fn page(services: &Services, csrf: String, waiting: &Waiting, need: &NeedConsent) -> ConsentPage {
    let (client, target) = (&waiting.validated.client, &waiting.validated.target);
    let verified = client.is_verified();
    let shown = ClientView::of(client, target);
    ConsentPage {
        site: Site::of(services),
        csrf,
        request: waiting.pending.id.to_string(),
        client: ClientView {
            // The name is what the client says; the host of its document is what was proved.
            host: client.display_host().filter(|_| client.is_by_document()).unwrap_or(shown.host),
            ..shown
        },
        verified,
        local: client.is_public() && target.destination() != Destination::Web,
        username: need.user.username.clone(),
        scopes: in_reading_order(&need.scope)
            .into_iter()
            .map(|token| scope_words(&services.config, token, Some(&need.user)))
            .collect(),
        details: Vec::new(),
        places: Vec::new(),
        duration: if need.scope.contains(OFFLINE_ACCESS) {
            format!("Until you withdraw it, {} at most.", span(services.config.refresh.absolute(client)))
        } else {
            "Until you sign out or withdraw it.".to_owned()
        },
        return_to: target.display_host(),
        links: LinkView::of(client),
    }
}
