//! Group commit: what many write at once is one commit, and nobody pays for another (docs/adr/0008-group-commit.md).

use std::collections::{BTreeMap, BTreeSet};

use grantor::store::{NewGrant, Presented, Redemption, Rotation, Store};
use grantor::types::fault::FaultKind;
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

/// On one thread, for the same reason.
#[tokio::test]
async fn one_that_the_database_refuses_fails_none_of_its_batch() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let app = TestApp::spawn(engine).await;
        app.user("ada").await;
        app.client("web").create().await;
        let there = pending_grant(&app, false).await;
        let twice = GrantId::new(id());
        // One is there already, and one is twice among them: the statement for all of them breaks on the key.
        let ids = [GrantId::new(id()), there.id, GrantId::new(id()), twice, twice, GrantId::new(id())];
        let new = ids.map(|id| NewGrant { id, nonce: Some("new".to_owned()), ..there.clone() });
        let outcomes = at_once(new.iter().map(|grant| app.store.create_grant(grant))).await;
        for (n, outcome) in outcomes.iter().enumerate().filter(|(n, _)| ![1, 3, 4].contains(n)) {
            assert!(outcome.is_ok(), "{n}: {outcome:?}");
        }
        assert_eq!(outcomes[1].as_ref().unwrap_err().kind(), FaultKind::Internal, "it is refused, and known to be");
        assert!(outcomes[3].is_ok() != outcomes[4].is_ok(), "one of the two: {outcomes:?}");
        assert_eq!(app.count("grants WHERE nonce = 'new'").await, 4);
        let as_it_was = format!("grants WHERE id = '{}' AND nonce IS NULL", there.id);
        assert_eq!(app.count(&as_it_was).await, 1);
        if engine == Engine::Postgres {
            assert_eq!(transactions(&app, 1).await, 5, "each was written alone");
        }
    }
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

#[tokio::test]
async fn a_code_whose_row_somebody_holds_is_redeemed_when_it_is_free() {
    let app = TestApp::spawn(Engine::Postgres).await;
    app.user("ada").await;
    app.client("web").create().await;
    let (grant, client, now) = (pending_grant(&app, false).await, web(), app.clock.now());
    let mut locker = PgConnection::connect(&app.database_url()).await.unwrap();
    locker.execute("BEGIN").await.unwrap();
    locker.execute("SELECT id FROM grants FOR UPDATE").await.unwrap();
    let release = async {
        eventually("it is waited for", async || app.count(&waiting_for_a_lock("UPDATE grants", "TRUE")).await == 1)
            .await;
        locker.execute("ROLLBACK").await.unwrap();
    };
    let redemption = async { app.store.redeem(&code(&grant, &client), &TERMS, now).await.unwrap() };
    let (outcome, ()) = tokio::join!(redemption, release);
    let Redemption::Redeemed(redeemed) = outcome else { panic!("{outcome:?}") };
    assert_eq!((redeemed.id, redeemed.generation, redeemed.rotated_at), (grant.id, 1, now));
    let written = format!("grants WHERE id = '{}' AND redeemed_at = {} AND refresh_key = 'k1'", grant.id, now.micros());
    assert_eq!(app.count(&written).await, 1);
}

/// Those of our connections that wait for somebody's lock with such a statement, and of which something else is true.
/// CASE, for the order of conditions is the planner's own.
fn waiting_for_a_lock(statement: &str, and: &str) -> String {
    format!(
        "pg_stat_activity WHERE CASE WHEN application_name = 'grantor' AND datname = current_database()
         AND wait_event_type = 'Lock' AND query LIKE '{statement}%' THEN {and} ELSE FALSE END"
    )
}

