//! What people do with their accounts themselves: their profile, what happened to it, all that is kept of them, its end.

use std::time::Duration;

use grantor::types::{Clock as _, EventKind};
use serde_json::{Value, json};

use crate::each_engine;
use crate::support::app::PASSWORD;
use crate::support::smtp::MailServer;
use crate::support::{Engine, Page, Person, Pkce, TestApp};

each_engine!(
    somebody_says_what_is_told_of_them,
    what_is_no_value_of_a_claim_is_refused_and_nothing_is_lost,
    claims_that_are_not_theirs_to_change_stay,
    what_happened_is_written_down_and_read,
    what_happened_long_ago_is_cleaned_away,
    all_that_is_kept_of_somebody_is_theirs_to_take,
    an_account_is_deleted_by_its_owner,
    where_nobody_deletes_their_account_there_is_no_page_for_it,
    an_application_says_when_it_was_used_last,
);

const DAY: Duration = Duration::from_secs(86_400);

impl Person {
    /// Sends a form of the page of the profile.
    async fn sends(&self, path: &str, fields: &[(&str, &str)]) -> Page {
        let csrf = self.get("/account/profile").await.hidden("csrf");
        self.post(path, &[&[("csrf", csrf.as_str())], fields].concat()).await
    }
}

async fn signed_in(engine: Engine, toml: &str) -> (TestApp, Person) {
    let app = TestApp::with(engine, toml).await;
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    (app, person)
}

async fn kinds(app: &TestApp) -> Vec<EventKind> {
    let ada = app.store.user_by_login("ada").await.unwrap().expect("she is there").id;
    let later = app.clock.now().plus(DAY);
    app.store.events_of(ada, later, 100).await.unwrap().into_iter().map(|event| event.kind).collect()
}

async fn somebody_says_what_is_told_of_them(engine: Engine) {
    let (app, person) = signed_in(engine, "").await;
    assert!(person.get("/account").await.body.contains("/account/profile"));
    let page = person.sends("/account/profile", &[("nickname", " Countess "), ("birthdate", "1815-12-10")]).await;
    assert!(
        page.body.contains("Your profile is changed.") && page.body.contains("value=\"Countess\""),
        "{}",
        page.body
    );
    let rp = app.client("web").scope("openid profile").create().await;
    let tokens = rp.sign_in_with(&person, "ada", &[("scope", "openid profile")]).await;
    let told = rp.userinfo(tokens.access_token()).await.json();
    assert_eq!((&told["nickname"], &told["birthdate"]), (&json!("Countess"), &json!("1815-12-10")));
    person.sends("/account/profile", &[("nickname", ""), ("birthdate", "1815-12-10")]).await;
    assert_eq!(rp.userinfo(tokens.access_token()).await.json().get("nickname"), None);
    // Nothing that was changed is not written down.
    let before = kinds(&app).await.len();
    person.sends("/account/profile", &[("birthdate", "1815-12-10")]).await;
    assert_eq!(kinds(&app).await.len(), before);
    assert_eq!(person.post("/account/profile", &[("csrf", "forged"), ("nickname", "Eve")]).await.status, 403);
}

async fn what_is_no_value_of_a_claim_is_refused_and_nothing_is_lost(engine: Engine) {
    let (app, person) = signed_in(engine, "").await;
    let page = person
        .sends("/account/profile", &[("birthdate", "tomorrow"), ("website", "javascript:alert(1)"), ("nickname", "A")])
        .await;
    assert_eq!(page.status, 422);
    for words in ["value=\"tomorrow\"", "value=\"A\"", "id=\"birthdate-mistake\"", "id=\"website-mistake\""] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    let ada = app.store.user_by_login("ada").await.unwrap().expect("she is there");
    assert_eq!(ada.claims.get("nickname"), None);
}

async fn claims_that_are_not_theirs_to_change_stay(engine: Engine) {
    let app = TestApp::with(engine, "[account]\neditable = [\"nickname\", \"phone_number\"]\n").await;
    let verified = json!({"roles": ["reader"], "name": "Ada", "phone_number": "+441", "phone_number_verified": true});
    let Value::Object(claims) = verified else { unreachable!("it is an object") };
    app.user_with("ada", |user| user.claims = claims.clone()).await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let page = person.get("/account/profile").await;
    assert!(page.body.contains("id=\"nickname\"") && !page.body.contains("id=\"name\""), "{}", page.body);
    let others = [("name", "Eve"), ("roles", "admin"), ("email", "eve@example.org"), ("phone_number", "+441")];
    person.sends("/account/profile", &others).await;
    let ada = async || app.store.user_by_login("ada").await.unwrap().expect("she is there");
    assert_eq!(ada().await.claims, claims);
    // Nobody has verified the new number.
    person.sends("/account/profile", &[("phone_number", "+442")]).await;
    let changed = ada().await.claims;
    assert_eq!((&changed["phone_number"], changed.get("phone_number_verified")), (&json!("+442"), None));
}

