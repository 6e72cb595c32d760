//! Consent: asked, remembered, refused; and the request that waits for it (OAuth 2.1 §4.1.1, RFC 8252 §8.6, ASVS 10.7).

use std::time::Duration;

use super::authorize::refused_at_the_client;
use crate::each_database;
use crate::support::app::PASSWORD;
use crate::support::{Page, Person, Pkce, TestApp};

each_database!(
    consent_is_remembered_of_this_user_for_this_client_and_this_scope,
    a_public_client_on_the_users_own_device_asks_each_time,
    a_client_of_the_house_does_not_ask_unless_it_wants_to,
    what_an_administrator_allowed_is_asked_once_that_is_over,
    who_does_not_allow_it_sends_the_client_away_empty_handed,
    a_waiting_request_belongs_to_its_browser,
    a_waiting_request_is_answered_once,
    a_waiting_request_expires,
    a_waiting_request_is_checked_anew,
);

async fn consent_is_remembered_of_this_user_for_this_client_and_this_scope(app: TestApp) {
    app.user("ada").await;
    app.user("grace").await;
    let web = app.client("web").create().await;
    let other = app.client("other").create().await;
    let spa = app.client("spa").public().create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    web.code(&person, "ada", &pkce, &[("scope", "openid email notes:read")]).await;

    let asked = async |scope: &str| web.authorize(&person, &pkce, &[("scope", scope)]).await.asks_for_consent();
    for allowed in ["openid email notes:read", "notes:read openid", "openid"] {
        assert!(!asked(allowed).await, "{allowed}");
    }
    for more in ["openid profile", "openid notes:write", "openid offline_access"] {
        assert!(asked(more).await, "{more}");
    }
    // Of another client, and of another person.
    assert!(other.authorize(&person, &pkce, &[("scope", "openid")]).await.asks_for_consent());
    let theirs = app.person();
    let page = web.authorize(&theirs, &pkce, &[("scope", "openid")]).await;
    assert!(theirs.sign_in(&page, "grace", PASSWORD).await.asks_for_consent());

    // What is allowed later adds to what was; a code has what was asked for, not what was ever allowed.
    let code = web.code(&person, "ada", &pkce, &[("scope", "openid profile")]).await;
    assert_eq!(web.redeem(&code, &pkce).await.expect_tokens().scope(), "openid profile");
    assert!(!asked("openid email profile notes:read").await);
    // It is remembered across sign-ins, until it is withdrawn.
    person.sign_out().await;
    web.sign_in_with(&person, "ada", &[("scope", "openid email")]).await;
    assert!(!asked("openid email profile").await);
    person.withdraw("web").await;
    assert!(asked("openid").await);

    // A public client whose address is its own is known by it.
    spa.code(&person, "ada", &pkce, &[]).await;
    spa.authorize(&person, &pkce, &[]).await.code();
    // OpenID Connect Core §3.1.2.1: prompt=consent asks all the same.
    assert!(spa.authorize(&person, &pkce, &[("prompt", "consent")]).await.asks_for_consent());
}

async fn a_public_client_on_the_users_own_device_asks_each_time(app: TestApp) {
    app.user("ada").await;
    let (person, pkce) = (app.person(), Pkce::new());
    for (id, uri) in [("loopback", "http://127.0.0.1/cb"), ("six", "http://[::1]/cb"), ("app", "com.example.app:/cb")] {
        let native = app.client(id).public().redirect_uris(&[uri]).create().await;
        native.code(&person, "ada", &pkce, &[]).await;
        let page = native.authorize(&person, &pkce, &[]).await;
        assert!(page.asks_for_consent(), "{id}: {page:?}");
        assert!(page.body.contains("on your own device"), "{id}");
        // OpenID Connect Core §3.1.2.6: it was allowed, and a page has to be shown all the same.
        let silent = native.authorize(&person, &pkce, &[("prompt", "none")]).await;
        assert_eq!(silent.param("error").as_deref(), Some("interaction_required"), "{id}: {silent:?}");
        native.redeem(&person.decide(&page, "allow").await.code(), &pkce).await.expect_tokens();

        // A confidential client proves itself at the token endpoint, wherever it listens.
        let server = app.client(&format!("server-{id}")).redirect_uris(&[uri]).create().await;
        server.code(&person, "ada", &pkce, &[]).await;
        server.authorize(&person, &pkce, &[]).await.code();
    }
}

