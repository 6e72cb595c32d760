//! A node goes on following the feed, whatever becomes of its connections, and tells when it cannot.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use grantor::app::{Ambient, App};
use grantor::crypto::{KeyRing, SystemRandom};
use grantor::jobs::feed;
use grantor::oauth::Keys;
use grantor::store::Ending;
use grantor::types::fault::FaultKind;
use grantor::types::{Algorithm, Clock, SessionId, SystemClock, Timestamp};
use secrecy::ExposeSecret as _;
use serde_json::json;
use tokio::time::{sleep, timeout};

use crate::support::app::{Folder, config, eventually};
use crate::support::party::decode;
use crate::support::postgres;
use crate::support::proxy::Proxy;
use crate::support::{Engine, TestApp};
use crate::{each_database, each_engine};

each_database!(keys_that_change_while_a_node_starts_are_loaded);
each_engine!(
    a_node_that_cannot_load_its_keys_vouches_for_nothing_until_it_can,
    what_had_ended_already_is_known_here_before_it_is_said,
);

/// Polls often, and believes what it remembers for long.
const BY_POLLING: &str = "[feed]\npoll_interval = \"100ms\"\nmax_staleness = \"60s\"";

/// Polls so rarely that a test does not live to see it.
const RARELY: &str = "[feed]\npoll_interval = \"50s\"\nmax_staleness = \"60s\"";

/// Longer than any token lives.
const HOUR: Duration = Duration::from_secs(3_600);

/// What a node says that begins to listen.
const LISTEN: &str = "LISTEN \"";

/// Whoever listens in this database.
const LISTENERS: &str = "pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN%'";

async fn behind_a_proxy(toml: &str, silence: &'static str) -> (Proxy, TestApp) {
    let (proxy, url) = Proxy::before(&postgres::create_database().await).await;
    if !silence.is_empty() {
        proxy.silence(silence);
    }
    (proxy, TestApp::on(&url, config(&format!("[database]\nacquire_timeout = \"1s\"\n{toml}")), Folder::new()).await)
}

/// As another node revokes a token, but that nobody is told.
async fn revoke_silently(app: &TestApp, token: &str) {
    let (jti, at) = (decode(token).1["jti"].as_str().expect("an id").to_owned(), app.clock.now().micros());
    let until = at + 3_600_000_000;
    let insert =
        format!("INSERT INTO changes (kind, id, at, expires_at) VALUES ('token_revoked', '{jti}', {at}, {until})");
    assert_eq!(app.sql(&insert).await, 1);
}

async fn tell_of_keys(app: &TestApp) {
    let at = app.clock.now().micros();
    let until = at + 3_900_000_000;
    let insert = format!("INSERT INTO changes (kind, id, at, expires_at) VALUES ('keys_changed', '', {at}, {until})");
    assert_eq!(app.sql(&insert).await, 1);
}

