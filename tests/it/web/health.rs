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
