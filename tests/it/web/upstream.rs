//! Signing in by another Grantor (ASVS 6.8), in a browser without JavaScript.

use std::time::Duration;

use grantor::types::Clock as _;

use crate::each_engine;
use crate::support::app::PASSWORD;
use crate::support::behind::at_once;
use crate::support::party::decode;
use crate::support::rows::rows;
use crate::support::upstream::{Traveller, Two, param, sent_to};
use crate::support::{Engine, Page, Pkce};
use crate::web::second_factor::STEP;

each_engine!(
    somebody_who_is_known_there_is_signed_in_here,
    an_application_that_waits_gets_its_answer,
    whoever_was_on_the_way_somewhere_gets_there,
    nobody_is_known_by_an_address_alone,
    an_account_that_exists_is_linked_by_whoever_proves_it,
    an_offer_belongs_to_its_browser_and_its_time,
    an_answer_counts_once_in_its_browser_and_in_its_time,
    of_many_who_bring_one_answer_one_is_signed_in,
    whoever_declines_there_is_back_where_they_began,
    a_second_factor_here_is_asked_for_all_the_same,
    two_factors_there_count_where_the_provider_is_trusted,
    whoever_must_prove_it_again_is_asked_there_again,
    a_disabled_user_is_nobody,
    what_is_kept_meanwhile_is_no_secret_in_clear,
    a_form_of_elsewhere_sends_nobody_anywhere,
);

fn is_unknown(page: &Page) -> bool {
    page.url.contains("/sign-in/unknown") && page.body.contains("Nobody here is known by that There account")
}

async fn somebody_who_is_known_there_is_signed_in_here(engine: Engine) {
    let two = Two::start(engine, "").await;
    two.there.user("ada").await;
    two.here.user("countess").await;
    let traveller = two.traveller();
    traveller.here.sign_in_to_account("countess").await;
    let security = traveller.here.get("/account/security").await;
    assert!(security.body.contains("You have linked none"), "{}", security.body);
    let page = traveller.link(&security, "ada").await;
    assert!(page.url.ends_with("/account/security?done=linked"), "{page:?}");
    assert!(page.body.contains("ada@example.org") && page.body.contains("Linked"), "{}", page.body);

    // Elsewhere, with nothing but the account there.
    let other = two.traveller();
    let page = other.comes("ada").await;
    assert!(page.url.ends_with("/account"), "{page:?}");
    assert!(page.body.contains("countess"), "{}", page.body);
    let security = other.here.get("/account/security").await;
    assert!(security.body.contains("last used"), "{}", security.body);
    // Nobody else is anybody here.
    two.there.user("bob").await;
    let bob = two.traveller();
    assert!(is_unknown(&bob.comes("bob").await));
    assert!(!bob.here.is_signed_in().await);
}

async fn an_application_that_waits_gets_its_answer(engine: Engine) {
    let two = Two::start(engine, "").await;
    two.there.user("ada").await;
    let countess = two.here.user("countess").await;
    let rp = two.here.client("web").create().await;
    two.linked_to("countess", "ada").await;

    let traveller = two.traveller();
    let pkce = Pkce::new();
    let page = rp.authorize(&traveller.here, &pkce, &[]).await;
    assert!(page.asks_to_sign_in() && page.body.contains("Continue with There"), "{}", page.body);
    two.advance(Duration::from_secs(5));
    let page = traveller.continues(&page, "ada").await;
    assert!(page.asks_for_consent(), "{page:?}");
    let code = traveller.here.decide(&page, "allow").await.code();
    let tokens = rp.redeem(&code, &pkce).await.expect_tokens();
    let (_, claims) = decode(tokens.id_token());
    // ASVS 6.8.4: of a provider that is not trusted for more, one factor, and not which.
    assert_eq!((claims["acr"].as_str(), claims.get("amr")), (Some("1"), None), "{claims}");
    assert_eq!(claims["auth_time"], two.there.clock.now().secs());
    let introspected = two.here.introspect(tokens.access_token()).await.expect_active();
    assert_eq!(introspected["sub"], countess.to_string());

    // Later, signed in there all along: it is told when that was.
    two.advance(Duration::from_secs(600));
    let again = Traveller { here: two.here.person(), there: traveller.there };
    let pkce = Pkce::new();
    let page = rp.authorize(&again.here, &pkce, &[]).await;
    let code = again.continues(&page, "ada").await.code();
    let (_, later) = decode(rp.redeem(&code, &pkce).await.expect_tokens().id_token());
    assert_eq!(later["auth_time"], claims["auth_time"]);
}

