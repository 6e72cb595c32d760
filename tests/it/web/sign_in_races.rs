//! What becomes of a sign-in while its password changes.

use crate::each_database;
use crate::support::TestApp;
use crate::support::app::PASSWORD;
use crate::support::behind::at_once;
use grantor::crypto::SystemRandom;
use grantor::types::Clock;

each_database!(a_password_that_was_changed_meanwhile_begins_no_session, a_user_who_was_disabled_meanwhile_begins_none);

const NEW_PASSWORD: &str = "another lighthouse in the fog";

/// Twelve people are at the sign-in page with the right password, and their sign-ins are under way while `meanwhile`
/// happens.
async fn sign_in_while(app: &TestApp, meanwhile: impl AsyncFnOnce()) {
    let people: Vec<_> = (0..12).map(|_| app.person()).collect();
    let mut pages = Vec::new();
    for person in &people {
        pages.push(person.get("/sign-in").await);
    }
    let sign_ins = at_once(people.iter().zip(&pages).map(|(person, page)| person.sign_in(page, "ada", PASSWORD)));
    tokio::join!(sign_ins, meanwhile());
}

async fn a_password_that_was_changed_meanwhile_begins_no_session(app: TestApp) {
    let ada = app.user("ada").await;
    let hashing = grantor::app::password_hashing(&app.config).expect("the hasher starts");
    let hash = hashing.hash(NEW_PASSWORD.into(), &SystemRandom::new()).await.expect("the hasher has time");
    let now = app.clock.now();

    sign_in_while(&app, async || {
        app.change(async |tx| tx.set_password(ada, &hash, now).await).await;
    })
    .await;

    // Whichever came first: a session of before was ended, and one of after was not begun.
    let alive = app.store.sessions_of(ada, now).await.unwrap();
    assert!(alive.is_empty(), "{alive:?}");
    let person = app.person();
    let page = person.get("/sign-in").await;
    assert!(person.sign_in(&page, "ada", NEW_PASSWORD).await.url.ends_with("/account"));
}

async fn a_user_who_was_disabled_meanwhile_begins_none(app: TestApp) {
    let ada = app.user("ada").await;
    let now = app.clock.now();

    sign_in_while(&app, async || {
        app.change(async |tx| tx.disable_user(ada, now).await).await;
    })
    .await;

    app.change(async |tx| tx.enable_user(ada, now).await).await;
    let alive = app.store.sessions_of(ada, now).await.unwrap();
    assert!(alive.is_empty(), "what was ended stays ended: {alive:?}");
}
