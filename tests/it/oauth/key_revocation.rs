//! Signing keys that are rotated or revoked by hand.

use std::time::Duration;

use grantor::oauth::key_life::{Begin, Rotated};
use grantor::types::{Algorithm, Clock as _, KeyLife, Stage};

use crate::each_database;
use crate::support::app::eventually;
use crate::support::behind::at_once;
use crate::support::party::SECRET;
use crate::support::signing_keys::{keeper, key_at, kid, life, lives, published, publishes, round, stage, takes_hint};
use crate::support::{Party, TestApp};

each_database!(
    a_rotation_at_once_waits_until_every_node_knows_the_key,
    a_revoked_key_and_all_that_it_signed_are_dead_on_every_node,
    a_revoked_refresh_key_ends_its_refresh_tokens_alone,
    a_revoked_key_that_was_next_leaves_the_one_before_it,
    a_key_that_waits_takes_the_place_of_a_revoked_one,
);

const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;

async fn a_rotation_at_once_waits_until_every_node_knows_the_key(app: TestApp) {
    let rp = app.client("web").create().await;
    let keeper = keeper(&app).await;
    let now = app.clock.now();
    let rotated = keeper.rotate(Algorithm::Es256, Begin::AtOnce, now).await.unwrap();
    let Rotated::Made(next) = rotated else { panic!("{rotated:?}") };
    // Longer than a node may go without having read the feed.
    assert_eq!(next.active_from, now.plus(Duration::from_secs(5)));
    publishes(&app, 3).await;
    let before = rp.client_credentials("").await.expect_tokens();
    assert_ne!(kid(before.access_token()), next.id);
    app.advance(5);
    let after = rp.client_credentials("").await.expect_tokens();
    assert_eq!(kid(after.access_token()), next.id);
    app.introspect(before.access_token()).await.expect_active();

    // What waits for its turn has been known for long, so its turn can come now.
    let now = app.clock.now();
    assert!(matches!(keeper.rotate(Algorithm::Rs256, Begin::Announced, now).await.unwrap(), Rotated::Made(_)));
    let waiting = keeper.rotate(Algorithm::Rs256, Begin::Announced, now).await.unwrap();
    let Rotated::Waiting(waiting) = waiting else { panic!("{waiting:?}") };
    app.advance(HOUR);
    let forward = keeper.rotate(Algorithm::Rs256, Begin::AtOnce, app.clock.now()).await.unwrap();
    let expected = KeyLife { active_from: app.clock.now(), ..waiting };
    assert_eq!(forward, Rotated::BroughtForward(expected.clone()));
    assert_eq!(key_at(&app, Algorithm::Rs256, Stage::Active).await, expected.id);
    assert_eq!(lives(&app).await.iter().filter(|key| key.algorithm == Algorithm::Rs256).count(), 2);
}

async fn a_revoked_key_and_all_that_it_signed_are_dead_on_every_node(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let node = app.second_node().await;
    let there = Party::existing(&node, "web", SECRET);
    let person = app.person();
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    app.introspect(tokens.access_token()).await.expect_active();
    node.introspect(tokens.access_token()).await.expect_active();
    let keeper = keeper(&app).await;
    assert!(keeper.revoke("nobody", app.clock.now()).await.unwrap().is_none());

    let revoked = keeper.revoke(&kid(tokens.access_token()), app.clock.now()).await.unwrap().expect("it was there");
    let successor = revoked.successor.expect("something must sign");
    for node in [&app, &node] {
        let dead = async || node.introspect(tokens.access_token()).await.body == r#"{"active":false}"#;
        eventually("the token is dead", dead).await;
        assert!(!published(node).await.contains(&revoked.key.id));
        assert!(published(node).await.contains(&successor.id));
    }
    there.userinfo(tokens.access_token()).await.expect_status(401);
    // The grant lives; its next access token is of another key.
    let tokens = there.refresh(&tokens).await.expect_tokens();
    assert_eq!(kid(tokens.access_token()), successor.id);
    app.introspect(tokens.access_token()).await.expect_active();

    // And an ID token of a revoked key is nobody's word.
    assert!(takes_hint(&app, &person, tokens.id_token()).await);
    keeper.revoke(&kid(tokens.id_token()), app.clock.now()).await.unwrap().expect("it was there");
    eventually("the hint is refused", async || !takes_hint(&app, &person, tokens.id_token()).await).await;
    assert_eq!(app.count("public_keys").await, 0);
    // Of two who revoke one key, one does.
    let id = key_at(&app, Algorithm::Es256, Stage::Active).await;
    let now = app.clock.now();
    let both = at_once([keeper.revoke(&id, now), keeper.revoke(&id, now)]).await;
    assert_eq!(both.into_iter().filter(|revoked| revoked.as_ref().unwrap().is_some()).count(), 1);
    assert_eq!(app.count("signing_keys WHERE algorithm = 'ES256'").await, 1);
}

