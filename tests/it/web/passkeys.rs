//! Passkeys over HTTP, with a device made of software (ASVS 6.3.3, 6.5.6, 7.5.1; WebAuthn §7.1, §7.2).

use std::time::Duration;

use grantor::types::Clock as _;
use serde_json::{Value, json};

use super::second_factor::{App, STEP};
use super::throttle::at;
use crate::each_database;
use crate::support::authenticator::{Asked, Authenticator, twist};
use crate::support::behind::at_once;
use crate::support::party::decode;
use crate::support::{Page, Person, Pkce, TestApp};

each_database!(
    a_passkey_lets_its_owner_in_without_a_password,
    what_is_not_right_is_refused_in_one_way,
    a_challenge_works_once_in_its_browser_and_its_time,
    of_many_who_send_one_answer_at_once_one_is_let_in,
    of_many_answers_of_one_count_at_once_one_is_let_in,
    a_device_that_counts_back_is_refused,
    a_passkey_is_asked_for_after_the_password,
    a_password_alone_gets_nobody_past_a_passkey,
    who_has_both_may_show_either,
    an_application_that_wants_two_factors_is_content_with_a_passkey,
    wrong_answers_are_slowed_down_whoever_they_name,
    nothing_tells_who_has_a_passkey,
);

impl Person {
    /// Adds a passkey; who they are, they have proved just now.
    pub async fn adds_a_passkey(&self, device: &mut Authenticator) -> Page {
        let page = self.get("/account/security/passkey").await;
        let answer = device.create(&Asked::on(&page));
        self.sends_new(&page, &answer).await
    }

    pub async fn sends_new(&self, page: &Page, answer: &str) -> Page {
        let (csrf, state) = (page.hidden("csrf"), page.hidden("challenge"));
        let fields = [("csrf", csrf.as_str()), ("challenge", &state), ("answer", answer), ("name", "Telephone")];
        self.post("/account/security/passkey", &fields).await
    }

    /// Presses "Sign in with a passkey" on `page`.
    pub async fn shows(&self, page: &Page, device: &mut Authenticator) -> Page {
        let answer = device.get(&Asked::on(page));
        self.answers(page, &answer).await
    }

    async fn answers(&self, page: &Page, answer: &str) -> Page {
        self.sends_to("/sign-in/passkey", page, answer).await
    }

    /// Presses "Use your passkey" on the page of the second step.
    pub async fn shows_second(&self, page: &Page, device: &mut Authenticator) -> Page {
        let answer = device.get(&Asked::on(page));
        self.sends_to("/sign-in/second", page, &answer).await
    }

    pub async fn sends_to(&self, path: &str, page: &Page, answer: &str) -> Page {
        let own = ["csrf", "challenge", "sign_in", "request", "next", "again"].map(|name| (name, page.hidden(name)));
        let mut fields: Vec<(&str, &str)> = own.iter().map(|(name, value)| (*name, value.as_str())).collect();
        fields.retain(|(_, value)| !value.is_empty());
        fields.push(("answer", answer));
        self.post(path, &fields).await
    }
}

/// A user who has added a passkey, in a browser in which they are signed in by their password.
pub async fn with_passkey(app: &TestApp, username: &str) -> (Person, Authenticator) {
    app.user(username).await;
    let person = app.person();
    person.sign_in_to_account(username).await;
    let mut device = Authenticator::at(app);
    let page = person.adds_a_passkey(&mut device).await;
    assert_eq!((page.status.as_u16(), codes(&page).len()), (200, 10), "{page:?}");
    (person, device)
}

/// The recovery codes on a page.
pub fn codes(page: &Page) -> Vec<String> {
    let codes = page.body.split("<li><bdi>").skip(1).map(|rest| rest.split('<').next().unwrap_or_default().to_owned());
    codes.collect()
}

pub fn is_asked(page: &Page) -> bool {
    page.url.contains("/sign-in/second") && page.body.contains("Use your passkey")
}

/// The mistake that a page shows.
pub fn mistake(page: &Page) -> String {
    let alert = page.body.split("role=\"alert\">").nth(1).unwrap_or_default();
    alert.split("<span>").nth(1).and_then(|rest| rest.split('<').next()).unwrap_or_default().to_owned()
}

