//! Who is asked what, and when (OpenID Connect Core §3.1.2.1): prompt, max_age, login_hint, id_token_hint.

use std::time::Duration;

use serde_json::Value;

use super::authorize::refused_at_the_client;
use crate::each_database;
use crate::support::app::PASSWORD;
use crate::support::party::decode;
use crate::support::{Page, Party, Pkce, TestApp};

each_database!(
    prompt_none_shows_no_page,
    prompt_login_asks_for_the_password_again,
    prompt_select_account_asks_which_one,
    somebody_else_may_sign_in_from_the_consent_page,
    max_age_asks_again_when_the_sign_in_is_too_long_ago,
    a_client_has_a_max_age_of_its_own_until_it_says_another,
    a_login_hint_fills_the_field_in_and_no_more,
    an_id_token_hint_names_who_is_expected,
    an_id_token_hint_must_be_a_token_of_this_issuer_and_client,
);

/// The claims of the ID token that the code of `page` is good for.
async fn id_claims(rp: &Party<'_>, page: &Page, pkce: &Pkce) -> Value {
    let tokens = rp.redeem(&page.code(), pkce).await.expect_tokens();
    decode(tokens.id_token()).1
}

async fn prompt_none_shows_no_page(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let native = app.client("native").public().redirect_uris(&["http://127.0.0.1/cb"]).create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let none = ("prompt", "none");

    // OpenID Connect Core §3.1.2.6
    let page = rp.authorize(&person, &pkce, &[none]).await;
    refused_at_the_client(&app, &page, "login_required", "nobody is there");
    let page = rp.authorize(&person, &pkce, &[]).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    refused_at_the_client(&app, &rp.authorize(&person, &pkce, &[none]).await, "consent_required", "not yet allowed");
    person.decide(&page, "allow").await.code();

    let page = rp.authorize(&person, &pkce, &[none]).await;
    assert_eq!(id_claims(&rp, &page, &pkce).await["nonce"], "a nonce");
    let more = rp.authorize(&person, &pkce, &[none, ("scope", "openid profile")]).await;
    refused_at_the_client(&app, &more, "consent_required", "more is asked");
    app.clock.advance(Duration::from_secs(60));
    let stale = rp.authorize(&person, &pkce, &[none, ("max_age", "59")]).await;
    refused_at_the_client(&app, &stale, "login_required", "too long ago");
    rp.authorize(&person, &pkce, &[none, ("max_age", "60")]).await.code();

    // RFC 8252 §8.6: any program may listen there, so no answer goes out without the person.
    native.code(&person, "ada", &pkce, &[]).await;
    native.authorize(&person, &pkce, &[none]).await.expect_redirect_error("interaction_required");
}

async fn prompt_login_asks_for_the_password_again(app: TestApp) {
    app.user("ada").await;
    app.user("grace").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let first = decode(rp.sign_in_with(&person, "ada", &[]).await.id_token()).1;

    for (prompt, later) in [("login", 100), ("login consent", 200)] {
        app.clock.advance(Duration::from_secs(100));
        let page = rp.authorize(&person, &pkce, &[("prompt", prompt)]).await;
        assert!(page.asks_to_sign_in(), "{page:?}");
        assert_eq!(page.username(), "ada");
        // Asking for the next step by hand does not go round it.
        let id = page.hidden("request");
        for path in ["/oauth/authorize/continue", "/consent", "/select-account"] {
            assert!(person.get(&format!("{path}?request={id}")).await.asks_to_sign_in(), "{path}");
        }
        assert!(person.choose_account(&page, first["sid"].as_str()).await.asks_to_sign_in());
        let wrong = person.sign_in(&page, "ada", "not the password").await;
        assert_eq!(wrong.status.as_u16(), 422);
        assert!(person.get(&format!("/oauth/authorize/continue?request={id}")).await.asks_to_sign_in());

        let mut page = person.sign_in(&page, "ada", PASSWORD).await;
        assert_eq!(page.asks_for_consent(), prompt.contains("consent"));
        if page.asks_for_consent() {
            page = person.decide(&page, "allow").await;
        }
        let claims = id_claims(&rp, &page, &pkce).await;
        // The same session, proved anew.
        assert_eq!(claims["sid"], first["sid"]);
        assert_eq!(claims["auth_time"].as_i64(), first["auth_time"].as_i64().map(|at| at + later));
    }

    // Without it the session is enough; and somebody else who signs in there begins another.
    assert!(rp.authorize(&person, &pkce, &[]).await.param("code").is_some());
    let page = rp.authorize(&person, &pkce, &[("prompt", "login")]).await;
    let page = person.sign_in(&page, "grace", PASSWORD).await;
    let page = person.decide(&page, "allow").await;
    let claims = id_claims(&rp, &page, &pkce).await;
    assert_ne!((&claims["sid"], &claims["sub"]), (&first["sid"], &first["sub"]));
}

