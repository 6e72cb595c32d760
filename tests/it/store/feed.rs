//! The change feed (docs/architecture.md): nothing that was committed is missed, and a node that cannot know says so.

use std::time::Duration;

use grantor::config::DatabaseUrl;
use grantor::types::{ClientId, Clock};
use secrecy::ExposeSecret;
use serde_json::json;
use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::support::app::{Folder, config, eventually};
use crate::support::behind::IMPATIENT;
use crate::support::party::{SECRET, decode};
use crate::support::postgres::Cluster;
use crate::support::{Engine, Party, TestApp};
use crate::{each_database, each_engine};

each_database!(
    a_transaction_that_is_dropped_changes_nothing,
    a_change_applies_in_its_own_process_before_commit_returns,
    an_entry_outlives_every_token_that_it_can_kill,
    a_node_that_starts_reads_all_that_is_in_force,
    a_client_that_changes_elsewhere_changes_here,
);
each_engine!(a_node_with_the_fewest_connections_works);

fn jti(token: &str) -> String {
    decode(token).1["jti"].as_str().expect("an id").to_owned()
}

async fn is_inactive(app: &TestApp, token: &str) -> bool {
    app.introspect(token).await.json()["active"] == json!(false)
}

async fn a_transaction_that_is_dropped_changes_nothing(app: TestApp) {
    let rp = app.client("web").create().await;
    let id: ClientId = "web".parse().expect("an id");
    let tokens = rp.client_credentials("").await.expect_tokens();
    let before = app.count("changes").await;
    let mut tx = app.store.begin().await.unwrap();
    tx.disable_client(&id, app.clock.now()).await.unwrap();
    drop(tx);
    app.store.read_changes().await.unwrap();
    assert_eq!(app.count("changes").await, before);
    app.introspect(tokens.access_token()).await.expect_active();
    rp.client_credentials("").await.expect_tokens();
}

async fn a_change_applies_in_its_own_process_before_commit_returns(app: TestApp) {
    let rp = app.client("web").create().await;
    app.resource_server().await;
    let id: ClientId = "web".parse().expect("an id");
    for _ in 0..10 {
        let tokens = rp.client_credentials("").await.expect_tokens();
        app.clock.advance(Duration::from_millis(5));
        app.change(async |tx| tx.disable_client(&id, app.clock.now()).await).await;
        app.introspect(tokens.access_token()).await.expect_inactive();
        rp.client_credentials("").await.expect_error("invalid_client");
        app.change(async |tx| tx.enable_client(&id, app.clock.now()).await).await;
        app.introspect(tokens.access_token()).await.expect_inactive();
    }
}

async fn an_entry_outlives_every_token_that_it_can_kill(app: TestApp) {
    let rp = app.client("web").create().await;
    let tokens = rp.client_credentials("").await.expect_tokens();
    rp.revoke(tokens.access_token()).await.expect_status(200);
    // An hour is the ceiling of an access token's life.
    assert_eq!(app.count("changes").await, app.count("changes WHERE expires_at >= at + 3600000000").await);
}

async fn a_node_that_starts_reads_all_that_is_in_force(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let mut revoked = Vec::new();
    for _ in 0..20 {
        let tokens = rp.client_credentials("").await.expect_tokens();
        rp.revoke(tokens.access_token()).await.expect_status(200);
        revoked.push(tokens);
    }
    let signed_out = rp.sign_in_with(&app.person(), "ada", &[("scope", "openid")]).await;
    let session = app.session_of(signed_out.id_token());
    app.change(async |tx| tx.end_session(session, grantor::store::Ending::SignOut, app.clock.now()).await).await;
    // Long after the changes were settled, and while their tokens live.
    app.advance(300);
    let mut later = app.second_node().await;
    for tokens in &revoked {
        later.introspect(tokens.access_token()).await.expect_inactive();
    }
    later.introspect(signed_out.access_token()).await.expect_inactive();
    later.stop().await;
}