/// On one thread: all have asked before the first worker looks.
#[tokio::test]
async fn all_of_a_batch_are_told_when_nobody_knows_what_became_of_it_and_none_is_tried_again() {
    let app = TestApp::spawn(Engine::Postgres).await;
    app.user("ada").await;
    app.client("web").create().await;
    let grants = active(&app, 6).await;
    let (client, now) = (web(), app.clock.now());
    let mut locker = PgConnection::connect(&app.database_url()).await.unwrap();
    locker.execute("BEGIN").await.unwrap();
    // Rows that are locked would be left aside.
    locker.execute("LOCK TABLE grants IN SHARE MODE").await.unwrap();
    let end = async {
        let waiting = async |and| app.count(&waiting_for_a_lock("WITH free", and)).await;
        eventually("the batch waits", async || waiting("TRUE").await == 1).await;
        assert_eq!(waiting("pg_terminate_backend(pid)").await, 1);
        locker.execute("ROLLBACK").await.unwrap();
    };
    let presented = |grant: &NewGrant| Presented { grant: grant.id, generation: 1, client: &client };
    let rotations = grants.iter().map(async |grant| app.store.rotate(&presented(grant), &TERMS, now).await);
    let (outcomes, ()) = tokio::join!(at_once(rotations), end);
    for outcome in outcomes {
        assert_eq!(outcome.expect_err("nobody knows").kind(), FaultKind::Unavailable);
    }
    assert_eq!(app.count("grants WHERE generation = 1").await, 6, "none was tried again");
    // Each may try again itself, and the next batch finds another connection.
    for outcome in at_once(grants.iter().map(|grant| rotate(&app.store, grant.id, 1, now))).await {
        assert!(matches!(outcome, Rotation::Rotated(_)), "{outcome:?}");
    }
}

/// A table that was never analysed looks as small as it was when the statement was planned.
#[tokio::test]
async fn a_batch_reads_its_own_rows_whatever_is_known_of_the_tables() {
    let app = TestApp::spawn(Engine::Postgres).await;
    app.user("ada").await;
    app.client("web").create().await;
    let analysed = "pg_class WHERE relname = 'grants' AND reltuples >= 0";
    assert_eq!(app.count(analysed).await, 0, "the table is fresh");

    // Planned while there is next to nothing; then the same client and person have very many.
    let first = active(&app, 2).await;
    let (client, now) = (web(), app.clock.now());
    for generation in 1..12 {
        at_once(first.iter().map(|grant| rotate(&app.store, grant.id, generation, now))).await;
    }
    let grants = pending(&app, 12).await;
    for (table, key, rest) in [
        (
            "grants",
            "id",
            "client_id, user_id, session_id, scope, offline, refreshable, authenticated_at, methods,
            redirect_uri, code_hash, code_challenge, code_expires_at, generation, created_at, ends_at, expires_at",
        ),
        (
            "sessions",
            "id",
            "user_id, authenticated_at, methods, device, created_at, seen_at, idle_expires_at, expires_at",
        ),
        ("consents", "user_id", "client_id, scope, asked, granted_at"),
    ] {
        let copies = format!(
            "INSERT INTO {table} ({key}, {rest}) SELECT 'copy' || n, {rest}
             FROM (SELECT {rest} FROM {table} LIMIT 1) AS one, generate_series(1, 3000) AS n"
        );
        assert_eq!(app.sql(&copies).await, 3_000);
    }

    let before = rows_read(&app).await;
    at_once(grants.iter().map(async |grant| app.store.redeem(&code(grant, &client), &TERMS, now).await.unwrap())).await;
    for generation in 1..12 {
        at_once(grants.iter().map(|grant| rotate(&app.store, grant.id, generation, now))).await;
    }
    // The counters are told by a connection that has rested for a second, at the latest when it closes.
    app.store.close().await;
    let jobs = 12 * 12;
    eventually("the counters are there", async || rows_read(&app).await["consents"] >= before["consents"] + jobs).await;
    for (table, rows) in rows_read(&app).await {
        // Its row, found and locked and written; the index may still know older versions of it.
        let read = rows - before[&table];
        assert!(read <= 20 * jobs, "{jobs} jobs read {read} rows of {table}");
    }
}

/// How many rows, or versions of them, were read so far, by table.
async fn rows_read(app: &TestApp) -> BTreeMap<String, i64> {
    let mut connection = PgConnection::connect(&app.database_url()).await.unwrap();
    let text = "SELECT t.relname::TEXT, (t.seq_tup_read + COALESCE(t.idx_tup_fetch, 0)
            + (SELECT COALESCE(SUM(i.idx_tup_read), 0) FROM pg_stat_user_indexes i WHERE i.relid = t.relid))::BIGINT
        FROM pg_stat_user_tables t WHERE t.relname IN ('grants', 'sessions', 'users', 'clients', 'consents')";
    sqlx::query_as::<_, (String, i64)>(text).fetch_all(&mut connection).await.unwrap().into_iter().collect()
}
