//! `kill -9` under load, of the server and of PostgreSQL: what was acknowledged is there afterwards, and nothing
//! happened twice.
//!
//! Many callers keep a ledger of what they were told. What was asked for and not answered may have happened or not;
//! they ask again, as clients do, and from then on that is settled too. The choices follow from a seed, which a
//! failure shows; when a signal comes in the middle of them is the machine's own affair.
//!
//! A kill takes processes away and not the kernel, which has what was written: fsync makes no difference here, and the
//! tests' clusters do without.

mod caller;
mod family;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;

use caller::{Caller, Unanswered};
use family::Family;

use crate::each_engine;
use crate::support::app::{Folder, config, eventually, patiently};
use crate::support::behind::at_once;
use crate::support::dice::{Dice, random};
use crate::support::instance::Instance;
use crate::support::party::SECRET;
use crate::support::postgres::Cluster;
use crate::support::{Engine, Party, TestApp};

each_engine!(what_was_acknowledged_outlives_the_server);

/// Nothing may expire in the middle, and a lost answer may be asked for again late on a slow machine.
const LASTING: [(&str, &str); 3] = [
    ("GRANTOR__TOKENS__ACCESS_TOKEN_LIFETIME", "1h"),
    ("GRANTOR__AUTHORIZATION__CODE_LIFETIME", "10m"),
    ("GRANTOR__REFRESH__RETRY_WINDOW", "1m"),
];

/// With these the server gives up soon on a database that is away.
const IMPATIENT: [(&str, &str); 3] = [
    ("GRANTOR__DATABASE__ACQUIRE_TIMEOUT", "200ms"),
    ("GRANTOR__FEED__POLL_INTERVAL", "100ms"),
    ("GRANTOR__FEED__MAX_STALENESS", "500ms"),
];

const CALLERS: u64 = 8;

/// No kill waits for more answers than this.
const MOST_ANSWERS: u64 = 60;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// How often to kill (CONTRIBUTING.md).
fn kills(usually: u64) -> u64 {
    variable("GRANTOR_TEST_KILLS").unwrap_or(usually)
}

/// The dice of a test, and of its callers.
fn seed() -> u64 {
    let seed = variable("GRANTOR_TEST_SEED").unwrap_or_else(random);
    println!("GRANTOR_TEST_SEED={seed}");
    seed
}

/// The users and clients of the callers; their server has not been started.
async fn prepared(app: TestApp) -> TestApp {
    for n in 0..CALLERS {
        app.user(&format!("user{n}")).await;
    }
    app.client("web").create().await;
    app.client("guest").create().await;
    app.retire().await
}

/// Everybody is signed in, at a server that has gone since.
async fn callers<'a>(app: &'a TestApp, seed: u64, answers: &'a Semaphore) -> Vec<Caller<'a>> {
    let _server = Instance::start(app, &LASTING).await;
    let arrivals = (0..CALLERS).map(async |n| Caller::arrive(app, &format!("user{n}"), seed ^ n, answers).await);
    at_once(arrivals).await
}

/// Waits for so many answers from now on.
async fn answered(answers: &Semaphore, count: u64) {
    answers.forget_permits(usize::MAX);
    let many = answers.acquire_many(u32::try_from(count).expect("a small number"));
    let many = tokio::time::timeout(Duration::from_secs(60), many).await.expect("the callers are served");
    many.expect("it is never closed").forget();
}

