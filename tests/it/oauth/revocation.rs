//! Token revocation (RFC 7009): durable before it is answered, and known everywhere.

use grantor::types::Clock;
use serde_json::json;

use crate::support::app::eventually;
use crate::support::behind::{at_once, encoded};
use crate::support::party::decode;
use crate::support::{Engine, TestApp};
use crate::{each_database, each_engine};

each_database!(
    an_access_token_is_revoked_alone,
    a_refresh_token_takes_its_whole_grant_along,
    a_refresh_token_that_is_past_or_expired_still_revokes,
    what_is_unknown_is_a_success,
    another_clients_token_is_refused_and_lives_on,
    a_public_client_revokes_its_own,
    whoever_cannot_prove_who_it_is_revokes_nothing,
    a_revocation_is_durable_before_it_is_answered,
    another_node_knows_within_a_second,
    a_revocation_may_be_repeated_and_raced,
    a_revocation_is_remembered_as_long_as_the_token_lives,
);
each_engine!(a_change_that_nobody_announced_is_found_by_looking);

async fn an_access_token_is_revoked_alone(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let first = rp.sign_in("ada").await;
    let second = rp.refresh(&first).await.expect_tokens();
    let own = rp.client_credentials("").await.expect_tokens();

    let answer = rp.revoke(first.access_token()).await.expect_status(200);
    assert_eq!((&*answer.body, answer.header("cache-control")), ("", Some("no-store")));

    app.introspect(first.access_token()).await.expect_inactive();
    rp.userinfo(first.access_token()).await.expect_error("invalid_token").expect_status(401);
    app.introspect(second.access_token()).await.expect_active();
    app.introspect(own.access_token()).await.expect_active();
    rp.refresh(&second).await.expect_tokens();

    rp.revoke(own.access_token()).await.expect_status(200);
    app.introspect(own.access_token()).await.expect_inactive();
}

async fn a_refresh_token_takes_its_whole_grant_along(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    let first = rp.sign_in_with(&person, "ada", &[]).await;
    let second = rp.refresh(&first).await.expect_tokens();
    let another = rp.sign_in_with(&person, "ada", &[]).await;

    rp.revoke(second.refresh_token()).await.expect_status(200);

    // RFC 7009 §2.1: "all access tokens based on the same authorization grant".
    for tokens in [&first, &second] {
        app.introspect(tokens.access_token()).await.expect_inactive();
        rp.introspect(tokens.refresh_token()).await.expect_inactive();
        rp.refresh(tokens).await.expect_error("invalid_grant");
    }
    // Another grant of the same user to the same client is another grant.
    app.introspect(another.access_token()).await.expect_active();
    rp.refresh(&another).await.expect_tokens();
    assert_eq!(app.count("grants WHERE revoked_because = 'by_client'").await, 1);
}

async fn a_refresh_token_that_is_past_or_expired_still_revokes(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let first = rp.sign_in("ada").await;
    let mut last = rp.refresh(&first).await.expect_tokens();
    last = rp.refresh(&last).await.expect_tokens();
    rp.revoke(first.refresh_token()).await.expect_status(200);
    app.introspect(last.access_token()).await.expect_inactive();
    rp.refresh(&last).await.expect_error("invalid_grant");

    // A first generation that expired by itself, while its successors live on.
    let first = rp.sign_in("ada").await;
    app.advance(13 * 86_400);
    let second = rp.refresh(&first).await.expect_tokens();
    app.advance(2 * 86_400);
    let third = rp.refresh(&second).await.expect_tokens();
    rp.revoke(first.refresh_token()).await.expect_status(200);
    app.introspect(third.access_token()).await.expect_inactive();
    rp.refresh(&third).await.expect_error("invalid_grant");
}

