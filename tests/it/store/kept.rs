//! `Store::keep`: the refresh token that is not replaced (FAPI 2.0 Security Profile §5.3.2.1). It writes nothing, so its
//! one statement is all that can refuse.

use std::sync::atomic::{AtomicBool, Ordering};

use grantor::store::{Presented, Reason, Rotation};
use grantor::types::{ClientId, Clock as _};

use crate::each_database;
use crate::support::TestApp;
use crate::support::behind::at_once;
use crate::support::grants::{ENDS, TERMS, code, pending_grant, web};

each_database!(it_is_kept_only_while_what_it_hangs_on_lives, nobody_keeps_it_who_comes_after_its_revocation);

async fn it_is_kept_only_while_what_it_hangs_on_lives(app: TestApp) {
    app.user("ada").await;
    app.client("web").create().await;
    let client = web();
    // Behind everybody's back: nobody was told.
    for (statement, undo, offline_survives) in ENDS {
        for offline in [false, true] {
            let grant = pending_grant(&app, offline).await;
            let now = app.clock.now();
            let presented = Presented { grant: grant.id, generation: 1, client: &client };
            let keep = async || app.store.keep(&presented, &TERMS, now).await.unwrap();
            assert!(matches!(keep().await, Rotation::Unknown), "its code was not redeemed");
            app.store.redeem(&code(&grant, &client), &TERMS, now).await.unwrap();
            app.sql(statement).await;
            let outcome = keep().await;
            let survives = offline && offline_survives;
            assert_eq!(matches!(outcome, Rotation::Kept(_)), survives, "{statement}: {outcome:?}");
            assert!(survives || matches!(outcome, Rotation::Unknown), "{statement}: {outcome:?}");
            app.sql(undo).await;
            assert!(matches!(keep().await, Rotation::Kept(_)), "{undo}");
            app.change(async |tx| tx.withdraw_consent(grant.user, &client, now).await).await;
        }
    }
    // Another's, and a generation that never was.
    let grant = pending_grant(&app, true).await;
    let now = app.clock.now();
    app.store.redeem(&code(&grant, &client), &TERMS, now).await.unwrap();
    let other: ClientId = "other".parse().expect("an id");
    for (generation, client) in [(1, &other), (2, &client)] {
        let presented = Presented { grant: grant.id, generation, client };
        let outcome = app.store.keep(&presented, &TERMS, now).await.unwrap();
        assert!(matches!(outcome, Rotation::Unknown), "{outcome:?}");
    }
}

async fn nobody_keeps_it_who_comes_after_its_revocation(app: TestApp) {
    app.user("ada").await;
    app.client("web").create().await;
    let client = web();
    let other = app.other_store().await;
    for round in 0..6 {
        let grant = pending_grant(&app, true).await;
        let now = app.clock.now();
        app.store.redeem(&code(&grant, &client), &TERMS, now).await.unwrap();
        let presented = Presented { grant: grant.id, generation: 1, client: &client };
        let revoked = AtomicBool::new(false);
        // Of twenty-four, half of them in another process, two revoke it, and the others use it again and again.
        let use_it = async |n: usize| {
            let store = if n.is_multiple_of(2) { &app.store } else { &other };
            if n == round || n == round + 11 {
                store.revoke_grant(grant.id, Reason::ByClient, now).await.unwrap();
                revoked.store(true, Ordering::SeqCst);
                return;
            }
            for _ in 0..4 {
                let is_over = revoked.load(Ordering::SeqCst);
                match store.keep(&presented, &TERMS, now).await.unwrap() {
                    Rotation::Kept(grant) => assert!(!is_over && grant.generation == 1, "{grant:?}"),
                    Rotation::Unknown => {}
                    outcome => panic!("{outcome:?}"),
                }
            }
        };
        at_once((0..24).map(&use_it)).await;
        for store in [&app.store, &other] {
            let outcome = store.keep(&presented, &TERMS, now).await.unwrap();
            assert!(matches!(outcome, Rotation::Unknown), "{outcome:?}");
        }
    }
    other.close().await;
}
