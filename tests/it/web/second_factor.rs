//! Authenticator apps and recovery codes, in a browser without JavaScript (ASVS 6.3.3, 6.5, 7.5.1).

use std::time::Duration;

use grantor::types::Clock as _;
use totp_rs::{Builder, Secret, Totp};

use crate::each_database;
use crate::support::app::PASSWORD;
use crate::support::behind::at_once;
use crate::support::rows::rows;
use crate::support::{Page, Person, TestApp};

each_database!(
    an_app_is_set_up_and_its_code_is_asked_for_from_then_on,
    a_code_works_once,
    a_recovery_code_works_once,
    five_wrong_codes_and_the_password_comes_first_again,
    the_second_step_belongs_to_its_browser_and_its_time,
    a_sign_in_that_waits_ends_with_its_password_and_its_user,
    whoever_changes_it_has_proved_just_now_who_they_are,
    where_everybody_needs_one_it_is_set_up_at_the_first_sign_in,
    an_administrator_can_take_it_away,
    of_many_who_enter_one_code_at_once_one_is_let_in,
    neither_seed_nor_code_lies_in_the_database,
);

/// An authenticator app.
pub struct App(Totp);

impl App {
    /// Types in the key that the page shows.
    pub fn set_up(page: &Page) -> Self {
        let key = page.body.split("class=\"secret\">").nth(1).and_then(|rest| rest.split('<').next());
        Self::with_key(key.unwrap_or_else(|| panic!("no key: {} {}", page.url, page.body)))
    }

    pub fn with_key(key: &str) -> Self {
        let secret = Secret::try_from_base32(key.replace(' ', "").to_uppercase()).expect("a key");
        Self(Builder::new().with_secret(secret).build().expect("the usual kind"))
    }

    /// What it shows, at the clock of the server.
    pub fn code(&self, app: &TestApp) -> String {
        self.0.generate(u64::try_from(app.clock.now().secs()).expect("after 1970")).to_string()
    }
}

/// So long does a code last.
pub const STEP: Duration = Duration::from_secs(30);

impl Person {
    /// Sends the form for the second step of `page`.
    pub async fn enter(&self, page: &Page, code: &str) -> Page {
        let [csrf, sign_in] = ["csrf", "sign_in"].map(|name| page.hidden(name));
        let mut fields = vec![("csrf", csrf.as_str()), ("sign_in", sign_in.as_str()), ("code", code)];
        let others = ["request", "next", "device"].map(|name| (name, page.hidden(name)));
        fields
            .extend(others.iter().filter(|(_, value)| !value.is_empty()).map(|(name, value)| (*name, value.as_str())));
        self.post("/sign-in/second", &fields).await
    }

    /// Proves once more who they are, on a page that keeps their name.
    async fn prove(&self, page: &Page) -> Page {
        let [csrf, next] = ["csrf", "next"].map(|name| page.hidden(name));
        let username = page.username();
        let fields = [("csrf", csrf.as_str()), ("next", &next), ("username", &username), ("password", PASSWORD)];
        self.post("/sign-in", &fields).await
    }

