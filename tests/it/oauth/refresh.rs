//! The refresh token grant: rotation, safe retry, reuse (RFC 6749 §6, OAuth 2.1 §4.3, RFC 9700 §4.14).

use grantor::crypto::{TokenType, jwt};
use grantor::types::{Algorithm, Clock, GrantType};
use serde_json::json;

use crate::each_database;
use crate::support::behind::at_once;
use crate::support::party::{SECRET, basic, decode};
use crate::support::{TestApp, Tokens};

each_database!(
    a_refresh_token_is_exchanged_for_new_tokens_and_a_successor,
    a_retry_within_the_window_gets_the_same_successor,
    a_retry_after_the_successor_was_used_ends_the_family,
    a_retry_after_the_window_ends_the_family,
    an_older_generation_ends_the_family_however_soon_it_comes,
    a_hundred_retries_at_once_get_one_successor,
    two_nodes_that_get_one_token_at_once_give_one_successor,
    a_generation_that_never_was_is_refused_and_ends_nothing,
    another_clients_refresh_token_is_refused_and_lives_on,
    a_narrower_scope_holds_for_one_access_token,
    a_refused_request_burns_nothing,
    what_is_no_refresh_token_of_ours_is_refused,
    offline_access_or_the_clients_switch_decides_whether_there_is_one,
    a_client_that_lost_the_grant_type_cannot_refresh,
);

fn generation(tokens: &Tokens) -> i64 {
    decode(tokens.refresh_token()).1["generation"].as_i64().expect("a generation")
}

/// Nothing of the family is good for anything any more.
async fn expect_dead_family(app: &TestApp, rp: &crate::support::Party<'_>, family: &[&Tokens]) {
    for tokens in family {
        rp.refresh(tokens).await.expect_error("invalid_grant").expect_status(400);
        app.introspect(tokens.access_token()).await.expect_inactive();
        rp.introspect(tokens.refresh_token()).await.expect_inactive();
        rp.userinfo(tokens.access_token()).await.expect_status(401);
    }
}

async fn a_refresh_token_is_exchanged_for_new_tokens_and_a_successor(app: TestApp) {
    let user = app.user("ada").await;
    let rp = app.client("web").create().await;
    let first = rp.sign_in("ada").await;
    app.advance(60);

    let second = rp.refresh(&first).await.expect_tokens();
    assert_ne!(second.refresh_token(), first.refresh_token(), "RFC 9700 §4.14.2: rotation");
    assert_eq!((generation(&first), generation(&second)), (1, 2));
    assert_eq!(second.0["token_type"], "Bearer");
    assert_eq!(second.0["expires_in"], 600);
    assert_eq!(second.scope(), first.scope(), "RFC 6749 §6: as it was granted");

    // OpenID Connect Core §12.2: the same iss, sub, aud and auth_time; no nonce.
    let ((_, before), (_, after)) = (decode(first.id_token()), decode(second.id_token()));
    for same in ["iss", "sub", "aud", "auth_time", "sid"] {
        assert_eq!(before[same], after[same], "{same}");
    }
    assert_eq!(before["nonce"], "a nonce");
    assert_eq!(after.get("nonce"), None);
    assert_eq!(after["iat"].as_i64(), before["iat"].as_i64().map(|iat| iat + 60));

    // What was issued before lives until it expires: rotation ends refresh tokens alone.
    for tokens in [&first, &second] {
        let active = app.introspect(tokens.access_token()).await.expect_active();
        assert_eq!(active["sub"], user.to_string());
    }
    let third = rp.refresh(&second).await.expect_tokens();
    assert_eq!(generation(&third), 3);
    assert_eq!(app.count("grants").await, 1, "a family is one row");
}

