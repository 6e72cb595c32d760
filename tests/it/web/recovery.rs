//! A forgotten password (ASVS 6.3.8, 6.4.1, 6.4.3).

use std::time::Duration;

use grantor::types::Clock as _;

use super::throttle::at;
use crate::each_engine;
use crate::support::app::PASSWORD;
use crate::support::behind::at_once;
use crate::support::rows::rows;
use crate::support::smtp::MailServer;
use crate::support::{Engine, Page, Person, Pkce, TestApp};

each_engine!(
    a_forgotten_password_is_replaced_and_the_request_goes_on,
    a_reset_is_no_way_past_a_second_factor,
    whether_there_is_an_account_does_not_show,
    a_link_works_once_for_a_quarter_of_an_hour,
    a_newer_link_ends_the_older,
    a_link_ends_with_the_password_and_the_address_that_it_is_for,
    of_two_who_have_a_link_one_chooses,
    the_secret_leaves_the_address_at_once,
    a_password_that_will_not_do_is_named_beside_its_field,
    what_the_old_password_opened_is_shut_and_its_owner_told,
    who_asks_too_often_has_to_wait,
);

/// What everybody chooses.
const NEW: &str = "two boats and a candle";

impl Person {
    /// Says that a password is forgotten.
    pub async fn forgot(&self, login: &str) -> Page {
        let page = self.get("/forgot-password").await;
        self.post("/forgot-password", &[("csrf", &page.hidden("csrf")), ("username", login)]).await
    }

    /// Opens a mailed link, and chooses another password, if it lets them.
    pub async fn resets(&self, link: &str, password: &str) -> Page {
        let page = self.get(link).await;
        if page.status == 410 {
            return page;
        }
        self.post("/reset-password", &[("csrf", &page.hidden("csrf")), ("password", password)]).await
    }

    async fn can_sign_in(&self, username: &str, password: &str) -> bool {
        let page = self.get("/sign-in").await;
        self.sign_in(&page, username, password).await.url.ends_with("/account")
    }
}

async fn server(engine: Engine) -> (TestApp, MailServer) {
    let mails = MailServer::start().await;
    let app = TestApp::with(engine, &mails.toml()).await;
    app.user("ada").await;
    (app, mails)
}

async fn a_forgotten_password_is_replaced_and_the_request_goes_on(engine: Engine) {
    let (app, mails) = server(engine).await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let page = rp.authorize(&person, &pkce, &[]).await;
    let request = page.hidden("request");
    let way = format!("/forgot-password?request={request}");
    assert!(page.body.contains(&format!("href=\"{way}\"")), "{}", page.body);

    let page = person.get(&way).await;
    let fields =
        [("csrf", &*page.hidden("csrf")), ("request", &*page.hidden("request")), ("username", "ada@example.org")];
    let page = person.post("/forgot-password", &fields).await;
    assert!(page.status == 200 && page.body.contains("Look into your mail"), "{page:?}");

    let page = person.get(&mails.receives(1).await.link()).await;
    assert!(page.body.contains("<strong>ada</strong>"), "{}", page.body);
    let field = page.body.split("<input").find(|input| input.contains("name=\"password\"")).unwrap();
    // ASVS 6.2.6, 6.2.7
    assert!(field.contains("type=\"password\"") && field.contains("autocomplete=\"new-password\""), "{field}");
    let page = person.post("/reset-password", &[("csrf", &page.hidden("csrf")), ("password", NEW)]).await;
    // ASVS 6.4.3: it signs nobody in.
    assert!(page.asks_to_sign_in() && page.body.contains("Your password is changed."), "{page:?}");
    assert_eq!(page.hidden("request"), request);
    let page = person.sign_in(&page, "ada", NEW).await;
    let page = person.decide(&page, "allow").await;
    rp.redeem(&page.code(), &pkce).await.expect_tokens();
    assert!(!app.person().can_sign_in("ada", PASSWORD).await);

    // In another browser nothing waits.
    let elsewhere = app.person();
    elsewhere.forgot("ada").await;
    let page = elsewhere.resets(&mails.receives(3).await.link(), "three boats and a candle").await;
    assert!(page.asks_to_sign_in() && page.hidden("request").is_empty(), "{page:?}");
}

async fn a_reset_is_no_way_past_a_second_factor(engine: Engine) {
    let (app, mails) = server(engine).await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let (telephone, _) = person.sets_up_an_app(&app).await;
    app.advance(30);
    // A sign-in that waits for its second step ends with the password that was its first.
    let waiting = app.person();
    let page = waiting.get("/sign-in").await;
    let second = waiting.sign_in(&page, "ada", PASSWORD).await;
    let thief = app.person();
    thief.forgot("ada").await;
    let page = thief.resets(&mails.receives(2).await.link(), NEW).await;
    // ASVS 6.4.3
    let page = thief.sign_in(&page, "ada", NEW).await;
    assert!(page.url.contains("/sign-in/second") && !thief.is_signed_in().await, "{page:?}");
    waiting.enter(&second, &telephone.code(&app)).await;
    assert!(!waiting.is_signed_in().await);
    thief.enter(&page, &telephone.code(&app)).await;
    assert!(thief.is_signed_in().await, "it was she herself");
}

