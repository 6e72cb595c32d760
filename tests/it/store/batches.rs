//! Group commit: what many write at once is one commit, and nobody pays for another (docs/adr/0008-group-commit.md).

use std::collections::BTreeSet;

use grantor::store::{NewGrant, Presented, Redemption, Rotation, Store};
use grantor::types::{ClientId, Clock, GrantId, Timestamp};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::each_database;
use crate::support::app::eventually;
use crate::support::behind::at_once;
use crate::support::grants::{TERMS, code, id, pending_grant, web};
use crate::support::{Engine, TestApp};

each_database!(
    each_of_a_batch_gets_its_own_answer,
    uses_of_one_token_in_one_batch_are_one_transition,
    uses_of_one_code_in_one_batch_are_one_redemption,
    whoever_writes_alone_is_not_starved_by_batches,
);

/// Grants that wait for their codes.
async fn pending(app: &TestApp, count: usize) -> Vec<NewGrant> {
    let mut grants = Vec::new();
    for _ in 0..count {
        grants.push(pending_grant(app, true).await);
    }
    grants
}

async fn active(app: &TestApp, count: usize) -> Vec<NewGrant> {
    let grants = pending(app, count).await;
    let (client, now) = (web(), app.clock.now());
    let redeemed = grants.iter().map(async |grant| app.store.redeem(&code(grant, &client), &TERMS, now).await.unwrap());
    for outcome in at_once(redeemed).await {
        assert!(matches!(outcome, Redemption::Redeemed(_)), "{outcome:?}");
    }
    grants
}

async fn rotate(store: &Store, grant: GrantId, generation: i64, now: Timestamp) -> Rotation {
    let client = web();
    store.rotate(&Presented { grant, generation, client: &client }, &TERMS, now).await.unwrap()
}

async fn each_of_a_batch_gets_its_own_answer(app: TestApp) {
    app.user("ada").await;
    app.client("web").create().await;
    let grants = active(&app, 8).await;
    let now = app.clock.now();
    let (right, other): (ClientId, ClientId) = (web(), "other".parse().expect("an id"));

    // One in the middle is revoked, one is somebody else's, one never was; the others get what is theirs.
    app.sql(&format!("UPDATE grants SET revoked_at = 1 WHERE id = '{}'", grants[3].id)).await;
    let rotations = grants.iter().enumerate().map(async |(n, grant)| {
        let grant = if n == 5 { GrantId::new(id()) } else { grant.id };
        let client = if n == 4 { &other } else { &right };
        app.store.rotate(&Presented { grant, generation: 1, client }, &TERMS, now).await.unwrap()
    });
    for (n, outcome) in at_once(rotations).await.into_iter().enumerate() {
        match outcome {
            Rotation::Rotated(grant) => assert_eq!((grant.id, grant.generation), (grants[n].id, 2)),
            Rotation::Unknown => assert!((3..6).contains(&n), "{n}"),
            outcome => panic!("{n}: {outcome:?}"),
        }
    }
    assert_eq!(app.count("grants WHERE generation = 2").await, 5);
}

async fn uses_of_one_token_in_one_batch_are_one_transition(app: TestApp) {
    app.user("ada").await;
    app.client("web").create().await;
    let grants = active(&app, 3).await;
    let now = app.clock.now();
    // Seven of each, in turn, all of them waiting before any is written.
    let uses = (0..21).map(|n| rotate(&app.store, grants[n % 3].id, 1, now));
    let outcomes = at_once(uses).await;
    let rotated = outcomes.iter().filter(|outcome| matches!(outcome, Rotation::Rotated(_))).count();
    let repeated = outcomes.iter().filter(|outcome| matches!(outcome, Rotation::Repeated(_))).count();
    assert_eq!((rotated, repeated), (3, 18));
    for outcome in outcomes {
        let (Rotation::Rotated(grant) | Rotation::Repeated(grant)) = outcome else { unreachable!() };
        assert_eq!((grant.generation, grant.rotated_at), (2, now), "the same successor");
    }
}

async fn uses_of_one_code_in_one_batch_are_one_redemption(app: TestApp) {
    app.user("ada").await;
    app.client("web").create().await;
    let grants = pending(&app, 3).await;
    let (client, now) = (web(), app.clock.now());
    let uses = (0..21).map(async |n| app.store.redeem(&code(&grants[n % 3], &client), &TERMS, now).await.unwrap());
    let outcomes = at_once(uses).await;
    let redeemed = outcomes.iter().filter(|outcome| matches!(outcome, Redemption::Redeemed(_))).count();
    let replayed =
        outcomes.iter().filter(|outcome| matches!(outcome, Redemption::Refused(code) if code.redeemed_at == Some(now)));
    assert_eq!((redeemed, replayed.count()), (3, 18));
}

