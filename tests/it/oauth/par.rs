//! Pushed authorization requests (RFC 9126).

use grantor::types::{Clock, Hint};
use serde_json::Value;

use super::authorize::refused_at_the_client;
use crate::each_database;
use crate::support::app::PASSWORD;
use crate::support::behind::at_once;
use crate::support::party::{SECRET, decode, encode};
use crate::support::rows::rows;
use crate::support::{Answer, Page, Party, Person, Pkce, TestApp};

each_database!(
    a_pushed_request_leads_to_a_code_and_what_stands_beside_it_does_not_count,
    a_pushed_request_is_answered_once_and_its_page_may_be_opened_again_until_then,
    of_many_pages_opened_with_one_request_one_is_answered,
    whoever_turns_away_has_answered_too,
    a_pushed_request_lasts_a_minute_and_its_open_page_as_long_as_any,
    a_reference_is_its_clients_alone,
    what_is_wrong_with_a_pushed_request_is_told_at_once,
    a_client_authenticates_as_at_the_token_endpoint,
    a_request_is_refused_that_had_to_be_pushed,
    nothing_secret_is_kept_of_a_pushed_request,
    what_was_pushed_goes_when_nobody_can_answer_it_any_more,
);

const PREFIX: &str = "urn:ietf:params:oauth:request_uri:";

/// Pushes the usual request; each change replaces a parameter, adds one, or, with an empty value, takes one away.
pub async fn push(rp: &Party<'_>, pkce: &Pkce, changes: &[(&str, &str)]) -> Answer {
    let mut fields = rp.request(pkce);
    // A public client identifies itself by it already.
    fields.retain(|(name, _)| name != "client_id" || rp.secret.is_some());
    for (name, value) in changes {
        fields.retain(|(own, _)| own != name);
        if !value.is_empty() {
            fields.push(((*name).to_owned(), (*value).to_owned()));
        }
    }
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    rp.post("/oauth/par", &fields).await
}

/// The reference to a request that was taken down.
pub async fn pushed(rp: &Party<'_>, pkce: &Pkce, changes: &[(&str, &str)]) -> String {
    let answer = push(rp, pkce, changes).await.expect_status(201);
    answer.json()["request_uri"].as_str().expect("a request_uri").to_owned()
}

/// Where the client sends its user.
pub fn address(client: &str, request_uri: &str) -> String {
    let fields = [("client_id", client), ("request_uri", request_uri)];
    format!("/oauth/authorize?{}", encode(&fields.map(|(name, value)| (name.to_owned(), value.to_owned()))))
}

async fn open(rp: &Party<'_>, person: &Person, request_uri: &str) -> Page {
    person.get(&address(&rp.id, request_uri)).await
}

/// Signed in, with everything allowed before.
async fn settled(rp: &Party<'_>) -> Person {
    let person = rp.app.person();
    rp.sign_in_with(&person, "ada", &[]).await;
    person
}

async fn a_pushed_request_leads_to_a_code_and_what_stands_beside_it_does_not_count(app: TestApp) {
    app.user("ada").await;
    for (id, public) in [("web", false), ("spa", true)] {
        let client = app.client(id);
        let rp = if public { client.public() } else { client }.create().await;
        let (person, pkce) = (app.person(), Pkce::new());

        // RFC 9126 §2.2
        let answer = push(&rp, &pkce, &[]).await.expect_status(201);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let (request_uri, members) = (answer.json()["request_uri"].clone(), answer.json());
        let request_uri = request_uri.as_str().expect("a request_uri");
        assert_eq!(members["expires_in"], 60);
        assert_eq!(members.as_object().expect("an object").len(), 2);
        assert_eq!(request_uri.strip_prefix(PREFIX).map(str::len), Some(43));

        // RFC 9101 §6.3: "MUST only use the parameters included in the Request Object".
        let beside = "&state=other&scope=admin&redirect_uri=https%3A%2F%2Fevil.example%2F&response_type=token";
        let page = person.get(&format!("{}{beside}", address(id, request_uri))).await;
        assert!(page.asks_to_sign_in(), "{page:?}");
        let page = person.sign_in(&page, "ada", PASSWORD).await;
        let page = person.decide(&page, "allow").await;
        assert_eq!(page.param("state").as_deref(), Some("a state"));
        assert_eq!(page.param("iss").as_deref(), Some(app.issuer()));
        let tokens = rp.redeem(&page.code(), &pkce).await.expect_tokens();
        assert_eq!(decode(tokens.id_token()).1["nonce"], "a nonce");
        assert_eq!(tokens.scope(), "offline_access openid");

        // RFC 9126 §4: by POST as well.
        let request_uri = pushed(&rp, &pkce, &[("prompt", "login")]).await;
        let page = person.post("/oauth/authorize", &[("client_id", id), ("request_uri", &request_uri)]).await;
        assert!(page.asks_to_sign_in(), "{page:?}");
    }
}

