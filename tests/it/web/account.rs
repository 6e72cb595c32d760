//! The account page: what a person allowed, where they are signed in, and the end of each (ASVS 7.5.2, 10.7.3).

use grantor::types::{Clock as _, SessionId};

use super::throttle::at;
use crate::each_database;
use crate::support::{Pkce, TestApp};

each_database!(
    the_account_page_lists_what_was_allowed_and_where_one_is_signed_in,
    withdrawing_kills_the_tokens_and_asks_again,
    ending_another_session_kills_all_that_hangs_on_it,
    ending_the_present_session_signs_out,
    all_other_sessions_are_ended_at_once,
    a_session_tells_where_it_was_begun,
    nobody_ends_the_session_of_somebody_else,
    who_is_signed_out_is_asked_to_sign_in,
    names_of_others_are_text,
);

async fn the_account_page_lists_what_was_allowed_and_where_one_is_signed_in(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    let page = person.sign_in_to_account("ada").await;
    assert!(page.body.contains("No application can use your account."), "{}", page.body);
    assert!(page.body.contains("ada Lovelace") && page.body.contains("ada@example.org"));

    rp.sign_in_with(&person, "ada", &[("scope", "openid email notes:read")]).await;
    app.person().sign_in_to_account("ada").await;
    let page = person.get("/account").await;
    for words in ["Lighthouse", "app.example", "See your e-mail address", "notes:read", "Firefox on Linux"] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    assert_eq!(page.body.matches("name=\"session\"").count(), 2);
    assert_eq!(page.body.matches("This browser").count(), 1);
    // ASVS 7.4.4
    assert!(page.body.contains("/oauth/logout"));
}

async fn withdrawing_kills_the_tokens_and_asks_again(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let other = app.client("other").create().await;
    let person = app.person();
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    let others = other.sign_in_with(&person, "ada", &[]).await;

    let page = person.withdraw("web").await;
    assert!(page.body.contains("can no longer use your account"), "{}", page.body);
    app.introspect(tokens.access_token()).await.expect_inactive();
    rp.refresh(&tokens).await.expect_error("invalid_grant");
    app.introspect(others.access_token()).await.expect_active();
    other.refresh(&others).await.expect_tokens();
    assert!(rp.authorize(&person, &Pkce::new(), &[]).await.asks_for_consent());

    // Twice, or of what was never allowed: nothing happens, and nothing is claimed.
    for client in ["web", "nobody", "not an id", ""] {
        let page = person.withdraw(client).await;
        assert_eq!(page.status, 200);
        assert!(!page.body.contains("can no longer use your account"), "{client}: {}", page.body);
    }
}

async fn ending_another_session_kills_all_that_hangs_on_it(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (here, there) = (app.person(), app.person());
    let offline = rp.sign_in_with(&there, "ada", &[]).await;
    let bound = rp.sign_in_with(&there, "ada", &[("scope", "openid")]).await;
    let kept = rp.sign_in_with(&here, "ada", &[]).await;
    let (_, claims) = crate::support::party::decode(offline.id_token());
    let session = claims["sid"].as_str().unwrap();

    let csrf = here.get("/account").await.hidden("csrf");
    let page = here.post("/account/sessions/end", &[("csrf", &csrf), ("session", session)]).await;
    assert!(page.body.contains("That browser is signed out."), "{}", page.body);
    assert_eq!(page.body.matches("name=\"session\"").count(), 1);

    assert!(!there.is_signed_in().await && here.is_signed_in().await);
    app.introspect(bound.access_token()).await.expect_inactive();
    app.introspect(offline.access_token()).await.expect_inactive();
    rp.refresh(&offline).await.expect_error("invalid_grant");
    app.introspect(kept.access_token()).await.expect_active();
    rp.refresh(&kept).await.expect_tokens();
}

