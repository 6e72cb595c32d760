//! Accounts that people make for themselves.

use std::fs;

use grantor::config::sign_up::Who;

use super::second_factor::App;
use super::throttle::at;
use crate::cli::place::Place;
use crate::each_engine;
use crate::support::behind::at_once;
use crate::support::smtp::MailServer;
use crate::support::{Engine, Page, Person, Pkce, TestApp};

each_engine!(
    somebody_makes_an_account_and_the_request_goes_on,
    whether_an_address_has_an_account_does_not_show,
    an_account_is_made_once_for_an_hour,
    what_will_not_do_is_named_beside_its_field,
    whoever_is_signed_in_already_stays_so_beside_the_new_one,
    where_everybody_needs_a_second_factor_it_is_set_up_first,
    without_leave_nobody_makes_an_account,
);

const NEW: &str = "two boats and a candle";

impl Person {
    async fn wants_an_account(&self, email: &str) -> Page {
        let page = self.get("/sign-up").await;
        self.post("/sign-up", &[("csrf", &page.hidden("csrf")), ("email", email)]).await
    }

    async fn makes_an_account(&self, link: &str, name: &str, password: &str) -> Page {
        let page = self.get(link).await;
        if page.status == 410 {
            return page;
        }
        let fields = [("csrf", &*page.hidden("csrf")), ("name", name), ("password", password)];
        self.post("/sign-up/confirm", &fields).await
    }
}

async fn server(engine: Engine) -> (TestApp, MailServer) {
    let mails = MailServer::start().await;
    let app = TestApp::with(engine, &format!("[sign_up]\nmode = \"open\"\n{}", mails.toml())).await;
    (app, mails)
}

async fn somebody_makes_an_account_and_the_request_goes_on(engine: Engine) {
    let (app, mails) = server(engine).await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let page = rp.authorize(&person, &pkce, &[("scope", "openid profile email")]).await;
    let request = page.hidden("request");
    let way = format!("/sign-up?request={request}");
    assert!(page.body.contains(&format!("href=\"{way}\"")), "{}", page.body);

    let page = person.get(&way).await;
    let fields = [("csrf", &*page.hidden("csrf")), ("request", &request), ("email", "Grace@Example.org")];
    let page = person.post("/sign-up", &fields).await;
    assert!(page.status == 200 && page.body.contains("Look into your mail"), "{page:?}");
    // Before the address is proved there is no account.
    assert_eq!(app.count("users").await, 0);
    let mail = mails.receives(1).await;
    assert_eq!(mail.to, "Grace@Example.org");

    let page = person.get(&mail.link()).await;
    assert_eq!(page.url, format!("{}/sign-up/confirm", app.url), "the secret has left the address");
    assert!(page.body.contains("<strong>Grace@Example.org</strong>"), "{}", page.body);
    let fields = [("csrf", &*page.hidden("csrf")), ("name", " Grace Hopper "), ("password", NEW)];
    let before = person.cookies();
    let page = person.post("/sign-up/confirm", &fields).await;
    assert!(page.asks_for_consent(), "{page:?}");
    // ASVS 7.2.4
    assert_ne!(person.cookies(), before);
    let page = person.decide(&page, "allow").await;
    let tokens = rp.redeem(&page.code(), &pkce).await.expect_tokens();
    let claims = rp.userinfo(tokens.access_token()).await.expect_status(200).json();
    assert_eq!(
        (&claims["name"], &claims["email"], &claims["email_verified"], &claims["preferred_username"]),
        (&"Grace Hopper".into(), &"Grace@Example.org".into(), &true.into(), &"Grace@Example.org".into())
    );

    // In another browser the account is made as well, and nothing waits there.
    person.wants_an_account("other@example.org").await;
    let elsewhere = app.person();
    let page = elsewhere.makes_an_account(&mails.receives(2).await.link(), "", NEW).await;
    assert!(page.url.ends_with("/account"), "{page:?}");
}

