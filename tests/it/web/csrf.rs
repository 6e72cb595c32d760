//! Every form that changes something carries a token of this browser, since this sign-in.

use crate::each_database;
use crate::support::app::PASSWORD;
use crate::support::rows::rows;
use crate::support::smtp::MailServer;
use crate::support::{Engine, Page, Person, Pkce, TestApp};

each_database!(
    a_form_without_a_token_of_this_browser_changes_nothing,
    a_form_with_the_token_of_its_page_is_taken,
    a_browser_without_a_cookie_has_no_token,
    a_form_in_another_format_is_not_read,
    a_waiting_request_is_one_browsers_alone,
    a_waiting_request_is_answered_once,
);

/// Somebody who is signed in, on whose screen every form stands.
struct Victim {
    person: Person,
    /// The token of before the sign-in.
    old: String,
    forms: Vec<(&'static str, Vec<(&'static str, String)>)>,
}

async fn victim(app: &TestApp) -> Victim {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let pkce = Pkce::new();
    let person = app.person();
    let page = person.get("/sign-in").await;
    let old = page.hidden("csrf");
    let account = person.sign_in(&page, "ada", PASSWORD).await;
    assert!(account.url.ends_with("/account"), "{account:?}");
    rp.code(&person, "ada", &pkce, &[]).await;

    let consent = rp.authorize(&person, &pkce, &[("prompt", "consent")]).await;
    assert!(consent.asks_for_consent());
    let choice = rp.authorize(&person, &pkce, &[("prompt", "select_account")]).await;
    assert!(choice.asks_for_account());
    let again = rp.authorize(&person, &pkce, &[("prompt", "login")]).await;
    assert!(again.asks_to_sign_in());
    let account = person.get("/account").await;
    let session = account.hidden("session");
    let request = |page: &Page| ("request", page.hidden("request"));
    let form = |name, value: &str| (name, value.to_owned());
    let forms = vec![
        ("/sign-in", vec![request(&again), form("username", "ada"), form("password", PASSWORD)]),
        ("/sign-in", vec![request(&again), form("decision", "cancel")]),
        ("/select-account", vec![request(&choice), form("session", &session)]),
        ("/consent", vec![request(&consent), form("decision", "allow")]),
        ("/consent", vec![request(&consent), form("decision", "deny")]),
        ("/account/consents/withdraw", vec![form("client_id", "web")]),
        ("/account/sessions/end", vec![form("session", &session)]),
        ("/reset-password", vec![form("password", PASSWORD)]),
        ("/account/password", vec![form("current", "not hers"), form("password", PASSWORD)]),
        ("/oauth/logout/confirm", vec![form("decision", "sign_out")]),
    ];
    Victim { person, old, forms }
}

async fn a_form_without_a_token_of_this_browser_changes_nothing(app: TestApp) {
    let Victim { person, old, forms } = victim(&app).await;
    let stranger = app.person();
    let foreign = stranger.get("/sign-in").await.hidden("csrf");
    let own = person.get("/account").await.hidden("csrf");
    let (shorter, longer) = (&own[..own.len() - 1], format!("{own}A"));
    let (before, cookies) = (rows(&app).await, person.cookies());

    for (path, fields) in &forms {
        for csrf in [None, Some(""), Some(&foreign), Some(&old), Some(shorter), Some(&longer), Some("null")] {
            let mut sent: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            sent.extend(csrf.map(|csrf| ("csrf", csrf)));
            let page = person.post(path, &sent).await;
            page.expect_error_page(403);
        }
    }
    assert_eq!(rows(&app).await, before);
    assert_eq!(person.cookies(), cookies);
}

async fn a_form_with_the_token_of_its_page_is_taken(app: TestApp) {
    let Victim { person, forms, .. } = victim(&app).await;
    for (path, fields) in &forms {
        // Each sign-in changes the token, each sign-out ends it.
        if !person.is_signed_in().await {
            person.sign_in_to_account("ada").await;
        }
        let csrf = person.get("/account").await.hidden("csrf");
        let mut sent: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        sent.push(("csrf", &csrf));
        // Some of these requests were answered by the forms before; what matters is that the form itself is taken.
        assert_ne!(person.post(path, &sent).await.status, 403, "{path}");
    }
}

async fn a_browser_without_a_cookie_has_no_token(app: TestApp) {
    app.user("ada").await;
    let csrf = app.person().get("/sign-in").await.hidden("csrf");
    for csrf in [csrf.as_str(), ""] {
        let fields = [("csrf", csrf), ("username", "ada"), ("password", PASSWORD)];
        app.person().post("/sign-in", &fields).await.expect_error_page(403);
    }
    assert!(!rows(&app).await.iter().any(|row| row.starts_with("sessions")));
}

