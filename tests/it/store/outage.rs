//! The database goes away, and comes back: 503 with `Retry-After` meanwhile, and no restart after.

use crate::support::app::{Folder, PASSWORD, TestApp, config, eventually};
use crate::support::behind::{IMPATIENT, at_once};
use crate::support::party::SECRET;
use crate::support::postgres::Cluster;
use crate::support::{Answer, Engine, Page, Party, Pkce};

async fn server() -> (Cluster, TestApp) {
    let cluster = Cluster::start();
    let app = TestApp::on(&cluster.create_database().await, config(IMPATIENT), Folder::new()).await;
    (cluster, app)
}

fn expect_away(answer: Answer, what: &str) {
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (503, Some("2")), "{what}: {answer:?}");
    // Nothing of what is behind is told: not which database, where, or why.
    for secret in ["postgres", "127.0.0.1", "sqlx", "pool", "connection", "grants"] {
        assert!(!answer.body.to_lowercase().contains(secret), "{what}: {}", answer.body);
    }
    answer.expect_error("temporarily_unavailable");
}

fn expect_away_page(page: &Page, what: &str) {
    assert_eq!((page.status.as_u16(), page.header("retry-after")), (503, Some("2")), "{what}: {page:?}");
    page.expect_error_page(503);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_without_its_database_says_so_and_recovers_by_itself() {
    let (mut cluster, app) = server().await;
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, visitor) = (app.person(), app.person());
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    let pkce = Pkce::new();
    let code = rp.code(&person, "ada", &pkce, &[]).await;
    let waiting = rp.authorize(&visitor, &Pkce::new(), &[]).await;
    assert!(waiting.asks_to_sign_in());
    app.get("/readyz").await.expect_status(200);

    cluster.stop();
    // A process that lives, and that should be sent no requests.
    assert_eq!(app.get("/healthz").await.expect_status(200).body, "ok\n");
    assert_eq!(app.get("/readyz").await.expect_status(503).header("retry-after"), Some("2"));
    app.get("/.well-known/openid-configuration").await.expect_status(200);
    app.get("/oauth/jwks").await.expect_status(200);

    // RFC 6749 §5.2 knows no such error; RFC 9110 §15.6.4 does.
    expect_away(rp.refresh(&tokens).await, "refresh");
    expect_away(rp.redeem(&code, &pkce).await, "code");
    expect_away(rp.revoke(tokens.refresh_token()).await, "revocation");
    expect_away(rp.introspect(tokens.refresh_token()).await, "introspection of a refresh token");
    expect_away(rp.userinfo(tokens.access_token()).await, "UserInfo");
    expect_away(Party::existing(&app, "nobody", SECRET).client_credentials("").await, "an unknown client");
    let page = rp.authorize(&person, &Pkce::new(), &[]).await;
    expect_away_page(&page, "authorize, signed in");
    expect_away_page(&rp.authorize(&app.person(), &Pkce::new(), &[]).await, "authorize, new");
    expect_away_page(&person.get("/account").await, "account");
    expect_away_page(&person.get("/oauth/logout").await, "sign-out");
    expect_away_page(&app.person().get("/sign-in").await, "sign-in, new");
    expect_away_page(&visitor.sign_in(&waiting, "ada", PASSWORD).await, "sign-in, posted");

    cluster.start_again();
    eventually("it is ready again", async || app.get("/readyz").await.status == 200).await;
    // What was asked for in vain burnt nothing: code, refresh token, the browser's session and its waiting request.
    rp.redeem(&code, &pkce).await.expect_tokens();
    let second = rp.refresh(&tokens).await.expect_tokens();
    rp.userinfo(second.access_token()).await.expect_status(200);
    let page = visitor.sign_in(&waiting, "ada", PASSWORD).await;
    assert!(page.param("code").is_some(), "{page:?}");
    assert!(rp.authorize(&person, &Pkce::new(), &[]).await.param("code").is_some(), "still signed in");
    rp.revoke(second.refresh_token()).await.expect_status(200);
    app.introspect(second.access_token()).await.expect_inactive();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_without_a_database_gets_its_answers_and_the_server_lives() {
    let (mut cluster, app) = server().await;
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in("ada").await;
    let api = app.resource_server().await;
    app.introspect(tokens.access_token()).await.expect_active();

    cluster.stop();
    app.advance(10);
    let answers =
        at_once(
            (0..60).map(|n| {
                let (rp, api, tokens) = (&rp, &api, &tokens);
                async move {
                    if n % 2 == 0 { rp.refresh(tokens).await } else { api.introspect(tokens.access_token()).await }
                }
            }),
        );
    for answer in answers.await {
        expect_away(answer, "one of a crowd");
    }
    cluster.start_again();
    eventually("it is ready again", async || app.get("/readyz").await.status == 200).await;
    rp.refresh(&tokens).await.expect_tokens();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_only_broke_its_connections_is_hardly_noticed() {
    let app = TestApp::spawn(Engine::Postgres).await;
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let mut tokens = rp.sign_in("ada").await;
    for _ in 0..3 {
        // What a failover or an administrator does. CASE, for the order of conditions is the planner's own.
        let broken = "pg_stat_activity WHERE CASE WHEN application_name = 'grantor' AND datname = current_database()
            THEN pg_terminate_backend(pid) ELSE FALSE END";
        let broken = app.count(broken).await;
        assert!(broken > 0);
        // Each connection that was at work a moment ago may cost one request. It may have rotated with its answer lost:
        // the retry gives the same successor.
        let mut answer = rp.refresh(&tokens).await;
        for _ in 0..broken {
            if answer.status != 200 {
                expect_away(answer, "a broken connection");
                answer = rp.refresh(&tokens).await;
            }
        }
        tokens = answer.expect_tokens();
    }
    assert_eq!(app.count("grants WHERE revoked_at IS NULL AND generation = 4").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_row_is_waited_for_and_given_up_with_503() {
    use sqlx::{Connection, Executor, PgConnection};
    let app = TestApp::with(Engine::Postgres, "[server]\nrequest_timeout = \"1s\"").await;
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in("ada").await;
    let mut locker = PgConnection::connect(&app.database_url()).await.unwrap();
    locker.execute("BEGIN").await.unwrap();
    locker.execute("SELECT id FROM grants FOR UPDATE").await.unwrap();
    expect_away(rp.refresh(&tokens).await, "a locked row");
    locker.execute("ROLLBACK").await.unwrap();
    // Whether the statement came through after all, nobody knows; a retry is right either way.
    eventually("it is refreshed", async || rp.refresh(&tokens).await.status == 200).await;
    assert_eq!(app.count("grants WHERE revoked_at IS NULL AND generation = 2").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_database_that_another_holds_is_waited_for() {
    use sqlx::{Connection, Executor, SqliteConnection};
    let app = TestApp::with(Engine::Sqlite, "[server]\nrequest_timeout = \"1s\"").await;
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in("ada").await;
    let mut locker = SqliteConnection::connect(&app.database_url()).await.unwrap();
    locker.execute("BEGIN IMMEDIATE").await.unwrap();
    expect_away(rp.refresh(&tokens).await, "a locked file");
    // Whoever only reads is not held up.
    rp.introspect(tokens.access_token()).await.expect_active();
    rp.userinfo(tokens.access_token()).await.expect_status(200);
    locker.execute("ROLLBACK").await.unwrap();
    eventually("it is refreshed", async || rp.refresh(&tokens).await.status == 200).await;
}
