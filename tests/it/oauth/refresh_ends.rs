//! What ends a grant besides its clients and its age (docs/architecture.md, "What ends what").

use grantor::store::{Ending, Stored};
use grantor::types::{ClientId, Clock};

use crate::support::behind::at_once;
use crate::support::{Page, Party, Person, TestApp, Tokens};
use crate::{each_database, each_engine};

each_database!(
    signing_out_ends_what_follows_the_session_and_nothing_else,
    a_session_that_expired_refreshes_nothing,
    a_session_that_is_ended_from_the_list_takes_everything_with_it,
    withdrawn_consent_ends_the_grants_of_that_client_alone,
    a_disabled_user_loses_everything_for_good,
    a_deleted_user_loses_everything,
    a_disabled_client_loses_everything_for_good,
    a_scope_that_the_client_lost_is_in_no_new_token,
    an_id_that_is_used_again_inherits_nothing,
    a_refresh_that_races_a_revocation_leaves_nothing_alive,
);
each_engine!(a_password_that_is_set_anew_ends_the_sessions_of_the_old_one);

fn web() -> ClientId {
    "web".parse().expect("a client id")
}

/// A client whose grants follow the session, and still have refresh tokens.
async fn following<'a>(app: &'a TestApp, id: &str) -> Party<'a> {
    app.client(id).with(|client| client.always_issue_refresh_token = true).create().await
}

async fn expect_alive(rp: &Party<'_>, tokens: &Tokens) -> Tokens {
    rp.userinfo(tokens.access_token()).await.expect_status(200);
    rp.app.introspect(tokens.access_token()).await.expect_active();
    rp.refresh(tokens).await.expect_tokens()
}

async fn expect_dead(rp: &Party<'_>, tokens: &Tokens) {
    rp.app.introspect(tokens.access_token()).await.expect_inactive();
    rp.introspect(tokens.refresh_token()).await.expect_inactive();
    rp.userinfo(tokens.access_token()).await.expect_error("invalid_token").expect_status(401);
    rp.refresh(tokens).await.expect_error("invalid_grant").expect_status(400);
}

async fn sign_out(person: &Person) -> Page {
    let page = person.get("/oauth/logout").await;
    let csrf = page.hidden("csrf");
    person.post("/oauth/logout/confirm", &[("csrf", &csrf), ("decision", "sign_out")]).await
}

async fn signing_out_ends_what_follows_the_session_and_nothing_else(app: TestApp) {
    app.user("ada").await;
    let follows = following(&app, "follows").await;
    let offline = app.client("offline").create().await;
    let (person, elsewhere) = (app.person(), app.person());
    let online = follows.sign_in_with(&person, "ada", &[("scope", "openid")]).await;
    let stays = offline.sign_in_with(&person, "ada", &[]).await;
    let other = follows.sign_in_with(&elsewhere, "ada", &[("scope", "openid")]).await;

    sign_out(&person).await;

    expect_dead(&follows, &online).await;
    // OIDC Back-Channel Logout §2.7: offline_access "SHOULD NOT be revoked".
    expect_alive(&offline, &stays).await;
    expect_alive(&follows, &other).await;
}

async fn a_session_that_expired_refreshes_nothing(app: TestApp) {
    app.user("ada").await;
    let follows = following(&app, "follows").await;
    let offline = app.client("offline").create().await;
    let person = app.person();
    let stays = offline.sign_in_with(&person, "ada", &[]).await;
    let online = follows.sign_in_with(&person, "ada", &[("scope", "openid")]).await;

    // Five seconds before the session's idle day is over, and one second after it.
    app.advance(24 * 3_600 - 5);
    let second = follows.refresh(&online).await.expect_tokens();
    app.advance(6);
    follows.refresh(&second).await.expect_error("invalid_grant").expect_status(400);
    // Nor is it a way around that the answer was lost.
    follows.refresh(&online).await.expect_error("invalid_grant").expect_status(400);
    follows.introspect(second.refresh_token()).await.expect_inactive();

    // Housekeeping makes it known of the access tokens.
    app.sweep().await;
    expect_dead(&follows, &second).await;
    let third = offline.refresh(&stays).await.expect_tokens();
    expect_alive(&offline, &third).await;
}