    /// Sets up an app; who they are, they have proved just now. With it come the recovery codes.
    pub async fn sets_up_an_app(&self, server: &TestApp) -> (App, Vec<String>) {
        let page = self.get("/account/security/app").await;
        let app = App::set_up(&page);
        let fields = [("csrf", page.hidden("csrf")), ("code", app.code(server)), ("name", "Telephone".to_owned())];
        let page =
            self.post("/account/security/app", &fields.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
        assert_eq!(page.status, 200, "{page:?}");
        (app, codes(&page))
    }
}

/// The recovery codes on a page.
fn codes(page: &Page) -> Vec<String> {
    let codes = page.body.split("<li><bdi>").skip(1).map(|rest| rest.split('<').next().unwrap_or_default().to_owned());
    codes.collect()
}

fn asks_for_code(page: &Page) -> bool {
    page.url.contains("/sign-in/second") && page.body.contains("name=\"code\"")
}

async fn an_app_is_set_up_and_its_code_is_asked_for_from_then_on(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let page = person.get("/account/security/app").await;
    // A page that is loaded again shows the same key.
    assert_eq!(App::set_up(&page).code(&app), App::set_up(&person.get("/account/security/app").await).code(&app));
    let csrf = page.hidden("csrf");
    for wrong in ["", "000000", "12345", "zzzzzz"] {
        let page = person.post("/account/security/app", &[("csrf", &csrf), ("code", wrong)]).await;
        assert_eq!(page.status, 422, "{wrong:?}");
        assert!(!person.get("/account/security").await.body.contains("Added"), "{wrong:?}");
    }
    let (telephone, codes) = person.sets_up_an_app(&app).await;
    assert_eq!(codes.len(), 10);
    let page = person.get("/account/security").await;
    assert!(page.body.contains("Telephone") && page.body.contains("10 are left"), "{}", page.body);

    let other = app.person();
    let page = other.sign_in_to_account("ada").await;
    assert!(asks_for_code(&page), "{page:?}");
    assert!(!other.is_signed_in().await);
    let page = other.enter(&page, "000000").await;
    assert_eq!(page.status, 422);
    assert!(page.body.contains("role=\"alert\"") && asks_for_code(&page), "{}", page.body);
    app.clock.advance(STEP);
    let page = other.enter(&page, &telephone.code(&app)).await;
    assert!(page.url.ends_with("/account"), "{page:?}");
    // Who has not the password is never asked for a code (ASVS 6.3.8).
    let page = app.person().get("/sign-in").await;
    let stranger = app.person();
    let page = stranger.sign_in(&stranger.get(&page.url).await, "ada", "not her password").await;
    assert_eq!((page.status.as_u16(), asks_for_code(&page)), (422, false));
}

async fn a_code_works_once(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let (telephone, _) = person.sets_up_an_app(&app).await;
    // The code by which it was set up is spent.
    let (one, other) = (app.person(), app.person());
    let page = one.enter(&one.sign_in_to_account("ada").await, &telephone.code(&app)).await;
    assert_eq!(page.status, 422, "RFC 6238 §5.2");
    app.clock.advance(STEP);
    let code = telephone.code(&app);
    assert!(one.enter(&page, &code).await.url.ends_with("/account"));
    let page = other.sign_in_to_account("ada").await;
    assert_eq!(other.enter(&page, &code).await.status, 422);
    // Nor an earlier one, though its time has not passed yet.
    app.clock.advance(STEP);
    let later = telephone.code(&app);
    assert!(other.enter(&page, &later).await.url.ends_with("/account"));
    let third = app.person();
    let page = third.sign_in_to_account("ada").await;
    assert_eq!(third.enter(&page, &code).await.status, 422);
}

async fn a_recovery_code_works_once(app: TestApp) {
    app.user("ada").await;
    app.user("bob").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let (_, codes) = person.sets_up_an_app(&app).await;
    // As people type it.
    let typed = codes[0].to_uppercase().replace('-', " ");
    let other = app.person();
    let page = other.enter(&other.sign_in_to_account("ada").await, &typed).await;
    assert!(page.url.ends_with("/account"), "{page:?}");
    assert!(other.get("/account/security").await.body.contains("9 are left"));
    let third = app.person();
    let page = third.enter(&third.sign_in_to_account("ada").await, &codes[0]).await;
    assert_eq!(page.status, 422);

    // Those of somebody else are none.
    let bob = app.person();
    bob.sign_in_to_account("bob").await;
    bob.sets_up_an_app(&app).await;
    let again = app.person();
    assert_eq!(again.enter(&again.sign_in_to_account("bob").await, &codes[1]).await.status, 422);

    // New ones take the place of all that were there.
    let page = other.get("/account/security").await;
    let page = other.post("/account/security/recovery-codes", &[("csrf", &page.hidden("csrf"))]).await;
    let renewed = self::codes(&page);
    assert_eq!(renewed.len(), 10);
    assert_eq!(third.enter(&third.sign_in_to_account("ada").await, &codes[2]).await.status, 422);
    let page = third.enter(&third.sign_in_to_account("ada").await, &renewed[2]).await;
    assert!(page.url.ends_with("/account"), "{page:?}");
}

async fn five_wrong_codes_and_the_password_comes_first_again(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let (telephone, codes) = person.sets_up_an_app(&app).await;
    app.clock.advance(STEP);
    let other = app.person();
    let page = other.sign_in_to_account("ada").await;
    for _ in 0..5 {
        assert_eq!(other.enter(&page, "000000").await.status, 422);
    }
    for right in [telephone.code(&app), codes[0].clone()] {
        let after = other.enter(&page, &right).await;
        assert!(after.asks_to_sign_in(), "{after:?}");
    }
    assert!(!other.is_signed_in().await);
    let page = other.enter(&other.sign_in_to_account("ada").await, &telephone.code(&app)).await;
    assert!(page.url.ends_with("/account"), "{page:?}");
}

async fn the_second_step_belongs_to_its_browser_and_its_time(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let (telephone, _) = person.sets_up_an_app(&app).await;
    app.clock.advance(STEP);
    let (own, other) = (app.person(), app.person());
    let page = own.sign_in_to_account("ada").await;
    let theirs = other.get("/sign-in").await;
    let fields = [("csrf", theirs.hidden("csrf")), ("sign_in", page.hidden("sign_in")), ("code", telephone.code(&app))];
    let elsewhere =
        other.post("/sign-in/second", &fields.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    assert!(elsewhere.asks_to_sign_in() && !other.is_signed_in().await, "{elsewhere:?}");
    // A form of somebody else's is none of ours.
    let forged = own.post("/sign-in/second", &[("csrf", "x"), ("sign_in", &page.hidden("sign_in"))]).await;
    assert_eq!(forged.status, 403);
    app.clock.advance(Duration::from_secs(601));
    assert!(own.enter(&page, &telephone.code(&app)).await.asks_to_sign_in());
    assert!(!own.is_signed_in().await);
    // What has expired is cleaned up.
    app.store.delete_expired(app.clock.now()).await.unwrap();
    assert_eq!(app.count("sign_ins").await, 0);
}

async fn a_sign_in_that_waits_ends_with_its_password_and_its_user(app: TestApp) {
    let ada = app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let (telephone, _) = person.sets_up_an_app(&app).await;
    let waits = async || {
        let other = app.person();
        let page = other.sign_in_to_account("ada").await;
        assert!(asks_for_code(&page), "{page:?}");
        (other, page)
    };
    let (other, page) = waits().await;
    let hashing = grantor::app::password_hashing(&app.config).unwrap();
    let hash = hashing.hash(PASSWORD.into(), &grantor::crypto::SystemRandom::new()).await.ok().unwrap();
    let mut tx = app.store.begin().await.unwrap();
    tx.set_password(ada, &hash, app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    app.clock.advance(STEP);
    assert!(other.enter(&page, &telephone.code(&app)).await.asks_to_sign_in());

    let (other, page) = waits().await;
    app.disable_user(ada).await;
    app.clock.advance(STEP);
    assert!(other.enter(&page, &telephone.code(&app)).await.asks_to_sign_in());
    let mut tx = app.store.begin().await.unwrap();
    tx.enable_user(ada, app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    assert!(other.enter(&page, &telephone.code(&app)).await.asks_to_sign_in());
    assert!(!other.is_signed_in().await);
}

async fn whoever_changes_it_has_proved_just_now_who_they_are(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let (telephone, _) = person.sets_up_an_app(&app).await;
    // She has shown her password alone in this session, and has more than that by now.
    let page = person.get("/account/security").await;
    let (csrf, id) = (page.hidden("csrf"), page.hidden("app"));
    let remove = async |csrf: &str| person.post("/account/security/app/remove", &[("csrf", csrf), ("app", &id)]).await;
    let page = remove(&csrf).await;
    assert!(page.asks_to_sign_in() && page.body.contains("readonly"), "{page:?}");
    app.clock.advance(STEP);
    let page = person.enter(&person.prove(&page).await, &telephone.code(&app)).await;
    assert!(page.url.ends_with("/account/security"), "{page:?}");

    app.clock.advance(Duration::from_secs(601));
    let csrf = page.hidden("csrf");
    for (path, what) in [
        ("/account/security/app/remove", "app"),
        ("/account/security/app", "code"),
        ("/account/security/recovery-codes", "x"),
    ] {
        let page = person.post(path, &[("csrf", &csrf), (what, &id)]).await;
        assert!(page.asks_to_sign_in(), "{path}: {page:?}");
    }
    let page = person.get("/account/security/app").await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    let page = person.enter(&person.prove(&page).await, &telephone.code(&app)).await;
    // Now she may, and by that goes what belongs to it.
    let csrf = page.hidden("csrf");
    assert_eq!(person.post("/account/security/app/remove", &[("csrf", "forged"), ("app", &id)]).await.status, 403);
    let page = remove(&csrf).await;
    assert!(page.body.contains("The app was removed"), "{}", page.body);
    assert_eq!(app.count("recovery_codes").await, 0);
    let other = app.person();
    assert!(other.sign_in_to_account("ada").await.url.ends_with("/account"));
}

async fn where_everybody_needs_one_it_is_set_up_at_the_first_sign_in(app: TestApp) {
    let strict = app.another("[second_factor]\npolicy = \"required\"").await;
    strict.user("ada").await;
    let person = strict.person();
    let page = person.sign_in_to_account("ada").await;
    assert!(asks_for_code(&page) && page.body.contains("Set up an authenticator app"), "{page:?}");
    let telephone = App::set_up(&page);
    assert_eq!(person.enter(&page, "000000").await.status, 422);
    assert!(!person.is_signed_in().await);
    let shown = person.enter(&page, &telephone.code(&strict)).await;
    assert_eq!((shown.status.as_u16(), codes(&shown).len()), (200, 10), "{shown:?}");
    assert!(person.is_signed_in().await);
    // The last one stays.
    let page = person.get("/account/security").await;
    let fields = [("csrf", page.hidden("csrf")), ("app", page.hidden("app"))];
    let page = person
        .post("/account/security/app/remove", &fields.each_ref().map(|(name, value)| (*name, value.as_str())))
        .await;
    assert!(page.body.contains("Nothing was removed") && page.body.contains("Authenticator app"), "{}", page.body);
    let other = strict.person();
    assert!(asks_for_code(&other.sign_in_to_account("ada").await));
}

async fn an_administrator_can_take_it_away(app: TestApp) {
    let ada = app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    person.sets_up_an_app(&app).await;
    let mut tx = app.store.begin().await.unwrap();
    assert_eq!(tx.delete_factors_of(ada).await.unwrap(), 1);
    tx.commit().await.unwrap();
    assert!(app.person().sign_in_to_account("ada").await.url.ends_with("/account"));
}

async fn of_many_who_enter_one_code_at_once_one_is_let_in(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let (telephone, codes) = person.sets_up_an_app(&app).await;
    app.clock.advance(STEP);
    for code in [telephone.code(&app), codes[0].clone()] {
        let people: Vec<Person> = (0..8).map(|_| app.person()).collect();
        let mut pages = Vec::new();
        for person in &people {
            pages.push(person.sign_in_to_account("ada").await);
        }
        let entered = at_once(people.iter().zip(&pages).map(|(person, page)| person.enter(page, &code))).await;
        let let_in = entered.iter().filter(|page| page.url.ends_with("/account")).count();
        assert_eq!(let_in, 1, "{code}");
    }
}

async fn neither_seed_nor_code_lies_in_the_database(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let page = person.get("/account/security/app").await;
    let (telephone, codes) = person.sets_up_an_app(&app).await;
    let key = page.body.split("class=\"secret\">").nth(1).unwrap().split('<').next().unwrap().replace(' ', "");
    let seed = Secret::try_from_base32(key.to_uppercase()).unwrap();
    let hex: String = seed.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
    let all = rows(&app).await.join("\n").to_lowercase();
    assert!(all.contains("telephone"));
    let codes = codes.iter().flat_map(|code| [code.clone(), code.replace('-', "")]);
    for secret in codes.chain([key, hex, format!("'{}'", telephone.code(&app))]) {
        assert!(!all.contains(&secret), "{secret}");
    }
}
