//! Pages for people. Each works without JavaScript; words are theirs, not the protocol's.

pub mod account;
pub mod consent;
pub mod credentials;
mod details;
pub mod device;
pub mod error;
pub mod events;
pub mod linked;
mod links;
pub mod passkeys;
pub mod profile;
mod qr;
pub mod recovery;
pub mod second;
pub mod security;
pub mod select_account;
pub mod sign_in;
pub mod sign_out;
pub mod sign_up;
pub mod tokens;
pub mod upstream;
mod words;

use askama::Template;
use http::StatusCode;

use super::respond::PageError;
use super::{Services, brand};
use crate::config::brand::Link;
use crate::oauth::authorize::RedirectTarget;
use crate::oauth::error::invalid_request;
use crate::types::{Client, redirect_uri};

/// What every page needs to know.
pub struct Site {
    pub name: String,
    /// The path of the issuer.
    pub base: String,
    /// Whether there is a stylesheet besides ours.
    pub is_branded: bool,
    /// Whether there is a picture of any width in the place of our mark.
    pub has_logo: bool,
    /// Pages of the operator's.
    pub links: Vec<Link>,
}

impl Site {
    pub fn of(services: &Services) -> Self {
        let server = &services.config.server;
        Self {
            name: server.name.clone(),
            base: server.issuer.path().to_owned(),
            is_branded: services.brand.has(brand::STYLESHEET),
            has_logo: services.brand.has(brand::LOGO),
            links: services.config.brand.links.clone(),
        }
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

    /// Shows its picture, too, and gives the origin that the policy of the page must name for that.
    pub fn show_logo(&mut self, client: &Client) -> Option<String> {
        // That of a client that nobody has checked is not loaded: it could be the picture of another, and whoever serves
        // it would see who reads this page, and when.
        let logo = client.metadata.logo_uri.as_ref().filter(|_| client.is_verified())?;
        // One that the policy cannot name would only be a broken picture.
        let origin = redirect_uri::origin(logo)?;
        self.logo = Some(logo.clone());
        Some(origin)
    }
}

/// A page of the client's own about itself.
pub struct LinkView {
    pub label: &'static str,
    pub uri: String,
    pub host: String,
}

impl LinkView {
    /// What the client says of itself elsewhere (OpenID Connect Dynamic Client Registration §2).
    pub fn of(client: &Client) -> Vec<Self> {
        let metadata = &client.metadata;
        let pages = [
            ("About this application", &metadata.client_uri),
            ("Privacy policy", &metadata.policy_uri),
            ("Terms of service", &metadata.tos_uri),
        ];
        let link = |label, uri: &String| Self { label, uri: uri.clone(), host: redirect_uri::display_host(uri) };
        pages.into_iter().filter_map(|(label, uri)| uri.as_ref().map(|uri| link(label, uri))).collect()
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
