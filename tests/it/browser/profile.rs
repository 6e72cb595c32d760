//! The profile and what happened; with `GRANTOR_SCREENSHOTS`, pictures of the pages.

use super::{NAME, WORD};
use crate::support::browser::Browser;
use crate::support::{Engine, TestApp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_profile_is_changed_and_the_account_deleted_in_a_browser() {
    let app = TestApp::with(Engine::Sqlite, "[account]\nmay_delete = true\n").await;
    app.user(NAME).await;
    let browser = Browser::open().await;
    browser.goto(&format!("{}/account/profile", app.url)).await.unwrap();
    browser.arrives_at("Sign in to Grantor").await;
    browser.sign_in(NAME, WORD).await;
    browser.arrives_at("Your profile").await;
    browser.fill("#birthdate", "tomorrow").await;
    browser.press("button[type=submit]").await;
    browser.says("#birthdate-mistake", "A date, as in").await;
    browser.picture("profile-mistake").await;
    browser.fill("#birthdate", "1815-12-10").await;
    browser.press("button[type=submit]").await;
    browser.says("[role=status]", "Your profile is changed.").await;
    browser.goto(&format!("{}/account/events", app.url)).await.unwrap();
    browser.says("h2.title", "The profile was changed").await;
    browser.picture("events").await;
    browser.goto(&format!("{}/account/profile", app.url)).await.unwrap();
    browser.press("a[href$='/account/delete']").await;
    browser.arrives_at("Delete your account").await;
    browser.picture("delete-account").await;
    browser.fill("#username", NAME).await;
    browser.press("button[type=submit]").await;
    browser.arrives_at("Your account is deleted").await;
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|line| line.contains("422")), "{complaints:#?}");
}
