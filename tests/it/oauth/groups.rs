//! Groups: what tokens tell of them, and scopes that are for their members alone.

use grantor::store::Stored;
use grantor::types::{Clock, Group, GroupName, UserId};
use serde_json::{Value, json};

use crate::each_engine;
use crate::support::app::PASSWORD;
use crate::support::behind::at_once;
use crate::support::party::decode;
use crate::support::{Engine, Party, Pkce, TestApp};

each_engine!(
    groups_and_their_roles_are_told_beside_what_was_set,
    a_scope_for_a_group_is_left_out_for_whoever_is_not_in_it,
    nothing_left_is_access_denied,
    who_leaves_has_it_no_more,
    of_many_refreshes_while_somebody_leaves_no_token_keeps_the_scope,
    a_token_that_was_made_while_somebody_left_ends,
    a_device_gets_what_its_person_may_have,
    a_client_by_itself_is_in_no_group,
    who_is_told_of_some_groups_is_told_of_no_other,
);

const GUARDED: &str = "[scopes.\"admin:write\"]\ntitle = \"Change everything\"\ngroups = [\"admins\", \"owners\"]\n";

fn name(text: &str) -> GroupName {
    text.parse().expect("a name of a group")
}

/// A server where `admin:write` is for two groups, and ada.
async fn place(engine: Engine) -> (TestApp, UserId) {
    let app = TestApp::with(engine, GUARDED).await;
    for (group, roles) in [("admins", vec!["operator", "auditor"]), ("staff", vec!["reader", "auditor"])] {
        let now = app.clock.now();
        let roles = roles.into_iter().map(str::to_owned).collect();
        let group = Group { name: name(group), description: None, roles, created_at: now, updated_at: now };
        assert_eq!(app.change(async |tx| tx.insert_group(&group).await).await, Stored::Stored);
    }
    let ada = app.user("ada").await;
    (app, ada)
}

async fn web(app: &TestApp) -> Party<'_> {
    app.client("web").scope("openid offline_access groups roles notes:read admin:write").create().await
}

async fn join(app: &TestApp, group: &str, user: UserId) {
    let now = app.clock.now();
    assert_eq!(app.change(async |tx| tx.join_group(&name(group), user, now).await).await, Stored::Stored);
}

async fn leave(app: &TestApp, group: &str, user: UserId) {
    let now = app.clock.now();
    assert_eq!(app.change(async |tx| tx.leave_group(&name(group), user, now).await).await, Stored::Stored);
    app.store.end_tokens_of(&[user]).await.expect("the store answers");
}

fn scope_of(token: &str) -> Value {
    decode(token).1["scope"].clone()
}

