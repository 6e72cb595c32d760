//! Signing out: by oneself, and at the wish of a client (OpenID Connect RP-Initiated Logout 1.0).

use grantor::types::ClientMetadata;

use crate::each_database;
use crate::support::party::encode;
use crate::support::{Page, Person, TestApp};

each_database!(
    opening_the_address_asks_before_anybody_is_signed_out,
    a_client_that_proves_whom_it_means_needs_no_question,
    without_proof_the_person_is_asked,
    afterwards_the_browser_returns_to_a_registered_address_alone,
    a_hint_or_a_client_that_does_not_fit_is_refused,
    what_needs_the_session_ends_with_it_and_the_rest_goes_on,
    nobody_signed_in_is_nobody_to_ask,
    signing_out_may_lead_to_a_native_application,
    a_post_asks_the_browser_to_come_back_by_itself,
);

const AFTER: &str = "https://app.example/bye?x=1";

fn returns(client: &mut ClientMetadata) {
    client.post_logout_redirect_uris = [AFTER, "http://127.0.0.1/bye"].iter().map(|uri| uri.parse().unwrap()).collect();
}

async fn ask(person: &Person, params: &[(&str, &str)]) -> Page {
    let params: Vec<_> = params.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    person.get(&format!("/oauth/logout?{}", encode(&params))).await
}

fn asks(page: &Page) -> bool {
    page.url.contains("/oauth/logout/confirm") && page.body.contains("value=\"sign_out\"")
}

async fn answer(person: &Person, page: &Page, decision: &str) -> Page {
    let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
    person.post("/oauth/logout/confirm", &[("csrf", &csrf), ("request", &request), ("decision", decision)]).await
}

async fn opening_the_address_asks_before_anybody_is_signed_out(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let page = ask(&person, &[]).await;
    assert!(asks(&page), "{page:?}");
    assert!(person.is_signed_in().await);

    for decision in ["stay", "", "anything"] {
        assert!(answer(&person, &page, decision).await.url.ends_with("/account"), "{decision}");
    }
    assert!(answer(&person, &page, "sign_out").await.url.ends_with("/signed-out"));
    assert!(!person.is_signed_in().await);
}

async fn a_client_that_proves_whom_it_means_needs_no_question(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").with(returns).create().await;
    let person = app.person();
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    // ASVS 10.6.2; RP-Initiated Logout §4: an expired ID token is as good a hint.
    app.clock.advance(std::time::Duration::from_secs(3_600));
    let hint = ("id_token_hint", tokens.id_token());
    let page =
        ask(&person, &[hint, ("client_id", "web"), ("post_logout_redirect_uri", AFTER), ("state", "a b&c")]).await;
    assert_eq!(page.url, "https://app.example/bye?x=1&state=a+b%26c");
    assert!(!person.is_signed_in().await);
}

async fn without_proof_the_person_is_asked(app: TestApp) {
    app.user("ada").await;
    app.user("bob").await;
    let rp = app.client("web").with(returns).create().await;
    let (ada, bob) = (app.person(), app.person());
    rp.sign_in_with(&ada, "ada", &[]).await;
    let bobs = rp.sign_in_with(&bob, "bob", &[]).await;
    let elsewhere = rp.sign_in_with(&app.person(), "ada", &[]).await;
    for (what, params) in [
        ("nothing", vec![]),
        ("a client's name", vec![("client_id", "web")]),
        ("another user's token", vec![("id_token_hint", bobs.id_token())]),
        ("a token of another session", vec![("id_token_hint", elsewhere.id_token())]),
        ("an address", vec![("client_id", "web"), ("post_logout_redirect_uri", AFTER)]),
    ] {
        assert!(asks(&ask(&ada, &params).await), "{what}");
        assert!(ada.is_signed_in().await && bob.is_signed_in().await, "{what}");
    }
    let page = ask(&ada, &[("client_id", "web"), ("post_logout_redirect_uri", AFTER), ("state", "s")]).await;
    assert!(page.body.contains("Lighthouse"), "the page says who asks: {}", page.body);
    assert_eq!(answer(&ada, &page, "sign_out").await.url, format!("{AFTER}&state=s"));
    assert!(!ada.is_signed_in().await && bob.is_signed_in().await);
    // The request was spent.
    ada.sign_in_to_account("ada").await;
    let csrf = ada.get("/account").await.hidden("csrf");
    let fields = [("csrf", csrf.as_str()), ("request", &page.hidden("request")), ("decision", "sign_out")];
    assert!(ada.post("/oauth/logout/confirm", &fields).await.url.ends_with("/signed-out"));
}

async fn afterwards_the_browser_returns_to_a_registered_address_alone(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").with(returns).create().await;
    app.client("other").create().await;
    let person = app.person();
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    // RP-Initiated Logout §3: "one of the values registered".
    for (client, uri) in [
        ("web", "https://app.example/bye"),
        ("web", "https://app.example/bye?x=1&y=2"),
        ("web", "https://app.example/bye?x=1#"),
        ("web", "https://app.example.evil.example/bye?x=1"),
        ("web", "http://app.example/bye?x=1"),
        ("web", "https://app.example/callback"),
        ("web", "//app.example/bye?x=1"),
        ("web", "/account"),
        ("web", "javascript:alert(1)"),
        ("web", "http://127.0.0.1:8000/other"),
        ("other", AFTER),
        ("", AFTER),
    ] {
        let params = [("client_id", client), ("post_logout_redirect_uri", uri)];
        ask(&person, &params).await.expect_error_page(400);
    }
    let hinted = [("id_token_hint", tokens.id_token()), ("post_logout_redirect_uri", "https://evil.example/")];
    ask(&person, &hinted).await.expect_error_page(400);
    assert!(person.is_signed_in().await, "a refused request ends nothing");

    // RFC 8252 §7.3: any port on loopback.
    let uri = "http://127.0.0.1:51234/bye";
    let page = ask(&person, &[("id_token_hint", tokens.id_token()), ("post_logout_redirect_uri", uri)]).await;
    assert_eq!(page.url, uri);
}

