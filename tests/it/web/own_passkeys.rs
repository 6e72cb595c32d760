//! Adding, naming and removing one's own passkeys (ASVS 6.3.7, 6.5.6, 7.5.1; WebAuthn §7.1).

use std::time::Duration;

use grantor::types::Clock as _;
use serde_json::json;

use super::passkeys::{codes, is_asked, mistake, with_passkey};
use super::second_factor::STEP;
use crate::support::app::PASSWORD;
use crate::support::authenticator::{Asked, Authenticator, twist};
use crate::support::behind::at_once;
use crate::support::rows::rows;
use crate::support::smtp::MailServer;
use crate::support::{Engine, Page, Person, TestApp};
use crate::{each_database, each_engine};

each_database!(
    a_new_passkey_is_checked,
    a_new_passkey_is_for_its_user_its_browser_and_its_time,
    whoever_changes_passkeys_has_proved_just_now_who_they_are,
    a_passkey_is_renamed_by_its_owner_alone,
    a_passkey_that_was_removed_opens_nothing,
    a_recovery_code_is_as_good_as_a_passkey_once,
    the_last_one_stays_where_everybody_needs_one,
    whoever_needs_one_adds_it_on_the_way_in_and_shows_it,
    nothing_that_is_kept_makes_an_answer,
);

each_engine!(what_becomes_of_a_passkey_is_told);

impl Person {
    /// Sends a form about one of the passkeys on the page, the first.
    async fn changes_passkey(&self, page: &Page, what: &str, name: &str) -> Page {
        let (csrf, id) = (page.hidden("csrf"), page.hidden("passkey"));
        let fields = [("csrf", csrf.as_str()), ("passkey", &id), ("name", name)];
        self.post(&format!("/account/security/passkey/{what}"), &fields).await
    }
}

async fn a_new_passkey_is_checked(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let page = person.get("/account/security/passkey").await;
    let options = Asked::on(&page).options;
    // One that can be found without a name, and makes sure that it is its owner.
    let selection = json!({ "residentKey": "required", "requireResidentKey": true, "userVerification": "required" });
    assert_eq!((&options["authenticatorSelection"], &options["attestation"]), (&selection, &json!("none")));
    assert_eq!((&options["rp"]["id"], &options["user"]["name"]), (&json!("localhost"), &json!("ada")));

    let wrong = [
        twist("WebAuthn §7.1 step 7: another type", |device| device.kind = Some("webauthn.get")),
        twist("step 8: another challenge", |device| device.challenge = Some("AAAA".repeat(10))),
        twist("step 9: another origin", |device| device.origin = "https://localhost.example".into()),
        twist("step 10: in a frame of somebody else's", |device| device.cross_origin = true),
        twist("step 14: another relying party", |device| device.rp_id = "example".into()),
        twist("step 15: nobody was there", |device| device.present = false),
        twist("step 16: it did not make sure who was there", |device| device.verified = false),
        twist("step 25: too long an id", |device| device.id = vec![1; 1024]),
    ];
    for (what, change) in wrong {
        let mut device = Authenticator::at(&app);
        change(&mut device);
        let page = person.adds_a_passkey(&mut device).await;
        assert_eq!((page.status.as_u16(), mistake(&page).contains("That did not work")), (422, true), "{what}");
    }
    for answer in ["", "{}", "null"] {
        let page = person.sends_new(&person.get("/account/security/passkey").await, answer).await;
        assert_eq!(page.status, 422, "{answer:?}");
    }
    assert_eq!((app.count("passkeys").await, app.count("recovery_codes").await), (0, 0));

    // The longest that there may be.
    let mut device = Authenticator { id: vec![1; 1023], ..Authenticator::at(&app) };
    assert_eq!(codes(&person.adds_a_passkey(&mut device).await).len(), 10);
    // Step 26: each belongs to one person, and is added once.
    app.user("bob").await;
    let bob = app.person();
    bob.sign_in_to_account("bob").await;
    let page = bob.adds_a_passkey(&mut device.clone()).await;
    assert!(page.status == 422 && mistake(&page).contains("added already"), "{page:?}");
    assert_eq!((app.count("passkeys").await, app.count("recovery_codes").await), (1, 10));
}