async fn a_pushed_request_is_answered_once_and_its_page_may_be_opened_again_until_then(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, other, pkce) = (app.person(), app.person(), Pkce::new());
    let request_uri = pushed(&rp, &pkce, &[]).await;

    // Reloading, going back and a second window are no use of it (RFC 9126 §7.3, FAPI 2.0 §5.3.2.2).
    let first = open(&rp, &person, &request_uri).await;
    assert!(first.asks_to_sign_in(), "{first:?}");
    let second = open(&rp, &other, &request_uri).await;
    assert!(open(&rp, &person, &request_uri).await.asks_to_sign_in());

    let page = person.sign_in(&first, "ada", PASSWORD).await;
    let page = person.decide(&page, "allow").await;
    rp.redeem(&page.code(), &pkce).await.expect_tokens();
    open(&rp, &person, &request_uri).await.expect_error_page(400);
    // The other window has nothing to answer any more.
    other.sign_in(&second, "ada", PASSWORD).await.expect_error_page(400);
    assert_eq!(app.count("grants").await, 1);

    // At once, without a page of ours in between, all the same.
    let request_uri = pushed(&rp, &pkce, &[]).await;
    open(&rp, &person, &request_uri).await.code();
    open(&rp, &person, &request_uri).await.expect_error_page(400);
    assert_eq!((app.count("grants").await, app.count("pushed_requests").await), (2, 0));
}

async fn of_many_pages_opened_with_one_request_one_is_answered(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let mut people = Vec::new();
    for _ in 0..6 {
        people.push(settled(&rp).await);
    }
    let request_uri = pushed(&rp, &Pkce::new(), &[]).await;
    let pages = at_once(people.iter().map(|person| open(&rp, person, &request_uri))).await;
    let (answered, refused): (Vec<&Page>, Vec<&Page>) =
        pages.iter().partition(|page| page.url.starts_with("https://app.example/"));
    assert_eq!(answered.len(), 1, "{pages:?}");
    answered[0].code();
    for page in refused {
        page.expect_error_page(400);
    }
    assert_eq!(app.count("grants").await, 7);
}

async fn whoever_turns_away_has_answered_too(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let request_uri = pushed(&rp, &pkce, &[]).await;
    let page = open(&rp, &person, &request_uri).await;
    refused_at_the_client(&app, &person.cancel(&page).await, "access_denied", "the user turned away");
    open(&rp, &person, &request_uri).await.expect_error_page(400);

    let request_uri = pushed(&rp, &pkce, &[("prompt", "none")]).await;
    refused_at_the_client(&app, &open(&rp, &person, &request_uri).await, "login_required", "nobody is signed in");
    open(&rp, &person, &request_uri).await.expect_error_page(400);
    assert_eq!(app.count("pushed_requests").await, 0);
}

