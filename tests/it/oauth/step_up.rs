//! Step-up authentication (RFC 9470): a resource server that wants a fresher sign-in gets one.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use grantor::types::Clock;
use http::{HeaderMap, StatusCode};
use serde_json::Value;

use crate::each_database;
use crate::support::app::TestClock;
use crate::support::party::{SECRET, decode};
use crate::support::{Answer, Party, Pkce, TestApp, Tokens};

each_database!(
    a_challenge_for_a_fresh_sign_in_leads_to_a_token_that_is_accepted,
    a_token_tells_truly_when_and_how_its_user_signed_in,
);

/// A resource server that takes tokens of users who signed in at most a minute ago.
struct Bank {
    introspection: String,
    http: reqwest::Client,
    clock: Arc<TestClock>,
}

const MAX_AGE: i64 = 60;

impl Bank {
    /// Opens it; the address of its account.
    async fn open(app: &TestApp) -> String {
        app.resource_server().await;
        let introspection = format!("{}/oauth/introspect", app.url);
        let bank = Self { introspection, http: app.http.clone(), clock: app.clock.clone() };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/account", listener.local_addr().unwrap());
        let router = Router::new().route("/account", get(Self::account)).with_state(Arc::new(bank));
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }

    async fn account(State(bank): State<Arc<Self>>, headers: HeaderMap) -> Response {
        let challenge = |words: String| (StatusCode::UNAUTHORIZED, [("www-authenticate", words)]).into_response();
        let token = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let Some(token) = token else { return challenge("Bearer".into()) };
        let request = bank.http.post(&bank.introspection).basic_auth("api", Some(SECRET)).form(&[("token", token)]);
        let told: Value = serde_json::from_str(&request.send().await.unwrap().text().await.unwrap()).unwrap();
        if told["active"] != true {
            return challenge("Bearer error=\"invalid_token\"".into());
        }
        // RFC 9470 §6.2: introspection tells `auth_time` and `acr`.
        let age = bank.clock.now().secs() - told["auth_time"].as_i64().unwrap();
        if age > MAX_AGE || told["acr"] != "1" {
            // RFC 9470 §3
            return challenge(format!(
                "Bearer error=\"insufficient_user_authentication\", error_description=\"A fresh sign-in is needed\", \
                 acr_values=\"1\", max_age=\"{MAX_AGE}\""
            ));
        }
        "1,000".into_response()
    }
}

async fn ask(app: &TestApp, url: &str, tokens: &Tokens) -> Answer {
    let request = app.http.get(url).bearer_auth(tokens.access_token());
    Answer::of(request.send().await.unwrap()).await
}

/// What a challenge asks for, as parameters of an authorization request (RFC 9470 §4).
fn asked(answer: &Answer) -> Vec<(&'static str, String)> {
    let challenge = answer.header("www-authenticate").unwrap();
    assert!(challenge.contains("error=\"insufficient_user_authentication\""), "{challenge}");
    let value =
        |name: &str| challenge.split(&format!("{name}=\"")).nth(1).unwrap().split('"').next().unwrap().to_owned();
    ["acr_values", "max_age"].map(|name| (name, value(name))).to_vec()
}

async fn a_challenge_for_a_fresh_sign_in_leads_to_a_token_that_is_accepted(app: TestApp) {
    app.user("ada").await;
    let bank = Bank::open(&app).await;
    let rp: Party = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    assert_eq!(ask(&app, &bank, &tokens).await.expect_status(200).body, "1,000");

    app.advance(61);
    let challenged = ask(&app, &bank, &tokens).await.expect_status(401);
    // A refreshed token tells of the same sign-in, and asking again without more gives another of the same.
    let refreshed = rp.refresh(&tokens).await.expect_tokens();
    ask(&app, &bank, &refreshed).await.expect_status(401);
    let same = rp.sign_in_with(&person, "ada", &[("prompt", "none")]).await;
    ask(&app, &bank, &same).await.expect_status(401);

    // RFC 9470 §4: the challenge's parameters go into the next authorization request, as they are.
    let asked = asked(&challenged);
    let changes: Vec<(&str, &str)> = asked.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let page = rp.authorize(&person, &pkce, &changes).await;
    assert!(page.asks_to_sign_in() && page.body.contains("Sign in again"), "{page:?}");
    let page = person.sign_in(&page, "ada", crate::support::app::PASSWORD).await;
    let fresh = rp.redeem(&page.code(), &pkce).await.expect_tokens();
    assert_eq!(ask(&app, &bank, &fresh).await.expect_status(200).body, "1,000");
    // What was issued before tells what was so before.
    ask(&app, &bank, &rp.refresh(&refreshed).await.expect_tokens()).await.expect_status(401);
}

async fn a_token_tells_truly_when_and_how_its_user_signed_in(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    let signed_in_at = app.clock.now().secs();
    rp.sign_in_with(&person, "ada", &[]).await;
    app.clock.advance(Duration::from_secs(300));
    // Neither the time of asking nor a wish for more changes what was.
    let later = rp.sign_in_with(&person, "ada", &[("max_age", "3600"), ("acr_values", "1")]).await;
    let told = app.introspect(later.access_token()).await.expect_active();
    let (access, id) = (decode(later.access_token()).1, decode(later.id_token()).1);
    for claims in [&access, &id, &told] {
        assert_eq!(claims["auth_time"], signed_in_at, "{claims}");
        assert_eq!(claims["acr"], "1", "{claims}");
        assert_eq!(claims["amr"][0], "pwd", "{claims}");
    }
    // A client that acts for itself has nobody who signed in.
    let own = rp.client_credentials("notes:read").await.expect_tokens();
    let told = app.introspect(own.access_token()).await.expect_active();
    assert_eq!((told.get("auth_time"), told.get("acr")), (None, None));
}
