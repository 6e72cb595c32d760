//! Mailed links, and what they change: each transition raced, and refused where the state before it is another.

use std::time::Duration;

use grantor::store::{Kind, Link, Purpose, Sealed, Stored};
use grantor::types::Clock as _;

use super::transitions::{raced, within};
use crate::each_database;
use crate::support::TestApp;

each_database!(
    a_link_is_spent_once,
    a_link_is_good_for_one_purpose_and_a_time,
    the_newest_link_for_a_purpose_and_a_subject_is_the_only_one,
    the_links_of_a_user_go_with_them,
    a_wish_is_granted_once,
    a_known_password_is_replaced_once,
    a_known_address_is_changed_once,
);

fn link(app: &TestApp, secret: u8) -> Link {
    let now = app.clock.now();
    Link {
        purpose: Purpose::ResetPassword,
        subject: "ada".to_owned(),
        secret_hash: [secret; 32],
        detail: "{\"email\":\"ada@example.org\"}".to_owned(),
        created_at: now,
        expires_at: now.plus(Duration::from_secs(60)),
    }
}

async fn a_link_is_spent_once(app: TestApp) {
    let link = link(&app, 1);
    app.change(async |tx| tx.put_link(&link).await).await;
    let now = app.clock.now();
    assert_eq!(app.store.link(link.purpose, link.secret_hash, now).await.unwrap(), Some(link.clone()));
    let spent = raced(&app, async |store| {
        within(store, async |tx| tx.spend_link(link.purpose, link.secret_hash, now).await).await
    });
    let spent: Vec<_> = spent.await.into_iter().flatten().collect();
    assert_eq!(spent, std::slice::from_ref(&link));
    assert!(app.store.link(link.purpose, link.secret_hash, now).await.unwrap().is_none());
}

async fn a_link_is_good_for_one_purpose_and_a_time(app: TestApp) {
    let link = link(&app, 1);
    app.change(async |tx| tx.put_link(&link).await).await;
    let now = app.clock.now();
    for (purpose, hash, at) in [
        (Purpose::UndoEmail, link.secret_hash, now),
        (Purpose::SignUp, link.secret_hash, now),
        (link.purpose, [2; 32], now),
        (link.purpose, link.secret_hash, link.expires_at),
    ] {
        assert!(app.store.link(purpose, hash, at).await.unwrap().is_none(), "{purpose:?}");
        assert!(app.change(async |tx| tx.spend_link(purpose, hash, at).await).await.is_none(), "{purpose:?}");
    }
    assert!(app.change(async |tx| tx.spend_link(link.purpose, link.secret_hash, now).await).await.is_some());
}