async fn a_client_that_changes_elsewhere_changes_here(app: TestApp) {
    let rp = app.client("web").create().await;
    let id: ClientId = "web".parse().expect("an id");
    rp.client_credentials("notes:read").await.expect_tokens();

    // As `grantor client update` does it, beside the running server.
    let elsewhere = app.other_store().await;
    let mut client = (*elsewhere.client(&id).await.unwrap().expect("it is there")).clone();
    client.metadata.scope = "notes:write".into();
    client.secret_hash = Some(grantor::crypto::sha256(b"another secret"));
    let mut tx = elsewhere.begin().await.unwrap();
    tx.update_client(&client, app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    elsewhere.close().await;

    eventually("the old secret is worth nothing", async || rp.client_credentials("").await.status == 401).await;
    let rp = Party::existing(&app, "web", "another secret");
    rp.client_credentials("notes:read").await.expect_error("invalid_scope");
    rp.client_credentials("notes:write").await.expect_tokens();
}

async fn a_node_with_the_fewest_connections_works(engine: Engine) {
    // What listens for changes is beside the pool, or no request would ever get a connection.
    let app = TestApp::with(engine, "[database]\nmax_connections = 1").await;
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in("ada").await;
    rp.refresh(&tokens).await.expect_tokens();
    rp.revoke(tokens.access_token()).await.expect_status(200);
    app.get("/readyz").await.expect_status(200);
}

fn postgres_url(app: &TestApp) -> String {
    match &app.config.database.url {
        Some(DatabaseUrl::Postgres(url)) => url.expose_secret().to_owned(),
        _ => panic!("the test is for PostgreSQL"),
    }
}

/// A polling interval so long that only NOTIFY can be why a change is known in time.
const BY_NOTIFY_ALONE: &str = "[feed]\npoll_interval = \"50s\"\nmax_staleness = \"60s\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_is_announced_as_it_commits() {
    let app = TestApp::with(Engine::Postgres, BY_NOTIFY_ALONE).await;
    let rp = app.client("web").create().await;
    let mut other = app.second_node().await;
    // Once one change came through, it is known that the other node listens.
    let first = rp.client_credentials("").await.expect_tokens();
    other.introspect(first.access_token()).await.expect_active();
    for _ in 0..20 {
        let tokens = rp.client_credentials("").await.expect_tokens();
        rp.revoke(tokens.access_token()).await.expect_status(200);
        eventually("the other node was told", || is_inactive(&other, tokens.access_token())).await;
    }
    other.introspect(first.access_token()).await.expect_active();

    // What changes nothing wakes nobody.
    let mut listener = PgListener::connect(&postgres_url(&app)).await.unwrap();
    listener.listen("grantor_changes").await.unwrap();
    app.change(async |_| Ok(())).await;
    rp.revoke(first.access_token()).await.expect_status(200);
    assert_eq!(listener.recv().await.unwrap().payload(), "");
    assert!(listener.next_buffered().is_none());
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_commits_late_under_a_low_number_is_not_skipped() {
    let app = TestApp::with(Engine::Postgres, "").await;
    let rp = app.client("web").create().await;
    let (early, late) =
        (rp.client_credentials("").await.expect_tokens(), rp.client_credentials("").await.expect_tokens());
    let (at, expires_at) = (app.clock.now().micros(), app.clock.now().micros() + 3_600_000_000);
    let insert = |token: &str| {
        AssertSqlSafe(format!(
            "INSERT INTO changes (kind, id, at, expires_at) VALUES ('token_revoked', '{}', {at}, {expires_at})",
            jti(token)
        ))
    };
    let mut first = PgConnection::connect(&postgres_url(&app)).await.unwrap();
    let mut second = PgConnection::connect(&postgres_url(&app)).await.unwrap();

    // The first takes the lower number, the second commits before it, and is read before it.
    first.execute("BEGIN").await.unwrap();
    first.execute(insert(late.access_token())).await.unwrap();
    second.execute(insert(early.access_token())).await.unwrap();
    eventually("the higher number is read", || is_inactive(&app, early.access_token())).await;
    app.introspect(late.access_token()).await.expect_active();
    // Changes go on meanwhile; other transactions give up and leave holes that never fill.
    for _ in 0..5 {
        let tokens = rp.client_credentials("").await.expect_tokens();
        rp.revoke(tokens.access_token()).await.expect_status(200);
        let mut dropped = app.store.begin().await.unwrap();
        let grant = grantor::types::GrantId::new(jti(tokens.access_token()).parse().unwrap());
        dropped.revoke_grant(grant, grantor::store::Reason::ByClient, app.clock.now()).await.unwrap();
        drop(dropped);
        app.store.read_changes().await.unwrap();
    }
    first.execute("COMMIT").await.unwrap();
    eventually("the lower number is read after all", || is_inactive(&app, late.access_token())).await;

    // The longest that a transaction may take: its number is looked for until it cannot come any more.
    let slow = rp.client_credentials("").await.expect_tokens();
    first.execute("BEGIN").await.unwrap();
    first.execute(insert(slow.access_token())).await.unwrap();
    rp.revoke(early.access_token()).await.expect_status(200);
    for _ in 0..5 {
        app.advance(10);
        app.store.read_changes().await.unwrap();
    }
    first.execute("COMMIT").await.unwrap();
    app.store.read_changes().await.unwrap();
    app.introspect(slow.access_token()).await.expect_inactive();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_starts_while_a_change_is_under_way_finds_it_too() {
    let app = TestApp::with(Engine::Postgres, "").await;
    let rp = app.client("web").create().await;
    let tokens = rp.client_credentials("").await.expect_tokens();
    app.resource_server().await;
    let mut under_way = app.store.begin().await.unwrap();
    // The client is disabled under a number that is taken now ...
    under_way.disable_client(&"web".parse().unwrap(), app.clock.now()).await.unwrap();
    // ... and a higher one is committed before a node starts.
    let other = app.client("other").create().await;
    let theirs = other.client_credentials("").await.expect_tokens();
    other.revoke(theirs.access_token()).await.expect_status(200);
    let mut later = app.second_node().await;
    later.introspect(theirs.access_token()).await.expect_inactive();
    later.introspect(tokens.access_token()).await.expect_active();

    under_way.commit().await.unwrap();
    eventually("the new node knows of it", || is_inactive(&later, tokens.access_token())).await;
    later.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transaction_that_took_too_long_does_not_commit() {
    let app = TestApp::with(Engine::Postgres, "").await;
    let rp = app.client("web").create().await;
    let mut tx = app.store.begin().await.unwrap();
    tx.disable_client(&"web".parse().unwrap(), app.clock.now()).await.unwrap();
    // Past this its number in the feed might be given up as a hole.
    app.advance(21);
    tx.commit().await.expect_err("it is too old");
    rp.client_credentials("").await.expect_tokens();
    assert_eq!(app.count("clients WHERE disabled_at IS NULL AND id = 'web'").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_is_cut_off_vouches_for_nothing_until_it_can_know_again() {
    let mut cluster = Cluster::start();
    let app = TestApp::on(&cluster.create_database().await, config(IMPATIENT), Folder::new()).await;
    let rp = app.client("web").create().await;
    let tokens = rp.client_credentials("").await.expect_tokens();
    let revoked = rp.client_credentials("").await.expect_tokens();
    rp.revoke(revoked.access_token()).await.expect_status(200);
    app.introspect(tokens.access_token()).await.expect_active();
    app.store.read_changes().await.unwrap();
    app.introspect(tokens.access_token()).await.expect_active();
    let api = Party::existing(&app, "api", SECRET);

    cluster.stop();
    // While it is fresh, it answers from memory: yes and no.
    app.clock.advance(Duration::from_millis(2_900));
    api.introspect(tokens.access_token()).await.expect_active();
    api.introspect(revoked.access_token()).await.expect_inactive();
    // feed.max_staleness is three seconds: better no answer than a revoked token called active.
    app.clock.advance(Duration::from_millis(200));
    for token in [tokens.access_token(), revoked.access_token()] {
        for answer in [api.introspect(token).await, rp.userinfo(token).await] {
            assert_eq!(answer.header("retry-after"), Some("2"), "RFC 9110 §10.2.3");
            answer.expect_error("temporarily_unavailable").expect_status(503);
        }
    }
    // A revocation that cannot be made durable is not answered as if it were.
    rp.revoke(tokens.access_token()).await.expect_status(503);

    cluster.start_again();
    eventually("it can know again", async || api.introspect(tokens.access_token()).await.status == 200).await;
    api.introspect(tokens.access_token()).await.expect_active();
    api.introspect(revoked.access_token()).await.expect_inactive();
    rp.revoke(tokens.access_token()).await.expect_status(200);
    api.introspect(tokens.access_token()).await.expect_inactive();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_was_made_during_a_cut_is_learnt_after_it_and_announcements_go_on() {
    let mut cluster = Cluster::start();
    let short = format!("{IMPATIENT}{}", BY_NOTIFY_ALONE.replace("50s", "300ms"));
    let app = TestApp::on(&cluster.create_database().await, config(&short), Folder::new()).await;
    let rp = app.client("web").create().await;
    let tokens = rp.client_credentials("").await.expect_tokens();
    cluster.stop();
    app.get("/readyz").await.expect_status(503);
    cluster.start_again();

    // Somebody else was faster than this node's return.
    let mut other = PgConnection::connect(&postgres_url(&app)).await.unwrap();
    let (at, expires_at) = (app.clock.now().micros(), app.clock.now().micros() + 3_600_000_000);
    let insert = format!(
        "INSERT INTO changes (kind, id, at, expires_at) VALUES ('token_revoked', '{}', {at}, {expires_at})",
        jti(tokens.access_token())
    );
    other.execute(AssertSqlSafe(insert)).await.unwrap();
    eventually("it is read", async || {
        Party::existing(&app, "web", SECRET).introspect(tokens.access_token()).await.body == r#"{"active":false}"#
    })
    .await;
    // It listens again: PostgreSQL knows of a backend that does.
    eventually("it listens again", async || {
        app.count("pg_stat_activity WHERE application_name = 'grantor' AND query ILIKE 'LISTEN%'").await > 0
    })
    .await;
}