async fn whoever_writes_alone_is_not_starved_by_batches(app: TestApp) {
    app.user("ada").await;
    app.client("web").create().await;
    let grants = active(&app, 8).await;
    let now = app.clock.now();
    let done = std::sync::atomic::AtomicBool::new(false);
    let busy = grants.iter().map(async |grant| {
        let mut generation = 1;
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            assert!(matches!(rotate(&app.store, grant.id, generation, now).await, Rotation::Rotated(_)));
            generation += 1;
        }
    });
    let alone = async {
        for _ in 0..20 {
            let grant = pending_grant(&app, false).await;
            app.store.create_grant(&NewGrant { id: GrantId::new(id()), ..grant }).await.unwrap();
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    tokio::join!(at_once(busy), alone);
    assert_eq!(app.count("grants WHERE redeemed_at IS NULL").await, 40);
}

/// How many transactions wrote the grants of a generation.
async fn transactions(app: &TestApp, generation: i64) -> usize {
    let mut connection = PgConnection::connect(&app.database_url()).await.unwrap();
    let rows: Vec<(String,)> = sqlx::query_as("SELECT xmin::TEXT FROM grants WHERE generation = $1")
        .bind(generation)
        .fetch_all(&mut connection)
        .await
        .unwrap();
    rows.into_iter().collect::<BTreeSet<_>>().len()
}

/// On one thread: all have asked before the first worker looks.
#[tokio::test]
async fn what_many_write_at_once_is_one_commit() {
    let app = TestApp::spawn(Engine::Postgres).await;
    app.user("ada").await;
    app.client("web").create().await;
    let grants = active(&app, 24).await;
    assert_eq!(transactions(&app, 1).await, 1, "they were redeemed together");
    let now = app.clock.now();
    at_once(grants.iter().map(|grant| rotate(&app.store, grant.id, 1, now))).await;
    assert_eq!(transactions(&app, 2).await, 1);
    at_once(grants.iter().map(async |grant| {
        let new = NewGrant { id: GrantId::new(id()), ..grant.clone() };
        app.store.create_grant(&new).await.unwrap();
    }))
    .await;
    assert_eq!(transactions(&app, 1).await, 1);
}

#[tokio::test]
async fn a_row_that_somebody_holds_holds_up_nobody_else() {
    let app = TestApp::spawn(Engine::Postgres).await;
    app.user("ada").await;
    app.client("web").create().await;
    let grants = active(&app, 6).await;
    let now = app.clock.now();
    let mut locker = PgConnection::connect(&app.database_url()).await.unwrap();
    locker.execute("BEGIN").await.unwrap();
    let lock = format!("SELECT id FROM grants WHERE id = '{}' FOR UPDATE", grants[2].id);
    locker.execute(AssertSqlSafe(lock)).await.unwrap();

    let (free, held): (Vec<_>, Vec<_>) = grants.iter().partition(|grant| grant.id != grants[2].id);
    let others = async {
        for outcome in at_once(free.iter().map(|grant| rotate(&app.store, grant.id, 1, now))).await {
            assert!(matches!(outcome, Rotation::Rotated(_)), "{outcome:?}");
        }
        // They have their answers, and it is still held.
        assert_eq!(app.count("grants WHERE generation = 2").await, 5);
        locker.execute("ROLLBACK").await.unwrap();
    };
    // It is in the batch with them, and the first.
    let (outcome, ()) = tokio::join!(rotate(&app.store, held[0].id, 1, now), others);
    assert!(matches!(outcome, Rotation::Rotated(_)), "it is written once it is free: {outcome:?}");
}

/// A table that was never analysed looks as small as it was when the statement was planned.
#[tokio::test]
async fn a_batch_finds_its_rows_by_index_whatever_is_known_of_the_tables() {
    let app = TestApp::spawn(Engine::Postgres).await;
    app.user("ada").await;
    app.client("web").create().await;
    let mut connection = PgConnection::connect(&app.database_url()).await.unwrap();
    let analysed = "SELECT COUNT(*) FROM pg_class WHERE relname = 'grants' AND reltuples >= 0";
    let (analysed,): (i64,) = sqlx::query_as(analysed).fetch_one(&mut connection).await.unwrap();
    assert_eq!(analysed, 0, "the table is fresh");

    let grants = pending(&app, 12).await;
    let scans = async |kind: &str, table: &str| {
        let mut connection = PgConnection::connect(&app.database_url()).await.unwrap();
        let text = format!("SELECT COALESCE({kind}, 0) FROM pg_stat_user_tables WHERE relname = '{table}'");
        sqlx::query_as::<_, (i64,)>(AssertSqlSafe(text)).fetch_one(&mut connection).await.unwrap().0
    };
    let tables = ["grants", "sessions", "users", "clients", "consents"];
    let mut before = Vec::new();
    for table in tables {
        before.push(scans("seq_scan", table).await);
    }
    let (client, now) = (web(), app.clock.now());
    at_once(grants.iter().map(async |grant| app.store.redeem(&code(grant, &client), &TERMS, now).await.unwrap())).await;
    // More often than a statement is planned for its own values.
    for generation in 1..12 {
        at_once(grants.iter().map(|grant| rotate(&app.store, grant.id, generation, now))).await;
    }
    // The counters are told by a connection that has rested for a second, at the latest when it closes.
    app.store.close().await;
    eventually("the counters are there", async || scans("idx_scan", "consents").await >= 12 * 12).await;
    for (table, before) in tables.into_iter().zip(before) {
        assert_eq!(scans("seq_scan", table).await, before, "{table} was read from end to end");
    }
}