async fn a_new_passkey_is_for_its_user_its_browser_and_its_time(app: TestApp) {
    app.user("ada").await;
    app.user("bob").await;
    let [ada, elsewhere, bob] = [(); 3].map(|()| app.person());
    for (person, name) in [(&ada, "ada"), (&elsewhere, "ada"), (&bob, "bob")] {
        person.sign_in_to_account(name).await;
    }
    let page = ada.get("/account/security/passkey").await;
    let answer = Authenticator::at(&app).create(&Asked::on(&page));
    for other in [&elsewhere, &bob] {
        let own = other.get("/account/security/passkey").await;
        let (csrf, state) = (own.hidden("csrf"), page.hidden("challenge"));
        let fields = [("csrf", csrf.as_str()), ("challenge", &state), ("answer", &answer)];
        assert_eq!(other.post("/account/security/passkey", &fields).await.status, 422);
    }
    app.clock.advance(Duration::from_secs(300));
    let sent = at_once((0..8).map(|_| ada.sends_new(&page, &answer))).await;
    assert_eq!(sent.iter().filter(|page| codes(page).len() == 10).count(), 1);
    assert_eq!(app.count("passkeys").await, 1);
    let page = ada.sign_in(&ada.get("/sign-in?next=security").await, "ada", PASSWORD).await;
    assert!(is_asked(&page), "{page:?}");
    // Bob takes too long.
    let page = bob.get("/account/security/passkey").await;
    let answer = Authenticator::at(&app).create(&Asked::on(&page));
    app.clock.advance(Duration::from_secs(600));
    bob.sign_in(&bob.get("/sign-in?next=security").await, "bob", PASSWORD).await;
    let own = bob.get("/account/security/passkey").await;
    let (csrf, state) = (own.hidden("csrf"), page.hidden("challenge"));
    let fields = [("csrf", csrf.as_str()), ("challenge", &state), ("answer", &answer)];
    assert_eq!(bob.post("/account/security/passkey", &fields).await.status, 422);
    assert_eq!(app.count("passkeys").await, 1);
}

async fn whoever_changes_passkeys_has_proved_just_now_who_they_are(app: TestApp) {
    let (person, mut device) = with_passkey(&app, "ada").await;
    // She has shown her password alone in this session, and has more than that by now.
    let page = person.get("/account/security").await;
    for (method, path) in [("get", ""), ("post", ""), ("get", "/rename"), ("post", "/rename"), ("post", "/remove")] {
        let path = format!("/account/security/passkey{path}");
        let (csrf, id) = (page.hidden("csrf"), page.hidden("passkey"));
        let after = match method {
            "get" => person.get(&format!("{path}?passkey={id}")).await,
            _ => person.post(&path, &[("csrf", &csrf), ("passkey", &id), ("name", "Mine")]).await,
        };
        assert!(after.asks_to_sign_in() && after.body.contains("readonly"), "{method} {path}: {after:?}");
    }
    let page = person.get("/account/security/passkey").await;
    let page = person.shows(&page, &mut device).await;
    assert!(page.url.ends_with("/account/security"), "{page:?}");
    for path in ["", "/rename", "/remove"] {
        let forged = [("csrf", "forged"), ("passkey", &*page.hidden("passkey")), ("name", "Mine")];
        assert_eq!(person.post(&format!("/account/security/passkey{path}"), &forged).await.status, 403, "{path}");
    }
    // A second one comes without recovery codes: those of the first are good still.
    let mut other = Authenticator::at(&app);
    let asked = Asked::on(&person.get("/account/security/passkey").await);
    assert_eq!(asked.options["excludeCredentials"].as_array().unwrap().len(), 1);
    let added = person.adds_a_passkey(&mut other).await;
    assert!(added.body.contains("The passkey was added") && codes(&added).is_empty(), "{added:?}");
    app.clock.advance(Duration::from_secs(601));
    assert!(person.changes_passkey(&page, "remove", "").await.asks_to_sign_in());
    assert_eq!((app.count("passkeys").await, app.count("recovery_codes").await), (2, 10));
}

async fn a_passkey_is_renamed_by_its_owner_alone(app: TestApp) {
    let (person, mut device) = with_passkey(&app, "ada").await;
    let (bob, mut bobs) = with_passkey(&app, "bob").await;
    bob.shows(&bob.get("/sign-in?next=security").await, &mut bobs).await;
    let page = person.shows(&person.get("/sign-in?next=security").await, &mut device).await;
    let id = page.hidden("passkey");
    let rename = person.get(&format!("/account/security/passkey/rename?passkey={id}")).await;
    assert!(rename.body.contains("value=\"Telephone\""), "{}", rename.body);
    let long = format!("<b>{}", "x".repeat(100));
    let renamed = person.changes_passkey(&rename, "rename", &long).await;
    let shown = format!("&#60;b&#62;{}<", "x".repeat(57));
    assert!(renamed.body.contains("another name") && renamed.body.contains(&shown), "{}", renamed.body);
    assert!(person.changes_passkey(&rename, "rename", " ").await.body.contains(">Passkey<"));
    // Nobody else's, and none that is not there.
    let csrf = bob.get("/account/security").await.hidden("csrf");
    for other in [id.as_str(), "x", ""] {
        let fields = [("csrf", csrf.as_str()), ("passkey", other), ("name", "Mine")];
        assert_eq!(bob.post("/account/security/passkey/rename", &fields).await.status, 404, "{other:?}");
        let page = bob.get(&format!("/account/security/passkey/rename?passkey={other}")).await;
        assert_eq!(page.status, 404, "{other:?}");
        assert!(bob.post("/account/security/passkey/remove", &fields).await.body.contains("Nothing was removed"));
    }
    assert_eq!(app.count("passkeys WHERE name = 'Passkey'").await, 1);
}