async fn whether_an_address_has_an_account_does_not_show(engine: Engine) {
    let (app, mails) = server(engine).await;
    app.user("ada").await;
    app.user_with("grace@example.org", |user| user.email = None).await;
    let mut answers = Vec::new();
    for email in ["ada@example.org", "grace@example.org", "nobody@example.org"] {
        let page = app.person().wants_an_account(email).await;
        answers.push((page.status, page.url, page.body));
    }
    // ASVS 6.3.8
    assert!(answers[0].0 == 200 && answers.iter().all(|answer| *answer == answers[0]), "{answers:#?}");
    mails.receives(3).await;
    for mail in mails.mails() {
        let subject =
            if mail.to == "nobody@example.org" { "Confirm your e-mail address" } else { "You have an account already" };
        assert_eq!(mail.header("Subject"), subject, "{}", mail.to);
    }
    // Nor does somebody get in there who had a link before the address was taken.
    let link = mails.mails().iter().find(|mail| mail.to == "nobody@example.org").unwrap().link();
    let person = app.person();
    let page = person.get(&link).await;
    app.user_with("late", |user| user.email = Some("nobody@example.org".into())).await;
    let fields = [("csrf", &*page.hidden("csrf")), ("name", ""), ("password", NEW)];
    assert_eq!(person.post("/sign-up/confirm", &fields).await.status, 410);
    assert!(!person.is_signed_in().await);
    assert_eq!(app.count("users").await, 3);
}

async fn an_account_is_made_once_for_an_hour(engine: Engine) {
    let (app, mails) = server(engine).await;
    app.person().wants_an_account("grace@example.org").await;
    let old = mails.receives(1).await.link();
    app.person().wants_an_account("GRACE@example.org").await;
    let link = mails.receives(2).await.link();
    assert_eq!(app.person().get(&old).await.status, 410, "a newer one was sent");
    app.advance(3_599);
    let mut ready = Vec::new();
    for _ in 0..5 {
        let person = app.person();
        let csrf = person.get(&link).await.hidden("csrf");
        ready.push((person, csrf));
    }
    let pages = at_once(ready.iter().map(|(person, csrf)| async move {
        person.post("/sign-up/confirm", &[("csrf", csrf.as_str()), ("password", NEW)]).await
    }));
    let pages = pages.await;
    // ASVS 6.4.1
    assert_eq!(pages.iter().filter(|page| page.url.ends_with("/account")).count(), 1);
    assert_eq!(pages.iter().filter(|page| page.status == 410).count(), 4);
    assert_eq!(app.count("users").await, 1);

    app.person().wants_an_account("ada@example.org").await;
    let link = mails.receives(3).await.link();
    app.advance(3_600);
    assert_eq!(app.person().get(&link).await.status, 410);
    // A link for something else does not do.
    app.person().forgot("grace@example.org").await;
    let link = mails.receives(4).await.link().replace("/reset-password", "/sign-up/confirm");
    assert_eq!(app.person().get(&link).await.status, 410);
}

async fn what_will_not_do_is_named_beside_its_field(engine: Engine) {
    let (app, mails) = server(engine).await;
    let person = app.person();
    for email in ["", "grace", "grace@", "grace@exam ple.org", "grace@example.org\r\nBcc: eve@example.org", "a@b@c"] {
        let page = person.wants_an_account(email).await;
        assert_eq!(page.status, 422, "{email:?}");
        assert!(page.body.contains("This is not an e-mail address."), "{}", page.body);
        assert!(page.body.contains("aria-describedby=\"mistake\""), "{}", page.body);
    }
    assert_eq!(app.count("outbox").await, 0);
    person.wants_an_account("grace@example.org").await;
    let link = mails.receives(1).await.link();
    for (name, password, words) in [
        ("Grace", "short", "The password must have at least 12 characters."),
        // ASVS 6.2.11
        ("Amazing Hopper", "amazing-hopper!", "must not be made of your own name"),
        (&"x".repeat(257), NEW, "A name has at most 256 characters."),
        ("Gr\u{7}ace", NEW, "A name has at most"),
    ] {
        let page = person.makes_an_account(&link, name, password).await;
        assert_eq!(page.status, 422, "{name} {password}");
        assert!(page.body.contains(words), "{}", page.body);
        assert!(!page.body.contains(password), "{}", page.body);
    }
    assert_eq!(app.count("users").await, 0);
    // ASVS 6.6.3
    let app = TestApp::with(engine, &format!("[sign_up]\nmode = \"open\"\n{}", mails.toml_behind_a_proxy())).await;
    let person = at(&app, "192.0.2.1");
    for sent in 2..=6 {
        person.wants_an_account("grace@example.org").await;
        mails.receives(sent).await;
    }
    let page = person.wants_an_account("Grace@example.org").await;
    assert!(page.status == 429 && page.header("retry-after") == Some("61"), "{page:?}");
    person.makes_an_account(&mails.receives(6).await.link(), "", NEW).await;
    assert!(person.is_signed_in().await);
}