async fn a_pushed_request_lasts_a_minute_and_its_open_page_as_long_as_any(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let request_uri = pushed(&rp, &pkce, &[]).await;
    app.advance(59);
    let page = open(&rp, &person, &request_uri).await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    app.advance(1);
    open(&rp, &person, &request_uri).await.expect_error_page(400);
    app.advance(29 * 60);
    app.sweep().await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    person.decide(&page, "allow").await.code();

    let short = app.another("[authorization]\npushed_request_lifetime = \"5s\"").await;
    let rp = short.client("web").create().await;
    let answer = push(&rp, &pkce, &[]).await.expect_status(201).json();
    assert_eq!(answer["expires_in"], 5);
    short.advance(5);
    let request_uri = answer["request_uri"].as_str().expect("a request_uri");
    open(&rp, &short.person(), request_uri).await.expect_error_page(400);
}

async fn a_reference_is_its_clients_alone(app: TestApp) {
    app.user("ada").await;
    let (rp, other) = (app.client("web").create().await, app.client("other").create().await);
    let (person, pkce) = (app.person(), Pkce::new());
    let request_uri = pushed(&rp, &pkce, &[]).await;
    // RFC 9126 §7.1, §7.2
    open(&other, &person, &request_uri).await.expect_error_page(400);
    let secret = request_uri.strip_prefix(PREFIX).expect("it begins so");
    for unknown in [
        PREFIX.to_owned(),
        format!("{PREFIX}{}", "a".repeat(43)),
        format!("{PREFIX}{secret}x"),
        format!("{PREFIX}{} ", &secret[..42]),
        format!("{PREFIX}{}", "\u{e9}".repeat(43)),
        format!("{PREFIX}{}", "x".repeat(4_000)),
    ] {
        open(&rp, &person, &unknown).await.expect_error_page(400);
    }
    // RFC 9101 §5
    person.get(&format!("{}&request=x", address("web", &request_uri))).await.expect_error_page(400);
    person.get(&format!("/oauth/authorize?{}", &address("web", &request_uri)[28..])).await.expect_error_page(400);
    // None of them used it up.
    assert!(open(&rp, &person, &request_uri).await.asks_to_sign_in());

    // Its client counts as it is now.
    app.disable_client("web").await;
    open(&rp, &person, &request_uri).await.expect_error_page(400);
}

async fn what_is_wrong_with_a_pushed_request_is_told_at_once(app: TestApp) {
    let rp = app.client("web").create().await;
    app.client("other").create().await;
    let pkce = Pkce::new();
    let reference = format!("{PREFIX}{}", "a".repeat(43));
    for (code, changes) in [
        // RFC 9126 §2.1
        ("invalid_request", ("request_uri", reference.as_str())),
        ("invalid_request", ("request_uri", "https://app.example/request.jwt")),
        ("invalid_request", ("client_id", "other")),
        ("invalid_request", ("redirect_uri", "https://evil.example/callback")),
        ("invalid_request", ("redirect_uri", "")),
        ("invalid_request", ("code_challenge", "")),
        ("invalid_request", ("code_challenge_method", "plain")),
        ("invalid_request", ("response_type", "")),
        ("unsupported_response_type", ("response_type", "token")),
        ("invalid_request", ("response_mode", "fragment")),
        ("invalid_scope", ("scope", "openid admin")),
        ("invalid_request", ("prompt", "none login")),
        ("invalid_target", ("resource", "https://elsewhere.example/")),
        ("invalid_request", ("id_token_hint", "a.b.c")),
    ] {
        let answer = push(&rp, &pkce, &[changes]).await.expect_error(code).expect_status(400);
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{changes:?}");
    }
    // RFC 9126 §2.3: "405", "413"
    app.get("/oauth/par").await.expect_status(405);
    push(&rp, &pkce, &[("x", &"x".repeat(app.config.server.max_body_bytes))]).await.expect_status(413);
    assert_eq!(app.count("pushed_requests").await, 0);
    // The client id may be left to the authentication.
    push(&rp, &pkce, &[("client_id", "")]).await.expect_status(201);
}