async fn a_passkey_that_was_removed_opens_nothing(app: TestApp) {
    let (person, mut device) = with_passkey(&app, "ada").await;
    let (waiting, alone) = (app.person(), app.person());
    let second = waiting.sign_in_to_account("ada").await;
    let first = alone.get("/sign-in").await;
    let page = person.shows(&person.get("/sign-in?next=security").await, &mut device).await;
    let page = person.changes_passkey(&page, "remove", "").await;
    assert!(page.body.contains("The passkey was removed"), "{}", page.body);
    // What was asked before is answered too late.
    assert_eq!(alone.shows(&first, &mut device).await.status, 422);
    assert_eq!(waiting.shows_second(&second, &mut device).await.status, 422);
    assert!(!alone.is_signed_in().await && !waiting.is_signed_in().await);
    // With the last one go the recovery codes, and the password is enough again.
    assert_eq!(app.count("recovery_codes").await, 0);
    assert!(app.person().sign_in_to_account("ada").await.url.ends_with("/account"));

    // Where an app is left, it is asked for still; an administrator takes away everything.
    let (person, _) = with_passkey(&app, "bob").await;
    let bob = app.store.user_by_login("bob").await.unwrap().unwrap().id;
    assert_eq!(app.change(async |tx| tx.delete_factors_of(bob).await).await, 1);
    assert_eq!((app.count("passkeys").await, app.count("recovery_codes").await), (0, 0));
    let (telephone, codes) = person.sets_up_an_app(&app).await;
    assert_eq!(codes.len(), 10);
    app.clock.advance(STEP);
    let other = app.person();
    let page = other.enter(&other.sign_in_to_account("bob").await, &telephone.code(&app)).await;
    assert!(page.url.ends_with("/account"), "{page:?}");
    let mut device = Authenticator::at(&app);
    let page = other.adds_a_passkey(&mut device).await;
    other.changes_passkey(&page, "remove", "").await;
    assert_eq!((app.count("passkeys").await, app.count("recovery_codes").await), (0, 10));
    // So does whoever deletes the user.
    other.adds_a_passkey(&mut device).await;
    app.change(async |tx| tx.delete_user(bob, app.clock.now()).await).await;
    assert_eq!(app.count("passkeys").await, 0);
}

async fn a_recovery_code_is_as_good_as_a_passkey_once(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let codes = codes(&person.adds_a_passkey(&mut Authenticator::at(&app)).await);
    let other = app.person();
    let page = other.sign_in_to_account("ada").await;
    assert!(page.body.contains("Recovery code"), "{}", page.body);
    assert!(other.enter(&page, &codes[0]).await.url.ends_with("/account"));
    // The passkey is lost, and can be taken away by that.
    let page = other.changes_passkey(&other.get("/account/security").await, "remove", "").await;
    assert!(page.body.contains("The passkey was removed"), "{}", page.body);
}

async fn the_last_one_stays_where_everybody_needs_one(app: TestApp) {
    let strict = app.another("[second_factor]\npolicy = \"required\"").await;
    strict.user("ada").await;
    let person = strict.person();
    let page = person.sign_in_to_account("ada").await;
    let telephone = super::second_factor::App::set_up(&page);
    person.enter(&page, &telephone.code(&strict)).await;
    let mut device = Authenticator::at(&strict);
    let page = person.adds_a_passkey(&mut device).await;
    // Of the two either may go, and not the other then.
    let fields = [("csrf", page.hidden("csrf")), ("app", page.hidden("app"))];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let page = person.post("/account/security/app/remove", &fields).await;
    assert!(page.body.contains("The app was removed"), "{}", page.body);
    let page = person.changes_passkey(&page, "remove", "").await;
    assert!(page.body.contains("Nothing was removed") && page.body.contains("Telephone"), "{}", page.body);
    // It is enough: alone, and after the password.
    let other = strict.person();
    assert!(other.shows(&other.get("/sign-in").await, &mut device).await.url.ends_with("/account"));
    let other = strict.person();
    let page = other.sign_in_to_account("ada").await;
    assert!(is_asked(&page) && other.shows_second(&page, &mut device).await.url.ends_with("/account"));
}

