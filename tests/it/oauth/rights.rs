//! What an API decides by: `groups`, `roles` and `entitlements` (RFC 9068 §2.2.3.1).

use grantor::types::Clock;
use serde_json::{Value, json};

use crate::each_database;
use crate::support::app::PASSWORD;
use crate::support::party::decode;
use crate::support::{Party, Pkce, TestApp};

each_database!(
    a_token_tells_the_rights_whose_scopes_were_granted,
    without_the_scope_nothing_is_told,
    a_token_for_a_resource_tells_what_belongs_there,
    what_has_changed_is_told_by_the_next_token,
    the_person_is_asked_before_they_are_told,
    who_does_not_ask_for_rights_costs_no_look_at_the_user,
);

const RIGHTS: [&str; 3] = ["groups", "roles", "entitlements"];

/// Ada is in two groups and has a role; of entitlements nothing is known.
async fn place(app: &TestApp) -> Party<'_> {
    let user = app.user_with("ada", |user| {
        user.claims.insert("groups".to_owned(), json!(["staff", "editors"]));
        user.claims.insert("roles".to_owned(), json!(["admin"]));
    });
    user.await;
    app.client("web").scope("openid offline_access groups roles entitlements notes:read").create().await
}

/// What a token says of them.
fn told(claims: &Value) -> [Option<&Value>; 3] {
    RIGHTS.map(|name| claims.get(name))
}

async fn a_token_tells_the_rights_whose_scopes_were_granted(app: TestApp) {
    let rp = place(&app).await;
    let (groups, roles) = (json!(["staff", "editors"]), json!(["admin"]));
    for (scope, expected) in [
        ("openid groups", [Some(&groups), None, None]),
        ("openid roles", [None, Some(&roles), None]),
        // What is not known is left out.
        ("openid groups roles entitlements offline_access", [Some(&groups), Some(&roles), None]),
    ] {
        let tokens = rp.sign_in_with(&app.person(), "ada", &[("scope", scope)]).await;
        assert_eq!(told(&decode(tokens.access_token()).1), expected, "{scope}");
        // RFC 7662 §2.2: an API that asks instead of reading is told the same.
        assert_eq!(told(&app.introspect(tokens.access_token()).await.expect_active()), expected, "{scope}");
        assert_eq!(told(&rp.userinfo(tokens.access_token()).await.json()), expected, "{scope}");
        // OpenID Connect Core §5.4: what the scopes ask for is at UserInfo.
        assert_eq!(told(&decode(tokens.id_token()).1), [None; 3], "{scope}");
    }
    let tokens = rp.sign_in_with(&app.person(), "ada", &[("scope", "roles")]).await;
    assert_eq!(told(&decode(tokens.access_token()).1), [None, Some(&roles), None], "without openid");
}

async fn without_the_scope_nothing_is_told(app: TestApp) {
    let rp = place(&app).await;
    let plain = rp.sign_in_with(&app.person(), "ada", &[("scope", "openid offline_access")]).await;
    // A refresh does not get what was not granted.
    rp.refresh_with(plain.refresh_token(), &[("scope", "openid groups")]).await.expect_error("invalid_scope");
    let refreshed = rp.refresh(&plain).await.expect_tokens();
    for tokens in [&plain, &refreshed] {
        assert_eq!(told(&decode(tokens.access_token()).1), [None; 3]);
        assert_eq!(told(&rp.userinfo(tokens.access_token()).await.json()), [None; 3]);
    }
    // A client has no rights of somebody, and one that is not registered for them may not ask.
    let own = rp.client_credentials("groups roles").await.expect_tokens();
    assert_eq!(told(&decode(own.access_token()).1), [None; 3]);
    let other = app.client("other").scope("openid notes:read").create().await;
    let page = other.authorize(&app.person(), &Pkce::new(), &[("scope", "openid groups")]).await;
    page.expect_redirect_error("invalid_scope");

    // ASVS 10.4.11: what a client is not registered for any more is in no new token.
    let both = rp.sign_in_with(&app.person(), "ada", &[("scope", "groups roles offline_access")]).await;
    app.reregister("web", |client| client.scope = client.scope.without("groups")).await;
    let less = rp.refresh(&both).await.expect_tokens();
    assert_eq!(told(&decode(less.access_token()).1), [None, Some(&json!(["admin"])), None]);
}

