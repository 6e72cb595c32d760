//! Another password and another e-mail address, from the account page (ASVS 6.2.2, 6.2.3, 6.3.7, 7.4.3, 7.5.1).

use std::time::Duration;

use grantor::types::Clock as _;

use super::throttle::at;
use crate::each_engine;
use crate::support::app::PASSWORD;
use crate::support::behind::at_once;
use crate::support::smtp::MailServer;
use crate::support::{Engine, Page, Person, TestApp};

each_engine!(
    a_password_is_changed_by_who_knows_the_current_one,
    a_change_of_password_ends_every_other_session_or_leaves_them,
    of_two_changes_of_one_password_one_is_made,
    an_address_is_changed_when_the_new_one_has_confirmed_it,
    an_address_that_nobody_proved_is_proved_and_never_a_way_in,
    the_old_address_takes_it_back,
    a_second_change_does_not_end_the_way_back_of_the_first,
    a_later_way_back_does_not_end_an_earlier,
    who_signed_in_long_ago_proves_it_again,
    whoever_has_a_second_factor_shows_it_first,
    what_becomes_of_a_second_factor_is_told,
    a_sign_in_in_another_browser_is_told,
    a_session_that_was_left_open_is_no_way_to_find_out_the_password,
    whether_the_new_address_is_somebodys_does_not_show,
    a_change_that_waits_ends_with_the_password_and_the_session,
    without_mail_the_password_can_be_changed_and_the_address_not,
);

const NEW: &str = "two boats and a candle";

impl Person {
    async fn changes_password(&self, current: &str, new: &str, end_others: bool) -> Page {
        let page = self.get("/account/password").await;
        let csrf = page.hidden("csrf");
        let mut fields = vec![("csrf", csrf.as_str()), ("current", current), ("password", new)];
        fields.extend(end_others.then_some(("end_others", "yes")));
        self.post("/account/password", &fields).await
    }

    async fn wants_email(&self, email: &str) -> Page {
        let page = self.get("/account/email").await;
        self.post("/account/email", &[("csrf", &page.hidden("csrf")), ("email", email)]).await
    }

    /// Opens a mailed link, and says yes, if there is anything to say yes to.
    async fn says_yes(&self, link: &str) -> Page {
        let page = self.get(link).await;
        if page.status == 410 {
            return page;
        }
        let path = page.body.split("action=\"").nth(1).and_then(|rest| rest.split('"').next()).expect("a form");
        self.post(path, &[("csrf", &page.hidden("csrf"))]).await
    }
}

async fn server(engine: Engine) -> (TestApp, MailServer, Person) {
    let mails = MailServer::start().await;
    let app = TestApp::with(engine, &mails.toml()).await;
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    (app, mails, person)
}

async fn email_of(app: &TestApp, username: &str) -> String {
    app.store.user_by_login(username).await.unwrap().unwrap().email.unwrap_or_default()
}

async fn a_password_is_changed_by_who_knows_the_current_one(engine: Engine) {
    let (app, mails, person) = server(engine).await;
    let page = person.get("/account/password").await;
    for autocomplete in ["current-password", "new-password", "username"] {
        assert!(page.body.contains(&format!("autocomplete=\"{autocomplete}\"")), "{}", page.body);
    }
    // ASVS 6.2.3
    for (current, new, words) in [
        ("not her password", NEW, "The password is not right. Try again."),
        ("", NEW, "The password is not right."),
        (PASSWORD, "short", "The password must have at least 12 characters."),
        (PASSWORD, "", "at least 12 characters"),
        (PASSWORD, "ada.lovelace.1815", "must not be made of your own name"),
    ] {
        let page = person.changes_password(current, new, true).await;
        assert_eq!(page.status, 422, "{current} {new}");
        assert!(page.body.contains(words) && page.body.contains("aria-invalid=\"true\""), "{}", page.body);
    }
    let before = person.cookies();
    let page = person.changes_password(PASSWORD, NEW, false).await;
    assert!(page.url.contains("/account") && page.body.contains("Your password is changed."), "{page:?}");
    // ASVS 7.2.4
    assert_ne!(person.cookies(), before);
    // ASVS 6.3.7
    let mail = mails.receives(1).await;
    assert_eq!((mail.to.as_str(), mail.header("Subject")), ("ada@example.org", "Your password was changed"));
    let page = app.person().get("/sign-in").await;
    assert_eq!(page.status, 200);
    let again = app.person();
    let page = again.get("/sign-in").await;
    assert_eq!(again.sign_in(&page, "ada", PASSWORD).await.status, 422);
    assert!(again.sign_in(&again.get("/sign-in").await, "ada", NEW).await.url.ends_with("/account"));

    let stranger = app.person();
    assert!(stranger.get("/account/password").await.asks_to_sign_in());
    stranger.post("/account/password", &[("current", NEW), ("password", PASSWORD)]).await.expect_error_page(403);
}