async fn a_retry_within_the_window_gets_the_same_successor(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let first = rp.sign_in("ada").await;

    let second = rp.refresh(&first).await.expect_tokens();
    for after in [0, 4, 6] {
        app.advance(after);
        let again = rp.refresh(&first).await.expect_tokens();
        // Byte for byte, whenever it is asked for within the ten seconds.
        assert_eq!(again.refresh_token(), second.refresh_token());
        assert_ne!(again.access_token(), second.access_token());
        app.introspect(again.access_token()).await.expect_active();
    }
    app.introspect(second.access_token()).await.expect_active();
    let third = rp.refresh(&second).await.expect_tokens();
    assert_eq!(generation(&third), 3, "a retry moves nothing on");
    // The same at the next generation: every successor is one string.
    assert_eq!(rp.refresh(&second).await.expect_tokens().refresh_token(), third.refresh_token());
    rp.refresh(&third).await.expect_tokens();
}

async fn a_retry_after_the_successor_was_used_ends_the_family(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let first = rp.sign_in("ada").await;
    let second = rp.refresh(&first).await.expect_tokens();
    let third = rp.refresh(&second).await.expect_tokens();

    // RFC 9700 §4.14.2: one of the two holders is a thief.
    rp.refresh(&first).await.expect_error("invalid_grant").expect_status(400);

    expect_dead_family(&app, &rp, &[&first, &second, &third]).await;
    assert_eq!(app.count("grants WHERE revoked_because = 'refresh_reuse'").await, 1);
    // The user is still signed in, and the client may begin anew.
    rp.sign_in("ada").await;
}

async fn a_retry_after_the_window_ends_the_family(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let first = rp.sign_in("ada").await;
    let second = rp.refresh(&first).await.expect_tokens();

    app.advance(11);
    rp.refresh(&first).await.expect_error("invalid_grant").expect_status(400);
    expect_dead_family(&app, &rp, &[&first, &second]).await;
}

async fn an_older_generation_ends_the_family_however_soon_it_comes(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let mut family = vec![rp.sign_in("ada").await];
    for _ in 0..3 {
        let next = rp.refresh(family.last().expect("there is one")).await.expect_tokens();
        family.push(next);
    }
    rp.refresh(&family[1]).await.expect_error("invalid_grant");
    expect_dead_family(&app, &rp, &family.iter().collect::<Vec<_>>()).await;
}

async fn a_hundred_retries_at_once_get_one_successor(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let first = rp.sign_in("ada").await;

    let answers = at_once((0..100).map(|_| rp.refresh(&first))).await;

    let answers: Vec<Tokens> = answers.into_iter().map(super::super::support::Answer::expect_tokens).collect();
    assert_eq!(answers.len(), 100);
    assert!(answers.iter().all(|tokens| tokens.refresh_token() == answers[0].refresh_token()));
    assert_eq!(app.count("grants WHERE generation = 2 AND revoked_at IS NULL").await, 1);
    for tokens in [&answers[0], &answers[99]] {
        app.introspect(tokens.access_token()).await.expect_active();
    }
    rp.refresh(&answers[50]).await.expect_tokens();
}

async fn two_nodes_that_get_one_token_at_once_give_one_successor(app: TestApp) {
    app.user("ada").await;
    let here = app.client("web").create().await;
    let mut other = app.second_node().await;
    let first = here.sign_in("ada").await;
    {
        let there = here.at(&other);
        let mut last = first;
        for round in 2..8 {
            let answers = at_once((0..6).map(|n| if n % 2 == 0 { &here } else { &there }.refresh(&last))).await;
            let answers: Vec<Tokens> = answers.into_iter().map(super::super::support::Answer::expect_tokens).collect();
            assert!(answers.iter().all(|tokens| tokens.refresh_token() == answers[0].refresh_token()));
            assert_eq!(generation(&answers[0]), round);
            last = answers.into_iter().next().expect("there are six");
        }
        // What one node minted, the other knows.
        there.introspect(last.access_token()).await.expect_active();
        here.introspect(last.access_token()).await.expect_active();
    }
    other.stop().await;
}

