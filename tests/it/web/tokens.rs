//! Personal access tokens: made, used, and ended by their person; and API keys (docs/how-to/api-tokens.md).

use std::time::Duration;

use grantor::crypto::{SystemRandom, api_token, sha256};
use grantor::store::Stored;
use grantor::types::{ApiToken, Audience, Clock as _, Group, Holder, TokenId, UserId};
use secrecy::ExposeSecret as _;
use serde_json::json;
use uuid::Builder;

use crate::oauth::resources::{register, resource};
use crate::store::transitions::{raced, within};
use crate::support::app::{PASSWORD, eventually};
use crate::support::smtp::MailServer;
use crate::support::{Engine, Page, Party, Person, TestApp};
use crate::{each_database, each_engine};

each_engine!(
    somebody_makes_a_token_uses_it_and_ends_it,
    a_token_is_told_to_the_place_that_it_is_for_alone,
    what_its_maker_may_not_have_a_token_does_not_get,
    a_form_that_will_not_do_says_why,
    whoever_makes_one_has_proved_just_now_who_they_are,
    another_node_hears_of_the_end,
);
each_database!(
    a_disabled_user_or_client_has_no_good_token,
    a_key_is_its_clients_own,
    a_token_expires_and_is_cleaned_away,
    a_token_is_ended_once,
    nobody_has_more_than_the_most,
);

const NOTES: &str = "https://notes.example/api";
const ON: &str = "[personal_tokens]\nscope = \"notes:read notes:write roles\"\nmost = 3\n";
const DAY: Duration = Duration::from_secs(86_400);

impl Person {
    /// Fills in the form for a token.
    async fn wants_a_token(&self, name: &str, scope: &[&str], days: &str) -> Page {
        let page = self.get("/account/tokens/new").await;
        let csrf = page.hidden("csrf");
        let boxes: Vec<_> = scope.iter().map(|scope| format!("scope:{scope}")).collect();
        let mut fields = vec![("csrf", csrf.as_str()), ("name", name), ("days", days)];
        fields.extend(boxes.iter().map(|name| (name.as_str(), "yes")));
        self.post("/account/tokens/new", &fields).await
    }
}

/// The token on the page that shows it.
fn shown(page: &Page) -> String {
    assert_eq!(page.status, 200, "{page:?}");
    let token = page.body.split("class=\"secret\">").nth(1).and_then(|rest| rest.split('<').next());
    token.unwrap_or_else(|| panic!("no token: {}", page.body)).to_owned()
}

/// A resource, and the server of its API.
async fn notes(app: &TestApp) -> Party<'_> {
    register(app, &resource(app, NOTES, "notes:read notes:write")).await;
    app.client("notes")
        .with(|client| {
            client.resource_server = true;
            client.resources = vec![NOTES.to_owned()];
        })
        .create()
        .await
}