async fn a_client_authenticates_as_at_the_token_endpoint(app: TestApp) {
    let rp = app.client("web").create().await;
    let pkce = Pkce::new();
    let fields = encode(&rp.request(&pkce));
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (secret, status) in
        [(format!("&client_secret={SECRET}"), 201), ("&client_secret=wrong".into(), 401), (String::new(), 401)]
    {
        let answer = app.post_raw("/oauth/par", &[form], format!("{fields}{secret}")).await.expect_status(status);
        if status == 401 {
            answer.expect_error("invalid_client");
        }
    }
    let wrong = Party::existing(&app, "web", "another-secret-that-is-not-right");
    push(&wrong, &pkce, &[]).await.expect_error("invalid_client").expect_status(401);
    app.disable_client("web").await;
    push(&rp, &pkce, &[]).await.expect_error("invalid_client").expect_status(401);
    assert_eq!(app.count("pushed_requests").await, 1);
}

async fn a_request_is_refused_that_had_to_be_pushed(app: TestApp) {
    let rp = app.client("web").with(|client| client.require_pushed_authorization_requests = true).create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    // RFC 9126 §6
    let page = rp.authorize(&person, &pkce, &[]).await;
    refused_at_the_client(&app, &page, "invalid_request", "not pushed");
    let request_uri = pushed(&rp, &pkce, &[]).await;
    assert!(open(&rp, &person, &request_uri).await.asks_to_sign_in());
    let free = app.client("free").create().await;
    assert!(free.authorize(&person, &pkce, &[]).await.asks_to_sign_in());

    // RFC 9126 §5
    let strict = app.another("[authorization]\nrequire_pushed_authorization_requests = true").await;
    let rp = strict.client("web").create().await;
    let document = strict.get("/.well-known/openid-configuration").await.json();
    assert_eq!(document["require_pushed_authorization_requests"], Value::Bool(true));
    let page = rp.authorize(&strict.person(), &pkce, &[]).await;
    refused_at_the_client(&strict, &page, "invalid_request", "not pushed");
    let request_uri = pushed(&rp, &pkce, &[]).await;
    assert!(open(&rp, &strict.person(), &request_uri).await.asks_to_sign_in());
}

async fn nothing_secret_is_kept_of_a_pushed_request(app: TestApp) {
    let ada = app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let hint = rp.sign_in_with(&person, "ada", &[]).await.id_token().to_owned();
    let fields = rp.request(&pkce);
    let mut fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    fields.extend([("client_secret", SECRET), ("id_token_hint", hint.as_str()), ("prompt", "none"), ("x", "whatever")]);
    let answer = app.post("/oauth/par", &fields).await.expect_status(201).json();
    let request_uri = answer["request_uri"].as_str().expect("a request_uri");

    let kept = rows(&app).await.join("\n");
    assert!(kept.contains("a nonce"), "what is read again is there");
    for secret in [SECRET, &hint, "eyJ", "whatever", &request_uri[PREFIX.len()..]] {
        assert!(!kept.contains(secret), "{secret}");
    }
    // What the hint proved holds all the same.
    let hash = grantor::crypto::sha256(&request_uri.as_bytes()[PREFIX.len()..]);
    let web = "web".parse().expect("a client id");
    let known = app.store.pushed(hash, &web, app.clock.now()).await.unwrap().expect("it is there");
    assert!(matches!(known.hint, Some(Hint { user, .. }) if user == ada));
    app.user("bob").await;
    let bob = app.person();
    rp.sign_in_with(&bob, "bob", &[]).await;
    let refused = open(&rp, &bob, request_uri).await;
    refused_at_the_client(&app, &refused, "login_required", "another user");
}

async fn what_was_pushed_goes_when_nobody_can_answer_it_any_more(app: TestApp) {
    let rp = app.client("web").create().await;
    pushed(&rp, &Pkce::new(), &[]).await;
    app.advance(86_400);
    app.sweep().await;
    assert_eq!(app.count("pushed_requests").await, 1);
    app.advance(61);
    app.sweep().await;
    assert_eq!(app.count("pushed_requests").await, 0);
}
