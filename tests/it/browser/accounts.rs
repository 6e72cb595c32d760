//! What people do with their accounts by mail, in a real browser; with `GRANTOR_SCREENSHOTS`, a picture of each page and of
//! each letter.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::support::browser::Browser;
use crate::support::smtp::{MailServer, Received};
use crate::support::{Engine, TestApp};

use super::{NAME, WORD};

const NEW: &str = "two boats and a candle";

impl Browser {
    /// Shows a letter as a program for mail would.
    async fn reads(&self, mail: &Received, name: &str) {
        let page = format!("data:text/html;base64,{}", STANDARD.encode(mail.html()));
        self.goto(&page).await.unwrap();
        self.arrives_at(mail.header("Subject")).await;
        self.picture(&format!("letter-{name}")).await;
    }
}

async fn server(more: &str) -> (TestApp, MailServer, Browser) {
    let mails = MailServer::start().await;
    let toml = format!("[server]\nname = \"Lighthouse Keepers\"\n{more}{}", mails.toml());
    let app = TestApp::with(Engine::Sqlite, &toml).await;
    app.user(NAME).await;
    (app, mails, Browser::open().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_password_is_replaced() {
    let (app, mails, browser) = server("").await;
    browser.goto(&format!("{}/sign-in", app.url)).await.unwrap();
    browser.press("a[href$='/forgot-password']").await;
    browser.arrives_at("Forgotten your password?").await;
    browser.picture("forgot-password").await;
    browser.fill("#username", NAME).await;
    browser.press("button[type=submit]").await;
    browser.arrives_at("Look into your mail").await;
    browser.picture("forgot-password-sent").await;
    let mail = mails.receives(1).await;
    browser.reads(&mail, "reset-password").await;

    browser.goto(&mail.link()).await.unwrap();
    browser.arrives_at("Choose a new password").await;
    assert!(!browser.current_url().await.unwrap().as_str().contains("link="));
    browser.picture("reset-password").await;
    browser.fill("#password", "short").await;
    browser.press("button[type=submit]").await;
    browser.says("#mistake", "at least 12 characters").await;
    browser.picture("reset-password-mistake").await;
    browser.fill("#password", NEW).await;
    browser.press("button[type=submit]").await;
    browser.says("[role=status]", "Your password is changed.").await;
    browser.picture("sign-in-after-reset").await;
    browser.sign_in(NAME, NEW).await;
    browser.arrives_at("ada Lovelace").await;
    browser.reads(&mails.receives(2).await, "password-changed").await;
    browser.goto(&mail.link()).await.unwrap();
    browser.arrives_at("This link does not work any more").await;
    browser.picture("link-gone").await;
    // The console tells of the statuses itself, and of nothing else.
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|line| line.contains("422") || line.contains("410")), "{complaints:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_is_made() {
    let (app, mails, browser) = server("[sign_up]\nmode = \"open\"\n").await;
    browser.goto(&format!("{}/sign-in", app.url)).await.unwrap();
    browser.picture("sign-in-open").await;
    browser.press("a[href$='/sign-up']").await;
    browser.arrives_at("Create an account").await;
    browser.picture("sign-up").await;
    browser.fill("#email", "grace@example.org").await;
    browser.press("button[type=submit]").await;
    browser.arrives_at("Look into your mail").await;
    let mail = mails.receives(1).await;
    browser.reads(&mail, "sign-up").await;
    browser.goto(&mail.link()).await.unwrap();
    browser.arrives_at("Create your account").await;
    browser.picture("sign-up-confirm").await;
    browser.fill("#name", "Grace Hopper").await;
    browser.fill("#password", "grace").await;
    browser.press("button[type=submit]").await;
    browser.says("#mistake", "at least 12 characters").await;
    browser.picture("sign-up-confirm-mistake").await;
    browser.fill("#password", NEW).await;
    browser.press("button[type=submit]").await;
    browser.arrives_at("Grace Hopper").await;
    // Who has an account is told in the mail alone.
    browser.press("a[href$='/oauth/logout']").await;
    browser.press("button[value=sign_out]").await;
    browser.goto(&format!("{}/sign-up", app.url)).await.unwrap();
    browser.fill("#email", "ada@example.org").await;
    browser.press("button[type=submit]").await;
    browser.arrives_at("Look into your mail").await;
    browser.reads(&mails.receives(2).await, "account-exists").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn password_and_address_are_changed() {
    let (app, mails, browser) = server("").await;
    browser.goto(&format!("{}/account", app.url)).await.unwrap();
    browser.sign_in(NAME, WORD).await;
    browser.arrives_at("ada Lovelace").await;
    browser.press("a[href$='/account/security']").await;
    browser.arrives_at("How you sign in").await;
    browser.picture("security").await;
    browser.press("a[href$='/account/password']").await;
    browser.arrives_at("Change your password").await;
    browser.picture("password").await;
    browser.fill("#current", "not hers").await;
    browser.fill("#password", NEW).await;
    browser.press("button[type=submit]").await;
    browser.says("#wrong", "The password is not right.").await;
    browser.picture("password-mistake").await;
    browser.fill("#current", WORD).await;
    browser.fill("#password", NEW).await;
    browser.press("button[type=submit]").await;
    browser.says("[role=status]", "Your password is changed.").await;
    mails.receives(1).await;

    browser.press("a[href$='/account/email']").await;
    browser.arrives_at("Change your e-mail address").await;
    browser.picture("email").await;
    browser.fill("#email", "ada@new.example").await;
    browser.press("button[type=submit]").await;
    browser.arrives_at("Look into your mail").await;
    browser.picture("email-sent").await;
    let mail = mails.receives(2).await;
    browser.reads(&mail, "confirm-email").await;
    browser.goto(&mail.link()).await.unwrap();
    browser.arrives_at("Use this e-mail address?").await;
    browser.picture("email-confirm").await;
    browser.press("button[type=submit]").await;
    browser.arrives_at("The new address counts from now on").await;
    let mail = mails.receives(3).await;
    browser.reads(&mail, "email-changed").await;
    browser.goto(&mail.link()).await.unwrap();
    browser.arrives_at("Take the old address back?").await;
    browser.picture("email-undo").await;
    browser.press("button[type=submit]").await;
    browser.arrives_at("The old address is back").await;
    browser.picture("email-undone").await;
    let complaints = browser.complaints().await;
    assert!(complaints.iter().all(|line| line.contains("422")), "{complaints:#?}");
}