async fn a_session_that_is_ended_from_the_list_takes_everything_with_it(app: TestApp) {
    app.user("ada").await;
    let follows = following(&app, "follows").await;
    let offline = app.client("offline").create().await;
    let (lost, here) = (app.person(), app.person());
    let online = follows.sign_in_with(&lost, "ada", &[("scope", "openid")]).await;
    let stays = offline.sign_in_with(&lost, "ada", &[]).await;
    let own = offline.sign_in_with(&here, "ada", &[]).await;

    // ASVS 7.5.2, at the account page of another browser.
    let session = app.session_of(online.id_token()).to_string();
    let page = here.get("/account").await;
    let fields = [("csrf", &*page.hidden("csrf")), ("session", &*session)];
    here.post("/account/sessions/end", &fields).await;

    expect_dead(&follows, &online).await;
    expect_dead(&offline, &stays).await;
    expect_alive(&offline, &own).await;
}

async fn withdrawn_consent_ends_the_grants_of_that_client_alone(app: TestApp) {
    app.user("ada").await;
    app.user("bob").await;
    let rp = app.client("web").create().await;
    let other = app.client("other").create().await;
    let person = app.person();
    let first = rp.sign_in_with(&person, "ada", &[]).await;
    let elsewhere = rp.sign_in("ada").await;
    let others = other.sign_in_with(&person, "ada", &[]).await;
    let bobs = rp.sign_in("bob").await;

    // ASVS 10.7.3
    let page = person.get("/account").await;
    let fields = [("csrf", &*page.hidden("csrf")), ("client_id", "web")];
    person.post("/account/consents/withdraw", &fields).await;

    expect_dead(&rp, &first).await;
    expect_dead(&rp, &elsewhere).await;
    expect_alive(&other, &others).await;
    expect_alive(&rp, &bobs).await;

    // Allowed again: the old ones stay dead.
    let again = rp.sign_in_with(&person, "ada", &[]).await;
    expect_alive(&rp, &again).await;
    expect_dead(&rp, &first).await;
}

async fn a_disabled_user_loses_everything_for_good(app: TestApp) {
    let ada = app.user("ada").await;
    app.user("bob").await;
    let rp = app.client("web").create().await;
    let (first, bobs) = (rp.sign_in("ada").await, rp.sign_in("bob").await);

    app.advance(1);
    // ASVS 7.4.2
    let disabled = app.change(async |tx| tx.disable_user(ada, app.clock.now()).await).await;
    assert_eq!(disabled, Stored::Stored);
    expect_dead(&rp, &first).await;
    expect_alive(&rp, &bobs).await;

    app.advance(1);
    app.change(async |tx| tx.enable_user(ada, app.clock.now()).await).await;
    expect_dead(&rp, &first).await;
    let anew = rp.sign_in("ada").await;
    expect_alive(&rp, &anew).await;
}