async fn a_generation_that_never_was_is_refused_and_ends_nothing(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let first = rp.sign_in("ada").await;

    // A database that was restored from yesterday: it knows less than its clients do.
    let second = rp.refresh(&first).await.expect_tokens();
    let third = rp.refresh(&second).await.expect_tokens();
    assert_eq!(app.sql("UPDATE grants SET generation = 1").await, 1);
    rp.refresh(&third).await.expect_error("invalid_grant").expect_status(400);
    rp.refresh(&second).await.expect_error("invalid_grant").expect_status(400);

    // And one under our own key that claims the future.
    let key = app.signing_key(Algorithm::Hs256).await;
    let (_, mut claims) = decode(first.refresh_token());
    for generation in [7, i64::MAX, 0, -1] {
        claims["generation"] = json!(generation);
        let forged = jwt::sign(&key, TokenType::RefreshToken, &claims).expect("it signs");
        if generation > 0 {
            rp.refresh_with(&forged, &[]).await.expect_error("invalid_grant").expect_status(400);
        }
    }
    assert_eq!(app.count("grants WHERE revoked_at IS NULL AND generation = 1").await, 1);
    rp.refresh(&first).await.expect_tokens();
}

async fn another_clients_refresh_token_is_refused_and_lives_on(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let thief = app.client("thief").create().await;
    let public = app.client("spa").public().create().await;
    let first = rp.sign_in("ada").await;

    thief.refresh(&first).await.expect_error("invalid_grant").expect_status(400);
    public.refresh(&first).await.expect_error("invalid_grant").expect_status(400);
    thief.introspect(first.refresh_token()).await.expect_inactive();

    let second = rp.refresh(&first).await.expect_tokens();
    // Nor does a stranger with a token that is past revoke anything.
    app.advance(60);
    thief.refresh(&first).await.expect_error("invalid_grant");
    rp.refresh(&second).await.expect_tokens();
}

async fn a_narrower_scope_holds_for_one_access_token(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let scope = "openid offline_access notes:read notes:write";
    let first = rp.sign_in_with(&app.person(), "ada", &[("scope", scope)]).await;

    let narrow = rp.refresh_with(first.refresh_token(), &[("scope", "notes:read")]).await.expect_tokens();
    assert_eq!(narrow.scope(), "notes:read");
    assert_eq!(app.introspect(narrow.access_token()).await.expect_active()["scope"], "notes:read");
    assert_eq!(narrow.0.get("id_token"), None, "OpenID Connect Core §12.2: openid was not asked for");
    rp.userinfo(narrow.access_token()).await.expect_error("insufficient_scope").expect_status(403);

    // RFC 6749 §6: the refresh token's scope is "identical to that of the refresh token included by the client".
    let whole = rp.refresh(&narrow).await.expect_tokens();
    assert_eq!(whole.scope(), first.scope());
    whole.id_token();

    // The order of what is asked for, and a repetition, mean nothing; none at all means all of it.
    let asked = [("scope", "notes:write openid notes:write")];
    let other = rp.refresh_with(whole.refresh_token(), &asked).await.expect_tokens();
    assert_eq!(other.scope(), "notes:write openid");
    let empty = rp.refresh_with(other.refresh_token(), &[("scope", "")]).await.expect_tokens();
    assert_eq!(empty.scope(), first.scope());
}

