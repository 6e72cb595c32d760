//! What a node remembers, so as not to ask the database: it can only say yes, and the change feed takes it back.

use std::time::Duration;

use grantor::types::Clock as _;
use serde_json::json;

use crate::each_database;
use crate::support::app::eventually;
use crate::support::party::decode;
use crate::support::{Pkce, TestApp};

each_database!(
    a_signed_in_person_is_let_through_without_a_question_to_the_database,
    a_consent_that_is_withdrawn_on_one_node_is_asked_for_on_another,
    a_session_that_is_ended_on_one_node_is_over_on_another,
    a_cookie_that_was_replaced_on_one_node_is_nobodys_on_another,
    who_proves_themselves_again_on_one_node_did_so_on_another,
    a_consent_that_has_become_wider_is_noticed_everywhere,
    a_code_from_what_was_remembered_is_not_redeemed_once_it_is_over,
    a_key_that_is_taken_away_takes_its_tokens_along,
);

const SILENT: [(&str, &str); 1] = [("prompt", "none")];

/// Whatever the database is asked for is not there any more; what is remembered still is, for as long as nobody says
/// otherwise.
async fn a_signed_in_person_is_let_through_without_a_question_to_the_database(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    rp.sign_in_with(&person, "ada", &[]).await;
    rp.authorize(&person, &pkce, &SILENT).await.code();
    for table in ["browsers", "sessions", "users", "consents", "clients"] {
        app.sql(&format!("ALTER TABLE {table} RENAME TO hidden_{table}")).await;
    }
    let page = rp.authorize(&person, &pkce, &SILENT).await;
    assert!(page.param("code").is_some(), "{page:?}");
    assert_eq!(rp.authorize(&app.person(), &pkce, &SILENT).await.param("error").as_deref(), Some("login_required"));
}

async fn a_consent_that_is_withdrawn_on_one_node_is_asked_for_on_another(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    rp.sign_in_with(&person, "ada", &[]).await;
    let mut node = app.second_node().await;
    let (there, moved) = (node.person(), rp.at(&node));
    there.takes_cookies_of(&person);
    moved.authorize(&there, &pkce, &SILENT).await.code();

    person.withdraw("web").await;
    rp.authorize(&person, &pkce, &SILENT).await.expect_redirect_error("consent_required");
    let asks = async || moved.authorize(&there, &pkce, &SILENT).await.param("error").is_some();
    eventually("the other node asks too", asks).await;
    moved.authorize(&there, &pkce, &SILENT).await.expect_redirect_error("consent_required");
    node.stop().await;
}

async fn a_session_that_is_ended_on_one_node_is_over_on_another(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    rp.sign_in_with(&person, "ada", &[]).await;
    let mut node = app.second_node().await;
    let (there, moved) = (node.person(), rp.at(&node));
    there.takes_cookies_of(&person);
    moved.authorize(&there, &pkce, &SILENT).await.code();

    person.sign_out().await;
    let over = async || moved.authorize(&there, &pkce, &SILENT).await.param("error").is_some();
    eventually("the other node has forgotten them", over).await;
    moved.authorize(&there, &pkce, &SILENT).await.expect_redirect_error("login_required");
    node.stop().await;
}

async fn a_cookie_that_was_replaced_on_one_node_is_nobodys_on_another(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    rp.sign_in_with(&person, "ada", &[]).await;
    let mut node = app.second_node().await;
    let (thief, moved) = (node.person(), rp.at(&node));
    thief.takes_cookies_of(&person);
    moved.authorize(&thief, &pkce, &SILENT).await.code();

    // The session goes on, under another cookie.
    app.advance(60);
    rp.code(&person, "ada", &pkce, &[("prompt", "login")]).await;
    let nobody = async || moved.authorize(&thief, &pkce, &SILENT).await.param("error").is_some();
    eventually("the old cookie names nobody", nobody).await;
    rp.authorize(&person, &pkce, &SILENT).await.code();
    node.stop().await;
}

async fn who_proves_themselves_again_on_one_node_did_so_on_another(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    rp.sign_in_with(&person, "ada", &[("scope", "openid")]).await;
    let mut node = app.second_node().await;
    let (there, moved) = (node.person(), rp.at(&node));
    there.takes_cookies_of(&person);
    moved.authorize(&there, &pkce, &[("prompt", "none"), ("scope", "openid")]).await.code();

    app.advance(60);
    let now = app.clock.now().secs();
    rp.code(&person, "ada", &pkce, &[("prompt", "login"), ("scope", "openid")]).await;
    there.takes_cookies_of(&person);
    let auth_time = async || {
        let page = moved.authorize(&there, &pkce, &[("prompt", "none"), ("scope", "openid")]).await;
        decode(moved.redeem(&page.code(), &pkce).await.expect_tokens().id_token()).1["auth_time"].clone()
    };
    eventually("the other node tells when", async || auth_time().await == json!(now)).await;
    // Whoever must know is told at once.
    let recent = [("prompt", "none"), ("scope", "openid"), ("max_age", "30")];
    moved.authorize(&there, &pkce, &recent).await.code();
    node.stop().await;
}

async fn a_consent_that_has_become_wider_is_noticed_everywhere(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    rp.sign_in_with(&person, "ada", &[("scope", "openid")]).await;
    let mut node = app.second_node().await;
    let (there, moved) = (node.person(), rp.at(&node));
    there.takes_cookies_of(&person);
    moved.authorize(&there, &pkce, &[("prompt", "none"), ("scope", "openid")]).await.code();
    let wider = [("prompt", "none"), ("scope", "openid profile")];
    moved.authorize(&there, &pkce, &wider).await.expect_redirect_error("consent_required");

    rp.code(&person, "ada", &pkce, &[("scope", "openid profile")]).await;
    moved.authorize(&there, &pkce, &wider).await.code();
    node.stop().await;
}

async fn a_code_from_what_was_remembered_is_not_redeemed_once_it_is_over(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    rp.sign_in_with(&person, "ada", &[]).await;
    // Behind everybody's back: no node can have heard of it.
    for (gone, back) in [
        ("UPDATE sessions SET ended_at = 1", "UPDATE sessions SET ended_at = NULL"),
        ("UPDATE users SET disabled_at = 1", "UPDATE users SET disabled_at = NULL"),
        ("UPDATE consents SET client_id = 'x'", "UPDATE consents SET client_id = 'web'"),
    ] {
        app.sql(gone).await;
        let code = rp.authorize(&person, &pkce, &SILENT).await.code();
        rp.redeem(&code, &pkce).await.expect_error("invalid_grant");
        app.sql(back).await;
        let code = rp.authorize(&person, &pkce, &SILENT).await.code();
        rp.redeem(&code, &pkce).await.expect_tokens();
    }
}

async fn a_key_that_is_taken_away_takes_its_tokens_along(app: TestApp) {
    let rp = app.client("web").create().await;
    let tokens = rp.client_credentials("").await.expect_tokens();
    app.introspect(tokens.access_token()).await.expect_active();
    app.introspect(tokens.access_token()).await.expect_active();

    app.sql("DELETE FROM signing_keys WHERE algorithm = 'ES256'").await;
    let at = app.clock.now();
    let until = at.plus(Duration::from_secs(3_900));
    app.sql(&format!(
        "INSERT INTO changes (kind, id, at, expires_at) VALUES ('keys_changed', '', {}, {})",
        at.micros(),
        until.micros()
    ))
    .await;
    let refused = async || app.introspect(tokens.access_token()).await.json()["active"] == json!(false);
    eventually("its tokens are worth nothing", refused).await;
}