async fn a_passkey_lets_its_owner_in_without_a_password(app: TestApp) {
    let (person, mut device) = with_passkey(&app, "ada").await;
    let page = person.get("/account/security").await;
    assert!(page.body.contains("Telephone") && page.body.contains("10 are left"), "{}", page.body);

    let other = app.person();
    let page = other.shows(&other.get("/sign-in").await, &mut device).await;
    assert!(page.url.ends_with("/account") && page.body.contains("ada Lovelace"), "{page:?}");
    assert!(other.get("/account/security").await.body.contains("last used"));
    // Who is in by that has proved it with all that they have (ASVS 7.5.1).
    let page = other.get("/account/security/passkey").await;
    assert!(page.body.contains("Add a passkey"), "{page:?}");

    let page = other.get("/account/events").await;
    for words in ["Signed in with a passkey: <bdi>Telephone", "A passkey was added"] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    let csrf = other.get("/account/security").await.hidden("csrf");
    let data: Value = serde_json::from_str(&other.post("/account/data", &[("csrf", &csrf)]).await.body).unwrap();
    assert_eq!(data["passkeys"][0]["name"], "Telephone");
    // To where they were going; what they are called is not asked.
    let third = app.person();
    let page = third.get("/sign-in?next=password").await;
    assert!(third.shows(&page, &mut device).await.url.ends_with("/account/password"));
    // The passwordless way is another one beside the password, and takes nothing from it.
    assert!(is_asked(&app.person().sign_in_to_account("ada").await));
}

async fn what_is_not_right_is_refused_in_one_way(app: TestApp) {
    let (_, device) = with_passkey(&app, "ada").await;
    let (_, bobs) = with_passkey(&app, "bob").await;
    let (user, id) = (bobs.user.clone(), bobs.id.clone());
    let wrong = [
        twist("WebAuthn §7.2 step 5: an unknown passkey", |device| device.id = vec![7; 32]),
        twist("step 6: it names nobody", |device| device.user = None),
        twist("step 6: it names somebody else", move |device| device.user = user.clone()),
        twist("step 6: it is somebody else's", move |device| device.id = id.clone()),
        twist("step 10: another type", |device| device.kind = Some("webauthn.create")),
        twist("step 11: another challenge", |device| device.challenge = Some("AAAA".repeat(10))),
        twist("step 12: another origin", |device| device.origin = "https://localhost.example".into()),
        twist("step 12: another port", |device| device.origin = "http://localhost:1".into()),
        twist("step 13: in a frame of somebody else's", |device| device.cross_origin = true),
        twist("step 15: another relying party", |device| device.rp_id = "example".into()),
        twist("step 16: nobody was there", |device| device.present = false),
        twist("step 17: it did not make sure who was there", |device| device.verified = false),
        twist("step 21: another signature", |device| device.forges = true),
    ];
    let person = app.person();
    let mut said = Vec::new();
    for (what, change) in wrong {
        let mut twisted = device.clone();
        change(&mut twisted);
        let page = person.shows(&person.get("/sign-in").await, &mut twisted).await;
        assert_eq!(page.status, 422, "{what}");
        assert!(!person.is_signed_in().await, "{what}");
        said.push(mistake(&page));
    }
    for answer in ["", "{}", "null", "[1]"] {
        let page = person.answers(&person.get("/sign-in").await, answer).await;
        assert_eq!(page.status, 422, "{answer:?}");
        said.push(mistake(&page));
    }
    // Somebody who may not sign in reads the same (ASVS 6.3.8).
    let ada = app.store.user_by_login("ada").await.unwrap().unwrap().id;
    app.disable_user(ada).await;
    let page = person.shows(&person.get("/sign-in").await, &mut device.clone()).await;
    assert_eq!(page.status, 422);
    said.push(mistake(&page));
    assert!(said[0].contains("That did not work") && said.iter().all(|words| *words == said[0]), "{said:?}");

    // The same device is let in when all of it is right, and its owner may.
    app.change(async |tx| tx.enable_user(ada, app.clock.now()).await).await;
    assert!(person.shows(&person.get("/sign-in").await, &mut device.clone()).await.url.ends_with("/account"));
    // A form of somebody else's is none of ours.
    assert_eq!(person.post("/sign-in/passkey", &[("csrf", "x"), ("challenge", "x")]).await.status, 403);
}

