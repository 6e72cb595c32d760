//! The pages at `/device`: a code is entered, a question answered.

use crate::each_database;
use crate::support::behind::at_once;
use crate::support::{Engine, Party, TestApp};

each_database!(
    a_code_may_be_typed_as_it_is_read,
    a_code_that_comes_with_the_address_is_shown_and_goes_nowhere_by_itself,
    the_question_says_who_asks_from_where_and_for_what,
    a_code_belongs_to_the_browser_that_entered_it,
    of_many_browsers_that_enter_a_code_at_once_one_gets_it,
    another_person_may_answer_in_the_same_browser,
    a_form_from_elsewhere_is_refused,
    a_browser_may_guess_a_few_times,
    a_test_bed_may_guess_as_often_as_it_likes,
);

async fn tv(app: &TestApp) -> Party<'_> {
    app.user("ada").await;
    app.client("tv").on_a_device().create().await
}

async fn a_code_may_be_typed_as_it_is_read(app: TestApp) {
    let tv = tv(&app).await;
    let person = app.person();
    let code = tv.begin("openid").await.user_code;
    for typed in [code.to_lowercase(), code.replace('-', ""), format!(" {} ", code.replace('-', " "))] {
        let page = person.enter_code("ada", &typed).await;
        assert!(page.asks_about_a_device(), "{typed}: {page:?}");
    }
    for wrong in ["", "BBBB-BBBB", "0000-0000", "a very long text that is no code, and longer than any", "<b>"] {
        let page = person.enter_code("ada", wrong).await;
        assert_eq!(page.status, 422, "{page:?}");
        assert!(page.body.contains("There is no such code") && !page.body.contains("<b>"), "{page:?}");
    }
}

async fn a_code_that_comes_with_the_address_is_shown_and_goes_nowhere_by_itself(app: TestApp) {
    let tv = tv(&app).await;
    let (waiting, person) = (tv.begin("openid").await, app.person());
    // RFC 8628 §3.3.1; RFC 10027: whoever made the address may be somebody else.
    let page = person.get(&format!("/device?user_code={}", waiting.user_code)).await;
    assert!(page.url.contains("/device?user_code="), "{page:?}");
    assert!(page.body.contains("Does your device show this code?") && page.body.contains("send you this link"));
    assert!(page.body.contains(&format!("value=\"{}\"", waiting.user_code)), "{page:?}");
    assert_eq!(app.count("device_requests WHERE browser <> ''").await, 0, "nothing has happened");

    let page = person.post("/device", &[("csrf", &page.hidden("csrf")), ("user_code", &waiting.user_code)]).await;
    assert!(page.asks_to_sign_in() && page.body.contains("to connect your device"), "{page:?}");
    let page = person.sign_in_for_device(&page, "ada").await;
    assert!(page.asks_about_a_device(), "{page:?}");
    person.answer_for_device(&page, "allow").await;
    tv.poll(&waiting).await.expect_tokens();
}

async fn the_question_says_who_asks_from_where_and_for_what(app: TestApp) {
    let tv = tv(&app).await;
    let (waiting, person) = (tv.begin("openid email offline_access").await, app.person());
    app.advance(120);
    let page = person.enter_code("ada", &waiting.user_code).await;
    for words in [
        "Lighthouse",
        "ada@example.org",
        "90 days at most",
        "2 minutes ago",
        "127.0.0.1",
        "the network of this browser",
    ] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    app.sql("UPDATE device_requests SET address = '203.0.113.7'").await;
    let page = person.get(&page.url).await;
    assert!(page.body.contains("203.0.113.7") && page.body.contains("not the network of this browser"), "{page:?}");
    // A remembered answer is not an answer for another device.
    person.answer_for_device(&page, "allow").await;
    let waiting = tv.begin("openid email").await;
    assert!(person.enter_code("ada", &waiting.user_code).await.asks_about_a_device());
}