async fn all_other_sessions_are_ended_at_once(app: TestApp) {
    app.user("ada").await;
    app.user("bob").await;
    let rp = app.client("web").create().await;
    let (person, other, bob) = (app.person(), app.person(), app.person());
    let (own, elsewhere) = (rp.sign_in_with(&person, "ada", &[]).await, rp.sign_in_with(&other, "ada", &[]).await);
    let bobs = rp.sign_in_with(&bob, "bob", &[]).await;
    let page = person.get("/account").await;
    assert!(page.body.contains("Sign out everywhere else"), "{}", page.body);
    assert_eq!(person.post("/account/sessions/end-others", &[("csrf", "forged")]).await.status, 403);
    assert!(other.is_signed_in().await);
    let page = person.post("/account/sessions/end-others", &[("csrf", &page.hidden("csrf"))]).await;
    assert!(page.body.contains("You are signed out everywhere else"), "{}", page.body);
    assert!(!page.body.contains("Sign out everywhere else"), "{}", page.body);
    assert!(person.is_signed_in().await && !other.is_signed_in().await && bob.is_signed_in().await);
    app.introspect(elsewhere.access_token()).await.expect_inactive();
    rp.refresh(&elsewhere).await.expect_error("invalid_grant");
    for living in [&own, &bobs] {
        app.introspect(living.access_token()).await.expect_active();
        rp.refresh(living).await.expect_tokens();
    }
}

async fn a_session_tells_where_it_was_begun(app: TestApp) {
    let app = app.another("[server]\ntrusted_proxies = [\"127.0.0.1\"]\n").await;
    app.user("ada").await;
    let page = at(&app, "192.0.2.1").sign_in_to_account("ada").await;
    assert!(page.body.contains("from <span class=\"address\">192.0.2.1</span>"), "{}", page.body);
    let page = at(&app, "2001:db8::7").sign_in_to_account("ada").await;
    for address in ["192.0.2.1", "2001:db8::7"] {
        assert!(page.body.contains(address), "{address}: {}", page.body);
    }
}

async fn ending_the_present_session_signs_out(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    let page = person.sign_in_to_account("ada").await;
    let (csrf, session) = (page.hidden("csrf"), page.hidden("session"));
    let page = person.post("/account/sessions/end", &[("csrf", &csrf), ("session", &session)]).await;
    assert!(page.url.ends_with("/signed-out"), "{page:?}");
    assert!(person.own_cookie().is_none());
    assert!(!person.is_signed_in().await);
}

async fn nobody_ends_the_session_of_somebody_else(app: TestApp) {
    app.user("ada").await;
    app.user("eve").await;
    let (ada, eve) = (app.person(), app.person());
    let session = ada.sign_in_to_account("ada").await.hidden("session");
    let csrf = eve.sign_in_to_account("eve").await.hidden("csrf");
    let absent = "00000000-0000-4000-8000-000000000000";
    for session in [session.as_str(), absent, "x", ""] {
        let page = eve.post("/account/sessions/end", &[("csrf", &csrf), ("session", session)]).await;
        assert_eq!(page.status, 200);
        assert!(!page.body.contains("is signed out"), "{session}: {}", page.body);
    }
    assert!(ada.is_signed_in().await && eve.is_signed_in().await);
    let id = SessionId::parse(&session).unwrap();
    assert!(app.store.session(id, app.clock.now()).await.unwrap().is_some());
}

async fn who_is_signed_out_is_asked_to_sign_in(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    assert!(person.get("/account").await.asks_to_sign_in());
    // A form that was open when the session ended elsewhere.
    let page = person.sign_in_to_account("ada").await;
    let (csrf, session) = (page.hidden("csrf"), SessionId::parse(&page.hidden("session")).unwrap());
    let mut tx = app.store.begin().await.unwrap();
    tx.end_session(session, grantor::store::Ending::Everything, app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    for path in ["/account/consents/withdraw", "/account/sessions/end"] {
        assert!(person.post(path, &[("csrf", &csrf), ("client_id", "web")]).await.asks_to_sign_in(), "{path}");
    }
}

async fn names_of_others_are_text(app: TestApp) {
    let bad = "<img src=x onerror=alert(1)>\"'&";
    app.user_with("ada", |user| {
        user.claims.insert("name".into(), bad.into());
    })
    .await;
    let rp = app.client("web").with(|client| client.client_name = bad.to_owned()).create().await;
    let person = app.person();
    rp.sign_in_with(&person, "ada", &[]).await;
    for page in [
        person.get("/account").await,
        person.get("/oauth/logout?client_id=web").await,
        rp.authorize(&person, &Pkce::new(), &[("prompt", "consent"), ("scope", "openid profile")]).await,
        rp.authorize(&person, &Pkce::new(), &[("prompt", "select_account")]).await,
        rp.authorize(&app.person(), &Pkce::new(), &[("login_hint", bad)]).await,
    ] {
        assert_eq!(page.status, 200, "{page:?}");
        assert!(page.body.contains("&#60;img"), "{}", page.body);
        assert!(!page.body.contains("<img src=x"), "{}", page.body);
    }
}