async fn a_refused_request_burns_nothing(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let first = rp.sign_in_with(&app.person(), "ada", &[("scope", "openid offline_access notes:read")]).await;
    let token = first.refresh_token();

    for (scope, error) in [
        ("notes:write", "invalid_scope"),                   // RFC 6749 §6: never granted
        ("openid notes:read notes:write", "invalid_scope"), // nor among others
        ("openid notes:read unknown", "invalid_scope"),
        ("OPENID", "invalid_scope"), // RFC 6749 §3.3: case-sensitive
        ("notes:read \"", "invalid_scope"),
        ("notes:read\nopenid", "invalid_scope"),
        ("notés", "invalid_scope"),
    ] {
        rp.refresh_with(token, &[("scope", scope)]).await.expect_error(error).expect_status(400);
    }

    let authorization = basic("web", SECRET);
    let wrong = basic("web", "wrong");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let body = format!("grant_type=refresh_token&refresh_token={token}");
    for (headers, body, status) in [
        (vec![form, ("authorization", &*wrong)], body.clone(), 401),
        (vec![form], format!("{body}&client_id=web"), 401),
        (vec![form, ("authorization", &authorization)], format!("{body}&client_id=other"), 400),
        (vec![form, ("authorization", &authorization)], format!("{body}&client_secret={SECRET}"), 400),
        (vec![form, ("authorization", &authorization)], format!("{body}&refresh_token={token}"), 400),
        (vec![form, ("authorization", &authorization)], format!("{body}&scope=openid&scope=openid"), 400),
        (vec![form, ("authorization", &authorization)], format!("{body}&x=%00"), 400),
        (vec![form, ("authorization", &authorization)], format!("{body}&x={}", "x".repeat(70_000)), 413),
        (vec![("content-type", "application/json"), ("authorization", &authorization)], body.clone(), 400),
    ] {
        let answer = app.post_raw("/oauth/token", &headers, body.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{body}: {}", answer.body);
    }

    assert_eq!(app.count("grants WHERE generation = 1 AND revoked_at IS NULL").await, 1);
    let second = rp.refresh(&first).await.expect_tokens();
    assert_eq!(generation(&second), 2);
}

async fn what_is_no_refresh_token_of_ours_is_refused(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let first = rp.sign_in("ada").await;
    rp.post("/oauth/token", &[("grant_type", "refresh_token")]).await.expect_error("invalid_request");
    rp.refresh_with("", &[]).await.expect_error("invalid_request").expect_status(400);

    let (header, rest) = first.refresh_token().split_once('.').expect("it is a JWT");
    let (claims, signature) = rest.split_once('.').expect("it is a JWT");
    let (_, mut others) = decode(first.refresh_token());
    others["client_id"] = json!("admin");
    for token in [
        "x".to_owned(),
        "a.b.c".to_owned(),
        "…".to_owned(),
        format!("{header}.{claims}"),
        format!("{header}.{claims}."),
        format!("{header}.{claims}.{}", signature.chars().rev().collect::<String>()),
        format!("{header}.{}.{signature}", crate::support::behind::encoded(&others)),
        format!("{}{}", first.refresh_token(), "x".repeat(20_000)),
    ] {
        rp.refresh_with(&token, &[]).await.expect_error("invalid_grant").expect_status(400);
    }
    rp.refresh(&first).await.expect_tokens();
}

async fn offline_access_or_the_clients_switch_decides_whether_there_is_one(app: TestApp) {
    app.user("ada").await;
    let asking = app.client("asking").create().await;
    let always = app.client("always").with(|client| client.always_issue_refresh_token = true).create().await;
    let never = app.client("never").grants(&[GrantType::AuthorizationCode]).create().await;
    let stubborn = app.client("stubborn").grants(&[GrantType::AuthorizationCode]);
    let stubborn = stubborn.with(|client| client.always_issue_refresh_token = true).create().await;
    for (rp, scope, expected) in [
        (&asking, "openid offline_access", true), // OpenID Connect Core §11
        (&asking, "openid", false),
        (&always, "openid offline_access", true),
        (&always, "openid", true),
        (&always, "notes:read", true),
        (&never, "openid offline_access", false), // RFC 6749 §4.1.4: "optional"
        (&stubborn, "openid", false),
    ] {
        let tokens = rp.sign_in_with(&app.person(), "ada", &[("scope", scope)]).await;
        let has = tokens.0.get("refresh_token").is_some();
        assert_eq!(has, expected, "{} with {scope}: {}", rp.id, tokens.0);
        if has {
            rp.refresh(&tokens).await.expect_tokens();
        }
    }
}

async fn a_client_that_lost_the_grant_type_cannot_refresh(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let first = rp.sign_in("ada").await;
    let mut client = (*app.store.client(&"web".parse().unwrap()).await.unwrap().unwrap()).clone();
    client.metadata.grant_types = vec![GrantType::AuthorizationCode];
    app.change(async |tx| tx.update_client(&client, app.clock.now()).await).await;

    // RFC 6749 §5.2
    rp.refresh(&first).await.expect_error("unauthorized_client").expect_status(400);
    assert_eq!(app.count("grants WHERE generation = 1 AND revoked_at IS NULL").await, 1);
}