async fn a_code_belongs_to_the_browser_that_entered_it(app: TestApp) {
    let tv = tv(&app).await;
    app.user("eve").await;
    let (waiting, ada, eve) = (tv.begin("openid").await, app.person(), app.person());
    let page = ada.enter_code("ada", &waiting.user_code).await;
    assert_eq!(eve.enter_code("eve", &waiting.user_code).await.status, 422);
    // Nor by the address of the question, with whatever form.
    let own = tv.begin("openid").await;
    let hers = eve.enter_code("eve", &own.user_code).await;
    eve.get(&page.url).await.expect_error_page(400);
    let fields = [("csrf", hers.hidden("csrf")), ("request", page.hidden("request")), ("decision", "allow".to_owned())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    eve.post("/device/confirm", &fields).await.expect_error_page(400);
    // To sign in for somebody else's device leads nowhere.
    app.person().get(&page.url).await.expect_error_page(400);
    // The same browser may enter it again, and no decision is none.
    let page = ada.enter_code("ada", &waiting.user_code).await;
    assert!(ada.answer_for_device(&page, "").await.asks_about_a_device());
    ada.answer_for_device(&page, "allow").await;
    tv.poll(&waiting).await.expect_tokens();
}

async fn of_many_browsers_that_enter_a_code_at_once_one_gets_it(app: TestApp) {
    let other = app.second_node().await;
    let tv = tv(&app).await;
    let waiting = tv.begin("openid").await;
    let people: Vec<_> = (0..8).map(|n| if n % 2 == 0 { app.person() } else { other.person() }).collect();
    let pages = at_once(people.iter().map(|person| person.enter_code("ada", &waiting.user_code))).await;
    assert_eq!(pages.iter().filter(|page| page.status == 200).count(), 1, "{pages:?}");
}

async fn another_person_may_answer_in_the_same_browser(app: TestApp) {
    let tv = tv(&app).await;
    app.user("bob").await;
    let (waiting, person) = (tv.begin("openid profile").await, app.person());
    let page = person.enter_code("ada", &waiting.user_code).await;
    let page = person.answer_for_device(&page, "switch").await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    let page = person.sign_in_for_device(&page, "bob").await;
    assert!(page.asks_about_a_device() && page.body.contains("<strong>bob</strong>"), "{page:?}");
    person.answer_for_device(&page, "allow").await;
    let tokens = tv.poll(&waiting).await.expect_tokens();
    let claims = tv.userinfo(tokens.access_token()).await.json();
    assert_eq!(claims["preferred_username"], "bob");

    // Whose session was ended elsewhere before they answered signs in again.
    let waiting = tv.begin("openid").await;
    let page = person.enter_code("bob", &waiting.user_code).await;
    app.sql("UPDATE sessions SET ended_at = 1").await;
    let page = person.answer_for_device(&page, "allow").await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    tv.poll(&waiting).await.expect_error("authorization_pending");
}

async fn a_form_from_elsewhere_is_refused(app: TestApp) {
    let tv = tv(&app).await;
    let (waiting, person) = (tv.begin("openid").await, app.person());
    person.get("/device").await;
    person.post("/device", &[("csrf", "x"), ("user_code", &waiting.user_code)]).await.expect_error_page(403);
    let page = person.enter_code("ada", &waiting.user_code).await;
    let fields = [("request", page.hidden("request")), ("decision", "allow".to_owned())];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    person.post("/device/confirm", &fields).await.expect_error_page(403);
    tv.poll(&waiting).await.expect_error("authorization_pending");
}

async fn a_browser_may_guess_a_few_times(app: TestApp) {
    let app = app.another("[device]\nattempts_per_browser = 3\nattempts = 8").await;
    let tv = tv(&app).await;
    let waiting = tv.begin("openid").await;
    let person = app.person();
    // RFC 8628 §5.1. What is right does not count.
    for _ in 0..5 {
        assert!(person.enter_code("ada", &waiting.user_code).await.asks_about_a_device());
    }
    let guess = async |person: &crate::support::Person| person.enter_code("ada", "BBBB-BBBB").await.status.as_u16();
    let outcomes = at_once((0..9).map(|_| guess(&person))).await;
    assert_eq!(outcomes.iter().filter(|status| **status == 422).count(), 3, "{outcomes:?}");
    let page = person.enter_code("ada", &waiting.user_code).await;
    assert!(page.status == 429 && page.body.contains("Too many codes were tried"), "{page:?}");

    // Another browser has tries of its own, until all of them together have had theirs.
    let mut allowed = 0;
    for _ in 0..3 {
        let stranger = app.person();
        for _ in 0..3 {
            allowed += u32::from(guess(&stranger).await == 422);
        }
    }
    assert_eq!(allowed, 5);
    assert_eq!(app.person().enter_code("ada", &waiting.user_code).await.status, 429);
    app.advance(601);
    let waiting = tv.begin("openid").await;
    assert!(app.person().enter_code("ada", &waiting.user_code).await.asks_about_a_device());
}

async fn a_test_bed_may_guess_as_often_as_it_likes(app: TestApp) {
    let limited = "[device]\nattempts_per_browser = 1\nattempts = 1\n";
    for (unlimited, last) in [("\"127.0.0.0/8\", \"::1\"", 422), ("\"192.0.2.0/24\"", 429)] {
        let app = app.another(&format!("{limited}unlimited = [{unlimited}]")).await;
        let person = app.person();
        assert_eq!(person.enter_code("ada", "BBBB-BBBB").await.status, 422);
        assert_eq!(person.enter_code("ada", "BBBB-BBBB").await.status, last, "{unlimited}");
    }
}

#[tokio::test]
async fn an_issuer_with_a_path_has_the_device_pages_under_it() {
    let app = TestApp::with(Engine::Sqlite, "[server]\nissuer = \"http://localhost:8080/auth/eu\"").await;
    let tv = tv(&app).await;
    let (waiting, person) = (tv.begin("openid").await, app.person());
    let page = person.get("/device").await;
    assert!(page.body.contains("action=\"/auth/eu/device\""), "{page:?}");
    person.allow_device("ada", &waiting.user_code).await;
    tv.poll(&waiting).await.expect_tokens();
}
