//! A request that waits for its user: what is kept of it, and how much.

use super::authorize::refused_at_the_client;
use crate::each_database;
use crate::support::app::PASSWORD;
use crate::support::rows::rows;
use crate::support::{Pkce, TestApp};

each_database!(what_waits_is_what_is_read_again_and_no_token, what_is_kept_has_a_bound,);

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
    let rp = crate::support::Party::existing(app, "web", crate::support::party::SECRET);
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
