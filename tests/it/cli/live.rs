//! The command line beside a running server: both work on one database, and the server hears of it by the feed.

use std::time::Duration;

use grantor::config::DatabaseUrl;
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::place::{Done, Place};
use crate::each_database;
use crate::support::app::{PASSWORD, eventually};
use crate::support::{Party, Pkce, TestApp};

each_database!(
    a_client_that_was_created_is_known_at_once,
    a_disabled_client_and_its_tokens_are_dead_until_it_is_enabled,
    a_new_secret_replaces_the_old_one,
    a_deleted_client_and_its_tokens_are_gone,
    a_changed_redirect_uri_counts_from_then_on,
    a_disabled_user_and_their_tokens_are_dead,
    a_new_password_ends_what_the_old_one_opened,
    a_deleted_user_and_their_tokens_are_gone,
    an_administrator_signs_one_user_out_or_everybody,
);

/// The command line on the database of a running server.
pub struct Beside<'a> {
    pub app: &'a TestApp,
    pub place: Place,
    database: String,
}

impl<'a> Beside<'a> {
    pub fn new(app: &'a TestApp) -> Self {
        let database = match app.config.database.url.as_ref().expect("tests name their database") {
            DatabaseUrl::Sqlite(file) => format!("sqlite:{}", file.display()),
            DatabaseUrl::Postgres(url) => url.expose_secret().to_owned(),
        };
        Self { app, place: Place::new(), database }
    }

    pub async fn run(&self, arguments: &[&str], stdin: &str) -> Done {
        // The clock of the tests stands still, that of the program does not: it is always a little behind.
        let arguments = [&["--database", self.database.as_str()], arguments].concat();
        let done = tokio::task::block_in_place(|| self.place.run_with(&arguments, stdin));
        self.app.clock.advance(Duration::from_secs(60));
        done
    }

    pub async fn ok(&self, arguments: &[&str]) -> String {
        self.run(arguments, "").await.expect_ok()
    }
}

/// Whether the server has heard that a client authenticates no more.
async fn is_refused(rp: &Party<'_>) -> bool {
    rp.client_credentials("notes:read").await.status == 401
}

async fn is_dead(app: &TestApp, token: &str) -> bool {
    app.introspect(token).await.body == r#"{"active":false}"#
}

async fn a_client_that_was_created_is_known_at_once(app: TestApp) {
    let beside = Beside::new(&app);
    // Asked for before, so that its absence is remembered where absences are.
    let unknown = Party::existing(&app, "robot", "none");
    unknown.client_credentials("").await.expect_error("invalid_client");
    let arguments = ["client", "create", "--name", "Robot", "--id", "robot", "--grant-type", "client_credentials"];
    let created = beside.ok(&[&arguments[..], &["--scope", "notes:read", "--json"]].concat()).await;
    let created: Value = serde_json::from_str(&created).unwrap();
    let robot = Party::existing(&app, "robot", created["client_secret"].as_str().unwrap());
    eventually("the server knows the client", || async { !is_refused(&robot).await }).await;
    let tokens = robot.client_credentials("notes:read").await.expect_tokens();
    app.introspect(tokens.access_token()).await.expect_active();
}

async fn a_disabled_client_and_its_tokens_are_dead_until_it_is_enabled(app: TestApp) {
    app.user("ada").await;
    let (rp, other) = (app.client("web").create().await, app.client("other").create().await);
    let beside = Beside::new(&app);
    let person = app.person();
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    let others = other.sign_in_with(&person, "ada", &[]).await;
    app.introspect(tokens.access_token()).await.expect_active();

    beside.ok(&["client", "disable", "web"]).await;
    eventually("the server refuses the client", || is_refused(&rp)).await;
    app.introspect(tokens.access_token()).await.expect_inactive();
    rp.userinfo(tokens.access_token()).await.expect_status(401);
    rp.authorize(&person, &Pkce::new(), &[]).await.expect_error_page(400);
    app.introspect(others.access_token()).await.expect_active();

    beside.ok(&["client", "enable", "web"]).await;
    eventually("the server takes the client again", || async { !is_refused(&rp).await }).await;
    // What was minted before stays dead.
    app.introspect(tokens.access_token()).await.expect_inactive();
    let new = rp.client_credentials("notes:read").await.expect_tokens();
    app.introspect(new.access_token()).await.expect_active();
}

async fn a_new_secret_replaces_the_old_one(app: TestApp) {
    let rp = app.client("web").create().await;
    let beside = Beside::new(&app);
    rp.client_credentials("notes:read").await.expect_tokens();
    let rotated: Value = serde_json::from_str(&beside.ok(&["client", "rotate-secret", "web", "--json"]).await).unwrap();
    eventually("the old secret is refused", || is_refused(&rp)).await;
    let renewed = Party::existing(&app, "web", rotated["client_secret"].as_str().unwrap());
    renewed.client_credentials("notes:read").await.expect_tokens();
}

async fn a_deleted_client_and_its_tokens_are_gone(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let beside = Beside::new(&app);
    let person = app.person();
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    app.introspect(tokens.access_token()).await.expect_active();
    beside.ok(&["client", "delete", "web"]).await;
    eventually("the server forgets the client", || is_refused(&rp)).await;
    app.introspect(tokens.access_token()).await.expect_inactive();
    assert!(!person.get("/account").await.body.contains("Lighthouse"));
    // An id used again inherits nothing.
    let again = app.client("web").create().await;
    app.introspect(tokens.access_token()).await.expect_inactive();
    again.refresh(&tokens).await.expect_error("invalid_grant");
    assert!(again.authorize(&person, &Pkce::new(), &[]).await.asks_for_consent());
}

