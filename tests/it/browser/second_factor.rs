//! Setting up an authenticator app, and signing in with it; with `GRANTOR_SCREENSHOTS`, pictures of the pages.

use fantoccini::Locator;

use super::{NAME, WORD};
use crate::support::browser::Browser;
use crate::support::{Engine, TestApp};
use crate::web::second_factor::{App, STEP};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_is_set_up_and_asked_for_in_a_browser() {
    let app = TestApp::spawn(Engine::Sqlite).await;
    app.user(NAME).await;
    let browser = Browser::open().await;
    browser.goto(&format!("{}/account/security", app.url)).await.unwrap();
    browser.arrives_at("Sign in to Grantor").await;
    browser.sign_in(NAME, WORD).await;
    browser.arrives_at("How you sign in").await;
    browser.picture("security-empty").await;
    browser.press("a[href$='/security/app']").await;
    browser.arrives_at("Add an authenticator app").await;
    // What cameras read is drawn, and large enough.
    let drawn = browser.find(Locator::Css(".qr path")).await.unwrap().rectangle().await.unwrap();
    assert!(drawn.2 > 150.0 && drawn.3 > 150.0, "{drawn:?}");
    browser.picture("add-app").await;
    let telephone = App::with_key(&browser.text(".secret").await);
    browser.fill("#code", "000000").await;
    browser.press("button[type=submit]").await;
    browser.says("#mistake", "That is not the code").await;
    browser.picture("add-app-mistake").await;
    browser.fill("#code", &telephone.code(&app)).await;
    browser.fill("#name", "Telephone").await;
    browser.press("button[type=submit]").await;
    browser.arrives_at("Keep these recovery codes").await;
    browser.picture("recovery-codes").await;
    browser.press(".actions a").await;
    browser.says("[role=status]", "The app is set up").await;
    browser.picture("security").await;

    browser.press("a[href$='/oauth/logout']").await;
    browser.press("button[value=sign_out]").await;
    browser.arrives_at("You are signed out").await;
    browser.goto(&format!("{}/sign-in", app.url)).await.unwrap();
    browser.sign_in(NAME, WORD).await;
    browser.arrives_at("Enter your code").await;
    browser.picture("second-step").await;
    app.clock.advance(STEP);
    // The field has the focus: whoever types and presses Enter is in.
    browser.keys(&telephone.code(&app)).await;
    browser.enter().await;
    browser.arrives_at("ada Lovelace").await;
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|line| line.contains("422")), "{complaints:#?}");

    let strict = app.another("[second_factor]\npolicy = \"required\"").await;
    strict.user("bob").await;
    let browser = Browser::open().await;
    browser.goto(&format!("{}/sign-in", strict.url)).await.unwrap();
    browser.sign_in("bob", WORD).await;
    browser.arrives_at("Set up an authenticator app").await;
    browser.picture("second-step-set-up").await;
    browser.has_no_complaints().await;
}