async fn a_challenge_works_once_in_its_browser_and_its_time(app: TestApp) {
    let (_, mut device) = with_passkey(&app, "ada").await;
    let (own, other) = (app.person(), app.person());
    let page = own.get("/sign-in").await;
    let answer = device.get(&Asked::on(&page));

    // Another browser sends it with its own form.
    let theirs = other.get("/sign-in").await;
    let (csrf, state) = (theirs.hidden("csrf"), page.hidden("challenge"));
    let stolen = other.post("/sign-in/passkey", &[("csrf", &csrf), ("challenge", &state), ("answer", &answer)]).await;
    assert_eq!((stolen.status.as_u16(), other.is_signed_in().await), (422, false));
    // Nor is an answer to its own challenge one to another's.
    assert_eq!(other.answers(&theirs, &answer).await.status, 422);

    // Whoever was wrong once has spent it, too.
    let spent = own.get("/sign-in").await;
    let right = device.get(&Asked::on(&spent));
    let mut forger = Authenticator { forges: true, ..device.clone() };
    assert_eq!(own.shows(&spent, &mut forger).await.status, 422);
    assert_eq!(own.answers(&spent, &right).await.status, 422);

    let late = own.get("/sign-in").await;
    let late_answer = device.get(&Asked::on(&late));
    app.clock.advance(Duration::from_secs(599));
    let signed_in = own.answers(&late, &late_answer).await;
    assert!(signed_in.url.ends_with("/account"), "{signed_in:?}");
    // Once more, by whoever has seen it go by: the form of the page is that of now.
    let csrf = own.get("/account").await.hidden("csrf");
    let again = [("csrf", csrf.as_str()), ("challenge", &late.hidden("challenge")), ("answer", &late_answer)];
    assert_eq!(own.post("/sign-in/passkey", &again).await.status, 422);

    let third = app.person();
    let late = third.get("/sign-in").await;
    let answer = device.get(&Asked::on(&late));
    app.clock.advance(Duration::from_secs(600));
    assert_eq!(third.answers(&late, &answer).await.status, 422);
    // What was spent is forgotten when it is refused for its age.
    app.clock.advance(Duration::from_secs(600));
    app.store.delete_expired(app.clock.now()).await.unwrap();
    assert_eq!(app.count("replays").await, 0);
}

async fn of_many_who_send_one_answer_at_once_one_is_let_in(app: TestApp) {
    let (_, mut device) = with_passkey(&app, "ada").await;
    let person = app.person();
    let page = person.get("/sign-in").await;
    let answer = device.get(&Asked::on(&page));
    let other = app.second_node().await;
    let beside = Person::new(&other.url);
    beside.takes_cookies_of(&person);
    let before = app.count("sessions").await;
    let sent =
        at_once((0..12).map(|n| if n % 2 == 0 { &person } else { &beside }).map(|who| who.answers(&page, &answer)));
    let statuses: Vec<_> = sent.await.iter().map(|page| page.status.as_u16()).collect();
    assert_eq!(app.count("sessions").await, before + 1, "{statuses:?}");
}

async fn of_many_answers_of_one_count_at_once_one_is_let_in(app: TestApp) {
    let (_, mut device) = with_passkey(&app, "ada").await;
    device.counter = 4;
    let people: Vec<Person> = (0..8).map(|_| app.person()).collect();
    let mut answers = Vec::new();
    for person in &people {
        let page = person.get("/sign-in").await;
        // Copies of one device: each has counted to the same.
        let answer = device.clone().get(&Asked::on(&page));
        answers.push((page, answer));
    }
    let sent = at_once(people.iter().zip(&answers).map(|(person, (page, answer))| person.answers(page, answer))).await;
    assert_eq!(sent.iter().filter(|page| page.url.ends_with("/account")).count(), 1);
}