async fn the_newest_link_for_a_purpose_and_a_subject_is_the_only_one(app: TestApp) {
    let (first, second) = (link(&app, 1), link(&app, 2));
    let other = Link { subject: "bob".to_owned(), ..link(&app, 3) };
    for link in [&first, &other, &second] {
        app.change(async |tx| tx.put_link(link).await).await;
    }
    let now = app.clock.now();
    let works = async |link: &Link| app.store.link(link.purpose, link.secret_hash, now).await.unwrap().is_some();
    assert!(!works(&first).await && works(&second).await && works(&other).await);
    // One that was spent leaves its place to the next.
    app.change(async |tx| tx.spend_link(second.purpose, second.secret_hash, now).await).await;
    app.change(async |tx| tx.put_link(&first).await).await;
    assert!(works(&first).await && !works(&second).await);
    // Many at once: one is left.
    let numbers = std::sync::atomic::AtomicU8::new(10);
    raced(&app, async |store| {
        let link = link(&app, numbers.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
        within(store, async |tx| tx.put_link(&link).await).await;
    })
    .await;
    assert_eq!(app.count("links WHERE subject = 'ada' AND spent_at IS NULL").await, 1);
}

async fn the_links_of_a_user_go_with_them(app: TestApp) {
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    for (n, subject) in [ada.to_string(), format!("{ada} old@example.org"), bob.to_string()].into_iter().enumerate() {
        let link = Link { subject, ..link(&app, u8::try_from(n).unwrap()) };
        app.change(async |tx| tx.put_link(&link).await).await;
    }
    let now = app.clock.now();
    app.change(async |tx| tx.delete_user(ada, now).await).await;
    assert_eq!((app.count("links").await, app.count(&format!("links WHERE subject = '{bob}'")).await), (1, 1));
}

async fn a_wish_is_granted_once(app: TestApp) {
    let sealed = Sealed { id: "one".to_owned(), bytes: vec![1, 2, 3] };
    let now = app.clock.now();
    let later = now.plus(Duration::from_secs(60));
    app.change(async |tx| tx.post(Kind::Wish, &sealed, later, now).await).await;
    assert!(app.store.take_messages(Kind::Mail, 9, later, now).await.unwrap().is_empty(), "of another kind");
    let taken = app.store.take_messages(Kind::Wish, 9, now.plus(Duration::from_secs(1)), now).await.unwrap();
    let [message] = &taken[..] else { panic!("{taken:?}") };
    assert_eq!(message.content, grantor::store::Content::Wish(sealed));
    // Somebody else took it, when the first seemed to have vanished.
    let at = now.plus(Duration::from_secs(2));
    let again = app.store.take_messages(Kind::Wish, 9, later, at).await.unwrap();
    assert!(!app.change(async |tx| tx.settle_message(message).await).await);
    let settled = raced(&app, async |store| within(store, async |tx| tx.settle_message(&again[0]).await).await).await;
    assert_eq!(settled.iter().filter(|settled| **settled).count(), 1);
}

async fn a_known_password_is_replaced_once(app: TestApp) {
    let ada = app.user("ada").await;
    let known = app.store.credentials("ada").await.unwrap().unwrap().password_hash;
    let now = app.clock.now();
    let outcomes = raced(&app, async |store| {
        within(store, async |tx| tx.replace_password(ada, known.as_deref(), "another", now).await).await
    });
    assert_eq!(outcomes.await.iter().filter(|outcome| **outcome == Stored::Stored).count(), 1);
    // Of who has none, none is known.
    app.sql("UPDATE users SET password_hash = NULL").await;
    let replace =
        async |known: Option<&str>| app.change(async |tx| tx.replace_password(ada, known, "one more", now).await).await;
    assert_eq!(replace(Some("another")).await, Stored::Conflict);
    assert_eq!(replace(None).await, Stored::Stored);
    app.disable_user(ada).await;
    assert_eq!(replace(Some("one more")).await, Stored::Conflict);
}

async fn a_known_address_is_changed_once(app: TestApp) {
    let ada = app.user_with("ada@example.org", |user| user.email = Some("ada@example.org".into())).await;
    app.user("bob").await;
    let now = app.clock.now();
    let change = async |known: Option<&str>, email: &str| {
        app.change(async |tx| tx.change_email(ada, known, email, now).await).await
    };
    for (known, email) in [
        (None, "ada@new.example"),
        (Some("other@example.org"), "ada@new.example"),
        (Some("ada@example.org"), "BOB@example.org"),
        (Some("ada@example.org"), "bob"),
    ] {
        assert_eq!(change(known, email).await, Stored::Conflict, "{known:?} {email}");
    }
    let outcomes = raced(&app, async |store| {
        within(store, async |tx| tx.change_email(ada, Some("Ada@example.org"), "Ada@New.example", now).await).await
    });
    assert_eq!(outcomes.await.iter().filter(|outcome| **outcome == Stored::Stored).count(), 1);
    // Who is called by their address is called by the new one.
    let user = app.store.user(ada).await.unwrap().unwrap();
    assert_eq!((user.username.as_str(), user.email.as_deref()), ("Ada@New.example", Some("Ada@New.example")));
    assert!(app.store.user_by_login("ada@new.example").await.unwrap().is_some());
    assert!(app.store.user_by_login("ada@example.org").await.unwrap().is_none());
    // Nobody else's name changes.
    let bob = app.store.user_by_login("bob").await.unwrap().unwrap().id;
    let moved =
        app.change(async |tx| tx.change_email(bob, Some("bob@example.org"), "bob@new.example", now).await).await;
    assert_eq!(moved, Stored::Stored);
    assert_eq!(app.store.user(bob).await.unwrap().unwrap().username, "bob");
}