async fn a_changed_redirect_uri_counts_from_then_on(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let beside = Beside::new(&app);
    let person = app.person();
    let moved = [("redirect_uri", "https://moved.example/callback")];
    rp.authorize(&person, &Pkce::new(), &moved).await.expect_error_page(400);
    beside.ok(&["client", "update", "web", "--redirect-uri", "https://moved.example/callback"]).await;
    let accepted = || async { rp.authorize(&app.person(), &Pkce::new(), &moved).await.asks_to_sign_in() };
    eventually("the new address is accepted", accepted).await;
    rp.authorize(&person, &Pkce::new(), &[]).await.expect_error_page(400);
}

async fn a_disabled_user_and_their_tokens_are_dead(app: TestApp) {
    app.user("ada").await;
    app.user("bob").await;
    let rp = app.client("web").create().await;
    let beside = Beside::new(&app);
    let person = app.person();
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    let bobs = rp.sign_in("bob").await;
    app.introspect(tokens.access_token()).await.expect_active();

    beside.ok(&["user", "disable", "ada"]).await;
    eventually("the token is dead", || is_dead(&app, tokens.access_token())).await;
    // ASVS 7.4.2
    assert!(!person.is_signed_in().await);
    rp.refresh(&tokens).await.expect_error("invalid_grant");
    assert!(person.sign_in_to_account("ada").await.asks_to_sign_in());
    app.introspect(bobs.access_token()).await.expect_active();

    beside.ok(&["user", "enable", "ada"]).await;
    assert!(person.sign_in_to_account("ada").await.url.ends_with("/account"));
    app.introspect(tokens.access_token()).await.expect_inactive();
    // Time has passed for the server too; the entry in the feed is of the program's clock.
    eventually("a new token is good", || async {
        let new = rp.sign_in("ada").await;
        !is_dead(&app, new.access_token()).await
    })
    .await;
}

async fn a_new_password_ends_what_the_old_one_opened(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let beside = Beside::new(&app);
    let person = app.person();
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    app.introspect(tokens.access_token()).await.expect_active();

    let arguments = ["user", "set-password", "ada", "--password-stdin"];
    beside.run(&arguments, "engines that weave algebra\n").await.expect_ok();
    eventually("the token is dead", || is_dead(&app, tokens.access_token())).await;
    assert!(!person.is_signed_in().await);
    assert!(person.sign_in_to_account("ada").await.asks_to_sign_in(), "{PASSWORD:?} is the old one");
    let page = person.get("/sign-in").await;
    assert!(person.sign_in(&page, "ada", "engines that weave algebra").await.url.ends_with("/account"));
}

async fn a_deleted_user_and_their_tokens_are_gone(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let beside = Beside::new(&app);
    let person = app.person();
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    app.introspect(tokens.access_token()).await.expect_active();
    beside.ok(&["user", "delete", "ada"]).await;
    eventually("the token is dead", || is_dead(&app, tokens.access_token())).await;
    assert!(!person.is_signed_in().await);
    assert!(person.sign_in_to_account("ada").await.asks_to_sign_in());
    rp.refresh(&tokens).await.expect_error("invalid_grant");
    // The name is free, and whoever takes it is somebody else.
    let arguments = ["user", "create", "--username", "ada", "--password-stdin"];
    beside.run(&arguments, PASSWORD).await.expect_ok();
    let new = app.person();
    assert!(new.sign_in_to_account("ada").await.body.contains("No application can use your account."));
    app.introspect(tokens.access_token()).await.expect_inactive();
}

async fn an_administrator_signs_one_user_out_or_everybody(app: TestApp) {
    let beside = Beside::new(&app);
    let rp = app.client("web").create().await;
    let mut tokens = Vec::new();
    for name in ["ada", "bob", "cleo"] {
        app.user(name).await;
        tokens.push(rp.sign_in(name).await);
    }
    // One whose session has ended, and whose application stays connected.
    let gone = app.person();
    let offline = rp.sign_in_with(&gone, "cleo", &[]).await;
    gone.sign_out().await;

    beside.ok(&["user", "sign-out", "ada"]).await;
    eventually("her token is dead", || async { is_dead(&app, tokens[0].access_token()).await }).await;
    rp.refresh(&tokens[0]).await.expect_error("invalid_grant");
    assert!(!is_dead(&app, tokens[1].access_token()).await);
    // She may come back.
    let again = rp.sign_in("ada").await;

    assert!(beside.ok(&["user", "sign-out", "--everybody"]).await.starts_with("Signed everybody out: 3 users"));
    for token in [&again, &tokens[1], &tokens[2], &offline] {
        eventually("nobody has access", || async { is_dead(&app, token.access_token()).await }).await;
        rp.refresh(token).await.expect_error("invalid_grant");
    }
    assert!(beside.ok(&["user", "sign-out", "--everybody"]).await.starts_with("Signed everybody out: 0 users"));
    beside.run(&["user", "sign-out"], "").await.expect_refused(2, "required");
    beside.run(&["user", "sign-out", "ada", "--everybody"], "").await.expect_refused(2, "cannot be used with");
}