async fn a_device_that_counts_back_is_refused(app: TestApp) {
    let (_, mut device) = with_passkey(&app, "ada").await;
    device.counter = 10;
    let signs_in = async |device: &mut Authenticator| {
        let person = app.person();
        person.shows(&person.get("/sign-in").await, device).await.status.as_u16()
    };
    let mut copy = device.clone();
    assert_eq!(signs_in(&mut device).await, 200);
    assert_eq!(signs_in(&mut device).await, 200);
    // WebAuthn §6.1.1: the copy is behind, and one that does not count any more is, too.
    assert_eq!(signs_in(&mut copy).await, 422);
    assert_eq!(signs_in(&mut Authenticator { counter: 0, ..device.clone() }).await, 422);
    let person = app.person();
    let page = person.sign_in_to_account("ada").await;
    assert_eq!(person.shows_second(&page, &mut Authenticator { counter: 3, ..device.clone() }).await.status, 422);
    assert_eq!(signs_in(&mut device).await, 200);
    // Its owner should know.
    let page = person.shows_second(&person.sign_in_to_account("ada").await, &mut device).await;
    assert!(page.url.ends_with("/account"), "{page:?}");
    let page = person.get("/account/events").await;
    assert!(page.body.contains("there may be a copy of it: <bdi>Telephone"), "{}", page.body);
}

async fn a_passkey_is_asked_for_after_the_password(app: TestApp) {
    let (_, mut device) = with_passkey(&app, "ada").await;
    let (_, mut bobs) = with_passkey(&app, "bob").await;
    let person = app.person();
    let page = person.sign_in_to_account("ada").await;
    assert!(is_asked(&page) && !person.is_signed_in().await, "{page:?}");
    // It is asked for that one alone, and says what it is asked for to nobody before.
    let allowed = &Asked::on(&page).options["allowCredentials"];
    assert_eq!((allowed.as_array().unwrap().len(), &allowed[0]["type"]), (1, &json!("public-key")));

    // WebAuthn §7.2 step 5: that of somebody else is none of hers.
    let refused = person.shows_second(&page, &mut bobs).await;
    assert_eq!((refused.status.as_u16(), is_asked(&refused)), (422, true));
    bobs.user.clone_from(&device.user);
    assert_eq!(person.shows_second(&refused, &mut bobs).await.status, 422);
    let mut careless = Authenticator { verified: false, ..device.clone() };
    let page = person.shows_second(&refused, &mut careless).await;
    assert_eq!(page.status, 422);
    // What was asked for a sign-in without a password answers nothing here, nor the other way round.
    let alone = person.get("/sign-in").await;
    let answer = device.get(&Asked::on(&alone));
    let crossed = [
        ("csrf", page.hidden("csrf")),
        ("sign_in", page.hidden("sign_in")),
        ("challenge", alone.hidden("challenge")),
        ("answer", answer),
    ];
    let crossed = crossed.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(person.post("/sign-in/second", &crossed).await.status, 422);
    let second = device.get(&Asked::on(&page));
    assert_eq!(person.answers(&page, &second).await.status, 422);
    assert!(!person.is_signed_in().await);

    // Older devices do not say whose they are: here it is known.
    let person = app.person();
    let page = person.sign_in_to_account("ada").await;
    let mut silent = Authenticator { user: None, ..device.clone() };
    let page = person.shows_second(&page, &mut silent).await;
    assert!(page.url.ends_with("/account"), "{page:?}");

    // Five wrong answers, and the password comes first again.
    let person = app.person();
    let mut page = person.sign_in_to_account("ada").await;
    for _ in 0..5 {
        page = person.shows_second(&page, &mut careless).await;
        assert_eq!(page.status, 422);
    }
    assert!(person.shows_second(&page, &mut device).await.asks_to_sign_in());
}

