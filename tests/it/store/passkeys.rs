//! Passkeys: what is kept of them, and their counters, raced.

use grantor::crypto::{SystemRandom, random};
use grantor::types::{Clock as _, FactorId, Passkey, UserId};

use super::transitions::{raced, within};
use crate::each_database;
use crate::support::TestApp;

each_database!(
    a_passkey_is_kept_as_it_was_given,
    an_id_of_a_credential_is_given_once,
    a_count_is_reached_once_and_none_before_it,
    a_device_that_does_not_count_may_be_used_again_and_again,
    a_passkey_is_taken_away_once_and_by_its_owner,
);

fn passkey(app: &TestApp, user: UserId, credential_id: &[u8]) -> Passkey {
    Passkey {
        id: FactorId::new(random::uuid_v4(&SystemRandom::new())),
        user,
        credential_id: credential_id.to_vec(),
        name: "Telephone".to_owned(),
        credential: "{}".to_owned(),
        counter: 0,
        created_at: app.clock.now(),
        used_at: None,
    }
}

async fn kept(app: &TestApp, user: UserId, credential_id: &[u8]) -> Passkey {
    let passkey = passkey(app, user, credential_id);
    assert!(within(&app.store, async |tx| tx.create_passkey(&passkey).await).await);
    passkey
}

fn how_many(outcomes: Vec<bool>) -> usize {
    outcomes.into_iter().filter(|done| *done).count()
}

async fn a_passkey_is_kept_as_it_was_given(app: TestApp) {
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let given = Passkey { counter: u32::MAX, ..passkey(&app, ada, &[0, 255, 1]) };
    assert!(within(&app.store, async |tx| tx.create_passkey(&given).await).await);
    let read = app.store.passkey(&[0, 255, 1]).await.unwrap().expect("it is there");
    assert_eq!((read.id, read.user, &read.credential_id), (given.id, ada, &given.credential_id));
    assert_eq!((read.name.as_str(), read.credential.as_str(), read.counter), ("Telephone", "{}", u32::MAX));
    assert_eq!((read.created_at, read.used_at), (given.created_at, None));
    assert!(app.store.passkey(&[0, 255]).await.unwrap().is_none());
    assert_eq!(app.store.passkeys_of(ada).await.unwrap().len(), 1);
    assert!(app.store.has_factors(ada).await.unwrap() && !app.store.has_factors(bob).await.unwrap());

    let rename = async |user| within(&app.store, async |tx| tx.rename_passkey(user, given.id, "Key").await).await;
    assert!(!rename(bob).await && rename(ada).await);
    assert_eq!(app.store.passkeys_of(ada).await.unwrap()[0].name, "Key");
    assert_eq!(within(&app.store, async |tx| tx.delete_factors_of(ada).await).await, 1);
    assert!(!app.store.has_factors(ada).await.unwrap());
}

async fn an_id_of_a_credential_is_given_once(app: TestApp) {
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let given =
        raced(&app, async |store| within(store, async |tx| tx.create_passkey(&passkey(&app, ada, b"one")).await).await);
    assert_eq!(how_many(given.await), 1);
    assert!(!within(&app.store, async |tx| tx.create_passkey(&passkey(&app, bob, b"one")).await).await);
    assert!(within(&app.store, async |tx| tx.create_passkey(&passkey(&app, bob, b"other")).await).await);
}

async fn a_count_is_reached_once_and_none_before_it(app: TestApp) {
    let ada = app.user("ada").await;
    let passkey = kept(&app, ada, b"counts").await;
    let now = app.clock.now();
    let count = async |counter: u32| {
        let used =
            raced(&app, async |store| within(store, async |tx| tx.use_passkey(passkey.id, counter, now).await).await);
        how_many(used.await)
    };
    assert_eq!((count(7).await, count(7).await, count(6).await, count(0).await), (1, 0, 0, 0));
    assert_eq!((count(8).await, count(u32::MAX).await, count(8).await), (1, 1, 0));
    let read = app.store.passkey(b"counts").await.unwrap().expect("it is there");
    assert_eq!((read.counter, read.used_at), (u32::MAX, Some(now)));
}

async fn a_device_that_does_not_count_may_be_used_again_and_again(app: TestApp) {
    let ada = app.user("ada").await;
    let passkey = kept(&app, ada, b"does not").await;
    let now = app.clock.now();
    let used = raced(&app, async |store| within(store, async |tx| tx.use_passkey(passkey.id, 0, now).await).await);
    assert_eq!(how_many(used.await), 12);
}

async fn a_passkey_is_taken_away_once_and_by_its_owner(app: TestApp) {
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let passkey = kept(&app, ada, b"one").await;
    assert!(!within(&app.store, async |tx| tx.delete_passkey(bob, passkey.id).await).await);
    let taken =
        raced(&app, async |store| within(store, async |tx| tx.delete_passkey(ada, passkey.id).await).await).await;
    assert_eq!(how_many(taken), 1);
    assert!(!within(&app.store, async |tx| tx.use_passkey(passkey.id, 0, app.clock.now()).await).await);
}