async fn a_change_of_password_ends_every_other_session_or_leaves_them(engine: Engine) {
    let (app, _mails, person) = server(engine).await;
    let rp = app.client("web").create().await;
    let other = app.person();
    let theirs = rp.sign_in_with(&other, "ada", &[]).await;
    let own = rp.sign_in_with(&person, "ada", &[]).await;
    app.advance(1);
    person.changes_password(PASSWORD, NEW, false).await;
    assert!(person.is_signed_in().await && other.is_signed_in().await);
    app.introspect(theirs.access_token()).await.expect_active();

    app.advance(1);
    // ASVS 7.4.3
    person.changes_password(NEW, PASSWORD, true).await;
    assert!(person.is_signed_in().await && !other.is_signed_in().await);
    app.introspect(theirs.access_token()).await.expect_inactive();
    rp.refresh(&theirs).await.expect_error("invalid_grant");
    app.introspect(own.access_token()).await.expect_active();
    rp.refresh(&own).await.expect_tokens();
}

async fn of_two_changes_of_one_password_one_is_made(engine: Engine) {
    let (app, _mails, person) = server(engine).await;
    let csrf = person.get("/account/password").await.hidden("csrf");
    let passwords: Vec<String> = (0..4).map(|n| format!("boat number {n} and a candle")).collect();
    let person = &person;
    let pages = at_once(passwords.iter().map(|password| {
        let fields = [("csrf", csrf.clone()), ("current", PASSWORD.to_owned()), ("password", password.clone())];
        async move {
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            person.post("/account/password", &fields).await
        }
    }));
    let pages = pages.await;
    let done = pages.iter().filter(|page| page.body.contains("Your password is changed.")).count();
    // Whoever came second has another cookie's form by then, or another password.
    assert!(done <= 1 && pages.iter().all(|page| [200, 422, 403].contains(&page.status.as_u16())), "{pages:?}");
    let mut works = 0;
    for password in &passwords {
        let person = app.person();
        let page = person.get("/sign-in").await;
        works += usize::from(person.sign_in(&page, "ada", password).await.url.ends_with("/account"));
    }
    assert_eq!(works, 1);
}

async fn an_address_is_changed_when_the_new_one_has_confirmed_it(engine: Engine) {
    let (app, mails, person) = server(engine).await;
    for (email, words) in [
        ("", "This is not an e-mail address."),
        ("ada", "This is not an e-mail address."),
        ("ADA@example.org", "This is the address that you have."),
    ] {
        let page = person.wants_email(email).await;
        assert!(page.status == 422 && page.body.contains(words), "{email}: {}", page.body);
    }
    let page = person.wants_email("ada@new.example").await;
    assert!(page.status == 200 && page.body.contains("Look into your mail"), "{page:?}");
    let mail = mails.receives(1).await;
    assert_eq!((mail.to.as_str(), email_of(&app, "ada").await.as_str()), ("ada@new.example", "ada@example.org"));

    // To look at it changes nothing; to say yes does, in whatever browser the mail is read.
    let reader = app.person();
    let page = reader.get(&mail.link()).await;
    assert_eq!(page.url, format!("{}/account/email/confirm", app.url));
    assert!(page.body.contains("ada@new.example") && page.body.contains("<strong>ada</strong>"), "{}", page.body);
    assert_eq!(email_of(&app, "ada").await, "ada@example.org");
    app.advance(3_599);
    reader.says_yes(&mail.link()).await;
    assert!(!reader.is_signed_in().await);
    assert_eq!(email_of(&app, "ada").await, "ada@new.example");
    assert_eq!(reader.says_yes(&mail.link()).await.status, 410);
    // ASVS 6.3.7: the old one is told.
    let told = mails.receives(2).await;
    assert_eq!((told.to.as_str(), told.header("Subject")), ("ada@example.org", "Your e-mail address was changed"));
    assert!(told.text().contains("ada@new.example"), "{}", told.text());
    // She is signed in still, and finds it there.
    assert!(person.get("/account").await.body.contains("ada@new.example"));

    let page = person.get("/account/email").await;
    let fields = [("csrf", &*page.hidden("csrf")), ("next", "email"), ("username", "ada"), ("password", PASSWORD)];
    person.post("/sign-in", &fields).await;
    person.wants_email("ada@late.example").await;
    let late = mails.receives(3).await.link();
    app.advance(3_600);
    assert_eq!(app.person().says_yes(&late).await.status, 410);
    assert_eq!(email_of(&app, "ada").await, "ada@new.example");
}