async fn groups_and_their_roles_are_told_beside_what_was_set(engine: Engine) {
    let (app, ada) = place(engine).await;
    join(&app, "staff", ada).await;
    join(&app, "admins", ada).await;
    let mut user = app.store.user(ada).await.unwrap().expect("she is there");
    user.claims.insert("groups".to_owned(), json!(["elsewhere", "staff"]));
    user.claims.insert("roles".to_owned(), json!(["founder"]));
    app.change(async |tx| tx.update_user(&user, app.clock.now()).await).await;
    let rp = web(&app).await;
    let tokens = rp.sign_in_with(&app.person(), "ada", &[("scope", "openid groups roles")]).await;
    let (groups, roles) =
        (json!(["elsewhere", "staff", "admins"]), json!(["founder", "auditor", "operator", "reader"]));
    for told in [
        decode(tokens.access_token()).1,
        app.introspect(tokens.access_token()).await.expect_active(),
        rp.userinfo(tokens.access_token()).await.json(),
    ] {
        assert_eq!((&told["groups"], &told["roles"]), (&groups, &roles));
    }
    let asked = [("claims", r#"{"id_token":{"groups":null}}"#), ("scope", "openid")];
    let tokens = rp.sign_in_with(&app.person(), "ada", &asked).await;
    assert_eq!(decode(tokens.id_token()).1["groups"], groups);
    // Who is in none is told of none.
    app.user("bob").await;
    let tokens = rp.sign_in_with(&app.person(), "bob", &[("scope", "openid groups roles")]).await;
    assert_eq!(decode(tokens.access_token()).1.get("groups"), None);
    assert_eq!(rp.userinfo(tokens.access_token()).await.json().get("roles"), None);
}

async fn a_scope_for_a_group_is_left_out_for_whoever_is_not_in_it(engine: Engine) {
    let (app, ada) = place(engine).await;
    let rp = web(&app).await;
    // What a claim says opens nothing.
    app.user_with("bob", |user| {
        user.claims.insert("groups".to_owned(), json!(["admins"]));
    })
    .await;
    let bob = app.store.user_by_login("bob").await.unwrap().expect("he is there").id;
    join(&app, "staff", bob).await;
    join(&app, "admins", ada).await;
    let asked = [("scope", "openid offline_access notes:read admin:write")];
    for (username, given, page_has) in [
        ("ada", "admin:write notes:read offline_access openid", true),
        ("bob", "notes:read offline_access openid", false),
    ] {
        let (person, pkce) = (app.person(), Pkce::new());
        let page = rp.authorize(&person, &pkce, &asked).await;
        let page = person.sign_in(&page, username, PASSWORD).await;
        assert!(page.asks_for_consent(), "{page:?}");
        assert_eq!(page.body.contains("Change everything"), page_has, "{username}");
        let code = person.decide(&page, "allow").await.code();
        let tokens = rp.redeem(&code, &pkce).await.expect_tokens();
        // RFC 6749 §3.3: "the authorization server MUST include the scope response parameter".
        assert_eq!(tokens.scope(), given, "{username}");
        assert_eq!(scope_of(tokens.access_token()), given);
        let next = rp.refresh(&tokens).await.expect_tokens();
        assert_eq!(next.scope(), given);
        // What was allowed is remembered: nobody is asked twice.
        assert!(!rp.authorize(&person, &pkce, &asked).await.asks_for_consent(), "{username}");
    }
}

async fn nothing_left_is_access_denied(engine: Engine) {
    let (app, ada) = place(engine).await;
    let rp = web(&app).await;
    let (person, pkce) = (app.person(), Pkce::new());
    let page = rp.authorize(&person, &pkce, &[("scope", "admin:write")]).await;
    person.sign_in(&page, "ada", PASSWORD).await.expect_redirect_error("access_denied");
    for prompt in ["none", "consent"] {
        let page = rp.authorize(&person, &pkce, &[("scope", "admin:write"), ("prompt", prompt)]).await;
        page.expect_redirect_error("access_denied");
    }
    assert_eq!(app.count("grants").await, 0);
    join(&app, "admins", ada).await;
    let page = rp.authorize(&person, &pkce, &[("scope", "admin:write")]).await;
    assert!(page.asks_for_consent() && page.body.contains("Change everything"), "{page:?}");
    // While she reads the page she leaves: there is nothing to allow any more.
    leave(&app, "admins", ada).await;
    person.decide(&page, "allow").await.expect_redirect_error("access_denied");
    assert_eq!(app.count("grants").await, 0);
}

async fn who_leaves_has_it_no_more(engine: Engine) {
    let (app, ada) = place(engine).await;
    let other = app.second_node().await;
    let rp = web(&app).await;
    join(&app, "admins", ada).await;
    let asked = [("scope", "openid offline_access groups admin:write")];
    let (person, pkce) = (app.person(), Pkce::new());
    let waiting = rp.code(&person, "ada", &pkce, &asked).await;
    let tokens = rp.sign_in_with(&app.person(), "ada", &asked).await;
    app.introspect(tokens.access_token()).await.expect_active();

    leave(&app, "admins", ada).await;
    app.introspect(tokens.access_token()).await.expect_inactive();
    rp.userinfo(tokens.access_token()).await.expect_status(401);
    // The other node has it from the feed.
    other.store.read_changes().await.unwrap();
    rp.at(&other).introspect(tokens.access_token()).await.expect_inactive();

    app.advance(1);
    let less = "groups offline_access openid";
    let redeemed = rp.redeem(&waiting, &pkce).await.expect_tokens();
    let refreshed = rp.refresh(&tokens).await.expect_tokens();
    for tokens in [&redeemed, &refreshed] {
        assert_eq!((tokens.scope(), decode(tokens.access_token()).1.get("groups")), (less, None));
        app.introspect(tokens.access_token()).await.expect_active();
    }
    // Whoever is put in again has it again.
    join(&app, "admins", ada).await;
    assert!(rp.refresh(&refreshed).await.expect_tokens().scope().contains("admin:write"));
    // With the group, everybody has left it.
    let last = rp.refresh(&redeemed).await.expect_tokens();
    let now = app.clock.now();
    let gone = app.change(async |tx| tx.delete_group(&name("admins"), now).await).await;
    assert_eq!(gone, Some(vec![ada]));
    app.introspect(last.access_token()).await.expect_inactive();
    app.advance(1);
    assert_eq!(rp.refresh(&last).await.expect_tokens().scope(), less);
}

async fn of_many_refreshes_while_somebody_leaves_no_token_keeps_the_scope(engine: Engine) {
    let (app, ada) = place(engine).await;
    let rp = web(&app).await;
    join(&app, "admins", ada).await;
    let mut grants = Vec::new();
    for _ in 0..6 {
        grants.push(rp.sign_in_with(&app.person(), "ada", &[("scope", "offline_access admin:write notes:read")]).await);
    }
    let refreshes = at_once(grants.iter().map(|tokens| rp.refresh(tokens)));
    let (refreshed, ()) = tokio::join!(refreshes, leave(&app, "admins", ada));
    let refreshed: Vec<_> = refreshed.into_iter().map(|answer| answer.expect_tokens()).collect();
    for tokens in &refreshed {
        if tokens.scope().contains("admin:write") {
            app.introspect(tokens.access_token()).await.expect_inactive();
        }
    }
    app.advance(1);
    for tokens in &refreshed {
        let next = rp.refresh(tokens).await.expect_tokens();
        assert_eq!(next.scope(), "notes:read offline_access");
        app.introspect(next.access_token()).await.expect_active();
    }
}

/// SQLite has one writer at a time: there nobody refreshes in the meantime.
async fn a_token_that_was_made_while_somebody_left_ends(engine: Engine) {
    let (app, ada) = place(engine).await;
    let rp = web(&app).await;
    join(&app, "admins", ada).await;
    let tokens = rp.sign_in_with(&app.person(), "ada", &[("scope", "offline_access admin:write")]).await;
    let mut tx = app.store.begin().await.unwrap();
    tx.leave_group(&name("admins"), ada, app.clock.now()).await.unwrap();
    app.advance(1);
    let made = match engine {
        Engine::Postgres => rp.refresh(&tokens).await.expect_tokens(),
        Engine::Sqlite => tokens,
    };
    assert!(made.scope().contains("admin:write"));
    tx.commit().await.unwrap();
    app.store.end_tokens_of(&[ada]).await.unwrap();
    app.introspect(made.access_token()).await.expect_inactive();
}

async fn a_device_gets_what_its_person_may_have(engine: Engine) {
    let (app, ada) = place(engine).await;
    let tv = app.client("tv").on_a_device().scope("notes:read admin:write").create().await;
    let waiting = tv.begin("notes:read admin:write").await;
    let person = app.person();
    let page = person.enter_code("ada", &waiting.user_code).await;
    assert!(page.asks_about_a_device() && !page.body.contains("Change everything"), "{page:?}");
    person.answer_for_device(&page, "allow").await;
    assert_eq!(tv.poll(&waiting).await.expect_tokens().scope(), "notes:read");
    // Nothing is left.
    let waiting = tv.begin("admin:write").await;
    let page = person.enter_code("ada", &waiting.user_code).await;
    let done = person.answer_for_device(&page, "allow").await;
    assert!(done.body.contains("Nothing was connected"), "{done:?}");
    tv.poll(&waiting).await.expect_error("access_denied");
    join(&app, "admins", ada).await;
    let waiting = tv.begin("admin:write").await;
    let page = person.enter_code("ada", &waiting.user_code).await;
    assert!(page.body.contains("Change everything"), "{page:?}");
    person.answer_for_device(&page, "allow").await;
    assert_eq!(tv.poll(&waiting).await.expect_tokens().scope(), "admin:write");
}

async fn a_client_by_itself_is_in_no_group(engine: Engine) {
    let (app, _) = place(engine).await;
    let rp = web(&app).await;
    rp.client_credentials("admin:write").await.expect_error("invalid_scope");
    assert_eq!(rp.client_credentials("notes:read admin:write").await.expect_tokens().scope(), "notes:read");
}

async fn who_is_told_of_some_groups_is_told_of_no_other(engine: Engine) {
    const NOTES: &str = "https://notes.example/";
    let app = TestApp::with(
        engine,
        "[groups.web]\nprefixes = [\"web-\", \"notes-\"]\n[groups.\"https://notes.example/\"]\nprefixes = [\"notes-\"]\n",
    )
    .await;
    let ada = app
        .user_with("ada", |user| {
            user.claims.insert("groups".to_owned(), json!(["web-set", "set"]));
        })
        .await;
    let now = app.clock.now();
    for group in ["web-team", "notes-team", "mail-team"] {
        let group = Group { name: name(group), description: None, roles: Vec::new(), created_at: now, updated_at: now };
        app.change(async |tx| tx.insert_group(&group).await).await;
        join(&app, group.name.as_str(), ada).await;
    }
    app.change(async |tx| tx.insert_resource(&super::resources::resource(&app, NOTES, "notes:read")).await).await;
    let scope = "openid groups notes:read";
    let (web, other) = (app.client("web").scope(scope).create().await, app.client("other").scope(scope).create().await);
    let all = json!(["web-set", "set", "mail-team", "notes-team", "web-team"]);
    let of_web = json!(["web-set", "notes-team", "web-team"]);
    for (rp, told) in [(&web, &of_web), (&other, &all)] {
        let person = app.person();
        let page = rp.authorize(&person, &Pkce::new(), &[("scope", "openid groups")]).await;
        let page = person.sign_in(&page, "ada", PASSWORD).await;
        assert!(page.asks_for_consent(), "{page:?}");
        assert_eq!(page.body.contains("mail-team"), told == &all);
        let asked = [("scope", "openid groups"), ("claims", r#"{"id_token":{"groups":null}}"#)];
        let tokens = rp.sign_in_with(&app.person(), "ada", &asked).await;
        let access = decode(tokens.access_token()).1;
        for claims in [access, decode(tokens.id_token()).1, rp.userinfo(tokens.access_token()).await.json()] {
            assert_eq!(claims["groups"], *told);
        }
        let asked = [("scope", "groups notes:read"), ("resource", NOTES)];
        let tokens = rp.sign_in_with(&app.person(), "ada", &asked).await;
        assert_eq!(decode(tokens.access_token()).1["groups"], json!(["notes-team"]));
    }
}
