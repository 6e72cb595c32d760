//! Passkeys in a real browser, with the authenticators that WebDriver adds to it; with `GRANTOR_SCREENSHOTS`, pictures of
//! the pages.

use fantoccini::Locator;
use fantoccini::wd::WebDriverCompatibleCommand;
use http::Method;
use serde_json::{Value, json};

use super::{NAME, WORD};
use crate::support::browser::Browser;
use crate::support::{Engine, TestApp};
use crate::web::second_factor::App;

/// A command of WebDriver's that fantoccini has no word for (WebAuthn §11).
#[derive(Debug)]
struct Command {
    method: Method,
    path: String,
    body: Option<Value>,
}

impl WebDriverCompatibleCommand for Command {
    fn endpoint(&self, base: &url::Url, session: Option<&str>) -> Result<url::Url, url::ParseError> {
        base.join(&format!("session/{}/webauthn/{}", session.unwrap_or_default(), self.path))
    }

    fn method_and_body(&self, _: &url::Url) -> (Method, Option<String>) {
        (self.method.clone(), self.body.as_ref().map(Value::to_string))
    }
}

impl Browser {
    async fn webauthn(&self, method: Method, path: String, body: Option<Value>) -> Value {
        self.issue_cmd(Command { method, path, body }).await.expect("ChromeDriver knows this command")
    }

    /// Plugs in a device that keeps passkeys, and says yes to everything; whether it makes sure who is there.
    async fn plug_in(&self, verifies: bool) -> String {
        let device = json!({
            "protocol": "ctap2_1",
            "transport": "internal",
            "hasResidentKey": true,
            "hasUserVerification": true,
            "isUserVerified": verifies,
        });
        let id = self.webauthn(Method::POST, "authenticator".into(), Some(device)).await;
        id.as_str().expect("an id").to_owned()
    }

    async fn unplug(&self, device: &str) {
        self.webauthn(Method::DELETE, format!("authenticator/{device}"), None).await;
    }

    async fn verifies(&self, device: &str, verifies: bool) {
        let body = json!({ "isUserVerified": verifies });
        self.webauthn(Method::POST, format!("authenticator/{device}/uv"), Some(body)).await;
    }

    async fn passkeys(&self, device: &str) -> Vec<Value> {
        let found = self.webauthn(Method::GET, format!("authenticator/{device}/credentials"), None).await;
        found.as_array().expect("a list").clone()
    }

    async fn signs_out(&self) {
        self.press("a[href$='/oauth/logout']").await;
        self.press("button[value=sign_out]").await;
        self.arrives_at("You are signed out").await;
    }