async fn a_client_of_the_house_does_not_ask_unless_it_wants_to(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("house").with(|client| client.skip_consent = true).create().await;
    let (person, pkce) = (app.person(), Pkce::new());

    let page = rp.authorize(&person, &pkce, &[]).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    let tokens = rp.redeem(&page.code(), &pkce).await.expect_tokens();
    rp.authorize(&person, &pkce, &[("prompt", "none")]).await.code();

    let page = rp.authorize(&person, &pkce, &[("prompt", "consent")]).await;
    assert!(page.asks_for_consent(), "{page:?}");
    let denied = person.decide(&page, "deny").await;
    refused_at_the_client(&app, &denied, "access_denied", "asked, and denied");

    // RFC 8252 §8.6: the administrator's word is for the application, not for whatever listens there.
    let native = app.client("native").public().redirect_uris(&["http://127.0.0.1/cb"]);
    let native = native.with(|client| client.skip_consent = true).create().await;
    for _ in 0..2 {
        assert!(native.authorize(&person, &pkce, &[]).await.asks_for_consent());
        native.code(&person, "ada", &pkce, &[]).await;
    }

    // ASVS 10.7.3: what nobody was asked about is listed and can be withdrawn all the same.
    assert!(person.get("/account").await.body.contains("value=\"house\""));
    person.withdraw("house").await;
    app.introspect(tokens.access_token()).await.expect_inactive();
    rp.refresh(&tokens).await.expect_error("invalid_grant");
}

async fn what_an_administrator_allowed_is_asked_once_that_is_over(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("house").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let (little, more) = (("scope", "openid"), ("scope", "openid notes:read"));
    rp.code(&person, "ada", &pkce, &[little]).await;
    app.reregister("house", |client| client.skip_consent = true).await;
    let tokens = rp.redeem(&rp.authorize(&person, &pkce, &[more]).await.code(), &pkce).await.expect_tokens();

    app.reregister("house", |client| client.skip_consent = false).await;
    // What the user was asked about stays allowed; what they were not asked about never was by them.
    rp.authorize(&person, &pkce, &[little, ("prompt", "none")]).await.code();
    let page = rp.authorize(&person, &pkce, &[more, ("prompt", "none")]).await;
    refused_at_the_client(&app, &page, "consent_required", "nobody was asked");
    let page = rp.authorize(&person, &pkce, &[more]).await;
    assert!(page.asks_for_consent(), "{page:?}");
    // What was issued goes on, and is listed (ASVS 10.7.3).
    app.introspect(tokens.access_token()).await.expect_active();
    assert!(person.get("/account").await.body.contains("notes:read"));
    person.decide(&page, "allow").await.code();
    rp.authorize(&person, &pkce, &[more, ("prompt", "none")]).await.code();
}

async fn who_does_not_allow_it_sends_the_client_away_empty_handed(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());

    // RFC 6749 §4.1.2.1: access_denied
    let page = rp.authorize(&person, &pkce, &[]).await;
    let page = person.cancel(&page).await;
    refused_at_the_client(&app, &page, "access_denied", "cancelled at sign-in");
    assert_eq!(page.param("state").as_deref(), Some("a state"));

    let page = rp.authorize(&person, &pkce, &[]).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    // What is neither yes nor no decides nothing: the question stands.
    for decision in ["", "maybe", "ALLOW", "allow deny"] {
        assert!(person.decide(&page, decision).await.asks_for_consent(), "{decision}");
    }
    let denied = person.decide(&page, "deny").await;
    refused_at_the_client(&app, &denied, "access_denied", "denied");
    assert_eq!(denied.param("state").as_deref(), Some("a state"));

    // Nothing was remembered, neither the no nor a yes.
    assert!(rp.authorize(&person, &pkce, &[]).await.asks_for_consent());
    let none = rp.authorize(&person, &pkce, &[("prompt", "none")]).await;
    refused_at_the_client(&app, &none, "consent_required", "denied before");
}