async fn what_happened_is_written_down_and_read(engine: Engine) {
    let (app, person) = signed_in(engine, "[personal_tokens]\nscope = \"notes:read\"\n").await;
    let rp = app.client("lighthouse").create().await;
    app.clock.advance(Duration::from_secs(1));
    rp.sign_in_with(&person, "ada", &[]).await;
    app.clock.advance(Duration::from_secs(1));
    person.sends("/account/profile", &[("nickname", "Countess")]).await;
    app.clock.advance(Duration::from_secs(1));
    person.withdraw("lighthouse").await;
    app.clock.advance(Duration::from_secs(1));
    let csrf = person.get("/account").await.hidden("csrf");
    person.post("/account/sessions/end-others", &[("csrf", &csrf)]).await;
    use EventKind::{Allowed, ProfileChanged, SignedIn, SignedOutElsewhere, Withdrawn};
    assert_eq!(kinds(&app).await, [SignedOutElsewhere, Withdrawn, ProfileChanged, Allowed, SignedIn]);
    let page = person.get("/account/events").await;
    for words in ["Signed in", "An application was allowed: <bdi>Lighthouse</bdi>", "Firefox on Linux", "127.0.0.1"] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    // Another person's are not theirs to read.
    app.user("eve").await;
    let eve = app.person();
    eve.sign_in_to_account("eve").await;
    assert!(!eve.get("/account/events").await.body.contains("Lighthouse"));
    assert!(app.person().get("/account/events").await.asks_to_sign_in());
    // A page has so many.
    for _ in 0..50 {
        app.clock.advance(Duration::from_secs(1));
        person.post("/account/sessions/end-others", &[("csrf", &csrf)]).await;
    }
    let page = person.get("/account/events").await;
    assert_eq!(page.body.matches("class=\"item\"").count(), 50);
    let earlier = page.body.split("/account/events?before=").nth(1).and_then(|rest| rest.split('"').next());
    let page = person.get(&format!("/account/events?before={}", earlier.expect("there are more"))).await;
    assert_eq!(page.body.matches("class=\"item\"").count(), 5);
}

async fn what_happened_long_ago_is_cleaned_away(engine: Engine) {
    let (app, _person) = signed_in(engine, "[account]\nevents_kept = \"7d\"\n").await;
    assert_eq!(app.count("events").await, 1);
    app.clock.advance(7 * DAY);
    app.sweep().await;
    assert_eq!(app.count("events").await, 1);
    app.clock.advance(Duration::from_secs(1));
    app.sweep().await;
    assert_eq!(app.count("events").await, 0);
}

async fn all_that_is_kept_of_somebody_is_theirs_to_take(engine: Engine) {
    let (app, person) = signed_in(engine, "").await;
    let rp = app.client("web").create().await;
    rp.sign_in_with(&person, "ada", &[]).await;
    let page = person.sends("/account/data", &[]).await;
    assert_eq!(page.header("content-disposition"), Some("attachment; filename=\"account.json\""));
    let data: Value = serde_json::from_str(&page.body).unwrap();
    assert_eq!((&data["account"]["username"], &data["account"]["email"]), (&json!("ada"), &json!("ada@example.org")));
    assert_eq!(data["allowed_applications"][0]["client_id"], "web");
    assert_eq!(data["sessions"][0]["device"], "Firefox on Linux");
    assert_eq!(data["events"].as_array().map(Vec::len), Some(2));
    for secret in ["argon2", "hash", PASSWORD] {
        assert!(!page.body.contains(secret), "{secret}: {}", page.body);
    }
    assert!(kinds(&app).await.contains(&EventKind::DataTaken));
    // ASVS 7.5.1
    app.clock.advance(app.config.session.fresh_for + Duration::from_secs(1));
    assert!(person.sends("/account/data", &[]).await.asks_to_sign_in());
    assert_eq!(person.post("/account/data", &[("csrf", "forged")]).await.status, 403);
}

async fn an_account_is_deleted_by_its_owner(engine: Engine) {
    let mails = MailServer::start().await;
    let app = TestApp::with(engine, &format!("[account]\nmay_delete = true\n{}", mails.toml())).await;
    app.user_with("ada", |user| user.email_verified = true).await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    assert!(person.get("/account/delete").await.body.contains("Type your user name"));
    let page = person.sends("/account/delete", &[("username", "eve")]).await;
    assert!(page.status == 422 && page.body.contains("That is not your user name."), "{}", page.body);
    rp.userinfo(tokens.access_token()).await.expect_status(200);
    let page = person.sends("/account/delete", &[("username", " Ada ")]).await;
    assert!(page.status == 200 && page.body.contains("Your account is deleted"), "{}", page.body);
    rp.userinfo(tokens.access_token()).await.expect_error("invalid_token");
    rp.refresh(&tokens).await.expect_error("invalid_grant");
    assert!(!person.is_signed_in().await);
    for table in ["users", "sessions", "consents", "events", "grants"] {
        assert_eq!(app.count(table).await, 0, "{table}");
    }
    assert!(mails.receives(1).await.text().contains("The account ada at"));
    let page = rp.authorize(&person, &Pkce::new(), &[]).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    assert!(page.asks_to_sign_in(), "{page:?}");
}

async fn where_nobody_deletes_their_account_there_is_no_page_for_it(engine: Engine) {
    let (app, person) = signed_in(engine, "").await;
    assert_eq!(person.get("/account/delete").await.status, 404);
    assert_eq!(person.sends("/account/delete", &[("username", "ada")]).await.status, 404);
    assert!(!person.get("/account/profile").await.body.contains("Delete your account"));
    assert_eq!(app.count("users").await, 1);
}

async fn an_application_says_when_it_was_used_last(engine: Engine) {
    let (app, person) = signed_in(engine, "").await;
    let rp = app.client("web").create().await;
    let page = rp.authorize(&person, &Pkce::new(), &[]).await;
    person.decide(&page, "allow").await.code();
    let told = async || {
        let page = person.get("/account").await;
        page.body.split("id=\"sessions\"").next().unwrap_or_default().to_owned()
    };
    assert!(!told().await.contains("last used"), "no token yet");
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    app.clock.advance(Duration::from_secs(3_600));
    assert!(told().await.contains("last used 1 hour ago"));
    rp.refresh(&tokens).await.expect_tokens();
    assert!(told().await.contains("last used just now"));
}
