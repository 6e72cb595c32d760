//! Signing in by another Grantor, in a real browser; with `GRANTOR_SCREENSHOTS`, pictures of the pages.

use axum::response::IntoResponse as _;
use http::StatusCode;

use super::{Callback, NAME, WORD};
use crate::support::browser::Browser;
use crate::support::party::encode;
use crate::support::upstream::{ALLOW, Two};
use crate::support::website::Website;
use crate::support::{Engine, Pkce, TestApp};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_comes_by_another_provider_and_links_it() {
    let two = Two::start_with(Engine::Sqlite, "", "[server]\nname = \"Harbour\"\n").await;
    two.here.user(NAME).await;
    two.there.user(NAME).await;
    let callback = Callback::listen().await;
    let rp = two.here.client("web").redirect_uris(&[&callback.uri()]).create().await;
    let browser = Browser::open().await;
    browser.goto(&format!("{}/oauth/authorize?{}", two.here.url, encode(&rp.request(&Pkce::new())))).await.unwrap();
    browser.arrives_at("Sign in to Grantor").await;
    browser.picture("upstream-sign-in").await;
    browser.press(".other .button").await;
    // By a page of ours, which no policy of a form can stop on the way.
    browser.arrives_at("Sign in to Harbour").await;
    browser.press("button[value=cancel]").await;
    browser.says("[role=status]", "You did not go on there").await;
    browser.picture("upstream-declined").await;

    browser.press(".other .button").await;
    browser.arrives_at("Sign in to Harbour").await;
    browser.sign_in(NAME, WORD).await;
    browser.press("button[value=allow]").await;
    browser.arrives_at("Nobody here is known by that There account").await;
    browser.picture("upstream-unknown").await;
    browser.press(".actions .primary").await;
    browser.arrives_at("Sign in to Grantor").await;
    browser.says(".lead", "to link how you just signed in elsewhere").await;
    browser.sign_in(NAME, WORD).await;
    browser.arrives_at("Sign in with There from now on?").await;
    browser.picture("upstream-link").await;
    browser.press("button[type=submit]").await;
    // What waited goes on.
    browser.press("button[value=allow]").await;
    browser.arrives_at("Arrived").await;
    assert!(callback.answer().await.contains_key("code"));

    browser.goto(&format!("{}/account/security", two.here.url)).await.unwrap();
    browser.says("#linked", "Linked sign-ins").await;
    browser.picture("upstream-linked").await;
    browser.press("a[href$='/oauth/logout']").await;
    browser.press("button[value=sign_out]").await;
    browser.arrives_at("You are signed out").await;
    browser.goto(&format!("{}/sign-in", two.here.url)).await.unwrap();
    browser.press(".other .button").await;
    // They are signed in there all along.
    browser.arrives_at("ada Lovelace").await;
    browser.has_no_complaints().await;

    // Last, the page in between, of a provider that shows nothing.
    let slow = Website::start(|_| StatusCode::NO_CONTENT.into_response());
    let toml = format!(
        "{ALLOW}[upstream.\"slow\"]\ntitle = \"Lighthouse\"\nclient_id = \"a\"\nauthorization_endpoint = \"{0}/a\"\n\
         token_endpoint = \"{0}/t\"\nuserinfo_endpoint = \"{0}/u\"\n",
        slow.url
    );
    let app = TestApp::with(Engine::Sqlite, &toml).await;
    browser.goto(&format!("{}/sign-in", app.url)).await.unwrap();
    browser.press(".other .button").await;
    browser.arrives_at("Going on to Lighthouse").await;
    browser.picture("upstream-going-on").await;
}