async fn whoever_was_on_the_way_somewhere_gets_there(engine: Engine) {
    let two = Two::start(engine, "").await;
    two.there.user("ada").await;
    two.here.user("ada").await;
    two.linked("ada").await;
    let device = "01890a5d-ac96-774b-bcce-b302099a8057";
    for (from, to) in [
        ("/sign-in?next=security".to_owned(), "/account/security"),
        ("/sign-in?next=password".to_owned(), "/account/password"),
        (format!("/sign-in?device={device}"), "/device/confirm"),
        // Nowhere else.
        ("/sign-in?next=https://evil.example".to_owned(), "/account"),
    ] {
        let traveller = two.traveller();
        let page = traveller.here.get(&from).await;
        let page = traveller.continues(&page, "ada").await;
        assert!(page.url.starts_with(&format!("{}{to}", two.here.url)), "{from} {page:?}");
        assert!(traveller.here.is_signed_in().await, "{from}");
    }
}

async fn nobody_is_known_by_an_address_alone(engine: Engine) {
    // ASVS 6.8.1: whatever the rule for new accounts is.
    for rule in ["", "create = \"open\"", "create = \"domain\"\ndomains = [\"example.org\"]"] {
        let two = Two::start(engine, rule).await;
        two.there.user("ada").await;
        two.here.user("ada").await;
        let traveller = two.traveller();
        assert!(is_unknown(&traveller.comes("ada").await), "{rule}");
        assert!(!traveller.here.is_signed_in().await);
        assert_eq!(two.here.count("identities").await, 0);
        assert_eq!(two.here.count("users").await, 1);
    }
}

