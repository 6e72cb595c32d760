//! What browsers and whoever runs it meet: pages, cookies, forms, headers, health, start and stop.

mod account;
mod assets;
mod brand;
mod cookies;
mod credentials;
mod csrf;
mod device;
mod errors;
mod headers;
mod health;
mod issuer_path;
mod linked;
mod log;
mod mail;
mod memory;
mod own_passkeys;
pub mod passkeys;
mod profile;
mod recovery;
mod registration;
pub mod second_factor;
mod sessions;
mod shutdown;
mod sign_in;
mod sign_in_races;
mod sign_out;
mod sign_up;
mod throttle;
mod tls;
mod tokens;
mod upstream;
mod upstream_fake;

use crate::support::app::PASSWORD;
use crate::support::{Page, Person, TestApp};

impl Person {
    /// Signs in without an application, on the way to the account page.
    pub async fn sign_in_to_account(&self, username: &str) -> Page {
        let page = self.get("/sign-in").await;
        self.sign_in(&page, username, PASSWORD).await
    }

    /// Whether the account page knows this browser.
    pub async fn is_signed_in(&self) -> bool {
        let page = self.get("/account").await;
        assert_eq!(page.status, 200, "{page:?}");
        page.url.ends_with("/account")
    }

    /// Takes over the cookies of another browser.
    pub fn takes_cookies_of(&self, other: &Self) {
        for (name, value) in other.cookies() {
            self.set_cookie(&name, &value);
        }
    }
}

impl TestApp {
    /// The same server as it is behind a proxy that speaks https for it.
    pub async fn on_https(&mut self) -> Self {
        self.config.server.issuer = "https://auth.example".parse().expect("an issuer");
        self.second_node().await
    }
}