async fn a_password_alone_gets_nobody_past_a_passkey(app: TestApp) {
    let (own, _) = with_passkey(&app, "ada").await;
    let person = app.person();
    let page = person.sign_in_to_account("ada").await;
    // No app can be set up by whoever knows the password, not even one that its owner has begun.
    assert!(!page.body.contains("class=\"secret\""), "{}", page.body);
    let csrf = own.get("/account/security").await.hidden("csrf");
    let ada = app.store.user_by_login("ada").await.unwrap().unwrap();
    own.post("/account/security/app", &[("csrf", &csrf)]).await;
    let begun = app.store.factors_of(ada.id, app.clock.now().minus(Duration::from_secs(60))).await.unwrap();
    assert!(begun.iter().all(|factor| factor.confirmed_at.is_none()));
    for code in ["", "000000", "aaaaaa-aaaaaa-aaaaaa-aaaaaa"] {
        assert_eq!(person.enter(&page, code).await.status, 422, "{code:?}");
    }
    assert!(!person.is_signed_in().await);

    // Who was about to set up an app for an application, when the owner added a passkey, comes too late with its code.
    app.user("bob").await;
    let rp = app.client("web").create().await;
    let (thief, owner) = (app.person(), app.person());
    thief.sign_in_to_account("bob").await;
    let page = rp.authorize(&thief, &Pkce::new(), &[("acr_values", "2")]).await;
    let telephone = App::set_up(&page);
    owner.sign_in_to_account("bob").await;
    owner.adds_a_passkey(&mut Authenticator::at(&app)).await;
    let page = thief.enter(&page, &telephone.code(&app)).await;
    assert!(page.status == 422 && is_asked(&page), "{page:?}");
}

async fn who_has_both_may_show_either(app: TestApp) {
    let (person, mut device) = with_passkey(&app, "ada").await;
    // She shows it once more, for she has more than her password now.
    let page = person.shows(&person.get("/sign-in?next=security").await, &mut device).await;
    assert!(page.url.ends_with("/account/security"), "{page:?}");
    let (telephone, codes) = person.sets_up_an_app(&app).await;
    // The recovery codes came with the first of the two.
    assert!(codes.is_empty() && person.get("/account/security").await.body.contains("10 are left"));
    app.clock.advance(STEP);
    let other = app.person();
    let page = other.sign_in_to_account("ada").await;
    assert!(is_asked(&page) && page.body.contains("Code of your app"), "{}", page.body);
    assert!(other.enter(&page, &telephone.code(&app)).await.url.ends_with("/account"));
    let other = app.person();
    let page = other.sign_in_to_account("ada").await;
    assert!(other.shows_second(&page, &mut device).await.url.ends_with("/account"));
}

async fn an_application_that_wants_two_factors_is_content_with_a_passkey(app: TestApp) {
    let (_, mut device) = with_passkey(&app, "ada").await;
    let rp = app.client("web").create().await;
    let told = |claims: &Value| (claims["acr"].clone(), claims["amr"].clone());
    let pkce = Pkce::new();
    // Alone: RFC 8176 §2. It is not attested, so nothing is said of hardware.
    app.reregister("web", |client| client.require_second_factor = true).await;
    let person = app.person();
    let page = rp.authorize(&person, &pkce, &[("acr_values", "2")]).await;
    assert!(page.asks_to_sign_in() && page.body.contains("Lighthouse"), "{page:?}");
    let page = person.shows(&page, &mut device).await;
    assert!(page.asks_for_consent(), "{page:?}");
    let tokens = rp.redeem(&person.decide(&page, "allow").await.code(), &pkce).await.expect_tokens();
    let expected = (json!("2"), json!(["pop", "user", "mfa"]));
    let introspected = app.introspect(tokens.access_token()).await.expect_active();
    for claims in [&decode(tokens.id_token()).1, &decode(tokens.access_token()).1, &introspected] {
        assert_eq!((told(claims), &claims["auth_time"]), (expected.clone(), &json!(app.clock.now().secs())));
    }
    // Nothing is missing from then on.
    let quiet = rp.sign_in_with(&person, "ada", &[("acr_values", "2"), ("prompt", "none")]).await;
    assert_eq!(told(&decode(quiet.id_token()).1), expected);
    // Who has to prove it again may do so in the same way, and their session stays theirs.
    app.clock.advance(Duration::from_secs(60));
    let page = rp.authorize(&person, &pkce, &[("max_age", "30")]).await;
    assert!(page.asks_to_sign_in() && page.body.contains("readonly"), "{page:?}");
    let page = person.shows(&page, &mut Authenticator { forges: true, ..device.clone() }).await;
    assert!(page.status == 422 && page.body.contains("readonly") && page.username() == "ada", "{page:?}");
    let renewed = rp.redeem(&person.shows(&page, &mut device).await.code(), &pkce).await.expect_tokens();
    let [before, after] = [&tokens, &renewed].map(|tokens| decode(tokens.id_token()).1);
    assert_eq!((&after["sid"], &after["auth_time"]), (&before["sid"], &json!(app.clock.now().secs())));

    // After a password, of whoever is in by that: only what is missing is asked for.
    app.user("bob").await;
    let bob = app.person();
    bob.sign_in_to_account("bob").await;
    let mut device = Authenticator::at(&app);
    bob.adds_a_passkey(&mut device).await;
    let page = rp.authorize(&bob, &pkce, &[]).await;
    assert!(is_asked(&page) && !page.body.contains("name=\"password\""), "{page:?}");
    let page = bob.shows_second(&page, &mut device).await;
    let tokens = rp.redeem(&bob.decide(&page, "allow").await.code(), &pkce).await.expect_tokens();
    let expected = (json!("2"), json!(["pwd", "pop", "user", "mfa"]));
    assert_eq!(told(&decode(tokens.id_token()).1), expected);

    // A wish for two is met by whoever has a passkey.
    app.reregister("web", |client| client.require_second_factor = false).await;
    app.user("eve").await;
    let eve = app.person();
    assert_eq!(decode(rp.sign_in_with(&eve, "eve", &[("acr_values", "2 1")]).await.id_token()).1["acr"], "1");
    eve.adds_a_passkey(&mut Authenticator::at(&app)).await;
    assert!(is_asked(&rp.authorize(&eve, &pkce, &[("acr_values", "2 1")]).await));
}

