//! What the pages behind mailed links have in common.

use askama::Template;
use axum::response::Response;
use http::StatusCode;

use super::Site;
use crate::account::links;
use crate::store::PendingKind;
use crate::types::{Params, RequestId, Timestamp};
use crate::web::Services;
use crate::web::browser::Browser;
use crate::web::respond::{self, PageError, Policy};

type Page = Result<Response, PageError>;

/// A page that says something, and where to go on.
#[derive(Template)]
#[template(path = "notice.html")]
pub struct NoticePage {
    pub site: Site,
    pub icon: &'static str,
    pub title: &'static str,
    pub lead: String,
    pub hint: Option<&'static str>,
    /// The one thing to do: where it is, and what it is called.
    pub action: Option<(&'static str, &'static str)>,
}

/// Takes the secret of a mailed link out of the address: the browser remembers its hash, and comes back without it
/// (ASVS 14.2.1). To open a link spends nothing, for programs that look into mail open it too.
///
/// # Errors
/// When the record of the browser cannot be written.
pub async fn taken(
    services: &Services,
    browser: &mut Browser,
    params: &Params,
    page: &str,
) -> Result<Option<Response>, PageError> {
    let Some(secret) = params.get("link") else { return Ok(None) };
    if let Some(link) = links::hash(secret) {
        browser.open_link(services, link).await?;
    }
    Ok(Some(respond::see_other(&services.path(page))))
}

/// A link that does not work: never, or no more.
pub fn dead(services: &Services, hint: &'static str, action: Option<(&'static str, &'static str)>) -> Page {
    let page = NoticePage {
        site: Site::of(services),
        icon: "warning",
        title: "This link does not work any more",
        lead: "It was used, it is too old, or a newer one was sent. Nothing was changed.".to_owned(),
        hint: Some(hint),
        action,
    };
    Ok(respond::page(StatusCode::GONE, &page, &Policy::default()))
}

/// The request that waited where a link was asked for, if that was this browser, and it still waits.
///
/// # Errors
/// When the database is away.
pub async fn waits(
    services: &Services,
    browser: &Browser,
    request: Option<RequestId>,
    now: Timestamp,
) -> Result<Option<RequestId>, PageError> {
    let (Some(id), Some(owner)) = (request, browser.id()) else { return Ok(None) };
    let waiting = services.store.pending(PendingKind::Authorize, id, owner, now).await?;
    Ok(waiting.map(|waiting| waiting.id))
}
