//! How long a grant can be refreshed: idle, in all, and by client (ASVS 10.4.8).

use std::time::Duration;

use crate::each_engine;
use crate::support::party::decode;
use crate::support::{Engine, TestApp, Tokens};

each_engine!(
    a_refresh_token_that_lies_idle_too_long_is_dead,
    no_grant_is_refreshed_past_its_absolute_end,
    a_client_has_lifetimes_of_its_own,
    the_window_for_a_retry_can_be_closed,
);

const HOURS: &str = "[refresh]\nidle_lifetime = \"1h\"\nabsolute_lifetime = \"3h\"\n\
    [session]\nidle_lifetime = \"1d\"\n[tokens]\naccess_token_lifetime = \"10m\"";

fn lifetime(token: &str) -> i64 {
    let (_, claims) = decode(token);
    claims["exp"].as_i64().expect("exp") - claims["iat"].as_i64().expect("iat")
}

async fn a_refresh_token_that_lies_idle_too_long_is_dead(engine: Engine) {
    let app = TestApp::with(engine, HOURS).await;
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let first = rp.sign_in("ada").await;
    assert_eq!(lifetime(first.refresh_token()), 3_600);

    app.advance(3_590);
    let second = rp.refresh(&first).await.expect_tokens();
    // Every use gives it another hour.
    app.advance(3_590);
    let third = rp.refresh(&second).await.expect_tokens();

    app.advance(3_601);
    rp.refresh(&third).await.expect_error("invalid_grant").expect_status(400);
    rp.introspect(third.refresh_token()).await.expect_inactive();
    // It is too old, not stolen: nothing was revoked, and coming back later changes nothing.
    assert_eq!(app.count("grants WHERE revoked_at IS NULL AND generation = 3").await, 1);
}

async fn no_grant_is_refreshed_past_its_absolute_end(engine: Engine) {
    let app = TestApp::with(engine, HOURS).await;
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let mut tokens = rp.sign_in("ada").await;
    for _ in 0..3 {
        app.advance(3_500);
        tokens = rp.refresh(&tokens).await.expect_tokens();
    }
    // 10,500 s of 10,800 are over: neither token outlives the grant.
    let left = |token| (290..=300).contains(&lifetime(token));
    assert!(left(tokens.refresh_token()) && left(tokens.access_token()), "{:?}", tokens.0);
    assert!(tokens.0["expires_in"].as_i64().is_some_and(|seconds| (290..=300).contains(&seconds)), "{:?}", tokens.0);

    app.advance(290);
    let last = rp.refresh(&tokens).await.expect_tokens();
    app.introspect(last.access_token()).await.expect_active();
    app.advance(11);
    rp.refresh(&last).await.expect_error("invalid_grant").expect_status(400);
    app.introspect(last.access_token()).await.expect_inactive();
}

async fn a_client_has_lifetimes_of_its_own(engine: Engine) {
    let app = TestApp::with(engine, HOURS).await;
    app.user("ada").await;
    let short = app.client("short").with(|client| {
        client.refresh_token_idle_lifetime = Some(Duration::from_secs(120));
        client.refresh_token_absolute_lifetime = Some(Duration::from_secs(300));
        client.access_token_lifetime = Some(Duration::from_secs(30));
    });
    let short = short.create().await;
    let tokens: Tokens = short.sign_in("ada").await;
    assert_eq!((lifetime(tokens.refresh_token()), lifetime(tokens.access_token())), (120, 30));
    app.advance(100);
    let tokens = short.refresh(&tokens).await.expect_tokens();
    app.advance(100);
    let tokens = short.refresh(&tokens).await.expect_tokens();
    assert_eq!(lifetime(tokens.refresh_token()), 100, "the absolute end is near");
    app.advance(101);
    short.refresh(&tokens).await.expect_error("invalid_grant");

    let long = app.client("long").with(|client| {
        client.refresh_token_idle_lifetime = Some(Duration::from_secs(10 * 3_600));
        client.refresh_token_absolute_lifetime = Some(Duration::from_secs(5 * 3_600));
    });
    let tokens = long.create().await.sign_in("ada").await;
    assert_eq!(lifetime(tokens.refresh_token()), 5 * 3_600, "idle never goes past absolute");
}

async fn the_window_for_a_retry_can_be_closed(engine: Engine) {
    let app = TestApp::with(engine, "[refresh]\nretry_window = \"0s\"").await;
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let first = rp.sign_in("ada").await;
    let second = rp.refresh(&first).await.expect_tokens();
    app.clock.advance(Duration::from_micros(1));
    rp.refresh(&first).await.expect_error("invalid_grant");
    rp.refresh(&second).await.expect_error("invalid_grant");
}
