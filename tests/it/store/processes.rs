//! Two processes on one database: what one does, the other knows within a second, and neither does it twice.

use std::time::Duration;

use grantor::types::{Clock, SystemClock};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::each_engine;
use crate::support::app::{eventually, patiently};
use crate::support::behind::at_once;
use crate::support::dice::{Dice, random};
use crate::support::instance::Instance;
use crate::support::party::SECRET;
use crate::support::{Engine, Party, Pkce, TestApp, Tokens};

each_engine!(one_token_or_one_code_at_two_processes_makes_one_transition);

/// Makes the users and clients, and leaves the rest to two processes: where each of them will be.
async fn prepared(app: TestApp) -> (TestApp, TestApp) {
    app.user("ada").await;
    app.client("web").create().await;
    let here = app.retire().await;
    let there = here.elsewhere();
    (here, there)
}

fn web(app: &TestApp) -> Party<'_> {
    Party::existing(app, "web", SECRET)
}

async fn one_token_or_one_code_at_two_processes_makes_one_transition(engine: Engine) {
    let (here, there) = prepared(TestApp::spawn(engine).await).await;
    // They wait for one row, and none is to be sent away.
    let patient = [("GRANTOR__DATABASE__ACQUIRE_TIMEOUT", "30s")];
    let _processes = (Instance::start(&here, &patient).await, Instance::start(&there, &patient).await);
    let (one, other, person) = (web(&here), web(&there), here.person());
    let at = |n: usize| if n.is_multiple_of(2) { &one } else { &other };

    // Of the others, each gets what the first one got.
    let mut last = one.sign_in_with(&person, "ada", &[]).await;
    for _ in 0..3 {
        let answers = at_once((0..50).map(|n| at(n).refresh(&last))).await;
        let answers: Vec<Tokens> = answers.into_iter().map(crate::support::Answer::expect_tokens).collect();
        assert!(answers.iter().all(|tokens| tokens.refresh_token() == answers[0].refresh_token()));
        last = answers.into_iter().next().expect("there are fifty");
    }
    assert_eq!(here.count("grants WHERE generation = 4 AND revoked_at IS NULL").await, 1);

    // Of the others, each is a thief for all that anybody knows (RFC 6749 §4.1.2).
    for _ in 0..3 {
        let pkce = Pkce::new();
        let code = one.code(&person, "ada", &pkce, &[]).await;
        let answers = at_once((0..50).map(|n| at(n).redeem(&code, &pkce))).await;
        let (granted, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status == 200);
        assert_eq!((granted.len(), refused.len()), (1, 49));
        for answer in refused {
            answer.expect_error("invalid_grant").expect_status(400);
        }
        let tokens = granted.into_iter().next().expect("there is one").expect_tokens();
        for n in 0..2 {
            at(n).refresh(&tokens).await.expect_error("invalid_grant");
            eventually("its access token is dead", async || is_refused(at(n), &tokens).await).await;
        }
    }
    assert_eq!(here.count("grants WHERE revoked_because = 'code_replay'").await, 3);
}

async fn is_refused(party: &Party<'_>, tokens: &Tokens) -> bool {
    party.introspect(tokens.access_token()).await.json()["active"] == false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_is_known_elsewhere_within_a_second_by_notify() {
    // Nobody polls before the test is over.
    let silent = [("GRANTOR__FEED__POLL_INTERVAL", "50s"), ("GRANTOR__FEED__MAX_STALENESS", "60s")];
    expect_known_within_a_second(TestApp::spawn(Engine::Postgres).await, &silent, "NOTIFY").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_is_known_elsewhere_within_a_second_by_polling_postgresql() {
    let app = TestApp::spawn(Engine::Postgres).await;
    // Takes the place of PostgreSQL's own in every connection to this database, and tells nobody.
    let name = app.database_url().rsplit('/').next().expect("a name").to_owned();
    let mut database = PgConnection::connect(&app.database_url()).await.unwrap();
    for statement in [
        "CREATE TABLE untold (channel TEXT)".to_owned(),
        "CREATE FUNCTION public.pg_notify(channel TEXT, payload TEXT) RETURNS VOID LANGUAGE sql
            AS 'INSERT INTO untold VALUES (channel)'"
            .to_owned(),
        format!("ALTER DATABASE \"{name}\" SET search_path = public, pg_catalog"),
    ] {
        database.execute(AssertSqlSafe(statement)).await.unwrap();
    }
    database.close().await.unwrap();
    let app = expect_known_within_a_second(app, &[], "polling PostgreSQL").await;
    assert!(app.count("untold WHERE channel = 'grantor_changes'").await >= REVOCATIONS as i64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revocation_is_known_elsewhere_within_a_second_by_polling_sqlite() {
    expect_known_within_a_second(TestApp::spawn(Engine::Sqlite).await, &[], "polling SQLite").await;
}

const REVOCATIONS: usize = 100;
const AT_ONCE: usize = 10;

/// What is promised.
const SECOND: Duration = Duration::from_secs(1);

/// No revocation takes longer, however busy the machine is with other tests.
const BUSY: Duration = Duration::from_secs(5);

/// Revokes through one process, asks the other until it refuses, and tells how long that took. Of a hundred, 99 are known
/// within the second. When the machine stood still meanwhile, they are measured once more, and then they are.
async fn expect_known_within_a_second(app: TestApp, environment: &[(&str, &str)], how: &str) -> TestApp {
    let (here, there) = prepared(app).await;
    let processes = (Instance::start(&here, environment).await, Instance::start(&there, environment).await);
    let (one, other) = (web(&here), web(&there));
    if here.engine() == Engine::Postgres {
        let listeners = "pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN%'";
        eventually("both listen", async || here.count(listeners).await == 2).await;
    }
    let mut most = known_after(&one, &other, how).await;
    if most > SECOND {
        most = known_after(&one, &other, how).await;
    }
    assert!(most <= SECOND, "of a hundred, one may take longer: {most:?}");
    drop(processes);
    here
}

/// After what time 99 of 100 revocations were known at the other.
async fn known_after(one: &Party<'_>, other: &Party<'_>, how: &str) -> Duration {
    let many = (0..AT_ONCE).map(async |_| {
        let (mut took, mut dice) = (Vec::new(), Dice::new(random()));
        for _ in 0..REVOCATIONS / AT_ONCE {
            let tokens = one.client_credentials("").await.expect_tokens();
            other.introspect(tokens.access_token()).await.expect_active();
            // At any time, and not always as soon as the last one was read.
            tokio::time::sleep(Duration::from_millis(dice.below(500))).await;
            patiently("it is revoked", async || one.revoke(tokens.access_token()).await.status == 200).await;
            let revoked_at = SystemClock.now();
            while !is_refused(other, &tokens).await {
                let waited = SystemClock.now().since(revoked_at);
                assert!(waited < BUSY, "it is still vouched for after {waited:?}");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            took.push(SystemClock.now().since(revoked_at));
        }
        took
    });
    let mut took: Vec<Duration> = at_once(many).await.into_iter().flatten().collect();
    took.sort();
    let (half, most, all) = (took[REVOCATIONS / 2 - 1], took[REVOCATIONS * 99 / 100 - 1], took[REVOCATIONS - 1]);
    println!("known elsewhere by {how}: p50 {half:?}, p99 {most:?}, at the latest {all:?}");
    most
}
