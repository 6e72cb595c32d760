//! What a person sees of a client that registered itself; with `GRANTOR_SCREENSHOTS`, pictures of it.

use serde_json::json;

use super::{Callback, NAME, WORD};
use crate::oauth::registration::{OPEN, party, registered};
use crate::support::browser::Browser;
use crate::support::party::encode;
use crate::support::{Engine, Pkce, TestApp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_is_warned_of_a_client_that_nobody_has_verified_and_may_allow_it() {
    let (app, callback) = (TestApp::with(Engine::Sqlite, OPEN).await, Callback::listen().await);
    app.user(NAME).await;
    let document = json!({
        "redirect_uris": [callback.uri()], "client_name": "Free Poems",
        "client_uri": "https://poems.example/", "logo_uri": "https://poems.example/logo.png",
        "policy_uri": "https://poems.example/privacy", "tos_uri": "https://poems.example/terms",
        "initiate_login_uri": "https://poems.example/login",
    });
    let client = registered(&app, &document).await;
    let browser = Browser::open().await;
    let request = party(&app, &client).request(&Pkce::new());
    browser.goto(&format!("{}/oauth/authorize?{}", app.url, encode(&request))).await.unwrap();
    browser.arrives_at("Sign in to Grantor").await;
    let text = browser.text("main").await;
    for shown in ["Privacy policy", "Terms of service", "at poems.example"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    browser.picture("sign-in-unverified").await;
    browser.sign_in(NAME, WORD).await;
    browser.arrives_at("Free Poems wants to use your account").await;
    let text = browser.text("main").await;
    for shown in ["Not verified.", "Privacy policy", "Terms of service", "poems.example"] {
        assert!(text.contains(shown), "{shown}: {text}");
    }
    browser.picture("consent-unverified").await;
    browser.press("button[value=allow]").await;
    browser.arrives_at("Arrived").await;
    callback.answer().await;
    browser.goto(&format!("{}/account", app.url)).await.unwrap();
    browser.arrives_at("ada Lovelace").await;
    browser.picture("account-open").await;
    browser.has_no_complaints().await;
}
