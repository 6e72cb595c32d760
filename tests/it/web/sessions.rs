//! How a session is renewed, replaced and ended (ASVS V7).

use std::time::Duration;

use grantor::types::Clock as _;

use crate::each_database;
use crate::support::app::{PASSWORD, eventually};
use crate::support::party::decode;
use crate::support::{Pkce, TestApp};

each_database!(
    the_same_person_again_keeps_the_session_with_a_new_authentication,
    where_one_account_is_all_another_person_ends_the_session_of_the_first,
    a_session_ends_when_nobody_uses_it,
    using_the_account_page_is_use,
    a_session_ends_in_any_case,
    whoever_asks_to_stay_signed_in_does,
    a_disabled_user_is_signed_out_at_once,
    a_new_password_ends_what_the_old_one_opened,
);

const HOUR: Duration = Duration::from_secs(3_600);

async fn the_same_person_again_keeps_the_session_with_a_new_authentication(app: TestApp) {
    let ada = app.user("ada").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    let first = rp.sign_in_with(&person, "ada", &[("scope", "openid")]).await;
    app.clock.advance(HOUR);
    // OpenID Connect Core §3.1.2.1
    let second = rp.sign_in_with(&person, "ada", &[("scope", "openid"), ("prompt", "login")]).await;

    let (before, after) = (decode(first.id_token()).1, decode(second.id_token()).1);
    assert_eq!(before["sid"], after["sid"]);
    assert_eq!(before["auth_time"].as_i64().unwrap() + 3_600, after["auth_time"].as_i64().unwrap());
    assert_eq!(app.store.sessions_of(ada, app.clock.now()).await.unwrap().len(), 1);
    app.introspect(second.access_token()).await.expect_active();
}

async fn where_one_account_is_all_another_person_ends_the_session_of_the_first(app: TestApp) {
    let app = app.another("[session]\naccounts_per_browser = 1\n").await;
    let ada = app.user("ada").await;
    app.user("bob").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    let bound = rp.sign_in_with(&person, "ada", &[("scope", "openid")]).await;
    let offline = rp.sign_in_with(&person, "ada", &[]).await;

    let page = rp.authorize(&person, &Pkce::new(), &[("prompt", "select_account")]).await;
    let page = person.choose_account(&page, None).await;
    let page = person.sign_in(&page, "bob", PASSWORD).await;
    assert!(page.asks_for_consent(), "{page:?}");
    assert!(page.body.contains("<strong>bob</strong>"), "{}", page.body);

    assert!(app.store.sessions_of(ada, app.clock.now()).await.unwrap().is_empty());
    app.introspect(bound.access_token()).await.expect_inactive();
    // OIDC Back-Channel Logout §2.7: offline_access goes on.
    rp.refresh(&offline).await.expect_tokens();
}

async fn a_session_ends_when_nobody_uses_it(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    rp.sign_in_with(&person, "ada", &[]).await;
    let pkce = Pkce::new();
    for _ in 0..3 {
        // ASVS 7.3.1: 24 hours by default, counted from the last use.
        app.clock.advance(23 * HOUR);
        rp.authorize(&person, &pkce, &[("prompt", "none")]).await.code();
    }
    app.clock.advance(24 * HOUR);
    rp.authorize(&person, &pkce, &[("prompt", "none")]).await.expect_redirect_error("login_required");
    assert!(!person.is_signed_in().await);
}

async fn using_the_account_page_is_use(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    for _ in 0..3 {
        app.clock.advance(23 * HOUR);
        assert!(person.is_signed_in().await);
        // Nobody waits for it to be written, but a clock that jumps.
        let marked = format!("sessions WHERE seen_at = {}", app.clock.now().micros());
        eventually("its use is written down", async || app.count(&marked).await == 1).await;
    }
    app.clock.advance(24 * HOUR);
    assert!(!person.is_signed_in().await);
}

