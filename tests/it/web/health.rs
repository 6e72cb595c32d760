//! For whoever runs it.

use crate::each_database;
use crate::support::TestApp;

each_database!(it_is_ready_while_the_database_answers_and_alive_in_any_case);

async fn it_is_ready_while_the_database_answers_and_alive_in_any_case(app: TestApp) {
    let alive = app.get("/healthz").await.expect_status(200);
    assert_eq!(alive.body, "ok\n");
    let ready = app.get("/readyz").await.expect_status(200);
    assert_eq!(ready.body, "ready\n");
    assert!(alive.header("set-cookie").is_none() && ready.header("set-cookie").is_none());

    app.store.close().await;
    app.get("/healthz").await.expect_status(200);
    let away = app.get("/readyz").await.expect_status(503);
    assert_eq!(away.header("retry-after"), Some("2"));
    // A browser that comes for the first time, too: the page needs a record for its form.
    let page = app.person().get("/sign-in").await;
    page.expect_error_page(503);
    assert_eq!(page.header("retry-after"), Some("2"));
    // What needs no database is served.
    app.get("/oauth/jwks").await.expect_status(200);
    app.get("/static/app.css").await.expect_status(200);
}

/// Somebody who begins to send a form and never ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_takes_too_long_is_let_go() {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    let app = TestApp::with(crate::support::Engine::Sqlite, "[server]\nrequest_timeout = \"1s\"").await;
    let address = app.url.replace("http://localhost", "127.0.0.1");
    let mut slow = tokio::net::TcpStream::connect(address).await.unwrap();
    let head = "POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\
                Content-Type: application/x-www-form-urlencoded\r\n\r\ngrant_type=";
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut status = [0; 12];
    slow.read_exact(&mut status).await.unwrap();
    assert_eq!(&status, b"HTTP/1.1 503");
}