async fn an_address_that_nobody_proved_is_proved_and_never_a_way_in(engine: Engine) {
    let (app, mails, person) = server(engine).await;
    app.sql("UPDATE users SET email_verified = FALSE").await;
    assert!(person.get("/account/security").await.body.contains("ada@example.org, not confirmed"));
    person.wants_email("ada@example.org").await;
    person.says_yes(&mails.receives(1).await.link()).await;
    let ada = app.store.user_by_login("ada").await.unwrap().unwrap();
    assert!(ada.email_verified && ada.email.as_deref() == Some("ada@example.org"));

    // It may be a stranger's, by a slip of who wrote it down.
    app.sql("UPDATE users SET email = 'slip@example.net', email_key = 'slip@example.net', email_verified = FALSE")
        .await;
    person.wants_email("ada@new.example").await;
    person.says_yes(&mails.receives(2).await.link()).await;
    assert_eq!(email_of(&app, "ada").await, "ada@new.example");
    app.outbox_is_empty().await;
    assert!(mails.mails().iter().all(|mail| mail.to != "slip@example.net"), "{:?}", mails.mails());
}

async fn the_old_address_takes_it_back(engine: Engine) {
    let (app, mails, thief) = server(engine).await;
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in_with(&thief, "ada", &[]).await;
    thief.wants_email("thief@example.net").await;
    thief.says_yes(&mails.receives(1).await.link()).await;
    thief.wants_email("thief2@example.net").await;
    let waits = mails.receives(3).await.link();
    let undo = mails.mails().into_iter().find(|mail| mail.to == "ada@example.org").unwrap().link();
    app.advance(7 * 86_400 - 1);

    let ada = app.person();
    let page = ada.get(&undo).await;
    assert!(page.body.contains("Take the old address back?") && page.body.contains("ada@example.org"), "{}", page.body);
    assert_eq!(email_of(&app, "ada").await, "thief@example.net");
    let page = ada.says_yes(&undo).await;
    assert!(page.body.contains("The old address is back") && page.body.contains("/forgot-password"), "{}", page.body);
    assert_eq!(email_of(&app, "ada").await, "ada@example.org");
    assert!(!thief.is_signed_in().await);
    app.introspect(tokens.access_token()).await.expect_inactive();
    assert_eq!(ada.says_yes(&undo).await.status, 410);
    assert_eq!(thief.says_yes(&waits).await.status, 410);
}

async fn a_second_change_does_not_end_the_way_back_of_the_first(engine: Engine) {
    let (app, mails, thief) = server(engine).await;
    for (n, email) in ["one@example.net", "two@example.net"].into_iter().enumerate() {
        thief.wants_email(email).await;
        thief.says_yes(&mails.receives(2 * n + 1).await.link()).await;
        mails.receives(2 * n + 2).await;
    }
    assert_eq!(email_of(&app, "ada").await, "two@example.net");
    let undo = mails.mails().into_iter().find(|mail| mail.to == "ada@example.org").unwrap().link();
    app.person().says_yes(&undo).await;
    assert_eq!(email_of(&app, "ada").await, "ada@example.org");
    // And the later ways back, which went to the thief, lead nowhere after that.
    assert_eq!(app.person().says_yes(&mails.mails()[3].link()).await.status, 410);
    assert_eq!(email_of(&app, "ada").await, "ada@example.org");
}

async fn a_later_way_back_does_not_end_an_earlier(engine: Engine) {
    let (app, mails, thief) = server(engine).await;
    for (n, email) in ["one@example.net", "two@example.net"].into_iter().enumerate() {
        thief.wants_email(email).await;
        thief.says_yes(&mails.receives(2 * n + 1).await.link()).await;
        mails.receives(2 * n + 2).await;
        app.advance(1);
    }
    app.person().says_yes(&mails.mails()[3].link()).await;
    assert_eq!(email_of(&app, "ada").await, "one@example.net");
    app.person().says_yes(&mails.mails()[1].link()).await;
    assert_eq!(email_of(&app, "ada").await, "ada@example.org");
}