async fn somebody_makes_a_token_uses_it_and_ends_it(engine: Engine) {
    let mails = MailServer::start().await;
    let app = TestApp::with(engine, &format!("{ON}{}", mails.toml())).await;
    let (ada, api) = (app.user_with("ada", |user| user.email_verified = true).await, notes(&app).await);
    let person = app.person();
    person.sign_in_to_account("ada").await;
    assert!(person.get("/account").await.body.contains("/account/tokens"));
    assert!(person.get("/account/tokens").await.body.contains("You have none."));
    let token = shown(&person.wants_a_token("Backup <b>", &["notes:read"], "30").await);
    assert!(token.starts_with("gr_pat_") && api_token::hash(&token).is_some(), "{token}");
    let mail = mails.receives(1).await;
    assert!(mail.text().contains("“Backup <b>”"), "{}", mail.text());

    let (told, now) = (api.introspect(&token).await.expect_active(), app.clock.now());
    let expected = json!({
        "active": true, "token_type": "Bearer", "iss": app.issuer(), "sub": ada.to_string(), "aud": NOTES,
        "scope": "notes:read", "iat": now.secs(), "exp": now.plus(30 * DAY).secs(), "jti": told["jti"],
    });
    assert_eq!(told, expected);
    eventually("the use is noted", async || {
        app.store.api_tokens(None).await.unwrap().iter().all(|token| token.used_at == Some(now))
    })
    .await;
    let page = person.get("/account/tokens").await;
    for words in ["Backup &#60;b&#62;", "last used just now", "Use “notes:read”", NOTES] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    assert!(!page.body.contains(&token));
    // A token is no sign-in.
    api.userinfo(&token).await.expect_error("invalid_token");

    let fields = [("csrf", page.hidden("csrf")), ("token", page.hidden("token"))];
    let page =
        person.post("/account/tokens/end", &fields.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    assert!(page.body.contains("The token is ended."), "{}", page.body);
    api.introspect(&token).await.expect_inactive();
    assert_eq!(app.count("api_tokens").await, 0);
}

async fn a_token_is_told_to_the_place_that_it_is_for_alone(engine: Engine) {
    let app = TestApp::with(engine, ON).await;
    app.user("ada").await;
    let api = notes(&app).await;
    let (other, web) = (app.resource_server().await, app.client("web").create().await);
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let token = shown(&person.wants_a_token("a", &["notes:read", "notes:write"], "7").await);
    for stranger in [&other, &web] {
        stranger.introspect(&token).await.expect_inactive();
        // RFC 7009 §2.1
        stranger.revoke(&token).await.expect_error("invalid_request");
    }
    assert_eq!(api.introspect(&token).await.expect_active()["scope"], "notes:read notes:write");
    // What belongs to no resource is for the issuer, and so for every resource server.
    let token = shown(&person.wants_a_token("b", &["roles"], "7").await);
    assert_eq!(other.introspect(&token).await.expect_active()["aud"], app.issuer());
    let (start, last) = token.split_at(token.len() - 1);
    let broken = format!("{start}{}", if last == "0" { "1" } else { "0" });
    for wrong in [&broken, "gr_pat_", "gr_key_00"] {
        api.introspect(wrong).await.expect_inactive();
        api.revoke(wrong).await.expect_status(200);
    }
}

async fn what_its_maker_may_not_have_a_token_does_not_get(engine: Engine) {
    let toml = format!("{ON}[scopes.\"notes:write\"]\ntitle = \"Write\"\ngroups = [\"editors\"]\n");
    let app = TestApp::with(engine, &toml).await;
    let (ada, api) = (app.user("ada").await, notes(&app).await);
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let page = person.get("/account/tokens/new").await;
    assert!(page.body.contains("scope:notes:read") && !page.body.contains("scope:notes:write"), "{}", page.body);
    // Boxes that are not on the page.
    let scope = ["notes:read", "notes:write", "openid", "admin"];
    let token = shown(&person.wants_a_token("a", &scope, "7").await);
    assert_eq!(api.introspect(&token).await.expect_active()["scope"], "notes:read");

    let (editors, now) = ("editors".parse().expect("a name"), app.clock.now());
    let roles = vec!["editor".to_owned()];
    let group = Group { name: editors, description: None, roles, created_at: now, updated_at: now };
    within(&app.store, async |tx| tx.insert_group(&group).await).await;
    within(&app.store, async |tx| tx.join_group(&group.name, ada, now).await).await;
    let token = shown(&person.wants_a_token("b", &["notes:write", "roles"], "7").await);
    let told = api.introspect(&token).await.expect_active();
    assert_eq!((&told["scope"], &told["roles"]), (&json!("notes:write roles"), &json!(["editor"])));
    // What was so when it was made does not count.
    within(&app.store, async |tx| tx.leave_group(&group.name, ada, now).await).await;
    let told = api.introspect(&token).await.expect_active();
    assert_eq!((&told["scope"], told.get("roles")), (&json!("roles"), None));
}

async fn a_form_that_will_not_do_says_why(engine: Engine) {
    let app = TestApp::with(engine, "[personal_tokens]\nscope = \"notes:read\"\nmax_lifetime = \"30d\"\n").await;
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let long = "x".repeat(61);
    for (name, scope, days, words) in [
        ("", &["notes:read"][..], "7", "Give it a name"),
        (&long, &["notes:read"], "7", "Give it a name"),
        ("a\u{7}", &["notes:read"], "7", "Give it a name"),
        ("a", &[], "7", "Choose something"),
        ("a", &["openid"], "7", "Choose something"),
        ("a", &["notes:read"], "90", "Choose how long"),
        ("a", &["notes:read"], "", "Choose how long"),
    ] {
        let page = person.wants_a_token(name, scope, days).await;
        assert_eq!(page.status, 422, "{name:?} {scope:?} {days}");
        assert!(page.body.contains(words) && page.body.contains("role=\"alert\""), "{}", page.body);
    }
    // Nothing that was typed in is lost.
    let page = person.wants_a_token("Nightly", &["notes:read"], "90").await;
    assert!(page.body.contains("value=\"Nightly\""), "{}", page.body);
    assert!(page.body.contains("name=\"scope:notes:read\" value=\"yes\" checked"), "{}", page.body);
    assert_eq!(app.count("api_tokens").await, 0);
    // Where nobody may make any, there is no such page.
    let off = TestApp::spawn(engine).await;
    assert_eq!(off.person().get("/account/tokens").await.status, 404);
}

async fn whoever_makes_one_has_proved_just_now_who_they_are(engine: Engine) {
    let app = TestApp::with(engine, ON).await;
    app.user("ada").await;
    let person = app.person();
    assert!(person.get("/account/tokens").await.asks_to_sign_in());
    person.sign_in_to_account("ada").await;
    let csrf = person.get("/account/tokens/new").await.hidden("csrf");
    app.clock.advance(app.config.session.fresh_for + Duration::from_secs(1));
    // ASVS 7.5.1
    let page = person.get("/account/tokens/new").await;
    assert!(page.asks_to_sign_in() && page.body.contains("to make a personal access token"), "{page:?}");
    let fields = [("csrf", csrf.as_str()), ("name", "a"), ("days", "7"), ("scope:roles", "yes")];
    let page = person.post("/account/tokens/new", &fields).await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    assert_eq!(app.count("api_tokens").await, 0);
    let fields = [("csrf", &*page.hidden("csrf")), ("next", "tokens"), ("username", "ada"), ("password", PASSWORD)];
    let page = person.post("/sign-in", &fields).await;
    assert!(page.url.ends_with("/account/tokens"), "{page:?}");
    // Another person's is not theirs to end.
    let token = shown(&person.wants_a_token("a", &["roles"], "7").await);
    app.user("eve").await;
    let eve = app.person();
    eve.sign_in_to_account("eve").await;
    let id = person.get("/account/tokens").await.hidden("token");
    let csrf = eve.get("/account/tokens").await.hidden("csrf");
    eve.post("/account/tokens/end", &[("csrf", &csrf), ("token", &id)]).await;
    app.introspect(&token).await.expect_active();
    assert_eq!(person.post("/account/tokens/end", &[("csrf", "forged"), ("token", &id)]).await.status, 403);
}

async fn another_node_hears_of_the_end(engine: Engine) {
    let app = TestApp::with(engine, ON).await;
    app.user("ada").await;
    let api = notes(&app).await;
    let node = app.second_node().await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let token = shown(&person.wants_a_token("a", &["notes:read"], "7").await);
    let there = api.at(&node);
    there.introspect(&token).await.expect_active();
    let page = person.get("/account/tokens").await;
    let fields = [("csrf", page.hidden("csrf")), ("token", page.hidden("token"))];
    person.post("/account/tokens/end", &fields.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    eventually("the other node knows", async || there.introspect(&token).await.json()["active"] == false).await;
}

/// One that was made behind the pages.
async fn made(app: &TestApp, holder: Holder, name: &str) -> (ApiToken, String) {
    let (secret, now) = (api_token::make(holder.prefix(), &SystemRandom::new()), app.clock.now());
    let text = secret.expose_secret().to_owned();
    let millis = u64::try_from(now.millis()).expect("after 1970");
    let digest = sha256(text.as_bytes());
    let random = digest[..10].try_into().expect("ten bytes");
    let token = ApiToken {
        id: TokenId::new(Builder::from_unix_timestamp_millis(millis, random).into_uuid()),
        holder,
        name: name.to_owned(),
        scope: "notes:read".into(),
        audience: Audience::One(app.issuer().to_owned()),
        created_at: now,
        expires_at: now.plus(DAY),
        used_at: None,
    };
    within(&app.store, async |tx| tx.insert_api_token(&token, &digest).await).await;
    (token, text)
}

async fn a_disabled_user_or_client_has_no_good_token(app: TestApp) {
    let app = app.another(ON).await;
    let ada = app.user("ada").await;
    let robot = app.client("robot").scope("notes:read").create().await;
    let id: grantor::types::ClientId = "robot".parse().expect("an id");
    let tokens = [made(&app, Holder::User(ada), "a").await.1, made(&app, Holder::Client(id.clone()), "b").await.1];
    let api = app.resource_server().await;
    for token in &tokens {
        api.introspect(token).await.expect_active();
    }
    app.disable_user(ada).await;
    app.disable_client("robot").await;
    for token in &tokens {
        api.introspect(token).await.expect_inactive();
    }
    let now = app.clock.now();
    within(&app.store, async |tx| tx.enable_user(ada, now).await).await;
    api.introspect(&tokens[0]).await.expect_active();
    // ASVS 7.4.2: who is deleted leaves none behind.
    within(&app.store, async |tx| tx.delete_user(ada, now).await).await;
    within(&app.store, async |tx| tx.delete_client(&id, now).await).await;
    assert_eq!(app.count("api_tokens").await, 0);
    api.introspect(&tokens[0]).await.expect_inactive();
    drop(robot);
}

async fn a_key_is_its_clients_own(app: TestApp) {
    let robot = app.client("robot").scope("notes:read").create().await;
    let (_, key) = made(&app, Holder::Client("robot".parse().expect("an id")), "b").await;
    assert!(key.starts_with("gr_key_"));
    let told = robot.introspect(&key).await.expect_active();
    assert_eq!(
        (&told["sub"], &told["client_id"], &told["scope"]),
        (&json!("robot"), &json!("robot"), &json!("notes:read"))
    );
    // ASVS 10.4.11: no more than it is registered for by now.
    app.reregister("robot", |client| client.scope = "other".into()).await;
    assert_eq!(robot.introspect(&key).await.expect_active().get("scope"), None);
    app.client("web").create().await.revoke(&key).await.expect_error("invalid_request");
    robot.introspect(&key).await.expect_active();
    robot.revoke(&key).await.expect_status(200);
    robot.introspect(&key).await.expect_inactive();
    robot.revoke(&key).await.expect_status(200);
}

async fn a_token_expires_and_is_cleaned_away(app: TestApp) {
    let app = app.another(ON).await;
    let ada = app.user("ada").await;
    let (_, token) = made(&app, Holder::User(ada), "a").await;
    let api = app.resource_server().await;
    app.clock.advance(DAY - Duration::from_secs(1));
    api.introspect(&token).await.expect_active();
    app.clock.advance(Duration::from_secs(1));
    api.introspect(&token).await.expect_inactive();
    // Its person may wonder why.
    let person = app.person();
    person.sign_in_to_account("ada").await;
    assert!(person.get("/account/tokens").await.body.contains("Expired"));
    app.clock.advance(29 * DAY);
    app.sweep().await;
    assert_eq!(app.count("api_tokens").await, 1);
    app.clock.advance(DAY + Duration::from_secs(1));
    app.sweep().await;
    assert_eq!(app.count("api_tokens").await, 0);
}

async fn a_token_is_ended_once(app: TestApp) {
    let ada = app.user("ada").await;
    let (token, _) = made(&app, Holder::User(ada), "a").await;
    let now = app.clock.now();
    let others = Holder::User(UserId::new(Builder::nil().into_uuid()));
    assert_eq!(
        within(&app.store, async |tx| tx.delete_api_token(token.id, Some(&others), now).await).await,
        Stored::Conflict
    );
    let end = async |store: &grantor::store::Store| {
        within(store, async |tx| tx.delete_api_token(token.id, Some(&token.holder), now).await).await
    };
    let outcomes = raced(&app, end).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Stored::Stored).count(), 1);
    assert_eq!(app.count("changes WHERE kind = 'api_token_ended'").await, 1);
}

async fn nobody_has_more_than_the_most(app: TestApp) {
    let app = app.another(ON).await;
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let csrf = person.get("/account/tokens/new").await.hidden("csrf");
    let fields = [("csrf", csrf.as_str()), ("name", "a"), ("days", "7"), ("scope:roles", "yes")];
    let want = (0..8).map(|_| person.post("/account/tokens/new", &fields));
    let pages = crate::support::behind::at_once(want).await;
    assert_eq!(pages.iter().filter(|page| page.status == 200).count(), 3);
    assert!(pages.iter().any(|page| page.status == 422 && page.body.contains("as many tokens as you may have")));
    assert_eq!(app.count("api_tokens").await, 3);
}
