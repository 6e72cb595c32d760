//! Linked sign-ins: which somebody has, one more, one less (ASVS 6.8.1, 7.5.1), and what an administrator does with them.

use std::time::Duration;

use grantor::store::Stored;
use grantor::types::{Clock as _, Identity, IdentityId};
use serde_json::json;

use crate::cli::place::Place;
use crate::each_engine;
use crate::support::app::PASSWORD;
use crate::support::behind::at_once;
use crate::support::smtp::MailServer;
use crate::support::upstream::{Fake, Two, leaves};
use crate::support::{Engine, Page, Person};

each_engine!(
    whoever_links_has_proved_just_now_who_they_are,
    what_is_linked_to_one_account_is_not_linked_to_another,
    whoever_leaves_to_link_comes_back_as_who_they_were,
    what_was_linked_is_unlinked_and_lets_nobody_in,
    the_only_way_in_stays,
    of_two_who_unlink_the_last_two_one_is_refused,
    of_many_accounts_that_link_one_identity_at_once_one_has_it,
    its_owner_is_told,
    with_its_user_it_goes,
);

impl Person {
    /// Presses "Unlink" for the first that stands on the page.
    async fn unlinks(&self, page: &Page) -> Page {
        let fields = [("csrf", page.hidden("csrf")), ("identity", page.hidden("identity"))];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        self.post("/account/security/linked/remove", &fields).await
    }
}