async fn an_account_that_exists_is_linked_by_whoever_proves_it(engine: Engine) {
    let two = Two::start(engine, "").await;
    two.there.user("ada").await;
    two.here.user("ada").await;
    let rp = two.here.client("web").create().await;
    let traveller = two.traveller();
    let pkce = Pkce::new();
    let page = rp.authorize(&traveller.here, &pkce, &[("prompt", "login")]).await;
    let page = traveller.continues(&page, "ada").await;
    assert!(is_unknown(&page), "{page:?}");
    let offer = param(&page.url, "offer").unwrap();

    // Nothing is linked without a sign-in.
    let link = format!("/account/security/linked/offer?offer={offer}");
    let page = traveller.here.get(&link).await;
    assert!(page.asks_to_sign_in() && page.hidden("offer") == offer, "{page:?}");
    let fields = [("csrf", page.hidden("csrf")), ("offer", offer.clone())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert!(traveller.here.post("/account/security/linked/offer", &fields).await.asks_to_sign_in());
    assert_eq!(two.here.count("identities").await, 0);

    let page = traveller.here.get(&format!("/sign-in?offer={offer}")).await;
    let (csrf, offered) = (page.hidden("csrf"), page.hidden("offer"));
    let fields = [("csrf", csrf.as_str()), ("offer", &offered), ("username", "ada"), ("password", PASSWORD)];
    let page = traveller.here.post("/sign-in", &fields).await;
    assert!(page.url.ends_with(&link) && page.body.contains("from now on?"), "{page:?}");
    // To look is not to link, and neither is a form of elsewhere.
    assert_eq!(two.here.count("identities").await, 0);
    let forged = traveller.here.post("/account/security/linked/offer", &[("offer", &offer)]).await;
    assert_eq!(forged.status, 403);
    let fields = [("csrf", page.hidden("csrf")), ("offer", offer.clone())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let page = traveller.here.post("/account/security/linked/offer", &fields).await;
    assert_eq!(two.here.count("identities").await, 1);
    // The application waited meanwhile, and they go on to it.
    assert!(page.asks_for_consent(), "{page:?}");
    traveller.here.decide(&page, "allow").await.code();
    // Once.
    let page = traveller.here.post("/account/security/linked/offer", &fields).await;
    assert!(page.status == 403 || page.status == 400, "{page:?}");

    let other = two.traveller();
    assert!(other.comes("ada").await.url.ends_with("/account"));
}

async fn an_offer_belongs_to_its_browser_and_its_time(engine: Engine) {
    let two = Two::start(engine, "").await;
    two.there.user("ada").await;
    two.here.user("ada").await;
    two.here.user("eve").await;
    let traveller = two.traveller();
    let page = traveller.comes("ada").await;
    let offer = param(&page.url, "offer").unwrap();
    let link = format!("/account/security/linked/offer?offer={offer}");

    let eve = two.traveller();
    eve.here.sign_in_to_account("eve").await;
    eve.here.get(&link).await.expect_error_page(400);
    let security = eve.here.get("/account/security").await;
    let fields = [("csrf", security.hidden("csrf")), ("offer", offer.clone())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    eve.here.post("/account/security/linked/offer", &fields).await.expect_error_page(400);
    eve.here.get(&page.url).await.expect_error_page(400);

    assert_eq!(traveller.here.get(&page.url).await.status, 200);
    two.advance(Duration::from_secs(601));
    traveller.here.get(&page.url).await.expect_error_page(400);
    two.here.sweep().await;
    assert_eq!(two.here.count("identity_offers").await + two.here.count("upstream_visits").await, 0);
    assert_eq!(two.here.count("identities").await, 0);
}

async fn an_answer_counts_once_in_its_browser_and_in_its_time(engine: Engine) {
    let two = Two::start(engine, "").await;
    two.there.user("ada").await;
    two.here.user("ada").await;
    two.linked("ada").await;

    // RFC 6749 §10.12: another browser, with and without a record of its own.
    let traveller = two.traveller();
    let page = traveller.here.get("/sign-in").await;
    let url = traveller.leaves(&page).await;
    let callback = traveller.proves(&url, "ada").await;
    let eve = two.traveller();
    eve.here.get(&callback).await.expect_error_page(400);
    eve.here.get("/sign-in").await;
    eve.here.get(&callback).await.expect_error_page(400);
    assert!(!eve.here.is_signed_in().await);
    // A state that nobody was given, none at all, one that comes twice.
    let state = param(&callback, "state").unwrap();
    for wrong in [callback.replace(&state, "another"), callback.replace("state=", "other=")] {
        traveller.here.get(&wrong).await.expect_error_page(400);
    }
    traveller.here.get(&format!("{callback}&state={state}")).await.expect_error_page(400);
    assert!(!traveller.here.is_signed_in().await);
    // HEAD does nothing.
    let head = two.here.http.head(&callback).send().await.unwrap();
    assert_eq!(head.status(), 200);
    // It was nobody's until now, so its own browser can still use it: once.
    assert!(traveller.here.get(&callback).await.url.ends_with("/account"));
    traveller.here.get(&callback).await.expect_error_page(400);

    let late = two.traveller();
    let page = late.here.get("/sign-in").await;
    let url = late.leaves(&page).await;
    two.here.clock.advance(Duration::from_secs(601));
    let callback = late.proves(&url, "ada").await;
    late.here.get(&callback).await.expect_error_page(400);
    assert!(!late.here.is_signed_in().await);
}

async fn of_many_who_bring_one_answer_one_is_signed_in(engine: Engine) {
    let two = Two::start(engine, "").await;
    two.there.user("ada").await;
    two.here.user("ada").await;
    two.linked("ada").await;
    let before = two.here.count("sessions").await;
    let traveller = two.traveller();
    let page = traveller.here.get("/sign-in").await;
    let url = traveller.leaves(&page).await;
    let callback = traveller.proves(&url, "ada").await;
    let (name, value) = traveller.here.own_cookie().unwrap();
    let pages = at_once((0..8).map(|_| async {
        let person = two.here.person();
        person.set_cookie(&name, &value);
        person.get(&callback).await
    }))
    .await;
    let arrived = pages.iter().filter(|page| page.url.ends_with("/account")).count();
    assert_eq!(arrived, 1, "{pages:?}");
    assert!(pages.iter().all(|page| page.status == 400 || page.url.ends_with("/account")), "{pages:?}");
    assert_eq!(two.here.count("sessions").await, before + 1);
}

async fn whoever_declines_there_is_back_where_they_began(engine: Engine) {
    let two = Two::start(engine, "").await;
    two.here.user("ada").await;
    let rp = two.here.client("web").create().await;
    let traveller = two.traveller();
    let page = rp.authorize(&traveller.here, &Pkce::new(), &[]).await;
    let url = traveller.leaves(&page).await;
    let asked = traveller.there.get(&url).await;
    let back = traveller.there.cancel(&asked).await;
    back.expect_redirect_error("access_denied");
    let page = traveller.here.get(&back.url).await;
    assert!(page.asks_to_sign_in() && page.body.contains("You did not go on there"), "{page:?}");
    // What waited still does.
    let page = traveller.here.sign_in(&page, "ada", PASSWORD).await;
    assert!(page.asks_for_consent(), "{page:?}");
    // RFC 9207 §2.4: errors, too, must come from the provider that was asked.
    let again = two.traveller();
    let page = again.here.get("/sign-in").await;
    let url = again.leaves(&page).await;
    let asked = again.there.get(&url).await;
    let back = again.there.cancel(&asked).await;
    let iss = param(&back.url, "iss").unwrap();
    let forged = back.url.replace(&encoded(&iss), &encoded("https://evil.example"));
    assert_ne!(forged, back.url);
    again.here.get(&forged).await.expect_error_page(502);
}

fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

async fn a_second_factor_here_is_asked_for_all_the_same(engine: Engine) {
    let two = Two::start(engine, "").await;
    two.there.user("ada").await;
    two.here.user("ada").await;
    // One that is there counts nothing here: it is not trusted to say so.
    let there = two.there.person();
    there.sign_in_to_account("ada").await;
    let (their_app, _) = there.sets_up_an_app(&two.there).await;
    let person = two.here.person();
    person.sign_in_to_account("ada").await;
    let (app, _) = person.sets_up_an_app(&two.here).await;
    two.here.link_behind("ada", &two.there).await;
    two.advance(STEP);

    let traveller = Traveller { here: two.here.person(), there: two.there.person() };
    let page = traveller.here.get("/sign-in").await;
    let url = traveller.leaves(&page).await;
    let page = traveller.there.get(&url).await;
    let page = traveller.there.sign_in(&page, "ada", PASSWORD).await;
    let page = traveller.there.enter(&page, &their_app.code(&two.there)).await;
    let back = traveller.there.decide(&page, "allow").await;
    let page = traveller.here.get(&back.url).await;
    assert!(page.url.contains("/sign-in/second"), "{page:?}");
    assert!(!traveller.here.is_signed_in().await);
    assert_eq!(traveller.here.enter(&page, "000000").await.status, 422);
    assert!(traveller.here.enter(&page, &app.code(&two.here)).await.url.ends_with("/account"));
}

async fn two_factors_there_count_where_the_provider_is_trusted(engine: Engine) {
    let two = Two::start(engine, "trust_amr = true\n[second_factor]\npolicy = \"required\"\n").await;
    two.there.user("ada").await;
    two.here.user("ada").await;
    let there = two.there.person();
    there.sign_in_to_account("ada").await;
    let (their_app, _) = there.sets_up_an_app(&two.there).await;
    two.here.link_behind("ada", &two.there).await;
    two.advance(STEP);
    let rp = two.here.client("web").create().await;

    let traveller = two.traveller();
    let page = traveller.here.get("/sign-in").await;
    let url = traveller.leaves(&page).await;
    let page = traveller.there.get(&url).await;
    let page = traveller.there.sign_in(&page, "ada", PASSWORD).await;
    let page = traveller.there.enter(&page, &their_app.code(&two.there)).await;
    let back = traveller.there.decide(&page, "allow").await;
    let pkce = Pkce::new();
    let page = traveller.here.get(&back.url).await;
    assert!(page.url.ends_with("/account"), "{page:?}");
    // What applications are told is true.
    let page = rp.authorize(&traveller.here, &pkce, &[("acr_values", "2")]).await;
    let code = traveller.here.decide(&page, "allow").await.code();
    let (_, claims) = decode(rp.redeem(&code, &pkce).await.expect_tokens().id_token());
    assert_eq!((claims["acr"].as_str(), claims["amr"].to_string()), (Some("2"), r#"["mfa"]"#.to_owned()), "{claims}");

    // By one factor there: the other is asked for here.
    two.there.user("bob").await;
    two.here.user("bob").await;
    two.here.link_behind("bob", &two.there).await;
    let bob = two.traveller();
    let page = bob.comes("bob").await;
    assert!(page.url.contains("/sign-in/second"), "{page:?}");
}

async fn whoever_must_prove_it_again_is_asked_there_again(engine: Engine) {
    let two = Two::start(engine, "").await;
    two.there.user("ada").await;
    two.here.user("ada").await;
    let rp = two.here.client("web").create().await;
    let traveller = two.linked("ada").await;
    let pkce = Pkce::new();
    let page = rp.authorize(&traveller.here, &pkce, &[]).await;
    rp.redeem(&traveller.here.decide(&page, "allow").await.code(), &pkce).await.expect_tokens();
    two.advance(Duration::from_secs(3_000));

    // OpenID Connect Core §3.1.2.1
    for (name, value, carried) in [("prompt", "login", "login"), ("max_age", "60", "60")] {
        let pkce = Pkce::new();
        let page = rp.authorize(&traveller.here, &pkce, &[(name, value)]).await;
        assert!(page.asks_to_sign_in(), "{page:?}");
        let url = traveller.leaves(&page).await;
        assert_eq!(param(&url, name).as_deref(), Some(carried), "{url}");
        let asked = traveller.there.get(&url).await;
        assert!(asked.asks_to_sign_in(), "{asked:?}");
        let back = traveller.there.sign_in(&asked, "ada", PASSWORD).await;
        let code = traveller.here.get(&back.url).await.code();
        let (_, claims) = decode(rp.redeem(&code, &pkce).await.expect_tokens().id_token());
        assert!(claims["auth_time"].as_i64().unwrap() >= two.there.clock.now().secs() - 1, "{claims}");
        two.advance(Duration::from_secs(3_000));
    }
    // Who leaves it out of the address is not asked there, and so not let in here.
    let page = rp.authorize(&traveller.here, &Pkce::new(), &[("prompt", "login")]).await;
    let url = traveller.leaves(&page).await.replace("prompt=login", "p=1").replace("max_age=0", "m=1");
    let back = traveller.proves(&url, "ada").await;
    let page = traveller.here.get(&back).await;
    assert!(page.asks_to_sign_in() && page.body.contains("It was not asked again there"), "{page:?}");
    // The same where nobody asks but the page of how they sign in (ASVS 7.5.1).
    let page = traveller.here.get("/account/security/app").await;
    assert!(page.asks_to_sign_in() && page.username() == "ada", "{page:?}");
    let url = traveller.leaves(&page).await;
    assert_eq!(param(&url, "prompt").as_deref(), Some("login"));
    let asked = traveller.there.get(&url).await;
    let back = traveller.there.sign_in(&asked, "ada", PASSWORD).await;
    assert!(traveller.here.get(&back.url).await.url.ends_with("/account/security"));
    assert_eq!(traveller.here.get("/account/security/app").await.status, 200);
}

async fn a_disabled_user_is_nobody(engine: Engine) {
    let two = Two::start(engine, "").await;
    let ada = two.here.user("ada").await;
    two.there.user("ada").await;
    two.there.user("bob").await;
    two.linked("ada").await;
    let plain = |page: &Page| {
        let offer = param(&page.url, "offer").unwrap();
        (page.status.as_u16(), page.body.replace(&offer, "OFFER").replace("bob", "ada"))
    };
    let nobody = two.traveller().comes("bob").await;
    assert!(is_unknown(&nobody));
    two.here.disable_user(ada).await;
    let traveller = two.traveller();
    let page = traveller.comes("ada").await;
    // ASVS 6.3.8
    assert_eq!(plain(&page), plain(&nobody));
    assert!(!traveller.here.is_signed_in().await);
}

async fn what_is_kept_meanwhile_is_no_secret_in_clear(engine: Engine) {
    let two = Two::start(engine, "").await;
    let traveller = two.traveller();
    let page = traveller.here.get("/sign-in").await;
    let url = traveller.leaves(&page).await;
    let [state, nonce] = ["state", "nonce"].map(|name| param(&url, name).unwrap());
    assert_eq!(param(&url, "code_challenge_method").as_deref(), Some("S256"));
    assert_eq!((state.len(), nonce.len(), param(&url, "code_challenge").unwrap().len()), (43, 43, 43));
    assert_eq!(two.here.count("upstream_visits").await, 1);
    let rows = rows(&two.here).await;
    assert!(rows.iter().all(|row| !row.contains(&state) && !row.contains(&nonce)), "{rows:#?}");
    // None is used twice.
    let again = traveller.leaves(&page).await;
    for name in ["state", "nonce", "code_challenge"] {
        assert_ne!(param(&url, name), param(&again, name), "{name}");
    }
}

async fn a_form_of_elsewhere_sends_nobody_anywhere(engine: Engine) {
    let two = Two::start(engine, "").await;
    let person = two.here.person();
    let page = person.get("/sign-in").await;
    for fields in [vec![], vec![("csrf", "wrong")]] {
        assert_eq!(person.post("/sign-in/upstream/there", &fields).await.status, 403);
    }
    let csrf = page.hidden("csrf");
    assert_eq!(person.post("/sign-in/upstream/elsewhere", &[("csrf", &csrf)]).await.status, 404);
    assert_eq!(person.get("/sign-in/upstream/elsewhere/callback?state=a").await.status, 404);
    assert_eq!(person.get("/sign-in/upstream/there").await.status, 405);
    assert_eq!(two.here.count("upstream_visits").await, 0);
    let sent = person.post("/sign-in/upstream/there", &[("csrf", &csrf)]).await;
    assert!(sent_to(&sent).starts_with(&format!("{}/oauth/authorize?", two.there.url)));
    // What leads away is not told where it came from, and is not kept.
    assert_eq!(sent.header("referrer-policy"), Some("no-referrer"));
    assert_eq!(sent.header("cache-control"), Some("no-store"));
}