async fn who_signed_in_long_ago_proves_it_again(engine: Engine) {
    let (app, mails, person) = server(engine).await;
    let page = person.get("/account/email").await;
    app.advance(10 * 60 + 1);
    // ASVS 7.5.1
    let fields = [("csrf", &*page.hidden("csrf")), ("email", "ada@new.example")];
    for page in [person.get("/account/email").await, person.post("/account/email", &fields).await] {
        assert!(page.asks_to_sign_in() && page.body.contains(" readonly"), "{page:?}");
        assert_eq!((page.username(), page.hidden("next")), ("ada".to_owned(), "email".to_owned()));
    }
    app.outbox_is_empty().await;
    assert!(mails.mails().is_empty());
    let page = person.get("/account/email").await;
    let fields = [("csrf", &*page.hidden("csrf")), ("next", "email"), ("username", "ada"), ("password", PASSWORD)];
    assert!(person.post("/sign-in", &fields).await.url.ends_with("/account/email"));
    assert_eq!(person.wants_email("ada@new.example").await.status, 200);
    assert_eq!(mails.receives(1).await.to, "ada@new.example");
    // For another password the current one is asked for in any case.
    app.advance(10 * 60 + 1);
    assert!(person.changes_password(PASSWORD, NEW, false).await.body.contains("Your password is changed."));
}

async fn whoever_has_a_second_factor_shows_it_first(engine: Engine) {
    let (app, mails, person) = server(engine).await;
    // A session of before there was one is not enough.
    let (telephone, _) = person.sets_up_an_app(&app).await;
    for (path, next) in [("/account/password", "password"), ("/account/email", "email")] {
        let page = person.get(path).await;
        assert!(page.asks_to_sign_in(), "{page:?}");
        let csrf = page.hidden("csrf");
        let fields = [("csrf", csrf.as_str()), ("email", "eve@example.net"), ("current", PASSWORD), ("password", NEW)];
        assert!(person.post(path, &fields).await.asks_to_sign_in(), "{path}");
        app.advance(30);
        let fields = [("csrf", csrf.as_str()), ("next", next), ("username", "ada"), ("password", PASSWORD)];
        let page = person.post("/sign-in", &fields).await;
        let page = person.enter(&page, &telephone.code(&app)).await;
        assert!(page.url.ends_with(path), "{page:?}");
        app.advance(10 * 60 + 1);
    }
    assert!(mails.mails().iter().all(|mail| mail.to != "eve@example.net"), "{:?}", mails.mails());
    let page = person.get("/account/password").await;
    let fields = [("csrf", &*page.hidden("csrf")), ("next", "password"), ("username", "ada"), ("password", PASSWORD)];
    let page = person.post("/sign-in", &fields).await;
    person.enter(&page, &telephone.code(&app)).await;
    assert!(person.changes_password(PASSWORD, NEW, true).await.body.contains("Your password is changed."));
    // It is still the session of both factors.
    assert_eq!(person.wants_email("ada@new.example").await.status, 200);
}

async fn what_becomes_of_a_second_factor_is_told(engine: Engine) {
    let (app, mails, person) = server(engine).await;
    // ASVS 6.3.7
    let (telephone, codes) = person.sets_up_an_app(&app).await;
    assert_eq!(mails.receives(1).await.header("Subject"), "An authenticator app was added");
    app.advance(30);
    let elsewhere = app.person();
    let second = elsewhere.sign_in(&elsewhere.get("/sign-in").await, "ada", PASSWORD).await;
    elsewhere.enter(&second, &telephone.code(&app)).await;
    assert!(elsewhere.is_signed_in().await);
    let lost = app.person();
    let second = lost.sign_in(&lost.get("/sign-in").await, "ada", PASSWORD).await;
    lost.enter(&second, &codes[0]).await;
    let mail = mails.receives(2).await;
    assert_eq!((mail.to.as_str(), mail.header("Subject")), ("ada@example.org", "A recovery code was used"));
    let page = lost.get("/account/security").await;
    let (csrf, id) = (page.hidden("csrf"), page.hidden("app"));
    lost.post("/account/security/recovery-codes", &[("csrf", &csrf)]).await;
    assert_eq!(mails.receives(3).await.header("Subject"), "You have new recovery codes");
    lost.post("/account/security/app/remove", &[("csrf", &csrf), ("app", &id)]).await;
    assert_eq!(mails.receives(4).await.header("Subject"), "An authenticator app was removed");
}