async fn whoever_is_signed_in_already_stays_so_beside_the_new_one(engine: Engine) {
    let (app, mails) = server(engine).await;
    let ada = app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    person.wants_an_account("grace@example.org").await;
    let page = person.makes_an_account(&mails.receives(1).await.link(), "", NEW).await;
    assert!(page.url.ends_with("/account") && page.body.contains("grace@example.org"), "{page:?}");
    use grantor::types::Clock as _;
    assert_eq!(app.store.sessions_of(ada, app.clock.now()).await.unwrap().len(), 1);
    assert!(page.body.contains("Also signed in here"), "{}", page.body);
}

async fn where_everybody_needs_a_second_factor_it_is_set_up_first(engine: Engine) {
    let mails = MailServer::start().await;
    let toml = format!("[second_factor]\npolicy = \"required\"\n[sign_up]\nmode = \"open\"\n{}", mails.toml());
    let app = TestApp::with(engine, &toml).await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let request = rp.authorize(&person, &pkce, &[]).await.hidden("request");
    let page = person.get(&format!("/sign-up?request={request}")).await;
    let fields = [("csrf", &*page.hidden("csrf")), ("request", &request), ("email", "grace@example.org")];
    person.post("/sign-up", &fields).await;
    let page = person.makes_an_account(&mails.receives(1).await.link(), "", NEW).await;
    // ASVS 6.3.3
    assert!(page.url.contains("/sign-in/second") && !person.is_signed_in().await, "{page:?}");
    let telephone = App::set_up(&page);
    let page = person.enter(&page, &telephone.code(&app)).await;
    assert!(page.body.contains(&format!("/oauth/authorize/continue?request={request}")), "{page:?}");
    assert!(person.is_signed_in().await);
}

async fn without_leave_nobody_makes_an_account(engine: Engine) {
    let mails = MailServer::start().await;
    for (mode, confirm) in [("off", 404), ("invitation", 410)] {
        let app = TestApp::with(engine, &format!("[sign_up]\nmode = {mode:?}\n{}", mails.toml())).await;
        app.person().get("/sign-up").await.expect_error_page(404);
        assert_eq!(app.person().get("/sign-up/confirm").await.status, confirm);
        assert!(!app.person().get("/sign-in").await.body.contains("/sign-up"));
        assert_ne!(app.config.sign_up.mode, Who::Open);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_invited_makes_an_account() {
    let mails = MailServer::start().await;
    let toml = format!("[sign_up]\nmode = \"invitation\"\n{}", mails.toml());
    let app = TestApp::with(Engine::Sqlite, &toml).await;
    let place = Place::empty();
    let ring = place.path("ring");
    {
        use secrecy::ExposeSecret as _;
        fs::write(&ring, app.config.seal.keys.as_ref().unwrap().expose_secret()).unwrap();
    }
    fs::write(
        place.path("grantor.toml"),
        format!("[server]\nissuer = {:?}\n[seal]\nfile = {:?}\n{toml}", app.url, ring.display().to_string()),
    )
    .unwrap();
    let database = app.database_url();
    let run =
        |arguments: &[&str]| place.run(&[arguments, &["--config", "grantor.toml", "--database", &database]].concat());
    // The command has the machine's clock.
    app.advance(60);
    let told = run(&["user", "invite", "grace@example.org"]).expect_ok();
    assert!(told.starts_with("An invitation is on its way to grace@example.org"), "{told}");
    let mail = mails.receives(1).await;
    assert_eq!((mail.to.as_str(), mail.header("Subject")), ("grace@example.org", "You are invited to Grantor"));
    app.advance(6 * 86_400);
    let person = app.person();
    person.makes_an_account(&mail.link(), "Grace", NEW).await;
    assert!(person.is_signed_in().await);

    run(&["user", "invite", "Grace@example.org"]).expect_refused(1, "is a user's already");
    run(&["user", "invite", "grace"]).expect_refused(1, "is not an e-mail address");
    let printed = run(&["user", "invite", "alan@example.org", "--print"]).expect_ok();
    let link = printed.lines().next().unwrap();
    app.person().makes_an_account(link, "", NEW).await;
    assert!(app.store.user_by_login("alan@example.org").await.unwrap().is_some());
    assert_eq!(mails.mails().len(), 1);
    // ASVS 6.3.7: whoever has another password by command is told.
    let set = ["user", "set-password", "grace@example.org", "--password-stdin"];
    let set = [&set[..], &["--config", "grantor.toml", "--database", &database]].concat();
    place.run_with(&set, "three boats and a candle").expect_ok();
    // By the clock of the server it is six days old, and nobody is told any more.
    assert_eq!(app.count("outbox WHERE kind = 'mail'").await, 1);
    place.run(&["user", "invite", "x@example.org", "--database", &database]).expect_refused(1, "set sign_up.mode");
}
