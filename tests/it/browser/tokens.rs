//! Making a personal access token; with `GRANTOR_SCREENSHOTS`, pictures of the pages.

use grantor::crypto::api_token;

use super::{NAME, WORD};
use crate::oauth::resources::{register, resource};
use crate::support::browser::Browser;
use crate::support::{Engine, TestApp};

const TOML: &str = "[personal_tokens]\nscope = \"notes:read notes:write\"\n\
    [scopes.\"notes:read\"]\ntitle = \"Read your notes\"\n\
    [scopes.\"notes:write\"]\ntitle = \"Change your notes\"\ndetail = \"Also those that others share with you\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_made_and_ended_in_a_browser() {
    let app = TestApp::with(Engine::Sqlite, TOML).await;
    app.user(NAME).await;
    let mut notes = resource(&app, "https://notes.example/api", "notes:read notes:write");
    notes.name = "Notes".to_owned();
    register(&app, &notes).await;
    let browser = Browser::open().await;
    browser.goto(&format!("{}/account/tokens", app.url)).await.unwrap();
    browser.arrives_at("Sign in to Grantor").await;
    browser.sign_in(NAME, WORD).await;
    browser.arrives_at("Personal access tokens").await;
    browser.picture("tokens-empty").await;
    browser.press("a[href$='/tokens/new']").await;
    browser.arrives_at("Make a personal access token").await;
    browser.fill("#name", "Nightly backup").await;
    browser.press("button[type=submit]").await;
    browser.says("#mistake", "Choose something").await;
    browser.picture("new-token-mistake").await;
    browser.press("input[name='scope:notes:read']").await;
    browser.press("input[value='90']").await;
    browser.press("button[type=submit]").await;
    browser.arrives_at("Keep this token").await;
    let token = browser.text(".secret").await;
    assert!(api_token::hash(&token).is_some(), "{token}");
    browser.picture("token-made").await;
    browser.press(".actions a").await;
    browser.says("h2.title", "Nightly backup").await;
    browser.picture("tokens").await;
    browser.press("button.danger").await;
    browser.says("[role=status]", "The token is ended").await;
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|line| line.contains("422")), "{complaints:#?}");
}
