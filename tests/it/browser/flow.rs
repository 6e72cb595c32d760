//! From the application to the code, in a real browser.

use crate::support::browser::Browser;
use crate::support::party::encode;
use crate::support::{Engine, Party, Pkce, TestApp};

use super::{Callback, NAME, WORD};

/// The address to which an application sends its user.
fn address(rp: &Party<'_>, pkce: &Pkce, changes: &[(&str, &str)]) -> String {
    let mut fields = rp.request(pkce);
    fields.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    format!("{}/oauth/authorize?{}", rp.app.url, encode(&fields))
}

async fn party<'a>(app: &'a TestApp, callback: &Callback) -> Party<'a> {
    app.user(NAME).await;
    app.client("web").redirect_uris(&[&callback.uri()]).create().await
}

async fn the_code_arrives_and_is_worth_tokens(engine: Engine) {
    let (app, callback) = (TestApp::spawn(engine).await, Callback::listen().await);
    let (rp, pkce) = (party(&app, &callback).await, Pkce::new());
    let browser = Browser::open().await;
    browser.goto(&address(&rp, &pkce, &[])).await.unwrap();
    browser.arrives_at("Sign in to Grantor").await;
    browser.sign_in(NAME, WORD).await;
    browser.arrives_at("wants to use your account").await;
    browser.press("button[value=allow]").await;
    // Chromium holds `form-action` against this redirect.
    browser.arrives_at("Arrived").await;

    let answer = callback.answer().await;
    assert_eq!((answer["state"].as_str(), answer["iss"].as_str()), ("a state", app.issuer()));
    let tokens = rp.redeem(&answer["code"], &pkce).await.expect_tokens();
    app.introspect(tokens.access_token()).await.expect_active();
    browser.has_no_complaints().await;

    // Once more, without a question.
    browser.goto(&address(&rp, &pkce, &[])).await.unwrap();
    browser.arrives_at("Arrived").await;
    assert!(callback.answer().await.contains_key("code"));
    browser.has_no_complaints().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_code_arrives_and_is_worth_tokens_on_sqlite() {
    the_code_arrives_and_is_worth_tokens(Engine::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_code_arrives_and_is_worth_tokens_on_postgres() {
    the_code_arrives_and_is_worth_tokens(Engine::Postgres).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_keyboard_is_enough() {
    let (app, callback) = (TestApp::spawn(Engine::Sqlite).await, Callback::listen().await);
    let (rp, pkce) = (party(&app, &callback).await, Pkce::new());
    let browser = Browser::open().await;
    browser.goto(&address(&rp, &pkce, &[])).await.unwrap();
    browser.arrives_at("Sign in to Grantor").await;
    // The first field has the focus already; Enter in a field signs in, and does not cancel.
    browser.keys(NAME).await;
    browser.tab().await;
    browser.keys(WORD).await;
    browser.enter().await;
    browser.arrives_at("wants to use your account").await;
    browser.tab_to("button[value=deny]").await;
    browser.tab_to("button[value=allow]").await;
    browser.enter().await;
    browser.arrives_at("Arrived").await;
    assert!(callback.answer().await.contains_key("code"));

    browser.goto(&format!("{}/account", app.url)).await.unwrap();
    browser.arrives_at("ada Lovelace").await;
    browser.tab_to("a[href$='/oauth/logout']").await;
    browser.enter().await;
    browser.arrives_at("Sign out of Grantor?").await;
    browser.tab_to("button[value=sign_out]").await;
    browser.enter().await;
    browser.arrives_at("You are signed out").await;
    browser.has_no_complaints().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turning_away_brings_the_browser_back_with_an_error() {
    let (app, callback) = (TestApp::spawn(Engine::Sqlite).await, Callback::listen().await);
    let (rp, pkce) = (party(&app, &callback).await, Pkce::new());
    let browser = Browser::open().await;
    // On the sign-in page.
    browser.goto(&address(&rp, &pkce, &[])).await.unwrap();
    browser.press("button[value=cancel]").await;
    browser.arrives_at("Arrived").await;
    let answer = callback.answer().await;
    assert_eq!((answer["error"].as_str(), answer["state"].as_str()), ("access_denied", "a state"));
    // On the consent page.
    browser.goto(&address(&rp, &pkce, &[])).await.unwrap();
    browser.sign_in(NAME, WORD).await;
    browser.press("button[value=deny]").await;
    browser.arrives_at("Arrived").await;
    let answer = callback.answer().await;
    assert_eq!((answer["error"].as_str(), answer.contains_key("code")), ("access_denied", false));
    browser.has_no_complaints().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password_is_told_where_it_was_typed() {
    let (app, callback) = (TestApp::spawn(Engine::Sqlite).await, Callback::listen().await);
    let (rp, pkce) = (party(&app, &callback).await, Pkce::new());
    let browser = Browser::open().await;
    browser.goto(&address(&rp, &pkce, &[])).await.unwrap();
    browser.sign_in(NAME, "not her password").await;
    let mistake = browser.text("#mistake").await;
    assert!(mistake.contains("is not right"), "{mistake}");
    let state = "return [document.activeElement.id, document.querySelector('#username').value, \
                 document.querySelector('#password').value, document.querySelector('#password').ariaInvalid, \
                 document.querySelector('#mistake').checkVisibility()]";
    let state = browser.execute(state, vec![]).await.unwrap();
    assert_eq!(state, serde_json::json!(["password", NAME, "", "true", true]));
    browser.picture("sign-in-wrong").await;
    // The console tells of the 422 itself, and of nothing else.
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|line| line.contains("422")), "{complaints:#?}");
    browser.fill("#password", WORD).await;
    browser.enter().await;
    browser.arrives_at("wants to use your account").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_form_post_answer_goes_on_by_itself() {
    let (app, callback) = (TestApp::spawn(Engine::Sqlite).await, Callback::listen().await);
    let (rp, pkce) = (party(&app, &callback).await, Pkce::new());
    let browser = Browser::open().await;
    browser.goto(&address(&rp, &pkce, &[("response_mode", "form_post")])).await.unwrap();
    browser.sign_in(NAME, WORD).await;
    browser.press("button[value=allow]").await;
    browser.arrives_at("Arrived").await;
    assert_eq!(browser.current_url().await.unwrap().as_str(), callback.uri(), "no code in the address");
    let answer = callback.answer().await;
    rp.redeem(&answer["code"], &pkce).await.expect_tokens();
    browser.has_no_complaints().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_javascript_a_form_post_answer_takes_one_press() {
    let (app, callback) = (TestApp::spawn(Engine::Sqlite).await, Callback::listen().await);
    let (rp, pkce) = (party(&app, &callback).await, Pkce::new());
    let browser = Browser::open().await;
    let off = serde_json::json!({ "value": true });
    browser.devtools("Emulation.setScriptExecutionDisabled", off).await;
    browser.goto(&address(&rp, &pkce, &[("response_mode", "form_post")])).await.unwrap();
    browser.sign_in(NAME, WORD).await;
    browser.press("button[value=allow]").await;
    browser.arrives_at("Going back to the application").await;
    browser.press("#form-post button").await;
    browser.arrives_at("Arrived").await;
    rp.redeem(&callback.answer().await["code"], &pkce).await.expect_tokens();
}