async fn a_session_ends_in_any_case(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    let started_at = app.clock.now();
    let tokens = rp.sign_in_with(&person, "ada", &[("scope", "openid")]).await;
    let pkce = Pkce::new();
    // ASVS 7.3.2: 14 days by default, however busy.
    let end = 14 * 24 * HOUR;
    while app.clock.now().plus(20 * HOUR).since(started_at) < end {
        app.clock.advance(20 * HOUR);
        rp.authorize(&person, &pkce, &[("prompt", "none"), ("scope", "openid")]).await.code();
    }
    app.clock.advance(20 * HOUR);
    rp.authorize(&person, &pkce, &[("prompt", "none")]).await.expect_redirect_error("login_required");
    assert!(!person.is_signed_in().await);
    app.introspect(tokens.access_token()).await.expect_inactive();
}

async fn a_disabled_user_is_signed_out_at_once(app: TestApp) {
    let ada = app.user("ada").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    let consent = rp.authorize(&person, &Pkce::new(), &[("prompt", "consent")]).await;

    app.disable_user(ada).await;
    // ASVS 7.4.2
    assert!(!person.is_signed_in().await);
    assert!(person.decide(&consent, "allow").await.asks_to_sign_in(), "a page of before leads nowhere");
    app.introspect(tokens.access_token()).await.expect_inactive();
    rp.refresh(&tokens).await.expect_error("invalid_grant");
}

async fn a_new_password_ends_what_the_old_one_opened(app: TestApp) {
    let ada = app.user("ada").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    app.clock.advance(Duration::from_secs(1));
    let hash = app.store.credentials("ada").await.unwrap().unwrap().password_hash.unwrap();
    let mut tx = app.store.begin().await.unwrap();
    tx.set_password(ada, &hash, app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    assert!(!person.is_signed_in().await);
    app.introspect(tokens.access_token()).await.expect_inactive();
}

async fn whoever_asks_to_stay_signed_in_does(app: TestApp) {
    const DAY: Duration = Duration::from_secs(86_400);
    let app = app.another("[session]\nremembered_lifetime = \"90d\"\n").await;
    app.user("ada").await;
    let sign_in = async |password: &str, remember: &[(&str, &str)]| {
        let person = app.person();
        let page = person.get("/sign-in").await;
        let csrf = page.hidden("csrf");
        let fields = [&[("csrf", &*csrf), ("username", "ada"), ("password", password)][..], remember].concat();
        let page = person.post("/sign-in", &fields).await;
        (person, page)
    };
    let (forgotten, _) = sign_in(PASSWORD, &[]).await;
    let (remembered, _) = sign_in(PASSWORD, &[("remember", "yes")]).await;
    // What was wished for stays, when the password was wrong.
    let (_, page) = sign_in("wrong", &[("remember", "yes")]).await;
    assert!(page.body.contains("name=\"remember\" value=\"yes\" checked"), "{}", page.body);
    app.clock.advance(2 * DAY);
    assert!(!forgotten.is_signed_in().await && remembered.is_signed_in().await);
    app.clock.advance(87 * DAY);
    app.sweep().await;
    assert!(remembered.is_signed_in().await);
    // ASVS 7.3.2: not for ever, however often it is used.
    app.clock.advance(DAY + Duration::from_secs(1));
    assert!(!remembered.is_signed_in().await);

    // A second step is remembered with the first.
    let (person, _) = sign_in(PASSWORD, &[]).await;
    let (telephone, _) = person.sets_up_an_app(&app).await;
    app.clock.advance(crate::web::second_factor::STEP);
    let (person, page) = sign_in(PASSWORD, &[("remember", "yes")]).await;
    person.enter(&page, &telephone.code(&app)).await;
    app.clock.advance(30 * DAY);
    assert!(person.is_signed_in().await);
    // Where nobody can ask, nothing is asked.
    let off = app.another("").await;
    off.user("ada").await;
    let person = off.person();
    let page = person.get("/sign-in").await;
    assert!(!page.body.contains("remember"), "{}", page.body);
    let csrf = page.hidden("csrf");
    let fields = [("csrf", &*csrf), ("username", "ada"), ("password", PASSWORD), ("remember", "yes")];
    person.post("/sign-in", &fields).await;
    off.clock.advance(2 * DAY);
    assert!(!person.is_signed_in().await);
}