    async fn is_shown(&self, css: &str) -> bool {
        self.find(Locator::Css(css)).await.unwrap().is_displayed().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passkey_is_added_used_renamed_and_removed_in_a_browser() {
    let app = TestApp::spawn(Engine::Sqlite).await;
    app.user(NAME).await;
    let browser = Browser::open().await;
    browser.goto(&format!("{}/account/security", app.url)).await.unwrap();
    browser.picture("passkey-sign-in").await;
    browser.sign_in(NAME, WORD).await;
    browser.arrives_at("How you sign in").await;
    browser.press("a[href$='/security/passkey']").await;
    browser.arrives_at("Add a passkey").await;
    browser.picture("passkey-add").await;

    // One that does not make sure who is there is not enough.
    let device = browser.plug_in(false).await;
    browser.press("#passkey button").await;
    browser.says("[data-why=nothing]", "No passkey was used").await;
    browser.picture("passkey-add-mistake").await;
    browser.verifies(&device, true).await;
    browser.fill("#name", "Telephone").await;
    browser.press("#passkey button").await;
    browser.arrives_at("Keep these recovery codes").await;
    browser.press(".actions a").await;
    browser.says("[role=status]", "The passkey was added").await;
    let [passkey] = &browser.passkeys(&device).await[..] else { panic!("one was made") };
    assert_eq!((&passkey["isResidentCredential"], &passkey["rpId"]), (&json!(true), &json!("localhost")));
    browser.picture("security-passkey").await;
    browser.signs_out().await;

    // Without a name and a password; to where one was going.
    browser.unplug(&device).await;
    browser.goto(&format!("{}/sign-in?next=security", app.url)).await.unwrap();
    browser.arrives_at("Sign in to Grantor").await;
    let device = browser.plug_in(false).await;
    browser.webauthn(Method::POST, format!("authenticator/{device}/credential"), Some(passkey.clone())).await;
    browser.press("#passkey button").await;
    browser.says("[data-why=nothing]", "No passkey was used").await;
    browser.picture("passkey-sign-in-mistake").await;
    browser.verifies(&device, true).await;
    browser.press("#passkey button").await;
    browser.arrives_at("How you sign in").await;

    // The browser knows by itself that there is one already.
    browser.press("a[href$='/security/passkey']").await;
    browser.press("#passkey button").await;
    browser.says("[data-why=known]", "has a passkey of yours already").await;
    browser.press(".actions a").await;
    browser.press("a[href*='/passkey/rename']").await;
    browser.arrives_at("Rename a passkey").await;
    browser.picture("passkey-rename").await;
    browser.fill("#name", "Laptop").await;
    browser.press("button[type=submit]").await;
    browser.says("[aria-labelledby=passkeys] .title", "Laptop").await;
    browser.press("form[action$='/passkey/remove'] button").await;
    browser.says("[role=status]", "The passkey was removed").await;
    browser.signs_out().await;

    // What the device keeps still is worth nothing, and is not offered again by itself.
    browser.goto(&format!("{}/sign-in", app.url)).await.unwrap();
    browser.says("#passkey .mistake", "That did not work").await;
    browser.press("#passkey button").await;
    browser.says("#passkey .mistake", "That did not work").await;
    browser.picture("passkey-sign-in-refused").await;
    browser.sign_in(NAME, WORD).await;
    browser.arrives_at("ada Lovelace").await;
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|line| line.contains("422")), "{complaints:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_passkey_is_the_second_factor_of_whoever_gives_their_password() {
    let app = TestApp::spawn(Engine::Sqlite).await;
    app.user(NAME).await;
    let browser = Browser::open().await;
    let device = browser.plug_in(true).await;
    browser.goto(&format!("{}/sign-in?next=security", app.url)).await.unwrap();
    browser.sign_in(NAME, WORD).await;
    browser.press("a[href$='/security/passkey']").await;
    browser.press("#passkey button").await;
    browser.arrives_at("Keep these recovery codes").await;
    browser.press(".actions a").await;
    browser.says("[role=status]", "The passkey was added").await;
    browser.signs_out().await;

    // Else it would be in before its owner has typed anything.
    browser.verifies(&device, false).await;
    browser.goto(&format!("{}/sign-in", app.url)).await.unwrap();
    browser.sign_in(NAME, WORD).await;
    browser.arrives_at("Show that it is you").await;
    assert!(browser.is_shown("#passkey button").await);
    browser.picture("second-step-passkey").await;
    browser.press("#passkey button").await;
    browser.says("[data-why=nothing]", "No passkey was used").await;
    browser.verifies(&device, true).await;
    browser.press("#passkey button").await;
    browser.arrives_at("ada Lovelace").await;

    // With an app, too, either is offered.
    browser.goto(&format!("{}/account/security/app", app.url)).await.unwrap();
    let telephone = App::with_key(&browser.text(".secret").await);
    browser.fill("#code", &telephone.code(&app)).await;
    browser.press("button[type=submit]").await;
    browser.says("[role=status]", "The app is set up").await;
    browser.picture("security-both").await;
    browser.signs_out().await;
    browser.verifies(&device, false).await;
    browser.goto(&format!("{}/sign-in", app.url)).await.unwrap();
    browser.sign_in(NAME, WORD).await;
    browser.arrives_at("Show that it is you").await;
    browser.verifies(&device, true).await;
    browser.picture("second-step-both").await;
    browser.fill("#code", "000000").await;
    browser.press("button[type=submit]").await;
    browser.says("#mistake", "That code is not right").await;
    browser.picture("second-step-both-mistake").await;
    browser.press("#passkey button").await;
    browser.arrives_at("ada Lovelace").await;
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|line| line.contains("422")), "{complaints:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_offers_a_passkey_where_the_name_is_typed() {
    let app = TestApp::spawn(Engine::Sqlite).await;
    app.user(NAME).await;
    let browser = Browser::open().await;
    let device = browser.plug_in(true).await;
    browser.goto(&format!("{}/sign-in?next=security", app.url)).await.unwrap();
    browser.sign_in(NAME, WORD).await;
    browser.press("a[href$='/security/passkey']").await;
    browser.press("#passkey button").await;
    browser.arrives_at("Keep these recovery codes").await;
    browser.press(".actions a").await;
    browser.says("[role=status]", "The passkey was added").await;
    browser.signs_out().await;
    // The device of the test says yes to what the browser offers: nothing is pressed or typed.
    browser.goto(&format!("{}/sign-in", app.url)).await.unwrap();
    browser.arrives_at("ada Lovelace").await;
    browser.unplug(&device).await;
    browser.signs_out().await;
    browser.goto(&format!("{}/sign-in", app.url)).await.unwrap();
    browser.arrives_at("Sign in to Grantor").await;
    browser.has_no_complaints().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_without_passkeys_shows_nothing_of_them() {
    let app = TestApp::spawn(Engine::Sqlite).await;
    app.user(NAME).await;
    let browser = Browser::open().await;
    browser.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    browser.goto(&format!("{}/sign-in?next=security", app.url)).await.unwrap();
    assert!(!browser.is_shown("#passkey").await);
    browser.screenshot("passkey-sign-in-without").await;
    browser.sign_in(NAME, WORD).await;
    browser.press("a[href$='/security/passkey']").await;
    assert!(!browser.is_shown("#passkey").await && browser.is_shown(".note").await);
    browser.screenshot("passkey-add-without").await;
    browser.press(".foot a").await;
    browser.arrives_at("How you sign in").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_needs_a_second_factor_adds_a_passkey_on_the_way_in() {
    let app = TestApp::with(Engine::Sqlite, "[second_factor]\npolicy = \"required\"").await;
    app.user(NAME).await;
    let browser = Browser::open().await;
    browser.plug_in(true).await;
    browser.goto(&format!("{}/sign-in", app.url)).await.unwrap();
    browser.sign_in(NAME, WORD).await;
    browser.arrives_at("Set up an authenticator app").await;
    browser.picture("second-step-set-up").await;
    browser.press("#passkey button").await;
    browser.arrives_at("Keep these recovery codes").await;
    browser.press(".actions a").await;
    browser.arrives_at("Show that it is you").await;
    browser.press("#passkey button").await;
    browser.arrives_at("ada Lovelace").await;
    browser.has_no_complaints().await;
}
