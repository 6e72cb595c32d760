//! What is spent once is spent once, however many come with it.

use grantor::crypto::{SystemRandom, random};
use grantor::types::{Authentication, Clock as _, Factor, FactorId, SignInId, Step, UserId};

use super::transitions::{raced, within};
use crate::each_database;
use crate::support::TestApp;

each_database!(
    the_code_of_a_step_is_spent_once_and_none_before_it,
    a_recovery_code_is_spent_once_and_by_its_user,
    an_app_is_confirmed_once,
    a_sign_in_is_tried_five_times_and_finished_once,
    of_two_who_take_away_the_last_two_both_are_told_what_is_left,
);

async fn set_up(app: &TestApp, user: UserId) -> Factor {
    let factor = Factor {
        id: FactorId::new(random::uuid_v4(&SystemRandom::new())),
        user,
        name: String::new(),
        sealed: vec![1, 2, 3],
        created_at: app.clock.now(),
        confirmed_at: None,
        used_at: None,
    };
    app.store.create_factor(&factor).await.unwrap();
    factor
}

async fn confirmed(app: &TestApp, user: UserId) -> Factor {
    let factor = set_up(app, user).await;
    assert!(within(&app.store, async |tx| tx.confirm_factor(&factor, 100, app.clock.now()).await).await);
    factor
}

fn how_many(outcomes: Vec<bool>) -> usize {
    outcomes.into_iter().filter(|done| *done).count()
}

async fn the_code_of_a_step_is_spent_once_and_none_before_it(app: TestApp) {
    let ada = app.user("ada").await;
    let factor = confirmed(&app, ada).await;
    let now = app.clock.now();
    let spend = async |step: i64| {
        let outcomes =
            raced(&app, async |store| within(store, async |tx| tx.use_factor(factor.id, step, now).await).await);
        how_many(outcomes.await)
    };
    assert_eq!((spend(100).await, spend(102).await, spend(101).await, spend(103).await), (0, 1, 0, 1));
    // One that is being set up has no codes yet.
    let begun = set_up(&app, ada).await;
    assert!(!within(&app.store, async |tx| tx.use_factor(begun.id, 500, now).await).await);
}

async fn a_recovery_code_is_spent_once_and_by_its_user(app: TestApp) {
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let now = app.clock.now();
    within(&app.store, async |tx| tx.replace_recovery_codes(ada, &[[1; 32], [2; 32]], now).await).await;
    assert!(!within(&app.store, async |tx| tx.use_recovery_code(bob, &[1; 32], now).await).await);
    let outcomes =
        raced(&app, async |store| within(store, async |tx| tx.use_recovery_code(ada, &[1; 32], now).await).await).await;
    assert_eq!(how_many(outcomes), 1);
    assert_eq!(app.store.recovery_codes_left(ada).await.unwrap(), 1);
    within(&app.store, async |tx| tx.replace_recovery_codes(ada, &[[3; 32]], now).await).await;
    assert!(!within(&app.store, async |tx| tx.use_recovery_code(ada, &[2; 32], now).await).await);
}

async fn an_app_is_confirmed_once(app: TestApp) {
    let ada = app.user("ada").await;
    let factor = set_up(&app, ada).await;
    let now = app.clock.now();
    let outcomes =
        raced(&app, async |store| within(store, async |tx| tx.confirm_factor(&factor, 7, now).await).await).await;
    assert_eq!(how_many(outcomes), 1);
    assert!(app.store.has_factors(ada).await.unwrap());
}

async fn a_sign_in_is_tried_five_times_and_finished_once(app: TestApp) {
    let ada = app.user("ada").await;
    let now = app.clock.now();
    let step = Step {
        remembered: false,
        id: SignInId::new(random::uuid_v4(&SystemRandom::new())),
        browser: "browser".into(),
        user: ada,
        session: None,
        proved: Authentication::by_password(now),
        expires_at: now.plus(std::time::Duration::from_secs(60)),
    };
    within(&app.store, async |tx| tx.create_sign_in(&step).await).await;
    assert!(app.store.try_sign_in(step.id, "another", now).await.unwrap().is_none());
    let tried = raced(&app, async |store| store.try_sign_in(step.id, "browser", now).await.unwrap().is_some()).await;
    assert_eq!(how_many(tried), 5);
    let finished =
        raced(&app, async |store| within(store, async |tx| tx.finish_sign_in(step.id, now).await).await).await;
    assert_eq!(how_many(finished), 1);
    assert!(app.store.sign_in(step.id, "browser", now).await.unwrap().is_none());
}

async fn of_two_who_take_away_the_last_two_both_are_told_what_is_left(app: TestApp) {
    let ada = app.user("ada").await;
    let factors: Vec<FactorId> = {
        let (one, other) = (confirmed(&app, ada).await, confirmed(&app, ada).await);
        vec![one.id, other.id]
    };
    let other = app.other_store().await;
    let take = async |store: &grantor::store::Store, id: FactorId| {
        within(store, async |tx| {
            tx.confirm_user(ada).await?;
            assert!(tx.delete_factor(ada, id).await?);
            tx.count_factors(ada).await
        })
        .await
    };
    let mut left = [0; 2];
    (left[0], left[1]) = tokio::join!(take(&app.store, factors[0]), take(&other, factors[1]));
    left.sort_unstable();
    assert_eq!(left, [0, 1]);
    other.close().await;
}
