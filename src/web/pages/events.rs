//! `/account/events`: what happened to an account.

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use http::StatusCode;

use super::Site;
use super::sign_in::{Next, prove};
use super::words::ago;
use crate::types::{ClientId, Event, EventKind, Fault, Timestamp};
use crate::web::browser::Browser;
use crate::web::extract::PageQuery;
use crate::web::respond::{self, PageError, Policy};
use crate::web::{Services, Shared};

/// So many on a page.
const MOST: u32 = 50;

#[derive(Template)]
#[template(path = "events.html")]
struct EventsPage {
    site: Site,
    username: String,
    events: Vec<EventView>,
    /// Where those before them are.
    earlier: Option<i64>,
}

struct EventView {
    icon: &'static str,
    what: &'static str,
    about: String,
    by_admin: bool,
    place: String,
    when: String,
}

pub async fn show(
    State(services): State<Shared>,
    browser: Browser,
    PageQuery(params): PageQuery,
) -> Result<Response, PageError> {
    let now = services.clock.now();
    let Some((_, user)) = services.accounts.signed_in(browser.session(), now).await? else {
        return Ok(prove(&services, Next::Account));
    };
    let before = params.get("before").and_then(|micros| micros.parse().ok());
    let before = Timestamp::from_micros(before.unwrap_or(i64::MAX));
    let events = services.store.events_of(user.id, before, MOST).await?;
    let full = u32::try_from(events.len()).is_ok_and(|count| count == MOST);
    let earlier = events.last().filter(|_| full).map(|last| last.at.micros());
    let mut views = Vec::with_capacity(events.len());
    for event in events {
        views.push(view(&services, event, now).await?);
    }
    let page = EventsPage { site: Site::of(&services), username: user.username, events: views, earlier };
    Ok(respond::page(StatusCode::OK, &page, &Policy::default()))
}

async fn view(services: &Services, event: Event, now: Timestamp) -> Result<EventView, Fault> {
    let (icon, what) = match event.kind {
        EventKind::SignedIn if !event.about.is_empty() => ("passkey", "Signed in with a passkey"),
        kind => words(kind),
    };
    let place = [event.device, event.address.map(|address| address.to_string())];
    Ok(EventView {
        icon,
        what,
        about: match event.kind {
            EventKind::Allowed | EventKind::Withdrawn => name_of(services, event.about).await?,
            _ => event.about,
        },
        by_admin: event.by_admin,
        place: place.into_iter().flatten().collect::<Vec<_>>().join(", "),
        when: ago(event.at, now),
    })
}

/// What a client is called, while it is registered.
async fn name_of(services: &Services, id: String) -> Result<String, Fault> {
    let Some(known) = ClientId::parse(&id) else { return Ok(id) };
    let client = services.store.client(&known).await?;
    Ok(client.map_or(id, |client| client.metadata.client_name.clone()))
}

fn words(kind: EventKind) -> (&'static str, &'static str) {
    match kind {
        EventKind::SignedUp => ("person", "The account was made"),
        EventKind::SignedIn => ("person", "Signed in"),
        EventKind::SessionEnded => ("leave", "A session was ended"),
        EventKind::SignedOutElsewhere => ("leave", "Signed out everywhere else"),
        EventKind::PasswordChanged => ("key", "The password was changed"),
        EventKind::PasswordReset => ("key", "Another password was chosen by a mailed link"),
        EventKind::EmailChanged => ("mail", "The e-mail address was changed"),
        EventKind::EmailRestored => ("mail", "The e-mail address was changed back"),
        EventKind::ProfileChanged => ("person", "The profile was changed"),
        EventKind::FactorAdded => ("device", "A second factor was added"),
        EventKind::FactorRemoved => ("device", "A second factor was removed"),
        EventKind::PasskeyAdded => ("passkey", "A passkey was added"),
        EventKind::PasskeyRemoved => ("passkey", "A passkey was removed"),
        EventKind::PasskeyCountedBack => ("warning", "A passkey was refused, for there may be a copy of it"),
        EventKind::RecoveryCodesMade => ("key", "New recovery codes were made"),
        EventKind::RecoveryCodeUsed => ("key", "A recovery code was used"),
        EventKind::IdentityLinked => ("openid", "An account elsewhere was linked"),
        EventKind::IdentityUnlinked => ("openid", "An account elsewhere was unlinked"),
        EventKind::Allowed => ("applications", "An application was allowed"),
        EventKind::Withdrawn => ("applications", "An application was withdrawn"),
        EventKind::TokenMade => ("key", "A personal access token was made"),
        EventKind::TokenEnded => ("key", "A personal access token was ended"),
        EventKind::DataTaken => ("person", "All data of the account was downloaded"),
        EventKind::Disabled => ("shield", "The account was disabled"),
        EventKind::Enabled => ("shield", "The account was enabled again"),
    }
}
