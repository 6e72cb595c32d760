//! The `claims` parameter (OpenID Connect Core §5.5).

use serde_json::{Map, json};

use super::authorize::refused_at_the_client;
use super::par::push;
use crate::each_database;
use crate::support::app::PASSWORD;
use crate::support::party::decode;
use crate::support::{Party, Person, Pkce, TestApp, Tokens};

each_database!(
    a_claim_is_told_where_it_was_asked_for_and_nowhere_else,
    the_person_is_asked_before_a_claim_is_told,
    what_cannot_be_read_is_refused,
    what_is_not_known_is_ignored,
    a_sub_says_who_alone_may_sign_in,
    an_acr_that_cannot_be_had_is_refused_where_it_is_essential,
    a_claim_that_the_client_may_not_have_any_more_is_told_no_more,
);

/// Every redirect ends at a code, with what was asked.
async fn tokens(rp: &Party<'_>, person: &Person, claims: &str) -> Tokens {
    rp.sign_in_with(person, "ada", &[("claims", claims), ("scope", "openid offline_access")]).await
}

async fn a_claim_is_told_where_it_was_asked_for_and_nowhere_else(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let asked = json!({
        "id_token": {"name": null, "email_verified": {"essential": true}, "auth_time": {"essential": true}},
        "userinfo": {"email": {"essential": true}, "preferred_username": null, "address": null},
    });
    let first = tokens(&rp, &app.person(), &asked.to_string()).await;
    let again = rp.refresh(&first).await.expect_tokens();
    // Refreshed ones tell the same.
    for tokens in [first, again] {
        let told = decode(tokens.id_token()).1;
        assert_eq!((&told["name"], &told["email_verified"]), (&json!("ada Lovelace"), &json!(true)));
        assert!(told.get("email").is_none() && told["auth_time"].is_i64(), "{told}");
        let userinfo = rp.userinfo(tokens.access_token()).await.expect_status(200).json();
        let expected = json!({"sub": told["sub"], "email": "ada@example.org", "preferred_username": "ada"});
        // What is not known of her is left out (§5.5.1: not an error).
        assert_eq!(userinfo, expected);
        // Nothing of it is in the scope.
        assert_eq!(tokens.scope(), "offline_access openid");
    }
    // Who asks for nothing is told nothing, and the token says nothing of it.
    let plain = rp.sign_in("ada").await;
    assert!(decode(plain.id_token()).1.get("name").is_none());
    assert!(decode(plain.access_token()).1.get("userinfo_claims").is_none());
    assert_eq!(rp.userinfo(plain.access_token()).await.json().as_object().map(Map::len), Some(1));
}