/// Every way to go on with a waiting request is an error page for this person.
async fn leads_nowhere_for(person: &Person, request: &str) {
    for path in ["/sign-in", "/consent", "/select-account", "/oauth/authorize/continue"] {
        person.get(&format!("{path}?request={request}")).await.expect_error_page(400);
    }
    // With a form token of their own browser, so that nothing but the request is wrong.
    let csrf = person.get("/sign-in").await.hidden("csrf");
    let csrf = if csrf.is_empty() { person.get("/account").await.hidden("csrf") } else { csrf };
    assert!(!csrf.is_empty());
    for (path, field) in [
        ("/consent", ("decision", "allow")),
        ("/consent", ("decision", "deny")),
        ("/consent", ("decision", "switch")),
        ("/sign-in", ("decision", "cancel")),
        ("/select-account", ("session", "")),
    ] {
        person.post(path, &[("csrf", &csrf), ("request", request), field]).await.expect_error_page(400);
    }
    let credentials = [("csrf", csrf.as_str()), ("request", request), ("username", "ada"), ("password", PASSWORD)];
    person.post("/sign-in", &credentials).await.expect_error_page(400);
}

async fn a_waiting_request_belongs_to_its_browser(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let page = rp.authorize(&person, &pkce, &[]).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    let request = page.hidden("request");

    // The same person in another browser, and somebody with none at all (RFC 9700 §4.7: no CSRF, no session mix-up).
    let elsewhere = app.person();
    rp.sign_in_with(&elsewhere, "ada", &[("scope", "openid email")]).await;
    leads_nowhere_for(&elsewhere, &request).await;
    leads_nowhere_for(&app.person(), &request).await;
    for forged in ["", "x", "0197c0de-0000-4000-8000-000000000000", "' OR 1=1 --"] {
        person.get(&format!("/consent?request={forged}")).await.expect_error_page(400);
    }
    // It has not suffered: its own browser can still answer it.
    rp.redeem(&person.decide(&page, "allow").await.code(), &pkce).await.expect_tokens();
}

async fn a_waiting_request_is_answered_once(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let asked = async || {
        let page = rp.authorize(&person, &pkce, &[("prompt", "consent")]).await;
        if page.asks_to_sign_in() { person.sign_in(&page, "ada", PASSWORD).await } else { page }
    };
    for (first, second) in [("allow", "allow"), ("allow", "deny"), ("deny", "allow"), ("deny", "deny")] {
        let page = asked().await;
        let answered = person.decide(&page, first).await;
        assert_eq!(answered.param("code").is_some(), first == "allow");
        // The back button, a double click: no second answer, and the first one is as good as before.
        person.decide(&page, second).await.expect_error_page(400);
        person.get(&page.url).await.expect_error_page(400);
        if first == "allow" {
            rp.redeem(&answered.code(), &pkce).await.expect_tokens();
        }
    }

    // Both at once.
    let page = asked().await;
    let (left, right) = tokio::join!(person.decide(&page, "allow"), person.decide(&page, "allow"));
    let codes = [&left, &right].into_iter().filter(|page: &&Page| page.url.contains("code=")).count();
    assert_eq!(codes, 1, "{left:?} {right:?}");

    // And from the sign-in page: cancelled is cancelled.
    let page = rp.authorize(&person, &pkce, &[("prompt", "login")]).await;
    person.cancel(&page).await.expect_redirect_error("access_denied");
    person.cancel(&page).await.expect_error_page(400);
    person.sign_in(&page, "ada", PASSWORD).await.expect_error_page(400);
}

async fn a_waiting_request_expires(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let page = rp.authorize(&person, &pkce, &[]).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;

    app.clock.advance(Duration::from_secs(30 * 60) - Duration::from_micros(1));
    assert!(person.get(&page.url).await.asks_for_consent());
    app.clock.advance(Duration::from_micros(1));
    leads_nowhere_for(&person, &page.hidden("request")).await;

    // The session outlives it: starting again at the application is all that is needed.
    assert!(rp.authorize(&person, &pkce, &[]).await.asks_for_consent());
}

async fn a_waiting_request_is_checked_anew(app: TestApp) {
    let ada = app.user("ada").await;
    let rp = app.client("web").create().await;
    let pkce = Pkce::new();

    // Its user was disabled while the page was open: nobody is signed in any more.
    let person = app.person();
    let page = rp.authorize(&person, &pkce, &[]).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    app.disable_user(ada).await;
    let page = person.decide(&page, "allow").await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    assert_eq!(person.sign_in(&page, "ada", PASSWORD).await.status.as_u16(), 422);

    // Its client was disabled: a page, for there is no proved redirect URI left.
    app.user("grace").await;
    let person = app.person();
    let page = rp.authorize(&person, &pkce, &[]).await;
    let page = person.sign_in(&page, "grace", PASSWORD).await;
    app.disable_client("web").await;
    person.decide(&page, "allow").await.expect_error_page(400);
    person.decide(&page, "deny").await.expect_error_page(400);
}