async fn a_token_for_a_resource_tells_what_belongs_there(app: TestApp) {
    let rp = place(&app).await;
    for (uri, scope) in [("https://notes.example/", "groups"), ("https://mail.example/", "notes:read")] {
        let mut tx = app.store.begin().await.unwrap();
        tx.insert_resource(&super::resources::resource(&app, uri, scope)).await.unwrap();
        tx.commit().await.unwrap();
    }
    let (groups, roles) = (json!(["staff", "editors"]), json!(["admin"]));
    for (resource, expected) in [
        ("https://notes.example/", [Some(&groups), Some(&roles), None]),
        // The scope groups is another API's business.
        ("https://mail.example/", [None, Some(&roles), None]),
    ] {
        let asked = [("scope", "groups roles"), ("resource", resource)];
        let tokens = rp.sign_in_with(&app.person(), "ada", &asked).await;
        assert_eq!(told(&decode(tokens.access_token()).1), expected, "{resource}");
    }
}

async fn what_has_changed_is_told_by_the_next_token(app: TestApp) {
    let rp = place(&app).await;
    let first = rp.sign_in_with(&app.person(), "ada", &[("scope", "openid offline_access groups")]).await;
    let mut ada = app.store.user_by_login("ada").await.unwrap().expect("she is there");
    ada.claims.insert("groups".to_owned(), json!(["guests"]));
    app.change(async |tx| tx.update_user(&ada, app.clock.now()).await).await;
    let next = rp.refresh(&first).await.expect_tokens();
    assert_eq!(decode(first.access_token()).1["groups"], json!(["staff", "editors"]));
    assert_eq!(decode(next.access_token()).1["groups"], json!(["guests"]));
    ada.claims.remove("groups");
    ada.updated_at = app.store.user(ada.id).await.unwrap().expect("she is there").updated_at;
    app.change(async |tx| tx.update_user(&ada, app.clock.now()).await).await;
    let last = rp.refresh(&next).await.expect_tokens();
    assert_eq!(told(&decode(last.access_token()).1), [None; 3]);
}

async fn the_person_is_asked_before_they_are_told(app: TestApp) {
    let rp = place(&app).await;
    let (person, pkce) = (app.person(), Pkce::new());
    let page = rp.authorize(&person, &pkce, &[("scope", "openid groups roles entitlements")]).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    assert!(page.asks_for_consent(), "{page:?}");
    for words in ["which groups you belong to", "staff, editors", "which roles you have", "what you are entitled to"] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    // OpenID Connect Core §5.5: by name, and in the ID token.
    let person = app.person();
    let asked = [("claims", r#"{"id_token":{"groups":null}}"#), ("scope", "openid")];
    let page = rp.authorize(&person, &pkce, &asked).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    assert!(page.asks_for_consent() && page.body.contains("staff, editors"), "{page:?}");
    let tokens = rp.redeem(&person.decide(&page, "allow").await.code(), &pkce).await.expect_tokens();
    assert_eq!(told(&decode(tokens.id_token()).1), [Some(&json!(["staff", "editors"])), None, None]);
    assert_eq!(told(&decode(tokens.access_token()).1), [None; 3]);
}

async fn who_does_not_ask_for_rights_costs_no_look_at_the_user(app: TestApp) {
    let rp = place(&app).await;
    let plain = rp.sign_in_with(&app.person(), "ada", &[("scope", "openid offline_access notes:read")]).await;
    let asking = rp.sign_in_with(&app.person(), "ada", &[("scope", "openid offline_access roles")]).await;
    // Whoever reads this row now fails.
    app.sql("UPDATE users SET claims = 'unreadable'").await;
    rp.refresh(&plain).await.expect_tokens();
    rp.refresh(&asking).await.expect_error("server_error").expect_status(500);
}