async fn a_revoked_refresh_key_ends_its_refresh_tokens_alone(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let first = rp.sign_in("ada").await;
    let other = rp.sign_in("ada").await;
    let keeper = keeper(&app).await;
    keeper.rotate(Algorithm::Hs256, Begin::AtOnce, app.clock.now()).await.unwrap();
    let published_key = kid(first.access_token());
    keeper.rotate(Algorithm::Es256, Begin::AtOnce, app.clock.now()).await.unwrap();
    publishes(&app, 3).await;
    app.advance(6);
    let second = rp.refresh(&first).await.expect_tokens();
    assert_ne!(kid(second.refresh_token()), kid(first.refresh_token()));

    let revoked = keeper.revoke(&kid(second.refresh_token()), app.clock.now()).await.unwrap().expect("it was there");
    assert!(revoked.successor.is_some());
    // Heard of together with this one, which can be seen.
    keeper.revoke(&published_key, app.clock.now()).await.unwrap().expect("it was there");
    publishes(&app, 2).await;
    rp.refresh(&second).await.expect_error("invalid_grant").expect_status(400);
    // A retry within its window, whose answer would be the very token that is dead.
    rp.refresh(&first).await.expect_error("invalid_grant").expect_status(400);
    assert_eq!(app.count("grants WHERE revoked_at IS NOT NULL").await, 0);
    app.introspect(second.access_token()).await.expect_active();
    // What another key signed is as good as before, and what is issued from now on is.
    let third = rp.refresh(&other).await.expect_tokens();
    assert_eq!(kid(third.refresh_token()), revoked.successor.unwrap().id);
    rp.refresh(&third).await.expect_tokens();
}

async fn a_revoked_key_that_was_next_leaves_the_one_before_it(app: TestApp) {
    let keeper = keeper(&app).await;
    let first = key_at(&app, Algorithm::Es256, Stage::Active).await;
    keeper.rotate(Algorithm::Es256, Begin::Announced, app.clock.now()).await.unwrap();
    let next = key_at(&app, Algorithm::Es256, Stage::Next).await;
    let revoked = keeper.revoke(&next, app.clock.now()).await.unwrap().expect("it was there");
    assert!(revoked.successor.is_none());
    app.advance(2 * DAY);
    let first = life(&app, &first).await.expect("it is there");
    assert_eq!((first.stage(app.clock.now()), first.retired_at), (Stage::Active, None));
    // It is followed by another when it is time.
    app.advance(87 * DAY);
    round(&app).await;
    assert_ne!(key_at(&app, Algorithm::Es256, Stage::Next).await, next);
}

async fn a_key_that_waits_takes_the_place_of_a_revoked_one(app: TestApp) {
    let rp = app.client("web").create().await;
    let keeper = keeper(&app).await;
    keeper.rotate(Algorithm::Es256, Begin::Announced, app.clock.now()).await.unwrap();
    publishes(&app, 3).await;
    let (first, next) =
        (key_at(&app, Algorithm::Es256, Stage::Active).await, key_at(&app, Algorithm::Es256, Stage::Next).await);
    let revoked = keeper.revoke(&first, app.clock.now()).await.unwrap().expect("it was there");
    assert_eq!(revoked.successor.map(|key| key.id), Some(next.clone()));
    publishes(&app, 2).await;
    assert_eq!(kid(rp.client_credentials("").await.expect_tokens().access_token()), next);
    // What has retired already is missed by nobody.
    app.advance(89 * DAY);
    round(&app).await;
    app.advance(DAY);
    assert_eq!(stage(&app, &next).await, Some(Stage::Retired));
    assert!(keeper.revoke(&next, app.clock.now()).await.unwrap().expect("it was there").successor.is_none());
    assert_eq!(app.count("signing_keys WHERE algorithm = 'ES256'").await, 1);
}