async fn a_deleted_user_loses_everything(app: TestApp) {
    let ada = app.user("ada").await;
    let rp = app.client("web").create().await;
    let first = rp.sign_in("ada").await;
    app.change(async |tx| tx.delete_user(ada, app.clock.now()).await).await;
    expect_dead(&rp, &first).await;
    for table in ["users", "grants", "consents", "sessions"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
    // Whoever gets the name next is somebody else.
    app.user("ada").await;
    expect_dead(&rp, &first).await;
}

async fn a_disabled_client_loses_everything_for_good(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let other = app.client("other").create().await;
    let (first, others) = (rp.sign_in("ada").await, other.sign_in("ada").await);
    let own = rp.client_credentials("notes:read").await.expect_tokens();

    app.advance(1);
    app.change(async |tx| tx.disable_client(&web(), app.clock.now()).await).await;
    app.introspect(first.access_token()).await.expect_inactive();
    app.introspect(own.access_token()).await.expect_inactive();
    rp.userinfo(first.access_token()).await.expect_status(401);
    rp.refresh(&first).await.expect_error("invalid_client").expect_status(401);
    expect_alive(&other, &others).await;

    app.advance(1);
    app.change(async |tx| tx.enable_client(&web(), app.clock.now()).await).await;
    expect_dead(&rp, &first).await;
    app.introspect(own.access_token()).await.expect_inactive();
    let anew = rp.sign_in("ada").await;
    expect_alive(&rp, &anew).await;
}

async fn an_id_that_is_used_again_inherits_nothing(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    let first = rp.sign_in_with(&person, "ada", &[]).await;
    let own = rp.client_credentials("").await.expect_tokens();

    app.advance(1);
    app.change(async |tx| tx.delete_client(&web(), app.clock.now()).await).await;
    app.introspect(first.access_token()).await.expect_inactive();
    rp.refresh(&first).await.expect_error("invalid_client").expect_status(401);

    app.advance(1);
    let heir = app.client("web").create().await;
    expect_dead(&heir, &first).await;
    app.introspect(own.access_token()).await.expect_inactive();
    // Neither consent.
    let page = heir.authorize(&person, &crate::support::Pkce::new(), &[]).await;
    assert!(page.asks_for_consent(), "{page:?}");
    let anew = heir.sign_in_with(&person, "ada", &[]).await;
    expect_alive(&heir, &anew).await;
}

async fn a_refresh_that_races_a_revocation_leaves_nothing_alive(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    for _ in 0..5 {
        let first = rp.sign_in("ada").await;
        let requests = (0..6).map(|n| {
            let (rp, first) = (&rp, &first);
            async move { if n == 3 { rp.revoke(first.refresh_token()).await } else { rp.refresh(first).await } }
        });
        for answer in at_once(requests).await {
            // Whatever was first: nobody gets an error of ours, and what was issued died with the grant.
            assert!([200, 400].contains(&answer.status.as_u16()), "{answer:?}");
            if answer.body.contains("access_token") {
                expect_dead(&rp, &answer.expect_tokens()).await;
            }
        }
    }
    assert_eq!(app.count("grants WHERE revoked_at IS NULL").await, 0);
}

async fn a_password_that_is_set_anew_ends_the_sessions_of_the_old_one(engine: crate::support::Engine) {
    let app = TestApp::spawn(engine).await;
    let ada = app.user("ada").await;
    let rp = app.client("web").create().await;
    let first = rp.sign_in("ada").await;
    app.change(async |tx| tx.set_password(ada, "$argon2id$another", app.clock.now()).await).await;
    expect_dead(&rp, &first).await;
    let session = app.session_of(first.id_token());
    let ended = app.change(async |tx| tx.end_session(session, Ending::Everything, app.clock.now()).await).await;
    assert!(!ended, "it had ended before");
}

async fn a_scope_that_the_client_lost_is_in_no_new_token(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let asked = [("scope", "openid offline_access notes:read notes:write")];
    let tokens = rp.sign_in_with(&app.person(), "ada", &asked).await;
    let (person, pkce) = (app.person(), crate::support::Pkce::new());
    let waiting = rp.code(&person, "ada", &pkce, &asked).await;

    // ASVS 10.4.11; RFC 6749 §5.1: the answer says what it is.
    app.reregister("web", |client| client.scope = "openid offline_access notes:read".into()).await;
    let left = "notes:read offline_access openid";
    let refreshed = rp.refresh(&tokens).await.expect_tokens();
    assert_eq!(refreshed.scope(), left);
    assert_eq!(app.introspect(refreshed.access_token()).await.expect_active()["scope"], left);
    assert_eq!(rp.redeem(&waiting, &pkce).await.expect_tokens().scope(), left);

    // The grant keeps what its user allowed: it comes back with the registration.
    app.reregister("web", |client| client.scope = "openid offline_access notes:read notes:write".into()).await;
    assert_eq!(rp.refresh(&refreshed).await.expect_tokens().scope(), "notes:read notes:write offline_access openid");
}