async fn a_sign_in_in_another_browser_is_told(engine: Engine) {
    let mails = MailServer::start().await;
    let app = TestApp::with(engine, &mails.toml().replace("new_devices = false", "new_devices = true")).await;
    app.user("ada").await;
    let person = app.person();
    // ASVS 6.3.5
    person.sign_in_to_account("ada").await;
    let mail = mails.receives(1).await;
    assert_eq!((mail.to.as_str(), mail.header("Subject")), ("ada@example.org", "A sign-in in another browser"));
    assert!(mail.text().contains("Firefox on Linux"), "{}", mail.text());
    // Not of one that is known, nor of one that fails.
    person.sign_out().await;
    person.sign_in_to_account("ada").await;
    let page = app.person().get("/sign-in").await;
    app.person().sign_in(&page, "ada", "not her password").await;
    app.outbox_is_empty().await;
    let (telephone, _) = person.sets_up_an_app(&app).await;
    mails.receives(2).await;
    // By two factors it is told once, when it is done.
    let page = person.get("/sign-in?next=security").await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    let elsewhere = app.person();
    let second = elsewhere.sign_in(&elsewhere.get("/sign-in").await, "ada", PASSWORD).await;
    app.outbox_is_empty().await;
    assert_eq!(mails.mails().len(), 2);
    app.advance(30);
    elsewhere.enter(&second, &telephone.code(&app)).await;
    assert_eq!(mails.receives(3).await.header("Subject"), "A sign-in in another browser");
}

async fn a_session_that_was_left_open_is_no_way_to_find_out_the_password(engine: Engine) {
    let mails = MailServer::start().await;
    let app = TestApp::with(engine, &mails.toml_behind_a_proxy()).await;
    app.user("ada").await;
    let person = at(&app, "192.0.2.1");
    person.sign_in_to_account("ada").await;
    for _ in 0..5 {
        assert_eq!(person.changes_password("not her password", NEW, false).await.status, 422);
    }
    // ASVS 6.3.1
    let page = person.changes_password(PASSWORD, NEW, false).await;
    assert!(page.status == 429 && page.header("retry-after") == Some("2"), "{page:?}");
    assert!(page.body.contains("There were too many attempts."), "{}", page.body);
    app.advance(1);
    assert!(person.changes_password(PASSWORD, NEW, false).await.body.contains("Your password is changed."));
    // ASVS 6.6.3
    for n in 0..5 {
        assert_eq!(person.wants_email(&format!("ada{n}@example.net")).await.status, 200);
    }
    assert_eq!(person.wants_email("ada@example.net").await.status, 429);
}

async fn whether_the_new_address_is_somebodys_does_not_show(engine: Engine) {
    let (app, mails, person) = server(engine).await;
    app.user("bob").await;
    let mut answers = Vec::new();
    for email in ["bob@example.org", "nobody@example.org"] {
        let page = person.wants_email(email).await;
        answers.push((page.status, page.url, page.body));
    }
    // ASVS 6.3.8
    assert_eq!(answers[0], answers[1]);
    mails.receives(2).await;
    let to_bob = mails.mails().into_iter().find(|mail| mail.to == "bob@example.org").unwrap();
    assert_eq!(to_bob.header("Subject"), "This address has an account already");
    assert!(!to_bob.text().contains("?link="), "{}", to_bob.text());
    // Somebody takes it before it is confirmed.
    let link = mails.mails().into_iter().find(|mail| mail.to == "nobody@example.org").unwrap().link();
    app.user_with("late", |user| user.email = Some("nobody@example.org".into())).await;
    assert_eq!(person.says_yes(&link).await.status, 410);
    assert_eq!(email_of(&app, "ada").await, "ada@example.org");
}

async fn a_change_that_waits_ends_with_the_password_and_the_session(engine: Engine) {
    let (app, mails, thief) = server(engine).await;
    thief.wants_email("thief@example.net").await;
    let link = mails.receives(1).await.link();
    let ada = app.person();
    ada.forgot("ada").await;
    ada.resets(&mails.receives(2).await.link(), NEW).await;
    assert_eq!(thief.says_yes(&link).await.status, 410);
    assert_eq!(email_of(&app, "ada").await, "ada@example.org");
    // A wish of a session that has ended is granted to nobody.
    mails.receives(3).await;
    let session = app.store.user_by_login("ada").await.unwrap().unwrap().id;
    assert!(app.store.sessions_of(session, app.clock.now()).await.unwrap().is_empty());
    app.clock.advance(Duration::from_secs(1));
    assert!(thief.wants_email("thief@example.net").await.status != 200 || !thief.is_signed_in().await);
    app.outbox_is_empty().await;
    assert_eq!(mails.mails().len(), 3);
}

async fn without_mail_the_password_can_be_changed_and_the_address_not(engine: Engine) {
    let app = TestApp::spawn(engine).await;
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let page = person.get("/account/security").await;
    assert!(page.body.contains("/account/password") && !page.body.contains("/account/email"), "{}", page.body);
    person.get("/account/email").await.expect_error_page(404);
    assert!(person.changes_password(PASSWORD, NEW, true).await.body.contains("Your password is changed."));
    assert_eq!(app.count("outbox").await, 0);
}
