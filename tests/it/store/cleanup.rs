//! Housekeeping: what has expired ends and goes, and nothing else does.

use std::time::Duration;

use grantor::store::Ending;
use grantor::types::Clock;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use crate::each_database;
use crate::support::app::eventually;
use crate::support::behind::at_once;
use crate::support::{Engine, Pkce, TestApp};

each_database!(
    a_session_that_expired_ends_with_its_tokens,
    what_nobody_needs_any_more_goes,
    what_lives_stays,
    a_late_replay_is_still_told_from_nonsense,
    more_than_one_batch_goes_in_one_round,
    of_two_nodes_one_sweeps,
    a_lease_has_one_holder,
    what_stays_does_not_keep_what_is_behind_it,
    a_code_that_nobody_redeemed_leaves_nothing,
    a_session_that_cannot_be_ended_keeps_nothing_else,
    a_session_that_is_used_in_the_meantime_does_not_expire,
);

const DAY: u64 = 86_400;

async fn a_session_that_expired_ends_with_its_tokens(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (idle, busy) = (app.person(), app.person());
    let follows = [("scope", "openid")];
    let late = rp.sign_in_with(&idle, "ada", &follows).await;
    let stays = rp.sign_in_with(&busy, "ada", &follows).await;
    let session = app.session_of(late.id_token());
    let soon = app.clock.now().micros() + 60_000_000;
    assert_eq!(app.sql(&format!("UPDATE sessions SET idle_expires_at = {soon} WHERE id = '{session}'")).await, 1);

    app.advance(59);
    app.sweep().await;
    app.introspect(late.access_token()).await.expect_active();
    app.advance(1);
    app.sweep().await;

    // Its tokens would live for another nine minutes.
    app.introspect(late.access_token()).await.expect_inactive();
    rp.userinfo(late.access_token()).await.expect_error("invalid_token").expect_status(401);
    app.introspect(stays.access_token()).await.expect_active();
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 1);
    // The browser has to sign in again; the other need not.
    assert!(rp.authorize(&idle, &Pkce::new(), &follows).await.asks_to_sign_in());
    assert!(rp.authorize(&busy, &Pkce::new(), &follows).await.param("code").is_some());
    // A second round finds nothing to do.
    app.sweep().await;
    assert_eq!(app.count("changes WHERE kind = 'session_ended'").await, 1);
}

async fn what_nobody_needs_any_more_goes(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in("ada").await;
    rp.authorize(&app.person(), &Pkce::new(), &[]).await;
    rp.revoke(tokens.access_token()).await.expect_status(200);
    for table in ["grants", "sessions", "pending_requests", "browsers", "changes"] {
        assert!(app.count(table).await > 0, "{table}");
    }
    app.advance(200 * DAY);
    app.sweep().await;
    // What the sweep itself ended is told for a while yet; the session's row is the last to go.
    app.advance(2 * DAY);
    app.sweep().await;
    for table in ["grants", "sessions", "pending_requests", "browsers", "changes"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
    for (table, rows) in [("users", 1), ("clients", 1), ("consents", 1)] {
        assert_eq!(app.count(table).await, rows, "{table}");
    }
}

async fn what_lives_stays(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    let visitor = app.person();
    let waiting = rp.authorize(&visitor, &Pkce::new(), &[]).await;
    let pkce = Pkce::new();
    let code = rp.code(&person, "ada", &pkce, &[]).await;
    rp.revoke(tokens.access_token()).await.expect_status(200);
    app.advance(50);

    app.sweep().await;

    app.introspect(tokens.access_token()).await.expect_inactive();
    let second = rp.refresh(&tokens).await.expect_tokens();
    rp.redeem(&code, &pkce).await.expect_tokens();
    let page = visitor.sign_in(&waiting, "ada", crate::support::app::PASSWORD).await;
    assert!(page.param("code").is_some(), "{page:?}");
    assert!(rp.authorize(&person, &Pkce::new(), &[]).await.param("code").is_some());

    // Weeks later the session is long gone, and the offline grant is not.
    app.advance(13 * DAY);
    app.sweep().await;
    let third = rp.refresh(&second).await.expect_tokens();
    app.introspect(third.access_token()).await.expect_active();
}

async fn a_late_replay_is_still_told_from_nonsense(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let pkce = Pkce::new();
    let code = rp.code(&app.person(), "ada", &pkce, &[]).await;
    let tokens = rp.redeem(&code, &pkce).await.expect_tokens();
    app.advance(3_600);
    app.sweep().await;
    // Long after the code expired: its grant lives, and its replay ends it (RFC 6749 §4.1.2).
    rp.redeem(&code, &pkce).await.expect_error("invalid_grant");
    rp.refresh(&tokens).await.expect_error("invalid_grant");
    assert_eq!(app.count("grants WHERE revoked_because = 'code_replay'").await, 1);
}

/// Numbers from 1 to 2,500, in the words of both databases.
const NUMBERS: &str = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2500)";