async fn what_is_unknown_is_a_success(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in("ada").await;
    let before = app.count("changes").await;
    let (header, rest) = tokens.access_token().split_once('.').expect("it is a JWT");
    let (_, mut claims) = decode(tokens.access_token());
    claims["exp"] = json!(1);
    let forged = format!("{header}.{}.{}", encoded(&claims), rest.split_once('.').expect("it is a JWT").1);
    // RFC 7009 §2.2: "invalid tokens do not cause an error response"; an ID token is nothing that can be revoked.
    for token in ["x", "a.b.c", "…", &forged, tokens.id_token(), &"x".repeat(30_000)] {
        rp.revoke(token).await.expect_status(200);
    }
    assert_eq!(app.count("changes").await, before);
    app.introspect(tokens.access_token()).await.expect_active();

    app.advance(601);
    rp.revoke(tokens.access_token()).await.expect_status(200);
    // RFC 7009 §2.1: a hint, right or wrong, is only that; §2.2.1 leaves an unknown one to us.
    for hint in ["access_token", "refresh_token", "unheard_of"] {
        let fresh = rp.sign_in("ada").await;
        let fields = [("token", fresh.refresh_token()), ("token_type_hint", hint)];
        rp.post("/oauth/revoke", &fields).await.expect_status(200);
        app.introspect(fresh.access_token()).await.expect_inactive();
    }
}

async fn another_clients_token_is_refused_and_lives_on(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let other = app.client("other").create().await;
    let public = app.client("spa").public().create().await;
    let api = app.resource_server().await;
    let tokens = rp.sign_in("ada").await;
    for stranger in [&other, &public, &api] {
        for token in [tokens.access_token(), tokens.refresh_token()] {
            // RFC 7009 §2.1: "the request is refused and the client is informed of the error".
            stranger.revoke(token).await.expect_error("invalid_request").expect_status(400);
        }
    }
    app.introspect(tokens.access_token()).await.expect_active();
    rp.refresh(&tokens).await.expect_tokens();
}

async fn a_public_client_revokes_its_own(app: TestApp) {
    app.user("ada").await;
    let spa = app.client("spa").public().create().await;
    let first = spa.sign_in("ada").await;
    let second = spa.refresh(&first).await.expect_tokens();
    spa.revoke(first.access_token()).await.expect_status(200);
    app.introspect(first.access_token()).await.expect_inactive();
    app.introspect(second.access_token()).await.expect_active();
    spa.revoke(second.refresh_token()).await.expect_status(200);
    app.introspect(second.access_token()).await.expect_inactive();
}

async fn whoever_cannot_prove_who_it_is_revokes_nothing(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in("ada").await;
    let token = tokens.refresh_token();
    // RFC 7009 §2.1: "first validates the client credentials".
    for fields in [
        &[("token", token)][..],
        &[("token", token), ("client_id", "web")],
        &[("token", token), ("client_id", "web"), ("client_secret", "wrong")],
        &[("token", token), ("client_id", "nobody")],
    ] {
        app.post("/oauth/revoke", fields).await.expect_error("invalid_client").expect_status(401);
    }
    rp.post("/oauth/revoke", &[]).await.expect_error("invalid_request").expect_status(400);
    rp.post("/oauth/revoke", &[("token", token), ("token", "x")]).await.expect_error("invalid_request");
    app.get(&format!("/oauth/revoke?token={token}&client_id=web")).await.expect_status(405);
    app.introspect(tokens.access_token()).await.expect_active();
    rp.refresh(&tokens).await.expect_tokens();
}

async fn a_revocation_is_durable_before_it_is_answered(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (alone, whole) = (rp.sign_in("ada").await, rp.sign_in("ada").await);
    rp.revoke(alone.access_token()).await.expect_status(200);
    rp.revoke(whole.refresh_token()).await.expect_status(200);

    let of = |token: &str, name: &str| decode(token).1[name].as_str().expect("an id").to_owned();
    let (jti, grant) = (of(alone.access_token(), "jti"), of(whole.access_token(), "grant_id"));
    assert_eq!(app.count(&format!("changes WHERE kind = 'token_revoked' AND id = '{jti}'")).await, 1);
    assert_eq!(app.count(&format!("changes WHERE kind = 'grant_revoked' AND id = '{grant}'")).await, 1);

    // A node that starts now has never heard of it otherwise.
    let mut later = app.second_node().await;
    later.introspect(alone.access_token()).await.expect_inactive();
    later.introspect(whole.access_token()).await.expect_inactive();
    rp.at(&later).refresh(&whole).await.expect_error("invalid_grant");
    rp.at(&later).refresh(&alone).await.expect_tokens();
    later.stop().await;
}

