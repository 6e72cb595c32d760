//! Identities at other providers, who was sent there, and what was offered: each transition, raced, and both databases.

use std::time::Duration;

use grantor::crypto::{SystemRandom, random, sha256};
use grantor::store::{Purpose, Stored};
use grantor::types::{Clock as _, Identity, IdentityId, Offer, OfferId, RequestId, UserId, Visit};

use super::transitions::{raced, within};
use crate::each_database;
use crate::support::TestApp;
use crate::support::grants::id;

each_database!(
    an_identity_comes_back_as_it_was_stored,
    a_subject_is_given_once,
    somebody_comes_back_once,
    an_offer_is_taken_up_once,
    an_invitation_is_used_up_once,
    an_identity_is_used_by_its_user_while_it_is_theirs,
);

fn identity(app: &TestApp, user: UserId, subject: &str) -> Identity {
    Identity {
        id: IdentityId::new(id()),
        user,
        provider: "google".to_owned(),
        subject: subject.to_owned(),
        email: Some("ada@example.org".to_owned()),
        created_at: app.clock.now(),
        used_at: None,
    }
}

async fn an_identity_comes_back_as_it_was_stored(app: TestApp) {
    let ada = app.user("ada").await;
    let (one, two) = (identity(&app, ada, "1"), identity(&app, ada, "2"));
    for identity in [&one, &two] {
        assert_eq!(app.change(async |tx| tx.insert_identity(identity).await).await, Stored::Stored);
    }
    assert_eq!(app.store.identity("google", "1").await.unwrap().as_ref(), Some(&one));
    assert_eq!(app.store.identity("google", "3").await.unwrap(), None);
    assert_eq!(app.store.identity("github", "1").await.unwrap(), None);
    assert_eq!(app.store.identities_of(ada).await.unwrap().len(), 2);
    assert_eq!(app.change(async |tx| tx.owner_of("google", "2").await).await, Some(ada));
    assert_eq!(app.change(async |tx| tx.providers_of(ada).await).await, ["google", "google"]);
    assert!(app.change(async |tx| tx.has_own_way_in(ada).await).await);
    assert_eq!(app.change(async |tx| tx.delete_identities_at(ada, "github").await).await, 0);
    assert_eq!(app.change(async |tx| tx.delete_identities_at(ada, "google").await).await, 2);
    assert!(app.store.identities_of(ada).await.unwrap().is_empty());
}

async fn a_subject_is_given_once(app: TestApp) {
    let mut users = Vec::new();
    for n in 0..12 {
        users.push(app.user(&format!("user{n}")).await);
    }
    let next = std::sync::atomic::AtomicUsize::new(0);
    let stored = raced(&app, async |store| {
        let user = users[next.fetch_add(1, std::sync::atomic::Ordering::SeqCst)];
        let identity = identity(&app, user, "1");
        within(store, async |tx| tx.insert_identity(&identity).await).await
    })
    .await;
    assert_eq!(stored.iter().filter(|stored| **stored == Stored::Stored).count(), 1);
    assert!(app.store.identity("google", "1").await.unwrap().is_some());
}

async fn somebody_comes_back_once(app: TestApp) {
    let now = app.clock.now();
    let visit = Visit {
        state_hash: sha256(b"a state"),
        browser: "a browser".to_owned(),
        provider: "google".to_owned(),
        sealed: vec![1, 2, 3],
        expires_at: now.plus(Duration::from_secs(60)),
    };
    app.store.create_visit(&visit).await.unwrap();
    let take = async |state: &[u8], browser, provider, now| {
        app.store.take_visit(sha256(state), (browser, provider), now).await.unwrap()
    };
    assert_eq!(take(b"another", "a browser", "google", now).await, None);
    assert_eq!(take(b"a state", "another", "google", now).await, None);
    assert_eq!(take(b"a state", "a browser", "github", now).await, None);
    assert_eq!(take(b"a state", "a browser", "google", visit.expires_at).await, None);
    let taken =
        raced(&app, async |store| store.take_visit(visit.state_hash, ("a browser", "google"), now).await.unwrap())
            .await;
    assert_eq!(taken.iter().flatten().collect::<Vec<_>>(), [&vec![1, 2, 3]]);
}

async fn an_offer_is_taken_up_once(app: TestApp) {
    let now = app.clock.now();
    let offer = Offer {
        id: OfferId::new(id()),
        browser: "a browser".to_owned(),
        provider: "google".to_owned(),
        subject: "1".to_owned(),
        email: None,
        request: Some(RequestId::new(random::uuid_v4(&SystemRandom::new()))),
        expires_at: now.plus(Duration::from_secs(60)),
    };
    app.store.create_offer(&offer).await.unwrap();
    assert!(app.store.offer(offer.id, "another", now).await.unwrap().is_none());
    assert!(app.store.offer(offer.id, "a browser", offer.expires_at).await.unwrap().is_none());
    let found = app.store.offer(offer.id, "a browser", now).await.unwrap().unwrap();
    assert_eq!((found.subject, found.request), (offer.subject.clone(), offer.request));
    assert!(app.change(async |tx| tx.take_offer(offer.id, "another", now).await).await.is_none());
    let taken =
        raced(&app, async |store| within(store, async |tx| tx.take_offer(offer.id, "a browser", now).await).await)
            .await;
    assert_eq!(taken.iter().flatten().count(), 1);
}

async fn an_invitation_is_used_up_once(app: TestApp) {
    app.invites("ada@example.org").await;
    let now = app.clock.now();
    let spend = async |email: &'static str| {
        raced(&app, async |store| within(store, async |tx| tx.spend_link_of(Purpose::SignUp, email, now).await).await)
            .await
            .into_iter()
            .filter(|spent| *spent)
            .count()
    };
    assert_eq!(spend("bob@example.org").await, 0);
    assert_eq!(spend("ada@example.org").await, 1);
    assert_eq!(spend("ada@example.org").await, 0);
}

async fn an_identity_is_used_by_its_user_while_it_is_theirs(app: TestApp) {
    let ada = app.user("ada").await;
    let identity = identity(&app, ada, "1");
    app.change(async |tx| tx.insert_identity(&identity).await).await;
    let now = app.clock.now();
    let used = app.change(async |tx| tx.use_identity(&identity, Some("new@example.org"), now).await).await;
    assert_eq!(used, Stored::Stored);
    let found = app.store.identity("google", "1").await.unwrap().unwrap();
    assert_eq!((found.used_at, found.email.as_deref()), (Some(now), Some("new@example.org")));
    let bob = app.user("bob").await;
    assert_eq!(app.change(async |tx| tx.delete_identity(bob, identity.id).await).await, None);
    let removed =
        raced(&app, async |store| within(store, async |tx| tx.delete_identity(ada, identity.id).await).await).await;
    assert_eq!(removed.iter().flatten().collect::<Vec<_>>(), ["google"]);
    assert_eq!(app.change(async |tx| tx.use_identity(&identity, None, now).await).await, Stored::Conflict);
}
