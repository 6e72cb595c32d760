//! Several people signed in in one browser: whose turn it is, and who is signed out.

use serde_json::{Value, json};

use super::authorize::refused_at_the_client;
use crate::each_database;
use crate::support::app::PASSWORD;
use crate::support::party::decode;
use crate::support::{Page, Party, Person, Pkce, TestApp, Tokens};

each_database!(
    whoever_signs_in_besides_signs_nobody_out,
    whose_turn_it_is_follows_from_the_request_and_from_what_was_used_last,
    a_client_that_nobody_here_has_used_leaves_it_to_the_person,
    one_is_signed_out_and_the_others_stay,
    the_account_page_leads_to_the_others,
    there_is_room_for_as_many_as_is_configured,
    whose_session_has_ended_is_not_offered,
);

fn subject(tokens: &Tokens) -> Value {
    decode(tokens.id_token()).1["sub"].clone()
}

/// Signs somebody in besides those who are there, at a client that asks which account.
async fn besides(rp: &Party<'_>, person: &Person, username: &str) -> Tokens {
    let pkce = Pkce::new();
    let asked = [("prompt", "select_account"), ("scope", "openid")];
    let page = rp.authorize(person, &pkce, &asked).await;
    let page = if page.asks_for_account() { person.choose_account(&page, None).await } else { page };
    assert!(page.asks_to_sign_in(), "{page:?}");
    let page = allowed(person, person.sign_in(&page, username, PASSWORD).await).await;
    rp.redeem(&page.code(), &pkce).await.expect_tokens()
}

async fn allowed(person: &Person, page: Page) -> Page {
    if page.asks_for_consent() { person.decide(&page, "allow").await } else { page }
}

/// Where ada and, after her, bob have signed in.
async fn both(app: &TestApp, rp: &Party<'_>) -> (Person, Tokens, Tokens) {
    app.user("ada").await;
    app.user("bob").await;
    let person = app.person();
    let ada = besides(rp, &person, "ada").await;
    app.advance(1);
    let bob = besides(rp, &person, "bob").await;
    (person, ada, bob)
}

/// Who answers a request without a page.
async fn quietly(rp: &Party<'_>, person: &Person, changes: &[(&str, &str)]) -> Value {
    let pkce = Pkce::new();
    let quiet = [("prompt", "none"), ("scope", "openid")];
    let page = rp.authorize(person, &pkce, &[changes, &quiet].concat()).await;
    subject(&rp.redeem(&page.code(), &pkce).await.expect_tokens())
}

async fn whoever_signs_in_besides_signs_nobody_out(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, ada, bob) = both(&app, &rp).await;
    assert_ne!(subject(&ada), subject(&bob));
    for tokens in [&ada, &bob] {
        app.introspect(tokens.access_token()).await.expect_active();
    }
    let pkce = Pkce::new();
    let page = rp.authorize(&person, &pkce, &[("prompt", "select_account")]).await;
    assert!(page.asks_for_account() && page.body.contains("ada") && page.body.contains("bob"), "{}", page.body);
    // Each may be chosen, without a password.
    for (tokens, other) in [(&ada, &bob), (&bob, &ada)] {
        let page = rp.authorize(&person, &pkce, &[("prompt", "select_account"), ("scope", "openid")]).await;
        let session = decode(tokens.id_token()).1["sid"].as_str().unwrap().to_owned();
        let again = rp.redeem(&person.choose_account(&page, Some(&session)).await.code(), &pkce).await.expect_tokens();
        assert_eq!((subject(&again), decode(again.id_token()).1["sid"].as_str()), (subject(tokens), Some(&*session)));
        assert_ne!(subject(&again), subject(other));
    }
    // Who signs in again goes on with the session that they have.
    let again = besides(&rp, &person, "ada").await;
    assert_eq!(decode(again.id_token()).1["sid"], decode(ada.id_token()).1["sid"]);
    // Only what is signed in here can be chosen.
    app.user("cleo").await;
    let elsewhere = rp.sign_in("cleo").await;
    let page = rp.authorize(&person, &pkce, &[("prompt", "select_account")]).await;
    let theirs = decode(elsewhere.id_token()).1["sid"].as_str().unwrap().to_owned();
    assert!(person.choose_account(&page, Some(&theirs)).await.asks_to_sign_in());
}

async fn whose_turn_it_is_follows_from_the_request_and_from_what_was_used_last(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, ada, bob) = both(&app, &rp).await;
    assert_eq!(quietly(&rp, &person, &[]).await, subject(&bob), "who used it last");
    // OpenID Connect Core §3.1.2.1
    assert_eq!(quietly(&rp, &person, &[("id_token_hint", ada.id_token())]).await, subject(&ada));
    // §5.5.1
    app.advance(1);
    let claims = json!({"id_token": {"sub": {"value": subject(&bob)}}}).to_string();
    assert_eq!(quietly(&rp, &person, &[("claims", &claims)]).await, subject(&bob));
    // She was the last one by that.
    app.advance(1);
    assert_eq!(quietly(&rp, &person, &[("id_token_hint", ada.id_token())]).await, subject(&ada));
    app.advance(1);
    assert_eq!(quietly(&rp, &person, &[]).await, subject(&ada));
    // Whom a request means who is not here has to sign in.
    app.user("cleo").await;
    let cleo = rp.sign_in("cleo").await;
    let page = rp.authorize(&person, &Pkce::new(), &[("id_token_hint", cleo.id_token())]).await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    let quiet = [("id_token_hint", cleo.id_token()), ("prompt", "none")];
    refused_at_the_client(&app, &rp.authorize(&person, &Pkce::new(), &quiet).await, "login_required", "not here");
}