async fn prompt_select_account_asks_which_one(app: TestApp) {
    app.user("ada").await;
    app.user("grace").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let select = [("prompt", "select_account")];

    // Nobody is signed in, so there is nobody to choose from; who signs in has chosen.
    let page = rp.authorize(&person, &pkce, &select).await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    let ada = id_claims(&rp, &person.decide(&page, "allow").await, &pkce).await;

    let page = rp.authorize(&person, &pkce, &select).await;
    assert!(page.asks_for_account() && page.body.contains("ada Lovelace"), "{page:?}");
    let claims = id_claims(&rp, &person.choose_account(&page, ada["sid"].as_str()).await, &pkce).await;
    assert_eq!(claims["sub"], ada["sub"]);

    // A session of another browser is not for choosing: it counts as "another account".
    let theirs = decode(rp.sign_in("grace").await.id_token()).1;
    let page = rp.authorize(&person, &pkce, &select).await;
    assert!(person.choose_account(&page, theirs["sid"].as_str()).await.asks_to_sign_in());

    let page = rp.authorize(&person, &pkce, &select).await;
    let page = person.choose_account(&page, None).await;
    assert!(page.asks_to_sign_in() && page.username().is_empty(), "{page:?}");
    // Grace allowed it in her own browser: that is remembered of her, not of the browser.
    let page = person.sign_in(&page, "grace", PASSWORD).await;
    let claims = id_claims(&rp, &page, &pkce).await;
    assert_eq!(claims["sub"], theirs["sub"]);
    assert_ne!(claims["sid"], theirs["sid"]);
}

async fn somebody_else_may_sign_in_from_the_consent_page(app: TestApp) {
    app.user("ada").await;
    let grace = app.user("grace").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());

    let page = rp.authorize(&person, &pkce, &[]).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    assert!(page.asks_for_consent() && page.body.contains("<strong>ada</strong>"), "{page:?}");
    let stale = page.hidden("csrf");

    // "Not you?"
    let page = person.decide(&page, "switch").await;
    assert!(page.asks_to_sign_in() && page.username().is_empty(), "{page:?}");
    let page = person.sign_in(&page, "grace", PASSWORD).await;
    assert!(page.asks_for_consent() && page.body.contains("<strong>grace</strong>"), "{page:?}");
    // The page that asked ada, still open in another tab, cannot answer for grace.
    let request = page.hidden("request");
    let old = [("csrf", stale.as_str()), ("request", &request), ("decision", "allow")];
    person.post("/consent", &old).await.expect_error_page(403);

    let claims = id_claims(&rp, &person.decide(&page, "allow").await, &pkce).await;
    assert_eq!(claims["sub"], grace.to_string());
}

async fn max_age_asks_again_when_the_sign_in_is_too_long_ago(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let first = decode(rp.sign_in_with(&person, "ada", &[]).await.id_token()).1;

    app.clock.advance(Duration::from_secs(300));
    rp.authorize(&person, &pkce, &[("max_age", "300")]).await.code();
    app.clock.advance(Duration::from_micros(1));
    let page = rp.authorize(&person, &pkce, &[("max_age", "300")]).await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    // It took them longer than max_age to type: they did sign in for this request.
    app.clock.advance(Duration::from_secs(200));
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    let claims = id_claims(&rp, &page, &pkce).await;
    assert_eq!(claims["auth_time"].as_i64(), first["auth_time"].as_i64().map(|at| at + 500));

    // OpenID Connect Core §3.1.2.1: 0 is as good as prompt=login.
    app.clock.advance(Duration::from_secs(1));
    let page = rp.authorize(&person, &pkce, &[("max_age", "0")]).await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    app.clock.advance(Duration::from_secs(5));
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    assert!(page.param("code").is_some(), "{page:?}");
}