async fn is_inactive(app: &TestApp, token: &str) -> bool {
    app.introspect(token).await.json()["active"] == json!(false)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polling_does_not_wait_until_somebody_can_listen() {
    let (_proxy, app) = behind_a_proxy(BY_POLLING, LISTEN).await;
    let tokens = app.client("web").create().await.client_credentials("").await.expect_tokens();
    app.introspect(tokens.access_token()).await.expect_active();
    revoke_silently(&app, tokens.access_token()).await;
    eventually("it is polled", || is_inactive(&app, tokens.access_token())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_while_nobody_listened_is_read_when_somebody_does() {
    let (proxy, app) = behind_a_proxy(RARELY, LISTEN).await;
    let rp = app.client("web").create().await;
    for round in ["at the start", "after a cut"] {
        let tokens = rp.client_credentials("").await.expect_tokens();
        app.introspect(tokens.access_token()).await.expect_active();
        revoke_silently(&app, tokens.access_token()).await;
        app.introspect(tokens.access_token()).await.expect_active();
        proxy.let_through();
        eventually(round, || is_inactive(&app, tokens.access_token())).await;
        eventually("it listens", async || app.count(LISTENERS).await == 1).await;

        proxy.silence(LISTEN);
        proxy.cut();
        eventually("it listens no more", async || app.count(LISTENERS).await == 0).await;
        // The connections of requests broke, too. Each is asked before it is used when it has rested.
        sleep(Duration::from_millis(200)).await;
        eventually("it answers", async || app.get("/readyz").await.status == 200).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_feed_is_read_while_requests_have_every_connection() {
    let app = TestApp::with(Engine::Postgres, "[database]\nacquire_timeout = \"200ms\"\nmax_connections = 1").await;
    let tokens = app.client("web").create().await.client_credentials("").await.expect_tokens();
    let api = app.resource_server().await;
    // What is read later empties no cache any more.
    app.store.read_changes().await.unwrap();
    api.introspect(tokens.access_token()).await.expect_active();
    let busy = app.store.begin().await.unwrap();
    app.advance(10);
    app.store.read_changes().await.expect("it has a connection of its own");
    api.introspect(tokens.access_token()).await.expect_active();
    drop(busy);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_falls_silent_is_not_waited_for_and_found_again() {
    let (proxy, app) = behind_a_proxy(RARELY, "").await;
    app.store.read_changes().await.unwrap();
    proxy.silence("");
    let read = timeout(Duration::from_secs(20), app.store.read_changes()).await;
    let fault = read.expect("it gives up by itself").expect_err("nobody answers");
    assert_eq!(fault.kind(), FaultKind::Unavailable);
    // The connections that fell silent stay so.
    proxy.let_through();
    app.store.read_changes().await.expect("by another connection");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_that_never_comes_does_not_make_all_after_it_be_read_again() {
    let app = TestApp::with(Engine::Postgres, RARELY).await;
    let rp = app.client("web").create().await;
    app.resource_server().await;
    let dropped = {
        let mut dropped = app.store.begin().await.unwrap();
        dropped.disable_client(&"web".parse().unwrap(), app.clock.now()).await.unwrap();
        dropped
    };
    let first = rp.client_credentials("").await.expect_tokens();
    revoke_silently(&app, first.access_token()).await;
    drop(dropped);
    app.store.read_changes().await.unwrap();

    // Whoever reads the last row again divides by zero.
    app.sql("ALTER TABLE changes RENAME TO all_changes").await;
    app.sql(
        "CREATE VIEW changes AS SELECT seq, kind, id, at,
             expires_at / CASE WHEN seq = (SELECT MAX(seq) FROM all_changes WHERE at > 1) THEN 0 ELSE 1 END AS expires_at
         FROM all_changes",
    )
    .await;
    app.store.read_changes().await.expect("it is not read again");
    let second = rp.client_credentials("").await.expect_tokens();
    let jti = decode(second.access_token()).1["jti"].as_str().unwrap().to_owned();
    let until = app.clock.now().micros() + 3_600_000_000;
    // `at` of 1, so that it may be read.
    app.sql(&format!(
        "INSERT INTO all_changes (kind, id, at, expires_at) VALUES ('token_revoked', '{jti}', 1, {until})"
    ))
    .await;
    app.store.read_changes().await.expect("what is new is");
    app.introspect(second.access_token()).await.expect_inactive();
}

async fn keys_that_change_while_a_node_starts_are_loaded(app: TestApp) {
    let ring = KeyRing::parse(app.config.seal.keys.as_ref().unwrap().expose_secret()).unwrap();
    let store = app.other_store().await;
    let rng = Arc::new(SystemRandom::new());
    let keys = Keys::open(&store, ring, &app.config.keys.algorithms, rng, app.clock.now()).await.unwrap();
    app.sql("DELETE FROM signing_keys WHERE algorithm = 'ES256'").await;
    tell_of_keys(&app).await;
    // As it is read before the server is ready.
    store.read_changes().await.unwrap();

    let keys = Arc::new(keys);
    let job = tokio::spawn(feed::run(store.clone(), keys.clone(), Duration::from_secs(50)));
    let gone = async || keys.snapshot().active(Algorithm::Es256, app.clock.now()).is_err();
    eventually("the key is gone here, too", gone).await;
    job.abort();
    assert!(job.await.unwrap_err().is_cancelled());
    store.close().await;
}

async fn a_node_that_cannot_load_its_keys_vouches_for_nothing_until_it_can(engine: Engine) {
    let app = TestApp::with(engine, RARELY).await;
    let tokens = app.client("web").create().await.client_credentials("").await.expect_tokens();
    app.introspect(tokens.access_token()).await.expect_active();
    app.sql("UPDATE signing_keys SET algorithm = 'broken ' || algorithm").await;
    tell_of_keys(&app).await;

    app.advance(61);
    app.introspect(tokens.access_token()).await.expect_error("temporarily_unavailable").expect_status(503);
    app.get("/readyz").await.expect_status(503);
    // Nor later.
    app.advance(61);
    app.store.read_changes().await.unwrap();
    app.introspect(tokens.access_token()).await.expect_error("temporarily_unavailable").expect_status(503);

    app.sql("UPDATE signing_keys SET algorithm = SUBSTR(algorithm, 8)").await;
    eventually("it can again, and soon", async || app.get("/readyz").await.status == 200).await;
    app.introspect(tokens.access_token()).await.expect_active();
}

/// A clock that breaks whoever looks at it.
struct Breaking(AtomicBool);

impl Clock for Breaking {
    fn now(&self) -> Timestamp {
        assert!(!self.0.load(Ordering::SeqCst), "this clock is broken, as the test wants it");
        SystemClock.now()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_job_has_ended_stops_and_says_which() {
    let folder = Folder::new();
    let mut config = config("");
    config.database.url = Some(format!("sqlite:{}", folder.path("grantor.db").display()).parse().unwrap());
    let clock = Arc::new(Breaking(AtomicBool::new(false)));
    let app = App::start(config, Ambient { clock: clock.clone(), rng: Arc::new(SystemRandom::new()) }).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    clock.0.store(true, Ordering::SeqCst);
    let served = timeout(Duration::from_secs(30), app.serve(listener, std::future::pending())).await;
    let error = served.expect("it stops").expect_err("it does not stop in order");
    // Each of them looks at the clock, and any may be the first.
    let jobs = ["following the change feed", "housekeeping", "rotating the signing keys", "delivering the outbox"];
    assert!(jobs.iter().any(|job| error.to_string().contains(&format!("{job} has ended"))), "{error}");
}

/// A commit of this node whose outcome it never learnt, asked for again: whoever is told that it is done can rely on it.
async fn what_had_ended_already_is_known_here_before_it_is_said(engine: Engine) {
    let app = TestApp::with(engine, RARELY).await;
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (one, other) = (rp.sign_in("ada").await, rp.sign_in_with(&app.person(), "ada", &[("scope", "openid")]).await);
    let now = app.clock.now();
    // As such a commit leaves it: the row, the change, and nobody who was told.
    let ended = async |token: &str, member: &str, row: &str, kind: &str| {
        let id = decode(token).1[member].as_str().unwrap().to_owned();
        app.sql(&format!("UPDATE {row} = {} WHERE id = '{id}'", now.micros())).await;
        let values = format!("'{kind}', '{id}', {}, {}", now.micros(), now.plus(HOUR).micros());
        app.sql(&format!("INSERT INTO changes (kind, id, at, expires_at) VALUES ({values})")).await;
        app.introspect(token).await.expect_active();
        id
    };

    ended(one.access_token(), "grant_id", "grants SET revoked_at", "grant_revoked").await;
    rp.revoke(one.refresh_token()).await.expect_status(200);
    app.introspect(one.access_token()).await.expect_inactive();

    let session = ended(other.access_token(), "sid", "sessions SET ended_at", "session_ended").await;
    let session = SessionId::parse(&session).unwrap();
    assert!(!app.change(async |tx| tx.end_session(session, Ending::SignOut, now).await).await);
    app.introspect(other.access_token()).await.expect_inactive();
}