async fn another_node_knows_within_a_second(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (alone, whole) = (rp.sign_in("ada").await, rp.sign_in("ada").await);
    let mut other = app.second_node().await;
    other.introspect(alone.access_token()).await.expect_active();
    other.introspect(whole.access_token()).await.expect_active();

    rp.revoke(alone.access_token()).await.expect_status(200);
    rp.revoke(whole.refresh_token()).await.expect_status(200);

    let inactive = async |token| other.introspect(token).await.json()["active"] == json!(false);
    eventually("the other node knows of the token", || inactive(alone.access_token())).await;
    eventually("the other node knows of the grant", || inactive(whole.access_token())).await;
    // What the row says, no node has to be told.
    rp.at(&other).refresh(&whole).await.expect_error("invalid_grant");
    other.stop().await;
}

async fn a_change_that_nobody_announced_is_found_by_looking(engine: Engine) {
    let app = TestApp::with(engine, "[feed]\npoll_interval = \"100ms\"").await;
    let rp = app.client("web").create().await;
    let tokens = rp.client_credentials("").await.expect_tokens();
    app.introspect(tokens.access_token()).await.expect_active();

    // Behind the server's back: no NOTIFY goes out.
    let jti = decode(tokens.access_token()).1["jti"].as_str().expect("an id").to_owned();
    let (at, expires_at) = (app.clock.now().micros(), app.clock.now().micros() + 3_600_000_000);
    let insert =
        format!("INSERT INTO changes (kind, id, at, expires_at) VALUES ('token_revoked', '{jti}', {at}, {expires_at})");
    assert_eq!(app.sql(&insert).await, 1);
    // And one of a later version, which this one does not understand.
    app.sql(&format!(
        "INSERT INTO changes (kind, id, at, expires_at) VALUES ('of_the_future', 'x', {at}, {expires_at})"
    ))
    .await;

    eventually("the row is read", async || {
        app.introspect(tokens.access_token()).await.json()["active"] == json!(false)
    })
    .await;
}

async fn a_revocation_may_be_repeated_and_raced(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in("ada").await;
    for token in [tokens.access_token(), tokens.refresh_token()] {
        for answer in at_once((0..10).map(|_| rp.revoke(token))).await {
            answer.expect_status(200);
        }
        rp.revoke(token).await.expect_status(200);
    }
    app.introspect(tokens.access_token()).await.expect_inactive();
    assert_eq!(app.count("changes WHERE kind = 'grant_revoked'").await, 1, "a grant ends once");
}

async fn a_revocation_is_remembered_as_long_as_the_token_lives(app: TestApp) {
    let longest = |client: &mut grantor::types::ClientMetadata| {
        client.access_token_lifetime = Some(std::time::Duration::from_secs(3_600));
    };
    let rp = app.client("web").with(longest).create().await;
    let tokens = rp.client_credentials("").await.expect_tokens();
    rp.revoke(tokens.access_token()).await.expect_status(200);
    app.advance(3_595);
    app.sweep().await;
    app.introspect(tokens.access_token()).await.expect_inactive();
    let mut later = app.second_node().await;
    later.introspect(tokens.access_token()).await.expect_inactive();
    later.stop().await;
    assert_eq!(app.count("changes WHERE kind = 'token_revoked'").await, 1);
    app.advance(600);
    app.sweep().await;
    assert_eq!(app.count("changes WHERE kind = 'token_revoked'").await, 0);
}