/// The same of forms that are there with mail alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_else_has_mail_sent_or_an_address_changed() {
    let mails = MailServer::start().await;
    let app = TestApp::with(Engine::Sqlite, &format!("[sign_up]\nmode = \"open\"\n{}", mails.toml())).await;
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let before = rows(&app).await;
    let foreign = app.person().get("/sign-in").await.hidden("csrf");
    let browsers = rows(&app).await.len() - before.len();
    for (path, field) in [
        ("/forgot-password", ("username", "ada")),
        ("/sign-up", ("email", "grace@example.org")),
        ("/sign-up/confirm", ("password", PASSWORD)),
        ("/account/email", ("email", "eve@example.org")),
        ("/account/email/confirm", ("yes", "yes")),
        ("/account/email/undo", ("yes", "yes")),
    ] {
        for csrf in [None, Some(""), Some(&*foreign)] {
            let mut fields = vec![field];
            fields.extend(csrf.map(|csrf| ("csrf", csrf)));
            person.post(path, &fields).await.expect_error_page(403);
        }
    }
    assert_eq!(rows(&app).await.len(), before.len() + browsers);
    assert!(mails.mails().is_empty());
}

/// What a page elsewhere can send without asking: `text/plain` and JSON are no forms of ours.
async fn a_form_in_another_format_is_not_read(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    let csrf = person.get("/sign-in").await.hidden("csrf");
    let (name, value) = person.own_cookie().unwrap();
    let cookie = format!("{name}={value}");
    let form = format!("csrf={csrf}&username=ada&password={}", PASSWORD.replace(' ', "+"));
    let json = format!(r#"{{"csrf":"{csrf}","username":"ada","password":"{PASSWORD}"}}"#);
    for (kind, body) in [("text/plain", &form), ("application/json", &json), ("multipart/form-data; boundary=x", &form)]
    {
        let headers = [("content-type", kind), ("cookie", cookie.as_str())];
        app.post_raw("/sign-in", &headers, body.clone()).await.expect_status(400);
    }
    let headers = [("content-type", "application/x-www-form-urlencoded; charset=UTF-8"), ("cookie", &cookie)];
    app.post_raw("/sign-in", &headers, form).await.expect_status(303);
}

async fn a_waiting_request_is_one_browsers_alone(app: TestApp) {
    let Victim { person: victim, forms, .. } = victim(&app).await;
    app.user("eve").await;
    let eve = app.person();
    let csrf = eve.sign_in_to_account("eve").await.hidden("csrf");
    let (before, account) = (rows(&app).await, victim.get("/account").await.status);
    assert_eq!(account, 200);
    for (path, fields) in forms.iter().filter(|(_, fields)| fields.iter().any(|(name, _)| *name == "request")) {
        let mut sent: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
        sent.push(("csrf", &csrf));
        // Her own form, with another browser's request in it: no code, no error to the application, no change.
        eve.post(path, &sent).await.expect_error_page(400);
        let request = &fields[0].1;
        eve.get(&format!("{path}?request={request}")).await.expect_error_page(400);
        eve.get(&format!("/oauth/authorize/continue?request={request}")).await.expect_error_page(400);
    }
    assert_eq!(rows(&app).await, before);
}

async fn a_waiting_request_is_answered_once(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (std::sync::Arc::new(app.person()), Pkce::new());
    let page = rp.authorize(&person, &pkce, &[]).await;
    let page = std::sync::Arc::new(person.sign_in(&page, "ada", PASSWORD).await);
    // "Allow", pressed ten times.
    let mut presses = tokio::task::JoinSet::new();
    for _ in 0..10 {
        let (person, page) = (person.clone(), page.clone());
        presses.spawn(async move { person.decide(&page, "allow").await });
    }
    let answers = presses.join_all().await;
    let codes = answers.iter().filter(|answer| answer.url.starts_with("https://app.example/")).count();
    assert_eq!(codes, 1, "{answers:?}");
    assert!(answers.iter().all(|answer| answer.status == 303 || answer.status == 400), "{answers:?}");
    assert_eq!(rows(&app).await.iter().filter(|row| row.starts_with("grants ")).count(), 1);
    let sent = answers.into_iter().find(|answer| answer.status == 303).unwrap();
    rp.redeem(&sent.code(), &pkce).await.expect_tokens();
}