async fn what_was_acknowledged_outlives_the_server(engine: Engine) {
    let app = prepared(TestApp::spawn(engine).await).await;
    let (seed, answers) = (seed(), Semaphore::new(0));
    let (mut dice, mut callers) = (Dice::new(!seed), callers(&app, seed, &answers).await);
    let mut server = Instance::start(&app, &LASTING).await;

    for _ in 0..kills(50) {
        let killed = async {
            answered(&answers, 1 + dice.below(MOST_ANSWERS)).await;
            let log = server.kill().await;
            assert!(!log.contains("panicked"), "{log}");
        };
        let until_cut_off =
            callers.iter_mut().map(async |caller| while !matches!(caller.go_on().await, Err(Unanswered::CutOff(_))) {});
        tokio::join!(killed, at_once(until_cut_off));

        server.start_again().await;
        at_once(callers.iter_mut().map(Caller::check)).await;
    }
    at_once(callers.iter_mut().map(Caller::check_everything)).await;
    expect_as_in_the_ledgers(&app, &callers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_outlives_postgresql_and_the_server_recovers_by_itself() {
    let mut cluster = Cluster::start();
    let app = TestApp::on(&cluster.create_database().await, config(""), Folder::new()).await;
    let app = prepared(app).await;
    let (seed, answers) = (seed(), Semaphore::new(0));
    let (mut dice, mut callers) = (Dice::new(!seed), callers(&app, seed, &answers).await);
    callers.iter_mut().for_each(|caller| caller.codes_may_be_lost = true);
    let environment = [LASTING, IMPATIENT].concat();
    let server = Instance::start(&app, &environment).await;
    let web = Party::existing(&app, "web", SECRET);
    let token = web.client_credentials("").await.expect_tokens();

    for _ in 0..kills(15) {
        let over = AtomicBool::new(false);
        let outage = async {
            answered(&answers, 1 + dice.below(MOST_ANSWERS)).await;
            let cluster = beside(cluster, Cluster::kill).await;
            app.get("/readyz").await.expect_status(503);
            // Until feed.max_staleness it may answer from memory.
            let vouches = async || {
                let answer = web.introspect(token.access_token()).await;
                assert!([200, 503].contains(&answer.status.as_u16()), "{answer:?}");
                answer.status == 200
            };
            eventually("it vouches for nothing", async || !vouches().await).await;
            let cluster = beside(cluster, Cluster::start_again).await;
            patiently("it recovers by itself", async || app.get("/readyz").await.status == 200 && vouches().await)
                .await;
            over.store(true, Ordering::Release);
            cluster
        };
        let until_over = callers.iter_mut().map(async |caller| {
            while !over.load(Ordering::Acquire) {
                if let Err(Unanswered::CutOff(why)) = caller.go_on().await {
                    panic!("the server stays up: {why:?}");
                }
            }
        });
        cluster = tokio::join!(outage, at_once(until_over)).0;
        at_once(callers.iter_mut().map(Caller::check)).await;
    }
    at_once(callers.iter_mut().map(Caller::check_everything)).await;
    expect_as_in_the_ledgers(&app, &callers).await;
    assert!(!server.log().contains("panicked"), "{}", server.log());
}

/// What takes its time with a cluster, while the callers go on.
async fn beside(mut cluster: Cluster, what: fn(&mut Cluster)) -> Cluster {
    let done = tokio::task::spawn_blocking(move || {
        what(&mut cluster);
        cluster
    });
    done.await.expect("it is done")
}

/// The rows say what the callers were told: as many generations as there were answers, and nothing more.
async fn expect_as_in_the_ledgers(app: &TestApp, callers: &[Caller<'_>]) {
    let living: Vec<&Family> = callers.iter().flat_map(|caller| &caller.living).collect();
    let all_ended = callers.iter().flat_map(|caller| caller.ended.iter().map(move |family| (caller, family)));
    let (lost, ended): (Vec<_>, Vec<_>) =
        all_ended.partition(|(caller, family)| caller.codes_may_be_lost && family.refresh_tokens.is_empty());
    let ended: Vec<&Family> = ended.into_iter().map(|(_, family)| family).collect();
    // Lost with its code, or redeemed unheard of and then replayed.
    for (_, family) in &lost {
        assert_eq!(app.count(&format!("grants WHERE id = '{}' AND revoked_at IS NULL", family.id())).await, 0);
    }
    for (families, revoked) in [(&living, "IS NULL"), (&ended, "IS NOT NULL")] {
        for some in families.chunks(200) {
            let rows: Vec<_> = some.iter().map(|one| format!("('{}', {})", one.id(), one.generation())).collect();
            let rows = format!("(id, generation) IN (VALUES {}) AND revoked_at {revoked}", rows.join(", "));
            assert_eq!(app.count(&format!("grants WHERE {rows}")).await, some.len() as i64, "{rows}");
        }
    }
    let rotations: usize = living.iter().chain(&ended).map(|family| family.generation() - 1).sum();
    let doubts: usize = callers.iter().map(|caller| caller.doubts).sum();
    println!("{} grants lived, {} ended; {rotations} rotations; {doubts} asked again", living.len(), ended.len());
    let redeemed = living.iter().chain(&ended).filter(|family| family.redeemed).count();
    let unheard = app.count("grants WHERE redeemed_at IS NOT NULL").await - redeemed as i64;
    assert!((0..=lost.len() as i64).contains(&unheard), "{unheard} were redeemed of {}", lost.len());
}