async fn whoever_links_has_proved_just_now_who_they_are(engine: Engine) {
    let two = Two::start(engine, "").await;
    two.here.user("ada").await;
    two.there.user("ada").await;
    let traveller = two.traveller();
    traveller.here.sign_in_to_account("ada").await;
    let security = traveller.here.get("/account/security").await;
    // ASVS 7.5.1
    two.advance(Duration::from_secs(3_600));
    let fields = [("csrf", security.hidden("csrf")), ("provider", "there".to_owned())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let page = traveller.here.post("/account/security/linked/new", &fields).await;
    assert!(page.asks_to_sign_in() && page.username() == "ada", "{page:?}");
    assert_eq!(two.here.count("upstream_visits").await, 0);
    // Nor by a form of elsewhere, nor at a provider that is none.
    let page = traveller.here.post("/account/security/linked/new", &[("provider", "there")]).await;
    assert_eq!(page.status, 403);
    let page = traveller.here.get("/account/security/app").await;
    let fields = [
        ("csrf", page.hidden("csrf")),
        ("next", "security".to_owned()),
        ("username", "ada".to_owned()),
        ("password", PASSWORD.to_owned()),
    ];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let security = traveller.here.post("/sign-in", &fields).await;
    let none = [("csrf", security.hidden("csrf")), ("provider", "none".to_owned())];
    let none = none.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(traveller.here.post("/account/security/linked/new", &none).await.status, 404);
    let page = traveller.link(&security, "ada").await;
    assert!(page.url.ends_with("done=linked"), "{page:?}");
    // Again is nothing new.
    let page = traveller.link(&page, "ada").await;
    assert!(page.url.ends_with("done=linked_already"), "{page:?}");
    assert_eq!(two.here.count("identities").await, 1);
}

async fn what_is_linked_to_one_account_is_not_linked_to_another(engine: Engine) {
    let two = Two::start(engine, "").await;
    two.here.user("ada").await;
    two.here.user("eve").await;
    two.there.user("ada").await;
    two.linked("ada").await;
    let traveller = two.traveller();
    traveller.here.sign_in_to_account("eve").await;
    let security = traveller.here.get("/account/security").await;
    let page = traveller.link(&security, "ada").await;
    assert!(page.url.ends_with("done=linked_elsewhere") && page.body.contains("Nothing was linked"), "{page:?}");
    let account = two.traveller();
    assert!(account.comes("ada").await.body.contains("ada Lovelace"));
    assert_eq!(two.here.count("identities").await, 1);
}

async fn whoever_leaves_to_link_comes_back_as_who_they_were(engine: Engine) {
    let two = Two::start(engine, "").await;
    two.here.user("ada").await;
    two.here.user("eve").await;
    two.there.user("eve").await;
    let traveller = two.traveller();
    traveller.here.sign_in_to_account("ada").await;
    let security = traveller.here.get("/account/security").await;
    let url = traveller.leaves_to_link(&security, "there").await;
    let callback = traveller.proves(&url, "eve").await;
    // Meanwhile somebody else is signed in in this browser.
    traveller.here.sign_out().await;
    traveller.here.sign_in_to_account("eve").await;
    traveller.here.get(&callback).await;
    assert_eq!(two.here.count("identities").await, 0);

    // Or it took so long that who they are has to be proved again.
    let traveller = two.traveller();
    traveller.here.sign_in_to_account("ada").await;
    let security = traveller.here.get("/account/security").await;
    two.advance(Duration::from_secs(560));
    let url = traveller.leaves_to_link(&security, "there").await;
    let callback = traveller.proves(&url, "eve").await;
    two.here.clock.advance(Duration::from_secs(50));
    assert!(traveller.here.get(&callback).await.asks_to_sign_in());
    assert_eq!(two.here.count("identities").await, 0);
}

async fn what_was_linked_is_unlinked_and_lets_nobody_in(engine: Engine) {
    let two = Two::start(engine, "").await;
    two.here.user("ada").await;
    two.here.user("eve").await;
    two.there.user("ada").await;
    let traveller = two.linked("ada").await;
    let security = traveller.here.get("/account/security").await;
    // It is nobody else's to take away.
    let eve = two.here.person();
    eve.sign_in_to_account("eve").await;
    let own = eve.get("/account/security").await;
    let fields = [("csrf", own.hidden("csrf")), ("identity", security.hidden("identity"))];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    eve.post("/account/security/linked/remove", &fields).await;
    assert_eq!(two.here.count("identities").await, 1);
    two.advance(Duration::from_secs(3_600));
    assert!(traveller.here.unlinks(&security).await.asks_to_sign_in());
    assert_eq!(two.here.count("identities").await, 1);

    let person = two.here.person();
    person.sign_in_to_account("ada").await;
    let page = person.unlinks(&person.get("/account/security").await).await;
    assert!(page.url.ends_with("done=unlinked") && page.body.contains("You have linked none"), "{page:?}");
    assert!(two.traveller().comes("ada").await.url.contains("/sign-in/unknown"));
    let events = person.get("/account/events").await.body;
    for what in ["An account elsewhere was linked", "An account elsewhere was unlinked"] {
        assert!(events.contains(what), "{events}");
    }
    let data = person.post("/account/data", &[("csrf", &page.hidden("csrf"))]).await;
    assert!(data.body.contains("\"linked_sign_ins\""), "{data:?}");
}

async fn the_only_way_in_stays(engine: Engine) {
    let fake = Fake::start();
    let app = fake.openid(engine, "create = \"open\"\n").await;
    let person = app.person();
    fake.comes(&app, &person, |_| {}).await;
    let page = person.unlinks(&person.get("/account/security").await).await;
    assert!(page.url.ends_with("done=only_way_in") && page.body.contains("it is your only way in"), "{page:?}");
    assert_eq!(app.count("identities").await, 1);
    // One of a provider that is no longer there is no way in.
    let user = app.store.users().await.unwrap().remove(0);
    let gone = Identity {
        id: IdentityId::new(grantor::crypto::random::uuid_v4(&grantor::crypto::SystemRandom::new())),
        user: user.id,
        provider: "gone".to_owned(),
        subject: "1".to_owned(),
        email: None,
        created_at: app.clock.now().plus(Duration::from_secs(1)),
        used_at: None,
    };
    assert_eq!(app.change(async |tx| tx.insert_identity(&gone).await).await, Stored::Stored);
    let page = person.unlinks(&person.get("/account/security").await).await;
    assert!(page.url.ends_with("done=only_way_in"), "{page:?}");
    // With a password it may go.
    app.change(async |tx| tx.replace_password(user.id, None, "a hash", app.clock.now()).await).await;
    let page = person.unlinks(&person.get("/account/security").await).await;
    assert!(page.url.ends_with("done=unlinked"), "{page:?}");
}

async fn of_two_who_unlink_the_last_two_one_is_refused(engine: Engine) {
    let fake = Fake::start();
    let app = fake.openid(engine, "create = \"open\"\n").await;
    let person = app.person();
    fake.comes(&app, &person, |_| {}).await;
    let user = app.store.users().await.unwrap().remove(0);
    let second = Identity {
        id: IdentityId::new(grantor::crypto::random::uuid_v4(&grantor::crypto::SystemRandom::new())),
        user: user.id,
        provider: "fake".to_owned(),
        subject: "2".to_owned(),
        email: None,
        created_at: app.clock.now(),
        used_at: None,
    };
    app.change(async |tx| tx.insert_identity(&second).await).await;
    let csrf = person.get("/account/security").await.hidden("csrf");
    let ids: Vec<String> =
        app.store.identities_of(user.id).await.unwrap().iter().map(|identity| identity.id.to_string()).collect();
    let pages = at_once(ids.iter().map(|id| {
        let (person, csrf) = (&person, &csrf);
        async move { person.post("/account/security/linked/remove", &[("csrf", csrf), ("identity", id)]).await }
    }))
    .await;
    let done = |what: &str| pages.iter().filter(|page| page.url.ends_with(what)).count();
    assert_eq!((done("done=unlinked"), done("done=only_way_in")), (1, 1), "{pages:#?}");
    assert_eq!(app.count("identities").await, 1);
}

async fn of_many_accounts_that_link_one_identity_at_once_one_has_it(engine: Engine) {
    let fake = Fake::start();
    let app = fake.openid(engine, "").await;
    let mut people = Vec::new();
    for name in ["ada", "bob", "eve", "dan"] {
        app.user(name).await;
        let person = app.person();
        person.sign_in_to_account(name).await;
        let page = fake.comes(&app, &person, |_| {}).await;
        let offer = page.param("offer").unwrap();
        let csrf = person.get("/account/security").await.hidden("csrf");
        people.push((person, offer, csrf));
    }
    let pages = at_once(people.iter().map(|(person, offer, csrf)| async move {
        person.post("/account/security/linked/offer", &[("csrf", csrf), ("offer", offer)]).await
    }))
    .await;
    let done = |what: &str| pages.iter().filter(|page| page.url.ends_with(what)).count();
    assert_eq!((done("done=linked"), done("done=linked_elsewhere")), (1, 3), "{pages:#?}");
    assert_eq!(app.count("identities").await, 1);
}

async fn its_owner_is_told(engine: Engine) {
    let mails = MailServer::start().await;
    let two = Two::start(engine, &mails.toml().replace("new_devices = false", "")).await;
    two.here.user("ada").await;
    two.there.user("ada").await;
    let traveller = two.linked("ada").await;
    // ASVS 6.3.7; the first is of the sign-in.
    let mail = mails.receives(2).await;
    assert_eq!(mail.header("Subject"), "You can sign in with There");
    assert!(mail.text().contains("The account ada at Grantor can be signed in to with There"), "{}", mail.text());
    traveller.here.unlinks(&traveller.here.get("/account/security").await).await;
    let mail = mails.receives(3).await;
    assert_eq!(mail.header("Subject"), "You no longer sign in with There");
    // ASVS 6.3.5: a sign-in where they had not been before.
    two.here.link_behind("ada", &two.there).await;
    two.advance(Duration::from_secs(1));
    assert!(two.traveller().comes("ada").await.url.ends_with("/account"));
    assert_eq!(mails.receives(4).await.header("Subject"), "A sign-in in another browser");
}

async fn with_its_user_it_goes(engine: Engine) {
    let fake = Fake::start();
    let app = fake.openid(engine, "create = \"open\"\n").await;
    let person = app.person();
    fake.comes(&app, &person, |_| {}).await;
    let user = app.store.users().await.unwrap().remove(0);
    app.change(async |tx| tx.delete_user(user.id, app.clock.now()).await).await;
    assert_eq!(app.count("identities").await, 0);
    assert!(!person.is_signed_in().await);
    // Who comes again is somebody new.
    assert!(leaves(&app.person()).await.starts_with(fake.url()));
    assert!(fake.comes(&app, &app.person(), |_| {}).await.url.ends_with("/account"));
    assert_ne!(app.store.users().await.unwrap().remove(0).id, user.id);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_sees_and_unlinks() {
    let two = Two::start(Engine::Sqlite, "").await;
    two.here.user("ada").await;
    let known = two.there.user("ada").await;
    two.linked("ada").await;
    assert!(two.traveller().comes("ada").await.url.ends_with("/account"));
    let (place, database) = (Place::empty(), two.here.database_url());
    let run = |arguments: &[&str]| place.run(&[arguments, &["--database", &database]].concat()).expect_ok();
    let shown = run(&["user", "show", "ada"]);
    assert!(shown.contains("PROVIDER") && shown.contains(&known.to_string()), "{shown}");
    let shown: serde_json::Value = serde_json::from_str(&run(&["user", "show", "ada", "--json"])).unwrap();
    let identity = &shown["identities"][0];
    assert_eq!((&identity["provider"], &identity["email"]), (&json!("there"), &json!("ada@example.org")), "{shown}");
    assert_eq!(identity["sub"], json!(known));
    assert_eq!(run(&["user", "unlink", "ada", "elsewhere"]), "ada is not linked to elsewhere.\n");
    assert!(run(&["user", "unlink", "ada", "there"]).starts_with("Unlinked ada from there."));
    assert!(run(&["user", "unlink", "ada", "there"]).contains("is not linked"));
    assert!(!run(&["user", "show", "ada"]).contains("PROVIDER"));
    assert!(two.traveller().comes("ada").await.url.contains("/sign-in/unknown"));
}