async fn whether_there_is_an_account_does_not_show(engine: Engine) {
    let (app, mails) = server(engine).await;
    let bob = app.user("bob").await;
    app.disable_user(bob).await;
    app.user_with("carol", |user| user.email_verified = false).await;
    app.user_with("dora", |user| (user.email, user.email_verified) = (None, false)).await;
    let mut answers = Vec::new();
    for login in ["ada", "nobody", "nobody@example.org", "bob", "carol", "dora", "\u{7}", &"x".repeat(300)] {
        let page = app.person().forgot(login).await;
        answers.push((page.status, page.url.clone(), page.body.clone()));
        // Every one is a row, and the same statements: what comes of it is found out later.
    }
    // ASVS 6.3.8
    assert_eq!(answers[0].0, 200);
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
    }
    app.outbox_is_empty().await;
    mails.receives(1).await;
    let page = app.person().forgot("").await;
    assert!(page.status == 422 && page.body.contains("aria-describedby=\"mistake\""), "{page:?}");
}

async fn a_link_works_once_for_a_quarter_of_an_hour(engine: Engine) {
    let (app, mails) = server(engine).await;
    app.person().forgot("ada").await;
    let link = mails.receives(1).await.link();
    app.advance(15 * 60 - 1);
    let person = app.person();
    // Whoever only looks (a program that checks mail) spends nothing.
    app.person().get(&link).await;
    assert!(person.resets(&link, NEW).await.asks_to_sign_in());
    for page in [person.resets(&link, PASSWORD).await, app.person().get(&link).await] {
        assert!(page.status == 410 && page.body.contains("does not work any more"), "{page:?}");
    }
    assert!(app.person().can_sign_in("ada", NEW).await);

    person.forgot("ada").await;
    let link = mails.receives(3).await.link();
    let late = person.get(&link).await;
    app.advance(15 * 60);
    let page = person.post("/reset-password", &[("csrf", &late.hidden("csrf")), ("password", PASSWORD)]).await;
    assert_eq!(page.status, 410);
    assert_eq!(person.get(&link).await.status, 410);
    // Nor does anything else that somebody may put there.
    for nonsense in ["", "x", &"A".repeat(43), "%20"] {
        assert_eq!(app.person().get(&format!("/reset-password?link={nonsense}")).await.status, 410, "{nonsense}");
    }
}

async fn a_newer_link_ends_the_older(engine: Engine) {
    let (app, mails) = server(engine).await;
    let person = app.person();
    person.forgot("ada").await;
    let old = mails.receives(1).await.link();
    person.forgot("ada@example.org").await;
    let new = mails.receives(2).await.link();
    assert_ne!(old, new);
    assert_eq!(person.get(&old).await.status, 410);
    assert!(person.resets(&new, NEW).await.asks_to_sign_in());
}

async fn a_link_ends_with_the_password_and_the_address_that_it_is_for(engine: Engine) {
    let (app, mails) = server(engine).await;
    let ada = app.store.user_by_login("ada").await.unwrap().unwrap();
    let person = app.person();
    person.forgot("ada").await;
    let link = mails.receives(1).await.link();
    let hash = grantor::app::password_hashing(&app.config).unwrap();
    let hash = hash.hash(NEW.into(), &grantor::crypto::SystemRandom::new()).await.ok().unwrap();
    app.change(async |tx| tx.set_password(ada.id, &hash, app.clock.now()).await).await;
    assert_eq!(person.resets(&link, PASSWORD).await.status, 410);

    person.forgot("ada").await;
    let link = mails.receives(2).await.link();
    let open = person.get(&link).await;
    app.sql("UPDATE users SET email = 'other@example.org', email_key = 'other@example.org'").await;
    let fields = [("csrf", &*open.hidden("csrf")), ("password", PASSWORD)];
    assert_eq!(person.post("/reset-password", &fields).await.status, 410);
    app.sql("UPDATE users SET email = 'ada@example.org', email_key = 'ada@example.org'").await;
    app.disable_user(ada.id).await;
    assert_eq!(person.post("/reset-password", &fields).await.status, 410);
    app.sql("UPDATE users SET disabled_at = NULL").await;
    assert!(app.person().can_sign_in("ada", NEW).await);
}

