//! The device grant (RFC 8628), as the device sees it.

use grantor::types::{AuthMethod, GrantType};

use crate::each_database;
use crate::support::behind::at_once;
use crate::support::device::GRANT;
use crate::support::party::decode;
use crate::support::rows::rows;
use crate::support::{Party, Pkce, TestApp};

each_database!(
    a_device_gets_tokens_once_its_person_has_allowed_it,
    the_answer_tells_all_that_a_device_shows,
    who_polls_too_soon_has_to_wait_longer_each_time,
    a_person_may_refuse_and_the_device_hears_it,
    a_code_expires_whatever_had_been_decided,
    of_many_polls_at_two_nodes_one_gets_the_tokens,
    of_many_decisions_at_once_one_counts,
    what_the_device_may_do_ends_with_what_it_hangs_on,
    nothing_in_the_database_can_be_used,
    a_device_code_is_no_authorization_code_and_the_other_way_round,
    what_has_expired_is_taken_away,
);

async fn tv(app: &TestApp) -> Party<'_> {
    app.user("ada").await;
    app.client("tv").on_a_device().create().await
}

async fn a_device_gets_tokens_once_its_person_has_allowed_it(app: TestApp) {
    let tv = tv(&app).await;
    let waiting = tv.begin("openid offline_access notes:read").await;
    tv.poll(&waiting).await.expect_status(400).expect_error("authorization_pending");
    app.advance(5);

    let person = app.person();
    let page = person.enter_code("ada", &waiting.user_code).await;
    assert!(page.asks_about_a_device(), "{page:?}");
    // RFC 8628 §3.5: entering the code decides nothing yet.
    tv.poll(&waiting).await.expect_error("authorization_pending");
    person.answer_for_device(&page, "allow").await;

    let tokens = tv.poll(&waiting).await.expect_tokens();
    assert_eq!(tokens.scope(), "notes:read offline_access openid");
    let claims = decode(tokens.access_token()).1;
    assert_eq!((claims["client_id"].as_str(), claims["acr"].as_str()), (Some("tv"), Some("1")));
    assert_eq!(decode(tokens.id_token()).1["sub"], claims["sub"]);
    app.introspect(tokens.access_token()).await.expect_active();
    let again = tv.refresh(&tokens).await.expect_tokens();
    // RFC 8628 §3.4: a code is for one use. A device that lost the answer is no thief: what it has stays.
    tv.poll(&waiting).await.expect_error("invalid_grant");
    app.introspect(again.access_token()).await.expect_active();
    assert!(person.get("/account").await.body.contains("Lighthouse"), "it can be withdrawn there");
}

async fn the_answer_tells_all_that_a_device_shows(app: TestApp) {
    let tv = tv(&app).await;
    let answer = tv.post("/oauth/device_authorization", &[("scope", "openid")]).await.expect_status(200);
    // RFC 8628 §3.2
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let answer = answer.json();
    let page = format!("{}/device", app.issuer());
    let code = answer["user_code"].as_str().unwrap();
    assert_eq!(answer["verification_uri"], page);
    assert_eq!(answer["verification_uri_complete"], format!("{page}?user_code={code}"));
    assert_eq!(answer["expires_in"], 600);
    assert_eq!(answer["interval"], 5);
    let letters = |part: &str| part.len() == 4 && part.bytes().all(|b| b"BCDFGHJKLMNPQRSTVWXZ".contains(&b));
    assert!(code.split_once('-').is_some_and(|(a, b)| letters(a) && letters(b)), "{code}");

    // RFC 8628 §3.1: as at the token endpoint, and within what is registered.
    let web = app.client("web").create().await;
    web.post("/oauth/device_authorization", &[]).await.expect_error("unauthorized_client");
    let box_ = app.client("box").on_a_device().grants(&[GrantType::DeviceCode]);
    let box_ = box_.with(|client| client.token_endpoint_auth_method = AuthMethod::ClientSecretBasic).create().await;
    app.post("/oauth/device_authorization", &[("client_id", "box")]).await.expect_error("invalid_client");
    app.post("/oauth/device_authorization", &[]).await.expect_error("invalid_client");
    tv.post("/oauth/device_authorization", &[("scope", "admin")]).await.expect_error("invalid_scope");
    tv.post("/oauth/device_authorization", &[("resource", "https://other.example/")])
        .await
        .expect_error("invalid_target");
    app.get("/oauth/device_authorization").await.expect_status(405);
    // Without the refresh grant nobody stays connected.
    let waiting = box_.begin("openid offline_access").await;
    app.person().allow_device("ada", &waiting.user_code).await;
    let tokens = box_.poll(&waiting).await.expect_tokens();
    assert_eq!((tokens.scope(), tokens.0.get("refresh_token")), ("openid", None));

    for (fields, error) in [
        (vec![("grant_type", GRANT)], "invalid_request"),
        (vec![("grant_type", GRANT), ("device_code", "x")], "invalid_grant"),
        (vec![("grant_type", GRANT), ("device_code", &waiting.device_code)], "invalid_grant"),
    ] {
        tv.post("/oauth/token", &fields).await.expect_error(error);
    }
    let waiting = tv.begin("openid").await;
    web.poll(&waiting).await.expect_error("unauthorized_client");
    box_.poll(&waiting).await.expect_error("invalid_grant");
}