async fn more_than_one_batch_goes_in_one_round(app: TestApp) {
    let now = app.clock.now().micros();
    for insert in [
        format!(
            "{NUMBERS} INSERT INTO pending_requests (id, kind, browser, params, created_at, expires_at)
             SELECT 'r' || i, 'authorize', 'b', '[]', 1, {now} - i FROM n"
        ),
        format!(
            "{NUMBERS} INSERT INTO changes (kind, id, at, expires_at)
             SELECT 'token_revoked', '01890a5d-ac96-774b-bcce-b302099a8057', 1, {now} - i FROM n"
        ),
        format!(
            "{NUMBERS} INSERT INTO sessions (id, user_id, authenticated_at, methods, device, created_at, seen_at,
                 idle_expires_at, expires_at)
             SELECT '01890a5d-ac96-774b-bcce-b3020999' || (1000 + i % 200), '01890a5d-ac96-774b-bcce-b302099a8057', 1,
                 '[]', 'd', 1, 1, {now} - i, {now} FROM n WHERE i <= 200"
        ),
    ] {
        assert!(app.sql(&insert).await >= 200);
    }
    app.sweep().await;
    assert_eq!(app.count("pending_requests").await, 0);
    assert_eq!(app.count("changes WHERE kind = 'token_revoked'").await, 0);
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0);
    assert_eq!(app.count("changes WHERE kind = 'session_ended'").await, 200);
}

async fn of_two_nodes_one_sweeps(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    for _ in 0..5 {
        rp.sign_in_with(&app.person(), "ada", &[("scope", "openid")]).await;
    }
    app.advance(2 * DAY);
    let other = app.other_store().await;
    let (here, there) = tokio::join!(
        grantor::jobs::cleanup::sweep(&app.store, &*app.clock, "here"),
        grantor::jobs::cleanup::sweep(&other, &*app.clock, "there"),
    );
    here.expect("one finishes");
    there.expect("and the other has nothing to do");
    assert_eq!(app.count("changes WHERE kind = 'session_ended'").await, 5, "each ends once");
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0);

    // Whoever was elected falls silent, and the other takes over.
    rp.sign_in_with(&app.person(), "ada", &[("scope", "openid")]).await;
    let elected = if app.count("leases WHERE holder = 'here'").await == 1 { "here" } else { "there" };
    let idle = if elected == "here" { "there" } else { "here" };
    app.sql("UPDATE sessions SET idle_expires_at = 1").await;
    grantor::jobs::cleanup::sweep(&other, &*app.clock, idle).await.expect("it has nothing to do");
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 1);
    app.advance(60);
    grantor::jobs::cleanup::sweep(&other, &*app.clock, idle).await.expect("it finishes");
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0);
    assert_eq!(app.count(&format!("leases WHERE holder = '{idle}'")).await, 1);
    other.close().await;
}

async fn a_lease_has_one_holder(app: TestApp) {
    let now = app.clock.now();
    let (until, later) = (now.plus(Duration::from_secs(60)), now.plus(Duration::from_secs(120)));
    let other = app.other_store().await;
    let nodes: Vec<String> = (0..12).map(|n| format!("node {n}")).collect();
    for (until, now) in [(until, now), (later, until)] {
        let asked = nodes.iter().enumerate().map(|(n, node)| {
            let store = if n % 2 == 0 { &app.store } else { &other };
            store.hold_lease("housekeeping", node, until, now)
        });
        let held = at_once(asked).await.into_iter().filter(|held| *held.as_ref().expect("the store answers"));
        assert_eq!(held.count(), 1);
    }
    other.close().await;
}

/// The relying parties of a session that is open are remembered, however many there are.
async fn what_stays_does_not_keep_what_is_behind_it(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    rp.sign_in_with(&app.person(), "ada", &[("scope", "openid")]).await;
    app.sql("UPDATE grants SET expires_at = 9").await;
    let columns = "client_id, user_id, scope, offline, refreshable, authenticated_at, methods, redirect_uri, code_hash,
        code_challenge, code_expires_at, generation, created_at, ends_at";
    for (id, session, expires_at) in [("'open' || i", "session_id", "10 + i / 3"), ("'over' || i", "'gone'", "3000")] {
        let copies = format!(
            "{NUMBERS} INSERT INTO grants (id, session_id, expires_at, {columns})
             SELECT {id}, {session}, {expires_at}, {columns} FROM grants, n WHERE grants.expires_at = 9"
        );
        assert_eq!(app.sql(&copies).await, 2_500);
    }
    app.sweep().await;
    assert_eq!(app.count("grants WHERE session_id = 'gone'").await, 0, "more than a batch, of one microsecond");
    assert_eq!(app.count("grants").await, 2_501);
}

