//! A device without a browser, and the person who answers for it at another screen.

use grantor::types::GrantType;

use super::app::PASSWORD;
use super::party::{Answer, Builder, Party};
use super::person::{Page, Person};

pub const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The answer of the device authorization endpoint.
pub struct Waiting {
    pub device_code: String,
    pub user_code: String,
}

impl Builder<'_> {
    /// An application on a device: a public client without any redirect URI.
    pub fn on_a_device(self) -> Self {
        self.public().redirect_uris(&[]).grants(&[GrantType::DeviceCode, GrantType::RefreshToken])
    }
}

impl Party<'_> {
    /// Asks for a device code, which is expected to be given.
    pub async fn begin(&self, scope: &str) -> Waiting {
        let answer = self.post("/oauth/device_authorization", &[("scope", scope)]).await.expect_status(200).json();
        let text = |name: &str| answer[name].as_str().expect("it is there").to_owned();
        Waiting { device_code: text("device_code"), user_code: text("user_code") }
    }

    /// Asks whether the person has decided.
    pub async fn poll(&self, waiting: &Waiting) -> Answer {
        self.post("/oauth/token", &[("grant_type", GRANT), ("device_code", &waiting.device_code)]).await
    }
}

impl Person {
    /// Enters a code at `/device`, and signs in where that is asked.
    pub async fn enter_code(&self, username: &str, user_code: &str) -> Page {
        let page = self.get("/device").await;
        let page = self.post("/device", &[("csrf", &page.hidden("csrf")), ("user_code", user_code)]).await;
        if !page.asks_to_sign_in() {
            return page;
        }
        self.sign_in_for_device(&page, username).await
    }

    pub async fn sign_in_for_device(&self, page: &Page, username: &str) -> Page {
        let (csrf, device) = (page.hidden("csrf"), page.hidden("device"));
        let fields = [("csrf", csrf.as_str()), ("device", &device), ("username", username), ("password", PASSWORD)];
        self.post("/sign-in", &fields).await
    }

    /// Presses a button of the question about a device.
    pub async fn answer_for_device(&self, page: &Page, decision: &str) -> Page {
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        self.post("/device/confirm", &[("csrf", &csrf), ("request", &request), ("decision", decision)]).await
    }

    /// From the code to the end: signs in and allows it.
    pub async fn allow_device(&self, username: &str, user_code: &str) -> Page {
        let page = self.enter_code(username, user_code).await;
        assert!(page.asks_about_a_device(), "{page:?}");
        let page = self.answer_for_device(&page, "allow").await;
        assert!(page.body.contains("Your device is connected"), "{page:?}");
        page
    }
}

impl Page {
    pub fn asks_about_a_device(&self) -> bool {
        self.url.contains("/device/confirm?request=") && self.body.contains("value=\"allow\"")
    }
}