async fn who_polls_too_soon_has_to_wait_longer_each_time(app: TestApp) {
    let tv = tv(&app).await;
    let waiting = tv.begin("openid").await;
    // RFC 8628 §3.5: 5 seconds more "for this and all subsequent requests".
    tv.poll(&waiting).await.expect_error("authorization_pending");
    // What was slow enough a moment ago is too soon now.
    for seconds in [1, 5, 10, 15] {
        app.advance(seconds);
        tv.poll(&waiting).await.expect_status(400).expect_error("slow_down");
    }
    for _ in 0..2 {
        app.advance(25);
        tv.poll(&waiting).await.expect_error("authorization_pending");
    }
    // Another device has a pace of its own, and a network that is not even is forgiven.
    let other = tv.begin("openid").await;
    for _ in 0..3 {
        tv.poll(&other).await.expect_error("authorization_pending");
        app.advance(4);
    }
    // What was decided is told at once, however soon.
    app.person().allow_device("ada", &waiting.user_code).await;
    tv.poll(&waiting).await.expect_tokens();
}

async fn a_person_may_refuse_and_the_device_hears_it(app: TestApp) {
    let tv = tv(&app).await;
    let (waiting, person) = (tv.begin("openid").await, app.person());
    let page = person.enter_code("ada", &waiting.user_code).await;
    let done = person.answer_for_device(&page, "deny").await;
    assert!(done.body.contains("Nothing was connected"), "{done:?}");
    for _ in 0..2 {
        tv.poll(&waiting).await.expect_status(400).expect_error("access_denied");
    }
    // Neither can the answer be changed, nor the code be entered again.
    person.answer_for_device(&page, "allow").await.expect_error_page(400);
    assert_eq!(person.enter_code("ada", &waiting.user_code).await.status, 422);
    tv.poll(&waiting).await.expect_error("access_denied");
    assert_eq!(app.count("grants").await, 0);
}

async fn a_code_expires_whatever_had_been_decided(app: TestApp) {
    let tv = tv(&app).await;
    let person = app.person();
    let (forgotten, late, fetched_late) =
        (tv.begin("openid").await, tv.begin("openid").await, tv.begin("openid").await);
    let page = person.enter_code("ada", &late.user_code).await;
    person.allow_device("ada", &fetched_late.user_code).await;
    app.advance(600);
    tv.poll(&forgotten).await.expect_status(400).expect_error("expired_token");
    assert_eq!(person.enter_code("ada", &forgotten.user_code).await.status, 422);
    person.answer_for_device(&page, "allow").await.expect_error_page(400);
    tv.poll(&late).await.expect_error("expired_token");
    tv.poll(&fetched_late).await.expect_error("expired_token");
}

async fn of_many_polls_at_two_nodes_one_gets_the_tokens(app: TestApp) {
    let other = app.second_node().await;
    let tv = tv(&app).await;
    let there = tv.at(&other);
    for _ in 0..3 {
        let waiting = tv.begin("openid offline_access").await;
        app.person().allow_device("ada", &waiting.user_code).await;
        let polls = (0..20).map(|n| if n % 2 == 0 { tv.poll(&waiting) } else { there.poll(&waiting) });
        let answers = at_once(polls).await;
        let won: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
        assert_eq!(won.len(), 1, "{answers:?}");
        for lost in answers.iter().filter(|answer| answer.status != 200) {
            assert_eq!(lost.json()["error"], "invalid_grant", "{lost:?}");
        }
        let access = won[0].json()["access_token"].as_str().unwrap().to_owned();
        app.introspect(&access).await.expect_active();
    }
}

