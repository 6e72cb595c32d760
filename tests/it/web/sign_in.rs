//! The sign-in form: who gets in, and what everybody else is told (ASVS V6).

use grantor::types::Clock as _;

use crate::each_database;
use crate::support::app::PASSWORD;
use crate::support::{Page, TestApp};

each_database!(
    whoever_cannot_sign_in_is_told_the_same,
    the_user_name_or_the_e_mail_address_will_do_in_any_case,
    the_password_is_verified_exactly_as_typed,
    what_was_typed_comes_back_as_text_and_the_password_not_at_all,
    more_sign_ins_than_there_is_room_for_are_told_to_come_back,
    an_outdated_hash_is_made_anew_when_its_user_signs_in,
    the_page_of_who_must_prove_themselves_again_keeps_their_name,
    somebody_else_may_sign_in_where_the_last_one_is_asked_again,
    who_is_signed_in_already_is_not_asked,
);

/// A page without what is new each time.
fn plain(page: &Page, username: &str) -> (u16, String) {
    let body = page.without_secrets().replace(username, "NAME");
    (page.status.as_u16(), body)
}

async fn whoever_cannot_sign_in_is_told_the_same(app: TestApp) {
    app.user("ada").await;
    let bob = app.user("bob").await;
    app.disable_user(bob).await;
    let eve = app.user("eve").await;
    let mut tx = app.store.begin().await.unwrap();
    tx.delete_user(eve, app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();

    let attempt = async |username: &str, password: &str| {
        let person = app.person();
        let page = person.get("/sign-in").await;
        let page = person.sign_in(&page, username, password).await;
        assert!(!person.is_signed_in().await, "{username}");
        plain(&page, username)
    };
    // ASVS 6.3.8
    let wrong = attempt("ada", "not her password").await;
    assert_eq!(wrong.0, 422);
    assert!(wrong.1.contains("is not right") && wrong.1.contains("role=\"alert\""), "{}", wrong.1);
    for (username, password) in [
        ("nobody", PASSWORD),
        ("nobody@example.org", PASSWORD),
        ("bob", PASSWORD),
        ("bob", "not his password"),
        ("eve", PASSWORD),
        ("ada ", PASSWORD),
    ] {
        assert_eq!(attempt(username, password).await, wrong, "{username}");
    }
}

async fn the_user_name_or_the_e_mail_address_will_do_in_any_case(app: TestApp) {
    app.user_with("Zoë", |user| user.email = Some("Zoe@Example.org".into())).await;
    for login in ["Zoë", "zoë", "ZOË", "Zoe@Example.org", "zoe@example.ORG"] {
        let person = app.person();
        let account = person.sign_in_to_account(login).await;
        assert!(account.url.ends_with("/account"), "{login}: {account:?}");
        assert!(account.body.contains("Zoë"), "{login}");
    }
}

async fn the_password_is_verified_exactly_as_typed(app: TestApp) {
    use grantor::crypto::SystemRandom;

    let typed = "  Two spaces, Ünïcode and 50% + & \u{1f511} ";
    let ada = app.user("ada").await;
    let hashing = grantor::app::password_hashing(&app.config).unwrap();
    let hash = hashing.hash(typed.into(), &SystemRandom::new()).await.ok().unwrap();
    let mut tx = app.store.begin().await.unwrap();
    tx.set_password(ada, &hash, app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();

    let attempt = async |password: &str| {
        let person = app.person();
        let page = person.get("/sign-in").await;
        person.sign_in(&page, "ada", password).await.status.as_u16()
    };
    assert_eq!(attempt(typed).await, 200);
    // ASVS 6.2.8: no trimming, no case folding, no truncation.
    for other in [typed.trim(), typed.trim_end(), &typed.to_lowercase(), &format!("{typed}x"), &typed[..20], ""] {
        assert_eq!(attempt(other).await, 422, "{other:?}");
    }
}

async fn what_was_typed_comes_back_as_text_and_the_password_not_at_all(app: TestApp) {
    let person = app.person();
    let page = person.get("/sign-in").await;
    let name = "\"><script>alert(1)</script>&amp;'";
    let page = person.sign_in(&page, name, "hunter2-hunter2").await;
    assert_eq!(page.username(), name);
    assert!(!page.body.contains("<script>"), "{}", page.body);
    assert!(!page.body.contains("hunter2"), "{}", page.body);
    // ASVS 6.2.6, 6.2.7
    let field = page.body.split("<input").find(|input| input.contains("name=\"password\"")).unwrap();
    assert!(field.contains("type=\"password\"") && field.contains("autocomplete=\"current-password\""), "{field}");
    assert!(!field.contains("value="), "{field}");
}

async fn more_sign_ins_than_there_is_room_for_are_told_to_come_back(mut app: TestApp) {
    let rp = app.client("web").create().await;
    let tokens = rp.client_credentials("notes:read").await.expect_tokens();
    // One place, and work enough in it that the others find it taken.
    app.config.password.workers = 1;
    app.config.password.queue = 0;
    app.config.password.memory_kib = 64 * 1024;
    app.config.password.iterations = 8;
    let node = app.second_node().await;

    let mut attempts = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let person = node.person();
        let page = person.get("/sign-in").await;
        attempts.spawn(async move { person.sign_in(&page, "nobody", "whatever it is").await });
    }
    let mut busy = 0;
    while let Some(page) = attempts.join_next().await {
        let page = page.unwrap();
        if page.status != 422 {
            page.expect_error_page(503);
            assert_eq!(page.header("retry-after"), Some("2"));
            busy += 1;
        }
    }
    assert!((1..8).contains(&busy), "{busy} of 8 were sent away");
    // The hashing threads are theirs alone.
    crate::support::Party::existing(&node, "web", crate::support::party::SECRET)
        .introspect(tokens.access_token())
        .await
        .expect_active();
}

async fn an_outdated_hash_is_made_anew_when_its_user_signs_in(mut app: TestApp) {
    app.user("ada").await;
    let hash = async |app: &TestApp| app.store.credentials("ada").await.unwrap().unwrap().password_hash.unwrap();
    let old = hash(&app).await;
    assert!(old.starts_with("$argon2id$v=19$m=64,"), "{old}");
    app.config.password.memory_kib = 128;
    let node = app.second_node().await;

    let person = node.person();
    let page = person.get("/sign-in").await;
    person.sign_in(&page, "ada", "not her password").await;
    assert_eq!(hash(&app).await, old, "only the right password makes another");

    person.sign_in_to_account("ada").await;
    assert!(person.is_signed_in().await);
    let new = hash(&app).await;
    assert!(new.starts_with("$argon2id$v=19$m=128,"), "{new}");
    let again = node.person();
    again.sign_in_to_account("ada").await;
    assert!(again.is_signed_in().await && person.is_signed_in().await);
    assert_eq!(hash(&app).await, new);
}

async fn the_page_of_who_must_prove_themselves_again_keeps_their_name(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let page = rp.authorize(&person, &crate::support::Pkce::new(), &[("prompt", "login")]).await;
    assert_eq!(page.username(), "ada");
    assert!(page.body.contains(" readonly"), "{}", page.body);
    let page = person.sign_in(&page, "ada", "not her password").await;
    assert_eq!((page.status.as_u16(), page.username()), (422, "ada".to_owned()));
    assert!(page.body.contains(" readonly"), "{}", page.body);
    assert!(page.body.contains("switch=1"), "it leaves a way for somebody else");
    assert!(person.sign_in(&page, "ada", PASSWORD).await.asks_for_consent());
}

async fn somebody_else_may_sign_in_where_the_last_one_is_asked_again(app: TestApp) {
    app.user("ada").await;
    app.user("bob").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let page = rp.authorize(&person, &crate::support::Pkce::new(), &[("prompt", "login")]).await;
    let page = person.get(&format!("/sign-in?request={}&switch=1", page.hidden("request"))).await;
    assert!(!page.body.contains(" readonly"), "{}", page.body);
    let page = person.sign_in(&page, "bob", PASSWORD).await;
    assert!(page.asks_for_consent() && page.body.contains("<strong>bob</strong>"), "{page:?}");
}

async fn who_is_signed_in_already_is_not_asked(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    assert!(person.get("/sign-in").await.url.ends_with("/account"));
    assert!(person.get("/").await.url.ends_with("/account"));
    assert!(app.person().get("/").await.asks_to_sign_in());
}