async fn whoever_needs_one_adds_it_on_the_way_in_and_shows_it(app: TestApp) {
    let strict = app.another("[second_factor]\npolicy = \"required\"").await;
    strict.user("ada").await;
    let person = strict.person();
    let page = person.sign_in_to_account("ada").await;
    assert!(page.body.contains("Add a passkey instead"), "{}", page.body);
    let adds = async |person: &Person, page: &Page, device: &mut Authenticator| {
        let answer = device.create(&Asked::on(page));
        person.sends_to("/sign-in/second/passkey", page, &answer).await
    };
    let careless = &mut Authenticator { verified: false, ..Authenticator::at(&strict) };
    let page = adds(&person, &page, careless).await;
    assert_eq!((page.status.as_u16(), strict.count("passkeys").await), (422, 0), "{page:?}");
    // One that was asked for the account page is another thing, and so is one of another browser.
    let other = strict.person();
    let theirs = other.sign_in_to_account("ada").await;
    let mut device = Authenticator::at(&strict);
    let answer = device.create(&Asked::on(&theirs));
    assert_eq!(person.sends_to("/sign-in/second/passkey", &theirs, &answer).await.status, 403);
    let added = adds(&person, &page, &mut device).await;
    assert_eq!((added.status.as_u16(), codes(&added).len()), (200, 10), "{added:?}");
    // It was added, and nobody has shown it yet.
    assert!(!person.is_signed_in().await);
    let go_on = added.body.split("primary\" href=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let page = person.get(go_on).await;
    assert!(is_asked(&page), "{page:?}");
    assert!(person.shows_second(&page, &mut device).await.url.ends_with("/account"));

    // Whoever else had got as far with the password adds nothing to it, and needs that one.
    let second = adds(&other, &theirs, &mut Authenticator::at(&strict)).await;
    assert!(second.status == 422 && is_asked(&second), "{second:?}");
    assert_eq!((strict.count("passkeys").await, strict.count("recovery_codes").await), (1, 10));
    assert_eq!(other.post("/sign-in/second/passkey", &[("csrf", "x")]).await.status, 403);
}

async fn nothing_that_is_kept_makes_an_answer(app: TestApp) {
    let (_, mut device) = with_passkey(&app, "ada").await;
    let person = app.person();
    let page = person.get("/sign-in").await;
    let before = rows(&app).await.len();
    // A page that is only looked at writes nothing.
    let page = person.get(&page.url).await;
    assert_eq!(rows(&app).await.len(), before);
    let asked = Asked::on(&page);
    let challenge = asked.options["challenge"].as_str().unwrap().to_owned();
    let answer = device.get(&asked);
    let sealed = asked.state.clone();
    person.shows(&page, &mut device).await;
    let kept = rows(&app).await.join("\n");
    for secret in [challenge, answer, sealed] {
        assert!(!kept.contains(&secret), "{secret}");
    }
}

async fn what_becomes_of_a_passkey_is_told(engine: Engine) {
    let mails = MailServer::start().await;
    let app = TestApp::with(engine, &mails.toml()).await;
    let (person, mut device) = with_passkey(&app, "ada").await;
    // ASVS 6.3.7
    assert_eq!(mails.receives(1).await.header("Subject"), "A passkey was added");
    let page = person.shows(&person.get("/sign-in?next=security").await, &mut device).await;
    person.changes_passkey(&page, "remove", "").await;
    let mail = mails.receives(2).await;
    assert_eq!((mail.to.as_str(), mail.header("Subject")), ("ada@example.org", "A passkey was removed"));
    // ASVS 6.3.5: signing in with one where one has not before is told as with a password.
    let app = TestApp::with(engine, &mails.toml().replace("new_devices = false", "new_devices = true")).await;
    let (_, mut device) = with_passkey(&app, "bob").await;
    let told = mails.receives(4).await;
    assert_eq!(told.header("Subject"), "A passkey was added");
    let other = app.person();
    other.shows(&other.get("/sign-in").await, &mut device).await;
    assert_eq!(mails.receives(5).await.header("Subject"), "A sign-in in another browser");
    other.sign_out().await;
    other.shows(&other.get("/sign-in").await, &mut device).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(mails.mails().len(), 5);
}