async fn of_many_decisions_at_once_one_counts(app: TestApp) {
    let other = app.second_node().await;
    let tv = tv(&app).await;
    for _ in 0..3 {
        let (waiting, person) = (tv.begin("openid").await, app.person());
        let page = person.enter_code("ada", &waiting.user_code).await;
        let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
        let decide = |n: usize| {
            let node = if n.is_multiple_of(2) { &app.url } else { &other.url };
            let decision = if n.is_multiple_of(3) { "deny" } else { "allow" };
            let (person, csrf, request) = (&person, &csrf, &request);
            let path = format!("{node}/device/confirm");
            async move { person.post(&path, &[("csrf", csrf), ("request", request), ("decision", decision)]).await }
        };
        let pages = at_once((0..8).map(decide)).await;
        let done = pages.iter().filter(|page| page.url.contains("/device/done")).count();
        assert_eq!(done, 1, "{pages:?}");
        let allowed = pages.iter().any(|page| page.url.contains("outcome=allowed"));
        let answer = tv.poll(&waiting).await;
        assert_eq!(answer.status == 200, allowed, "{answer:?}");
    }
}

async fn what_the_device_may_do_ends_with_what_it_hangs_on(app: TestApp) {
    let tv = tv(&app).await;
    // What was allowed and not fetched yet is a grant like any: it does not survive its session or its consent.
    let (waiting, person) = (tv.begin("openid").await, app.person());
    person.allow_device("ada", &waiting.user_code).await;
    person.sign_out().await;
    tv.poll(&waiting).await.expect_error("invalid_grant");

    let (waiting, person) = (tv.begin("openid offline_access").await, app.person());
    person.allow_device("ada", &waiting.user_code).await;
    let tokens = tv.poll(&waiting).await.expect_tokens();
    person.sign_out().await;
    // Staying connected was asked for and allowed.
    let tokens = tv.refresh(&tokens).await.expect_tokens();
    let person = app.person();
    person.sign_in_to_account("ada").await;
    person.withdraw("tv").await;
    tv.refresh(&tokens).await.expect_error("invalid_grant");

    // A client that may not do it any more is not asked for.
    let (waiting, person) = (tv.begin("openid").await, app.person());
    let page = person.enter_code("ada", &waiting.user_code).await;
    app.disable_client("tv").await;
    person.answer_for_device(&page, "allow").await.expect_error_page(400);
}

async fn nothing_in_the_database_can_be_used(app: TestApp) {
    let tv = tv(&app).await;
    let waiting = tv.begin("openid").await;
    let (_, secret) = waiting.device_code.split_once('.').unwrap();
    let letters = waiting.user_code.replace('-', "");
    let bare = grantor::crypto::sha256(letters.as_bytes());
    let bare: String = bare.iter().map(|byte| format!("{byte:02x}")).collect();
    for allowed in [false, true] {
        if allowed {
            app.person().allow_device("ada", &waiting.user_code).await;
        }
        let all = rows(&app).await.join("\n");
        assert!(all.contains("device_requests"), "there is a row");
        for usable in [secret, &letters, &waiting.user_code, &bare, &bare.to_uppercase()] {
            assert!(!all.contains(usable), "{usable}");
        }
    }
}

async fn a_device_code_is_no_authorization_code_and_the_other_way_round(app: TestApp) {
    app.user("ada").await;
    let both = app.client("both").grants(&[GrantType::DeviceCode, GrantType::AuthorizationCode]);
    let both = both.with(|client| client.pkce = Some(grantor::types::PkcePolicy::Optional)).create().await;
    let (waiting, person) = (both.begin("openid").await, app.person());
    person.allow_device("ada", &waiting.user_code).await;
    let fields = [("grant_type", "authorization_code"), ("code", waiting.device_code.as_str())];
    both.post("/oauth/token", &fields).await.expect_error("invalid_grant");
    both.poll(&waiting).await.expect_tokens();

    let without = [("code_challenge", ""), ("code_challenge_method", "")];
    let code = both.code(&person, "ada", &Pkce::new(), &without).await;
    let fields = [("grant_type", GRANT), ("device_code", code.as_str())];
    both.post("/oauth/token", &fields).await.expect_error("invalid_grant");
    let fields = [("grant_type", "authorization_code"), ("code", code.as_str())];
    both.post("/oauth/token", &fields).await.expect_tokens();
}

async fn what_has_expired_is_taken_away(app: TestApp) {
    let tv = tv(&app).await;
    let waiting = tv.begin("openid").await;
    app.person().enter_code("ada", "BBBB-BBBB").await;
    app.advance(601);
    app.sweep().await;
    assert_eq!(app.count("device_attempts").await, 0);
    // A device that asks late is told that it is late.
    tv.poll(&waiting).await.expect_error("expired_token");
    app.advance(24 * 3_600);
    app.sweep().await;
    assert_eq!(app.count("device_requests").await, 0);
    tv.poll(&waiting).await.expect_error("invalid_grant");
}