async fn of_two_who_have_a_link_one_chooses(engine: Engine) {
    let (app, mails) = server(engine).await;
    app.person().forgot("ada").await;
    let link = mails.receives(1).await.link();
    let mut ready = Vec::new();
    for n in 0..6 {
        let person = app.person();
        let csrf = person.get(&link).await.hidden("csrf");
        ready.push((person, csrf, format!("boat number {n} and a candle")));
    }
    let pages = at_once(ready.iter().map(|(person, csrf, password)| async move {
        person.post("/reset-password", &[("csrf", csrf.as_str()), ("password", password.as_str())]).await
    }));
    let pages = pages.await;
    assert_eq!(pages.iter().filter(|page| page.asks_to_sign_in()).count(), 1);
    assert_eq!(pages.iter().filter(|page| page.status == 410).count(), 5);
    let winner = pages.iter().position(Page::asks_to_sign_in).unwrap();
    assert!(app.person().can_sign_in("ada", &ready[winner].2).await);
    app.outbox_is_empty().await;
    mails.receives(2).await;
}

async fn the_secret_leaves_the_address_at_once(engine: Engine) {
    let (app, mails) = server(engine).await;
    app.person().forgot("ada").await;
    let link = mails.receives(1).await.link();
    let secret = link.rsplit('=').next().unwrap().to_owned();
    let signed_in = app.person();
    signed_in.sign_in_to_account("ada").await;
    // Other nodes remember the browser as it was.
    let other = app.second_node().await;
    for person in [app.person(), signed_in] {
        person.get("/account").await;
        let at_other = other.person();
        at_other.takes_cookies_of(&person);
        at_other.get("/account").await;

        let page = person.get(&link).await;
        assert_eq!(page.url, format!("{}/reset-password", app.url));
        assert!(!page.body.contains(&secret));
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(page.header("cache-control"), Some("no-store"));
        assert!(!rows(&app).await.iter().any(|row| row.contains(&secret)));
        assert!(!person.cookies().values().any(|value| value.contains(&secret)));
        at_other.takes_cookies_of(&person);
        assert!(at_other.get("/reset-password").await.body.contains("<strong>ada</strong>"));
    }
    // A browser that never opened it has nothing there.
    assert_eq!(app.person().get("/reset-password").await.status, 410);
}

async fn a_password_that_will_not_do_is_named_beside_its_field(engine: Engine) {
    let (app, mails) = server(engine).await;
    let person = app.person();
    person.forgot("ada").await;
    let link = mails.receives(1).await.link();
    let long = "x".repeat(1_025);
    for (password, words) in [
        ("short", "The password must have at least 12 characters."),
        ("", "at least 12 characters"),
        ("password1234", "one of those that are tried first"),
        ("Ada-Lovelace-1815", "must not be made of your own name"),
        (&long, "at most 1024 bytes"),
    ] {
        let page = person.resets(&link, password).await;
        assert_eq!(page.status, 422, "{password}");
        assert!(page.body.contains(words) && page.body.contains("aria-describedby=\"rules mistake\""), "{}", page.body);
        assert!(password.is_empty() || !page.body.contains(&format!("value=\"{password}\"")), "{}", page.body);
    }
    // Nothing is lost by that.
    assert!(person.resets(&link, NEW).await.asks_to_sign_in());
}

async fn what_the_old_password_opened_is_shut_and_its_owner_told(engine: Engine) {
    let (app, mails) = server(engine).await;
    let rp = app.client("web").create().await;
    let thief = app.person();
    let tokens = rp.sign_in_with(&thief, "ada", &[]).await;
    let person = app.person();
    person.forgot("ada").await;
    let link = mails.receives(1).await.link();
    app.advance(1);
    person.resets(&link, NEW).await;
    assert!(!thief.is_signed_in().await);
    app.introspect(tokens.access_token()).await.expect_inactive();
    rp.refresh(&tokens).await.expect_error("invalid_grant");
    // ASVS 6.3.7
    let mail = mails.receives(2).await;
    assert_eq!((mail.to.as_str(), mail.header("Subject")), ("ada@example.org", "Your password was changed"));
}

async fn who_asks_too_often_has_to_wait(engine: Engine) {
    let mails = MailServer::start().await;
    let app = TestApp::with(engine, &mails.toml_behind_a_proxy()).await;
    app.user("ada").await;
    let mut last = Vec::new();
    for login in ["ada", "nobody"] {
        for _ in 0..5 {
            assert_eq!(at(&app, "192.0.2.1").forgot(login).await.status, 200);
        }
        let page = at(&app, "192.0.2.1").forgot(&login.to_uppercase()).await;
        // ASVS 6.6.3, 6.3.8
        assert_eq!((page.status.as_u16(), page.header("retry-after")), (429, Some("61")));
        last.push(page.body.replace(&page.hidden("csrf"), "TOKEN").replace(&login.to_uppercase(), "NAME"));
    }
    assert_eq!(last[0], last[1]);
    app.outbox_is_empty().await;
    mails.receives(5).await;
    // Longer and longer, on every node, but never longer than an hour.
    let other = app.second_node().await;
    for minutes in [1, 2, 4, 8, 16, 32, 60, 60] {
        assert_eq!(at(&other, "192.0.2.2").forgot("ada").await.status, 429, "{minutes}");
        app.clock.advance(Duration::from_mins(minutes));
        assert_eq!(at(&other, "192.0.2.2").forgot("ada").await.status, 200, "{minutes}");
    }
}