async fn a_client_has_a_max_age_of_its_own_until_it_says_another(app: TestApp) {
    app.user("ada").await;
    // OpenID Connect Registration §2
    let max_age = |client: &mut grantor::types::ClientMetadata| client.default_max_age = Some(Duration::from_secs(300));
    let rp = app.client("web").with(max_age).create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    rp.sign_in_with(&person, "ada", &[]).await;
    app.clock.advance(Duration::from_secs(300));
    rp.authorize(&person, &pkce, &[]).await.code();
    app.clock.advance(Duration::from_secs(1));
    rp.authorize(&person, &pkce, &[("max_age", "301")]).await.code();
    assert!(rp.authorize(&person, &pkce, &[("max_age", "300")]).await.asks_to_sign_in());
    let page = rp.authorize(&person, &pkce, &[]).await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    assert!(person.sign_in(&page, "ada", PASSWORD).await.param("code").is_some());
}

async fn a_login_hint_fills_the_field_in_and_no_more(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    for hint in ["grace", "grace@example.org", "\"><script>alert(1)</script>", "&quot; ' <b>", "\u{e9}mile"] {
        let page = rp.authorize(&person, &pkce, &[("login_hint", hint)]).await;
        assert!(page.asks_to_sign_in());
        assert_eq!(page.username(), hint);
        assert!(!page.body.contains("<script>alert") && !page.body.contains("<b>"));
    }
    // It is a hint: whoever can, signs in.
    let page = rp.authorize(&person, &pkce, &[("login_hint", "grace")]).await;
    assert!(person.sign_in(&page, "ada", PASSWORD).await.asks_for_consent());
}

async fn an_id_token_hint_names_who_is_expected(app: TestApp) {
    app.user("ada").await;
    app.user("grace").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let ada = rp.sign_in_with(&person, "ada", &[]).await.id_token().to_owned();
    let grace = rp.sign_in("grace").await.id_token().to_owned();
    // OpenID Connect Core §3.1.2.2: an expired one is as good.
    app.clock.advance(Duration::from_secs(3_600));

    let same = [("id_token_hint", ada.as_str())];
    let code = rp.authorize(&person, &pkce, &[same[0], ("prompt", "none")]).await;
    assert_eq!(id_claims(&rp, &code, &pkce).await["sub"], decode(&ada).1["sub"]);

    // "... MUST NOT reply with an ID Token or Access Token for a different user, even if they have an active session".
    let other = [("id_token_hint", grace.as_str())];
    let page = rp.authorize(&person, &pkce, &[other[0], ("prompt", "none")]).await;
    refused_at_the_client(&app, &page, "login_required", "another user");
    let page = rp.authorize(&person, &pkce, &other).await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    let request = page.hidden("request");
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    // §3.1.2.2: "... it SHOULD return an error, such as login_required", once, and the request has its answer.
    refused_at_the_client(&app, &page, "login_required", "ada is not whom the client asked for");
    person.get(&format!("/oauth/authorize/continue?request={request}")).await.expect_error_page(400);
    let page = rp.authorize(&person, &pkce, &other).await;
    let page = person.sign_in(&page, "grace", PASSWORD).await;
    assert_eq!(id_claims(&rp, &page, &pkce).await["sub"], decode(&grace).1["sub"]);
}

async fn an_id_token_hint_must_be_a_token_of_this_issuer_and_client(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let other_client = app.client("other").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let own = rp.sign_in_with(&person, "ada", &[]).await;
    // The same keys, another issuer.
    let elsewhere = app.another("").await;
    elsewhere.user("ada").await;
    let foreign = elsewhere.client("web").create().await.sign_in("ada").await;
    let others = other_client.sign_in_with(&person, "ada", &[]).await;

    let (header, rest) = own.id_token().split_once('.').expect("a JWT");
    let (claims, signature) = rest.split_once('.').expect("a JWT");
    let none = "eyJhbGciOiJub25lIn0";
    let grafted = foreign.id_token().split('.').nth(1).expect("a JWT");
    for hint in [
        foreign.id_token(),
        others.id_token(),
        own.access_token(),
        own.refresh_token(),
        &format!("{header}.{claims}."),
        &format!("{none}.{claims}."),
        &format!("{none}.{claims}.{signature}"),
        &format!("{header}.{grafted}.{signature}"),
        &format!("{header}.{claims}"),
        "a.b.c",
        "..",
        "x",
    ] {
        let page = rp.authorize(&person, &pkce, &[("id_token_hint", hint)]).await;
        refused_at_the_client(&app, &page, "invalid_request", hint);
    }
    rp.authorize(&person, &pkce, &[("id_token_hint", own.id_token())]).await.code();
}