async fn a_client_that_nobody_here_has_used_leaves_it_to_the_person(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, ada, _) = both(&app, &rp).await;
    let other = app.client("other").create().await;
    let pkce = Pkce::new();
    // OpenID Connect Core §3.1.2.6
    let quiet = other.authorize(&person, &pkce, &[("prompt", "none")]).await;
    refused_at_the_client(&app, &quiet, "account_selection_required", "two accounts");
    let page = other.authorize(&person, &pkce, &[]).await;
    assert!(page.asks_for_account(), "{page:?}");
    let session = decode(ada.id_token()).1["sid"].as_str().unwrap().to_owned();
    let page = person.choose_account(&page, Some(&session)).await;
    assert!(page.asks_for_consent(), "{page:?}");
    let tokens = other.redeem(&person.decide(&page, "allow").await.code(), &pkce).await.expect_tokens();
    assert_eq!(subject(&tokens), subject(&ada));
    assert_eq!(quietly(&other, &person, &[]).await, subject(&ada));
    assert_ne!(quietly(&rp, &person, &[]).await, subject(&ada));
}

async fn one_is_signed_out_and_the_others_stay(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, ada, bob) = both(&app, &rp).await;
    // RP-Initiated Logout §2: the hint proves whose session it is.
    let page = person.get(&format!("/oauth/logout?id_token_hint={}", ada.id_token())).await;
    assert!(page.url.contains("/signed-out"), "{page:?}");
    app.introspect(ada.access_token()).await.expect_inactive();
    app.introspect(bob.access_token()).await.expect_active();
    assert!(person.is_signed_in().await);
    assert_eq!(quietly(&rp, &person, &[]).await, subject(&bob));
    // The last one who leaves turns off the light.
    person.sign_out().await;
    app.introspect(bob.access_token()).await.expect_inactive();
    assert!(!person.is_signed_in().await && person.own_cookie().is_none_or(|(_, value)| !value.is_empty()));
}

async fn the_account_page_leads_to_the_others(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, ada, _) = both(&app, &rp).await;
    let page = person.get("/account").await;
    assert!(page.body.contains("<h1>bob Lovelace</h1>") && page.body.contains("Also signed in here"), "{}", page.body);
    let session = decode(ada.id_token()).1["sid"].as_str().unwrap().to_owned();
    let switch =
        async |csrf: &str, session: &str| person.post("/account/switch", &[("csrf", csrf), ("session", session)]).await;
    assert_eq!(switch("forged", &session).await.status, 403);
    let before = person.own_cookie();
    let page = switch(&page.hidden("csrf"), &session).await;
    assert!(page.body.contains("<h1>ada Lovelace</h1>"), "{}", page.body);
    assert_ne!(person.own_cookie(), before, "other nodes may remember the record as it was");
    // Nobody else's.
    app.user("cleo").await;
    let elsewhere = rp.sign_in("cleo").await;
    let theirs = decode(elsewhere.id_token()).1["sid"].as_str().unwrap().to_owned();
    assert!(switch(&page.hidden("csrf"), &theirs).await.body.contains("<h1>ada Lovelace</h1>"));
}

async fn there_is_room_for_as_many_as_is_configured(app: TestApp) {
    for (most, expected) in [(1, [false, false, true]), (2, [false, true, true]), (3, [true, true, true])] {
        let app = app.another(&format!("[session]\naccounts_per_browser = {most}\n")).await;
        let rp = app.client("web").create().await;
        let person = app.person();
        let mut tokens = Vec::new();
        for name in ["ada", "bob", "cleo"] {
            app.user(name).await;
            tokens.push(besides(&rp, &person, name).await);
        }
        for (tokens, lives) in tokens.iter().zip(expected) {
            let told = app.introspect(tokens.access_token()).await;
            assert_eq!(told.json()["active"], lives, "{most}");
        }
    }
}

async fn whose_session_has_ended_is_not_offered(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, _, bob) = both(&app, &rp).await;
    let ada = app.store.user_by_login("ada").await.unwrap().unwrap().id;
    app.disable_user(ada).await;
    let page = rp.authorize(&person, &Pkce::new(), &[("prompt", "select_account")]).await;
    assert!(page.asks_for_account() && !page.body.contains(">ada"), "{}", page.body);
    let other = app.client("other").create().await;
    let page = other.authorize(&person, &Pkce::new(), &[]).await;
    assert!(page.asks_for_consent(), "there is one left: {page:?}");
    assert_eq!(quietly(&rp, &person, &[]).await, subject(&bob));
    assert!(!person.get("/account").await.body.contains("Also signed in here"));
}
