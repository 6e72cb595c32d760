//! A request that waits for its user: what is kept of it, and how much.

use grantor::types::RequestId;

use super::authorize::refused_at_the_client;
use crate::each_database;
use crate::support::app::PASSWORD;
use crate::support::rows::rows;
use crate::support::{Answer, Party, Pkce, TestApp};

each_database!(
    what_waits_is_what_is_read_again_and_no_token,
    what_is_kept_has_a_bound,
    a_posted_request_is_in_no_address_and_belongs_to_the_first_browser_that_comes,
    a_posted_request_is_answered_without_a_page_where_none_may_be_shown,
    what_is_certain_of_a_posted_request_is_answered_at_once,
);

async fn what_waits_is_what_is_read_again_and_no_token(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let hint = rp.sign_in_with(&person, "ada", &[]).await.id_token().to_owned();
    let stray = [("client_secret", "a-secret-in-the-wrong-place"), ("x", "whatever-else")];

    let asked = [("id_token_hint", hint.as_str()), ("prompt", "login"), stray[0], stray[1]];
    let page = rp.authorize(&person, &pkce, &asked).await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    let logout =
        person.get(&format!("/oauth/logout?client_id=web&state=bye&id_token_hint={}", foreign(&app).await)).await;
    assert!(logout.body.contains("value=\"sign_out\""), "{logout:?}");
    assert_eq!(app.count("pending_requests").await, 2);
    let kept = rows(&app).await.join("\n");
    assert!(kept.contains("a nonce") && kept.contains("bye"), "what is read again is there");
    for secret in [stray[0].1, stray[1].1, &hint, hint.rsplit('.').next().expect("a signature"), "eyJ"] {
        assert!(!kept.contains(secret), "{secret}");
    }

    // What it proved holds all the same, and everything else comes through.
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    assert_eq!(page.param("state").as_deref(), Some("a state"));
    let tokens = rp.redeem(&page.code(), &pkce).await.expect_tokens();
    assert_eq!(crate::support::party::decode(tokens.id_token()).1["nonce"], "a nonce");
}

/// An ID token of another session of the same client.
async fn foreign(app: &TestApp) -> String {
    let rp = Party::existing(app, "web", crate::support::party::SECRET);
    rp.sign_in("ada").await.id_token().to_owned()
}

async fn what_is_kept_has_a_bound(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let (fits, too_long) = ("s".repeat(2_048), "s".repeat(2_049));
    assert!(rp.authorize(&person, &pkce, &[("state", &fits)]).await.asks_to_sign_in());
    let page = rp.authorize(&person, &pkce, &[("state", &too_long)]).await;
    refused_at_the_client(&app, &page, "invalid_request", "a state that is too long");
    // RFC 6749 §4.1.2.1
    assert_eq!(page.param("state"), Some(too_long));

    let query = crate::support::party::encode(&rp.request(&pkce));
    let filled = |length: usize| format!("{query}&x={}", "x".repeat(length - query.len() - 3));
    assert!(person.get(&format!("/oauth/authorize?{}", filled(8_192))).await.asks_to_sign_in());
    // RFC 9110 §15.5.15
    person.get(&format!("/oauth/authorize?{}", filled(8_193))).await.expect_error_page(414);
}

/// Posts a request as a page of the client's does: across sites, so without our cookie.
async fn post(rp: &Party<'_>, pkce: &Pkce, changes: &[(&str, &str)]) -> Answer {
    let mut fields = rp.request(pkce);
    for (name, value) in changes {
        fields.retain(|(own, _)| own != name);
        fields.push(((*name).to_owned(), (*value).to_owned()));
    }
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    rp.app.post("/oauth/authorize", &fields).await
}

/// Where the browser is asked to come back.
fn continues(answer: &Answer) -> String {
    assert_eq!(answer.status.as_u16(), 303, "{answer:?}");
    assert!(answer.header("set-cookie").is_none(), "{answer:?}");
    let location = answer.header("location").expect("a redirect").to_owned();
    let id = location.strip_prefix("/oauth/authorize/continue?request=").unwrap_or_else(|| panic!("{location}"));
    assert!(RequestId::parse(id).is_some(), "{location}");
    location
}

async fn a_posted_request_is_in_no_address_and_belongs_to_the_first_browser_that_comes(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, other, pkce) = (app.person(), app.person(), Pkce::new());
    // The other has a record and a session of their own.
    rp.sign_in_with(&other, "ada", &[]).await;

    let location = continues(&post(&rp, &pkce, &[]).await);
    let page = person.get(&location).await;
    assert!(page.asks_to_sign_in() && page.body.contains("Lighthouse"), "{page:?}");
    other.get(&location).await.expect_error_page(400);
    app.person().get(&location).await.expect_error_page(400);
    // Loading it again is no second browser.
    assert!(person.get(&location).await.asks_to_sign_in());

    let page = person.sign_in(&page, "ada", PASSWORD).await;
    assert_eq!(page.param("state").as_deref(), Some("a state"));
    rp.redeem(&page.code(), &pkce).await.expect_tokens();
    person.get(&location).await.expect_error_page(400);
    assert_eq!(app.count("pending_requests").await, 0);

    // It does not wait for ever.
    let location = continues(&post(&rp, &pkce, &[]).await);
    app.advance(30 * 60);
    person.get(&location).await.expect_error_page(400);
}

async fn a_posted_request_is_answered_without_a_page_where_none_may_be_shown(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let none = [("prompt", "none")];
    // OpenID Connect Core §3.1.2.6
    let location = continues(&post(&rp, &pkce, &none).await);
    refused_at_the_client(&app, &person.get(&location).await, "login_required", "nobody is signed in");
    person.get(&location).await.expect_error_page(400);

    rp.sign_in_with(&person, "ada", &[]).await;
    let location = continues(&post(&rp, &pkce, &none).await);
    rp.redeem(&person.get(&location).await.code(), &pkce).await.expect_tokens();
    person.get(&location).await.expect_error_page(400);
}

async fn what_is_certain_of_a_posted_request_is_answered_at_once(app: TestApp) {
    let rp = app.client("web").create().await;
    let pkce = Pkce::new();
    for page in [("client_id", "nobody"), ("redirect_uri", "https://evil.example/")] {
        let answer = post(&rp, &pkce, &[page]).await.expect_status(400);
        assert!(answer.header("location").is_none() && answer.body.contains("<h1"), "{answer:?}");
    }
    let long = "login ".repeat(1_400);
    post(&rp, &pkce, &[("prompt", &long)]).await.expect_status(400);
    let answer = post(&rp, &pkce, &[("response_type", "token")]).await.expect_status(303);
    let location = answer.header("location").expect("a redirect");
    assert!(location.starts_with("https://app.example/callback?error=unsupported_response_type&"), "{location}");
    assert_eq!(app.count("pending_requests").await, 0);
}