async fn a_hint_or_a_client_that_does_not_fit_is_refused(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").with(returns).create().await;
    app.client("other").with(returns).create().await;
    let person = app.person();
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    let elsewhere = app.another("").await;
    elsewhere.user("ada").await;
    let theirs = elsewhere.client("web").create().await.sign_in("ada").await;
    let id_token = tokens.id_token();
    let unsigned = id_token.rsplit_once('.').unwrap().0.to_owned() + ".";
    for (what, hint, client) in [
        ("an ID token of another issuer", theirs.id_token(), ""),
        ("an access token", tokens.access_token(), ""),
        ("a refresh token", tokens.refresh_token(), ""),
        ("no signature", &unsigned, ""),
        ("garbage", "x.y.z", ""),
        ("another client", id_token, "other"),
        ("a client that is not there", id_token, "nobody"),
        ("no client at all", id_token, "not an id"),
    ] {
        let page = ask(&person, &[("id_token_hint", hint), ("client_id", client)]).await;
        page.expect_error_page(400);
        assert!(person.is_signed_in().await, "{what}");
    }
    app.disable_client("web").await;
    ask(&person, &[("client_id", "web")]).await.expect_error_page(400);
}

async fn what_needs_the_session_ends_with_it_and_the_rest_goes_on(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    let bound = rp.sign_in_with(&person, "ada", &[("scope", "openid")]).await;
    let offline = rp.sign_in_with(&person, "ada", &[]).await;
    let waiting = rp.code(&person, "ada", &crate::support::Pkce::new(), &[("scope", "openid")]).await;
    app.introspect(bound.access_token()).await.expect_active();

    person.sign_out().await;
    app.introspect(bound.access_token()).await.expect_inactive();
    rp.userinfo(bound.access_token()).await.expect_status(401);
    rp.redeem(&waiting, &crate::support::Pkce::new()).await.expect_error("invalid_grant");
    app.introspect(offline.access_token()).await.expect_active();
    rp.refresh(&offline).await.expect_tokens();
}

async fn nobody_signed_in_is_nobody_to_ask(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").with(returns).create().await;
    let person = app.person();
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    person.sign_out().await;
    assert!(ask(&person, &[]).await.url.ends_with("/signed-out"));
    let params = [("id_token_hint", tokens.id_token()), ("post_logout_redirect_uri", AFTER), ("state", "s")];
    assert_eq!(ask(&person, &params).await.url, format!("{AFTER}&state=s"));
    ask(&person, &[("client_id", "web"), ("post_logout_redirect_uri", "https://evil.example/")])
        .await
        .expect_error_page(400);
    // The page for it needs nobody either.
    assert!(person.get("/oauth/logout/confirm").await.url.ends_with("/signed-out"));
}

async fn a_post_asks_the_browser_to_come_back_by_itself(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").with(returns).create().await;
    let person = app.person();
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    // RP-Initiated Logout §2. Cross-site, so without the cookie.
    let proved = [("id_token_hint", tokens.id_token()), ("post_logout_redirect_uri", AFTER), ("state", "s")];
    let location = posted(&app, &proved).await;
    assert_eq!(person.get(&location).await.url, format!("{AFTER}&state=s"));
    assert!(!person.is_signed_in().await);
    // Once, and for the browser that came for it alone.
    person.get(&location).await.expect_error_page(400);

    let page = person.get(&posted(&app, &proved).await).await;
    assert_eq!(page.url, format!("{AFTER}&state=s"), "nobody is signed in");
    person.sign_in_to_account("ada").await;
    let location = posted(&app, &[("client_id", "web"), ("post_logout_redirect_uri", AFTER)]).await;
    let page = person.get(&location).await;
    assert!(asks(&page) && page.body.contains("Lighthouse"), "{page:?}");
    app.person().get(&location).await.expect_error_page(400);
    assert_eq!(answer(&person, &page, "sign_out").await.url, AFTER);
    assert_eq!(app.count("pending_requests").await, 0);

    // What is certain without the browser is answered at once.
    let wrong = [("client_id", "web"), ("post_logout_redirect_uri", "https://evil.example/")];
    app.post("/oauth/logout", &wrong).await.expect_status(400);
}

/// Where a posted request sends the browser: to an address with nothing of it.
async fn posted(app: &TestApp, fields: &[(&str, &str)]) -> String {
    let answer = app.post("/oauth/logout", fields).await.expect_status(303);
    assert!(answer.header("set-cookie").is_none());
    let location = answer.header("location").unwrap().to_owned();
    let id = location.strip_prefix("/oauth/logout/continue?request=").unwrap_or_else(|| panic!("{location}"));
    assert!(grantor::types::RequestId::parse(id).is_some(), "{location}");
    location
}

async fn signing_out_may_lead_to_a_native_application(app: TestApp) {
    app.user("ada").await;
    let out = "com.example.app:/out";
    let rp = app.client("native").redirect_uris(&["com.example.app:/cb"]);
    rp.with(|client| client.post_logout_redirect_uris = vec![out.parse().unwrap()]).create().await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let page = ask(&person, &[("client_id", "native"), ("post_logout_redirect_uri", out)]).await;
    // CSP3 §2.3.1: a browser that applies form-action to redirects would stay on the page otherwise.
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("form-action 'self' com.example.app:;"), "{policy}");
    assert_eq!(answer(&person, &page, "sign_out").await.url, out);
}