async fn a_code_that_nobody_redeemed_leaves_nothing(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    rp.code(&person, "ada", &Pkce::new(), &[]).await;
    let kept = rp.sign_in_with(&person, "ada", &[]).await;
    person.sign_out().await;

    // It asked for offline_access, which would have lasted for 90 days.
    app.advance(DAY + 3_600);
    app.sweep().await;
    assert_eq!(app.count("grants").await, 1);
    rp.refresh(&kept).await.expect_tokens();
}

/// Two sessions that expire, of which the database will not end the first, and something old.
async fn a_session_that_cannot_be_ended_keeps_nothing_else(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let stuck = app.session_of(rp.sign_in_with(&app.person(), "ada", &[]).await.id_token());
    rp.sign_in_with(&app.person(), "ada", &[]).await;
    app.sql("INSERT INTO changes (kind, id, at, expires_at) VALUES ('of old', '', 1, 1)").await;
    let refuses = match app.engine() {
        Engine::Sqlite => format!(
            "CREATE TRIGGER stuck BEFORE UPDATE OF ended_at ON sessions WHEN OLD.id = '{stuck}'
             BEGIN SELECT RAISE(ABORT, 'stuck'); END"
        ),
        Engine::Postgres => format!("ALTER TABLE sessions ADD CHECK (id <> '{stuck}' OR ended_at IS NULL)"),
    };
    app.sql(&refuses).await;
    app.sql("UPDATE sessions SET idle_expires_at = 1").await;
    app.sweep().await;
    assert_eq!(app.count(&format!("sessions WHERE ended_at IS NULL AND id = '{stuck}'")).await, 1);
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 1);
    assert_eq!(app.count("changes WHERE kind = 'of old'").await, 0);
}

async fn a_session_that_is_used_in_the_meantime_does_not_expire(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let session = app.session_of(rp.sign_in_with(&app.person(), "ada", &[]).await.id_token());
    let until = app.clock.now().plus(Duration::from_secs(60));
    app.sql(&format!("UPDATE sessions SET idle_expires_at = {}", until.micros())).await;
    let just_before = until.minus(Duration::from_micros(1));
    assert!(!app.change(async |tx| tx.end_session(session, Ending::Expiry, just_before).await).await);
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 1);
    assert!(app.change(async |tx| tx.end_session(session, Ending::Expiry, until).await).await);
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_use_that_is_being_written_is_stronger_than_expiry() {
    let app = TestApp::spawn(Engine::Postgres).await;
    app.user("ada").await;
    let rp = app.client("web").create().await;
    rp.sign_in_with(&app.person(), "ada", &[]).await;
    app.sql("UPDATE sessions SET idle_expires_at = 1").await;
    let mut mark = PgConnection::connect(&app.database_url()).await.unwrap();
    mark.execute("BEGIN").await.unwrap();
    let later = app.clock.now().micros() + 3_600_000_000;
    mark.execute(AssertSqlSafe(format!("UPDATE sessions SET idle_expires_at = {later}"))).await.unwrap();
    let waits = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let commit = async {
        eventually("housekeeping waits for the row", async || app.count(waits).await == 1).await;
        mark.execute("COMMIT").await.unwrap();
    };
    tokio::join!(app.sweep(), commit);
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_written_again_when_half_of_it_has_passed() {
    let app = TestApp::spawn(Engine::Sqlite).await;
    app.sql("CREATE TABLE written (n BIGINT)").await;
    for event in ["INSERT", "UPDATE"] {
        let trigger =
            format!("CREATE TRIGGER on_{event} AFTER {event} ON leases BEGIN INSERT INTO written VALUES (1); END");
        app.sql(&trigger).await;
    }
    // Several batches.
    let many = "INSERT INTO pending_requests (id, kind, browser, params, created_at, expires_at)
        SELECT 'r' || i, 'authorize', 'b', '[]', 1, 1 FROM n";
    assert_eq!(app.sql(&format!("{NUMBERS} {many}")).await, 2_500);
    app.sweep().await;
    assert_eq!((app.count("pending_requests").await, app.count("written").await), (0, 1));
}