async fn wrong_answers_are_slowed_down_whoever_they_name(app: TestApp) {
    let toml = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[throttle]\nfree_attempts_per_address = 12";
    let app = app.another(toml).await;
    let (_, device) = with_passkey(&app, "ada").await;
    let tries = async |device: &Authenticator| {
        let person = at(&app, "192.0.2.1");
        let page = person.shows(&person.get("/sign-in").await, &mut device.clone()).await;
        (page.status.as_u16(), mistake(&page))
    };
    // One that is nobody's is counted as one that is somebody's (ASVS 6.3.8).
    let forger = Authenticator { forges: true, ..device.clone() };
    let nobodys = Authenticator { id: vec![1; 32], ..device.clone() };
    for device in [&forger, &nobodys] {
        for _ in 0..5 {
            assert_eq!(tries(device).await.0, 422);
        }
        let (status, words) = tries(device).await;
        assert_eq!((status, words.contains("There were too many attempts")), (429, true), "{words}");
    }
    assert_eq!(tries(&device).await.0, 429, "the right one has to wait as well");
    app.clock.advance(Duration::from_secs(1));
    assert_eq!(tries(&device).await.0, 200);
    // Others from there wait for what was tried there.
    for other in 2..10 {
        tries(&Authenticator { id: vec![other; 32], ..device.clone() }).await;
    }
    assert_eq!(tries(&Authenticator { id: vec![99; 32], ..device.clone() }).await.0, 429);

    // As the second step they are counted with the codes of that person.
    let thief = at(&app, "192.0.2.9");
    for expected in [422, 422, 422, 422, 422, 429] {
        let page = thief.sign_in_to_account("ada").await;
        assert_eq!(thief.shows_second(&page, &mut forger.clone()).await.status, expected);
    }
}

async fn nothing_tells_who_has_a_passkey(app: TestApp) {
    let shape = async || {
        let page = app.person().get("/sign-in").await;
        let mut options = Asked::on(&page).options;
        // Anew on each page, and as long as ever.
        assert_eq!(options["challenge"].as_str().unwrap().len(), 43, "32 bytes");
        options["challenge"] = json!("");
        options
    };
    let before = shape().await;
    let (person, _) = with_passkey(&app, "ada").await;
    assert_eq!(before, shape().await);
    assert_eq!((&before["allowCredentials"], &before["rpId"]), (&json!([]), &json!("localhost")));
    assert_eq!(before["userVerification"], "required");
    // Nor who is asked to prove it again: the page is the same as that of whoever has none.
    let page = person.get("/sign-in?next=security").await;
    assert_eq!(Asked::on(&page).options["allowCredentials"], json!([]));
    // A wrong password leads to the question of a passkey as little as to that of a code.
    let stranger = app.person();
    let page = stranger.sign_in(&stranger.get("/sign-in").await, "ada", "not her password").await;
    assert!(page.status == 422 && !is_asked(&page), "{page:?}");
}
