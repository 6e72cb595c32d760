//! Pages for people. Each works without JavaScript; words are theirs, not the protocol's.

pub mod account;
pub mod consent;
pub mod device;
pub mod error;
pub mod select_account;
pub mod sign_in;
pub mod sign_out;
mod words;

use askama::Template;
use http::StatusCode;

use super::Services;
use super::respond::PageError;
use crate::oauth::authorize::RedirectTarget;
use crate::oauth::error::invalid_request;
use crate::types::Client;

/// What every page needs to know.
pub struct Site {
    pub name: String,
    /// The path of the issuer.
    pub base: String,
}

impl Site {
    pub fn of(services: &Services) -> Self {
        let server = &services.config.server;
        Self { name: server.name.clone(), base: server.issuer.path().to_owned() }
    }
}

/// An application, as a person is shown it.
pub struct ClientView {
    pub name: String,
    /// Where it returns to, or lives.
    pub host: String,
    pub initial: String,
    /// Only where the policy of the page lets it be loaded.
    pub logo: Option<String>,
}

impl ClientView {
    pub fn of(client: &Client, target: &RedirectTarget) -> Self {
        Self { host: target.display_host(), ..Self::registered(client) }
    }

    /// Of a client that asks for nothing at the moment.
    pub fn registered(client: &Client) -> Self {
        let metadata = &client.metadata;
        Self {
            name: metadata.client_name.clone(),
            host: client.display_host().unwrap_or_default(),
            initial: initial(&metadata.client_name),
            logo: None,
        }
    }
}

/// `response_mode=form_post` (OAuth 2.0 Form Post Response Mode).
#[derive(Template)]
#[template(path = "form_post.html")]
pub struct FormPost {
    pub site: Site,
    pub action: String,
    pub fields: Vec<(String, String)>,
}

/// The letter on a tile.
fn initial(name: &str) -> String {
    name.chars().find(|c| c.is_alphanumeric()).map(|c| c.to_uppercase().collect()).unwrap_or_else(|| "·".to_owned())
}

/// A form that did not come from a page of ours in this browser.
fn forged() -> PageError {
    let error =
        invalid_request("the form did not come from a page of this browser; open the page again and send it anew");
    PageError::Refused(StatusCode::FORBIDDEN, error)
}