async fn the_person_is_asked_before_a_claim_is_told(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    rp.sign_in_with(&person, "ada", &[]).await;
    let claims = [("claims", r#"{"userinfo":{"email":null}}"#), ("prompt", "none")];
    // OpenID Connect Core §3.1.2.6
    let page = rp.authorize(&person, &pkce, &claims).await;
    refused_at_the_client(&app, &page, "consent_required", "a claim that was not allowed");
    let page = rp.authorize(&person, &pkce, &claims[..1]).await;
    assert!(page.asks_for_consent() && page.body.contains("ada@example.org"), "{page:?}");
    person.decide(&page, "allow").await.code();
    // Allowed once, it need not be asked again; another is.
    rp.authorize(&person, &pkce, &claims).await.code();
    let more = [("claims", r#"{"id_token":{"name":null}}"#), ("prompt", "none")];
    refused_at_the_client(&app, &rp.authorize(&person, &pkce, &more).await, "consent_required", "another claim");
}

async fn what_cannot_be_read_is_refused(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let deep = format!(r#"{{"x":{}1{}}}"#, "[".repeat(100), "]".repeat(100));
    for bad in [
        "x",
        "{",
        "[]",
        "\"userinfo\"",
        "{} {}",
        r#"{"userinfo":[]}"#,
        r#"{"id_token":"name"}"#,
        r#"{"userinfo":{"name":true}}"#,
        r#"{"userinfo":{"name":"x"}}"#,
        r#"{"userinfo":{"name":{"essential":"yes"}}}"#,
        r#"{"userinfo":{"name":{"values":"x"}}}"#,
        r#"{"userinfo":{"name":{"value":"x","values":["x"]}}}"#,
        // Two readers would see two things.
        r#"{"userinfo":{"name":null,"name":null}}"#,
        r#"{"userinfo":{},"userinfo":{"name":null}}"#,
        r#"{"x":{"a":1,"a":2}}"#,
        &deep,
    ] {
        let page = rp.authorize(&person, &pkce, &[("claims", bad)]).await;
        refused_at_the_client(&app, &page, "invalid_request", bad);
    }
    push(&rp, &pkce, &[("claims", "{")]).await.expect_error("invalid_request");
    // Without openid it is no OpenID request, and the parameter is none of ours.
    assert!(rp.authorize(&person, &pkce, &[("claims", "{"), ("scope", "notes:read")]).await.asks_to_sign_in());
}

async fn what_is_not_known_is_ignored(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").scope("openid email offline_access").create().await;
    let person = app.person();
    let unknown = json!({
        "verified_claims": {"a": [1]},
        "id_token": {"https://claims.example/x": {"essential": true}, "password": null, "name": null},
        "userinfo": {"name#ja": null, "sub": null, "iss": null, "email": {"value": "other@example.org", "x": 1}},
    });
    let tokens = tokens(&rp, &person, &unknown.to_string()).await;
    let told = decode(tokens.id_token()).1;
    // The client is not registered for the scope profile, of which the name is.
    for name in ["https://claims.example/x", "password", "name"] {
        assert!(told.get(name).is_none(), "{told}");
    }
    // §5.5.1: what is true is told, or nothing.
    let userinfo = rp.userinfo(tokens.access_token()).await.expect_status(200).json();
    assert_eq!(userinfo, json!({"sub": told["sub"], "email": "ada@example.org"}));
}

async fn a_sub_says_who_alone_may_sign_in(app: TestApp) {
    let (ada, bob) = (app.user("ada").await, app.user("bob").await);
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    rp.sign_in_with(&person, "ada", &[]).await;
    let wants = |id: &str| json!({"id_token": {"sub": {"value": id}}}).to_string();
    // OpenID Connect Core §5.5.1
    let (own, others) = (wants(&ada.to_string()), wants(&bob.to_string()));
    rp.authorize(&person, &pkce, &[("claims", &own), ("prompt", "none")]).await.code();
    let either = json!({"userinfo": {"sub": {"values": [bob.to_string(), ada.to_string()]}}}).to_string();
    rp.authorize(&person, &pkce, &[("claims", &either), ("prompt", "none")]).await.code();
    let page = rp.authorize(&person, &pkce, &[("claims", &others), ("prompt", "none")]).await;
    refused_at_the_client(&app, &page, "login_required", "another user");

    let page = rp.authorize(&person, &pkce, &[("claims", &others)]).await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    refused_at_the_client(&app, &page, "login_required", "she signed in again");
    let page = rp.authorize(&person, &pkce, &[("claims", &others)]).await;
    let page = person.sign_in(&page, "bob", PASSWORD).await;
    let page = person.decide(&page, "allow").await;
    let tokens = rp.redeem(&page.code(), &pkce).await.expect_tokens();
    assert_eq!(decode(tokens.id_token()).1["sub"], bob.to_string());
}

async fn an_acr_that_cannot_be_had_is_refused_where_it_is_essential(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    rp.sign_in_with(&person, "ada", &[]).await;
    for (acr, is_met) in [
        (json!({"essential": true, "value": "1"}), true),
        (json!({"essential": true, "values": ["urn:mace:incommon:iap:silver", "1"]}), true),
        (json!({"essential": true}), true),
        // OpenID Connect Core §5.5.1.1: a wish is a wish.
        (json!({"values": ["urn:mace:incommon:iap:silver"]}), true),
        (json!(null), true),
        (json!({"essential": true, "value": "3"}), false),
        (json!({"essential": true, "values": ["phr", "phrh"]}), false),
        (json!({"essential": true, "value": 1}), false),
        (json!({"essential": true, "values": []}), false),
    ] {
        let claims = json!({"id_token": {"acr": acr}}).to_string();
        let page = rp.authorize(&person, &pkce, &[("claims", &claims)]).await;
        if is_met {
            let tokens = rp.redeem(&page.code(), &pkce).await.expect_tokens();
            assert_eq!(decode(tokens.id_token()).1["acr"], "1", "{claims}");
        } else {
            refused_at_the_client(&app, &page, "unmet_authentication_requirements", &claims);
        }
    }
    // `acr_values` is a wish as well, as `ui_locales` and `display` are (§3.1.2.1).
    for wish in [("acr_values", "urn:mace:incommon:iap:silver 5"), ("ui_locales", "cy fr-CA"), ("display", "popup")] {
        let tokens = rp.sign_in_with(&person, "ada", &[wish]).await;
        assert_eq!(decode(tokens.id_token()).1["acr"], "1");
    }
}

async fn a_claim_that_the_client_may_not_have_any_more_is_told_no_more(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let asked = json!({"id_token": {"name": null}, "userinfo": {"name": null, "email": null}}).to_string();
    let first = tokens(&rp, &app.person(), &asked).await;
    app.reregister("web", |client| client.scope = "openid email offline_access".into()).await;
    // ASVS 10.4.11
    let second = rp.refresh(&first).await.expect_tokens();
    assert!(decode(second.id_token()).1.get("name").is_none());
    let userinfo = rp.userinfo(second.access_token()).await.json();
    assert_eq!((userinfo.get("name"), &userinfo["email"]), (None, &json!("ada@example.org")));
}
