//! Clients that describe themselves in a document at their id (OAuth Client ID Metadata Document).

use std::sync::{Arc, Mutex};

use axum::response::IntoResponse as _;
use grantor::types::{Algorithm, Clock as _};
use http::Response;
use serde_json::{Value, json};

use super::par::{address, push, pushed};
use crate::each_engine;
use crate::support::app::{Folder, PASSWORD};
use crate::support::assertion::Signer;
use crate::support::behind::at_once;
use crate::support::party::{Party, decode};
use crate::support::website::{Website, certificate};
use crate::support::{Engine, Pkce, TestApp};

each_engine!(
    off_the_url_of_a_document_is_an_unknown_client,
    a_document_is_all_that_a_public_client_needs,
    a_client_with_keys_pushes_and_proves_itself,
    what_a_document_must_not_be_is_refused_and_not_remembered,
    a_client_returns_where_its_document_says_and_nowhere_else,
    people_see_whose_document_it_is,
    a_changed_document_counts_when_it_is_fetched_again,
    without_its_document_a_client_begins_nothing_new,
    an_administrator_can_disable_verify_and_delete_it,
    the_first_consents_race_and_one_client_comes_of_it,
    who_names_too_many_documents_that_are_none_has_to_wait,
);

const CALLBACK: &str = "https://app.example/callback";

/// Where a client publishes its document.
struct Publisher {
    site: Website,
    folder: Folder,
    shown: Arc<Mutex<Response<String>>>,
}

impl Publisher {
    async fn start() -> Self {
        let folder = Folder::new();
        certificate(&folder);
        let shown = Arc::new(Mutex::new(Response::new(String::new())));
        let document = shown.clone();
        let site = Website::start_secure(&folder, move |_| document.lock().unwrap().clone().into_response()).await;
        Self { site, folder, shown }
    }

    /// A server that takes documents from there.
    async fn app(&self, engine: Engine, enabled: bool) -> TestApp {
        self.app_with(engine, &format!("client_id_metadata_documents = {enabled}\nper_address = 1000")).await
    }

    /// One that says this of registration.
    async fn app_with(&self, engine: Engine, registration: &str) -> TestApp {
        let ca = self.folder.path("tls.crt").display().to_string();
        let toml = format!(
            "[registration]\n{registration}\n\
             [outgoing]\nallow = [\"127.0.0.1/32\"]\nextra_ca = {ca:?}\ncache_lifetime = \"1m\"\n"
        );
        let app = TestApp::with(engine, &toml).await;
        app.user("ada").await;
        app
    }

    fn id(&self) -> String {
        format!("{}/client.json", self.site.url)
    }

    fn host(&self) -> &str {
        self.site.url.strip_prefix("https://").unwrap()
    }

    /// A good document of a public client, but for these members; null takes one away.
    fn document(&self, changes: &Value) -> Value {
        let mut document = json!({
            "client_id": self.id(), "client_name": "Notes of a stranger", "redirect_uris": [CALLBACK],
            "grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "none",
        });
        let members = document.as_object_mut().unwrap();
        members.extend(changes.as_object().unwrap().clone());
        members.retain(|_, value| !value.is_null());
        document
    }

    fn shows(&self, document: &Value) {
        self.answers(Response::builder().header("content-type", "application/json").body(document.to_string()));
    }

    fn answers(&self, response: http::Result<Response<String>>) {
        *self.shown.lock().unwrap() = response.unwrap();
    }

    fn party<'a>(&self, app: &'a TestApp) -> Party<'a> {
        Party { app, id: self.id(), secret: None, redirect_uri: CALLBACK.to_owned() }
    }
}

/// How many rows there are of clients that somebody knows by a document.
async fn kept(app: &TestApp) -> i64 {
    app.count("clients WHERE registered_by = 'client metadata document'").await
}

async fn off_the_url_of_a_document_is_an_unknown_client(engine: Engine) {
    let publisher = Publisher::start().await;
    publisher.shows(&publisher.document(&json!({})));
    let app = publisher.app(engine, false).await;
    let metadata = app.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(metadata["client_id_metadata_document_supported"], Value::Null);
    let (rp, pkce) = (publisher.party(&app), Pkce::new());
    rp.authorize(&app.person(), &pkce, &[]).await.expect_error_page(400);
    push(&rp, &pkce, &[]).await.expect_error("invalid_client");
    assert_eq!(publisher.site.asked(), 0);
}

async fn a_document_is_all_that_a_public_client_needs(engine: Engine) {
    let publisher = Publisher::start().await;
    publisher.shows(&publisher.document(&json!({})));
    let app = publisher.app(engine, true).await;
    for path in ["/.well-known/oauth-authorization-server", "/.well-known/openid-configuration"] {
        let metadata = app.get(path).await.json();
        assert_eq!(metadata["client_id_metadata_document_supported"], true);
        assert!(metadata["token_endpoint_auth_methods_supported"].as_array().unwrap().contains(&json!("none")));
    }

    let (rp, person, pkce) = (publisher.party(&app), app.person(), Pkce::new());
    let page = rp.authorize(&person, &pkce, &[]).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    // Whoever merely asks leaves nothing behind.
    assert!(page.asks_for_consent());
    assert_eq!(kept(&app).await, 0);
    let code = person.decide(&page, "allow").await.code();
    assert_eq!(kept(&app).await, 1);

    let tokens = rp.redeem(&code, &pkce).await.expect_tokens();
    assert_eq!(decode(tokens.id_token()).1["aud"], publisher.id());
    assert_eq!(decode(tokens.access_token()).1["client_id"], publisher.id());
    app.introspect(tokens.access_token()).await.expect_active();
    rp.userinfo(tokens.access_token()).await.expect_status(200);
    // OAuth 2.1 §4.3.1: the refresh token of a public client rotates.
    let second = rp.refresh(&tokens).await.expect_tokens();
    rp.refresh(&second).await.expect_tokens();
    rp.refresh(&tokens).await.expect_error("invalid_grant");
    // All of it with one fetch, and the next request asks nobody.
    rp.code(&person, "ada", &Pkce::new(), &[]).await;
    assert_eq!((publisher.site.asked(), kept(&app).await), (1, 1));
}

async fn a_client_with_keys_pushes_and_proves_itself(engine: Engine) {
    let publisher = Publisher::start().await;
    let (own, other) = (Signer::new(&publisher.id(), Algorithm::Es256), Signer::new(&publisher.id(), Algorithm::Es256));
    // Of what it can do, it is held to what can be done here without a shared secret.
    publisher.shows(&publisher.document(&json!({
        "token_endpoint_auth_method": null,
        "token_endpoint_auth_methods_supported": ["client_secret_basic", "attest_jwt_client_auth", "private_key_jwt"],
        "jwks": own.jwks(),
    })));
    let app = publisher.app(engine, true).await;
    let (rp, person, pkce) = (publisher.party(&app), app.person(), Pkce::new());

    push(&rp, &pkce, &[]).await.expect_error("invalid_client");
    push(&rp, &pkce, &other.assertion(&app).fields()).await.expect_error("invalid_client");
    let request_uri = pushed(&rp, &pkce, &own.assertion(&app).fields()).await;
    let page = person.get(&address(&rp.id, &request_uri)).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    let code = person.decide(&page, "allow").await.code();

    rp.redeem(&code, &pkce).await.expect_error("invalid_client");
    rp.redeem_with(&code, &pkce, &other.assertion(&app).fields()).await.expect_error("invalid_client");
    let tokens = rp.redeem_with(&code, &pkce, &own.assertion(&app).fields()).await.expect_tokens();
    rp.refresh(&tokens).await.expect_error("invalid_client");
    rp.refresh_with(tokens.refresh_token(), &own.assertion(&app).fields()).await.expect_tokens();
}

async fn what_a_document_must_not_be_is_refused_and_not_remembered(engine: Engine) {
    let publisher = Publisher::start().await;
    let app = publisher.app(engine, true).await;
    let (rp, pkce) = (publisher.party(&app), Pkce::new());
    let good = publisher.document(&json!({}));
    let bad = |changes: Value| publisher.document(&changes).to_string();
    let doubled = format!("{{\"client_id\": \"https://other.example/\", {}", &good.to_string()[1..]);
    let answer = |status: u16, media_type: &str, body: String| {
        let location = "https://other.example/client.json";
        Response::builder().status(status).header("content-type", media_type).header("location", location).body(body)
    };
    let json = "application/json";
    let asked_before = publisher.site.asked();
    let cases = [
        // §4, §4.1: the id, letter for letter; no secret, and no method that has one.
        answer(200, json, bad(json!({ "client_id": null }))),
        answer(200, json, bad(json!({ "client_id": format!("{}?", publisher.id()) }))),
        answer(200, json, bad(json!({ "client_id": publisher.id().to_uppercase() }))),
        answer(200, json, bad(json!({ "client_secret": "hush" }))),
        answer(200, json, bad(json!({ "client_secret_expires_at": 0 }))),
        answer(200, json, bad(json!({ "token_endpoint_auth_method": "client_secret_basic" }))),
        answer(200, json, bad(json!({ "token_endpoint_auth_method": "client_secret_post" }))),
        answer(200, json, bad(json!({ "token_endpoint_auth_method": "client_secret_jwt" }))),
        answer(
            200,
            json,
            bad(json!({
                "token_endpoint_auth_method": null, "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            })),
        ),
        answer(200, json, bad(json!({ "token_endpoint_auth_method": "private_key_jwt" }))),
        answer(200, json, bad(json!({ "redirect_uris": null }))),
        answer(200, json, bad(json!({ "redirect_uris": ["javascript:alert(1)"] }))),
        answer(200, json, bad(json!({ "scope": "admin" }))),
        answer(200, json, bad(json!({ "sector_identifier_uri": "https://app.example/sector" }))),
        // §4, §5: 200, JSON, an object; no redirect is followed.
        answer(201, json, good.to_string()),
        answer(302, json, good.to_string()),
        answer(404, json, good.to_string()),
        answer(500, json, good.to_string()),
        answer(200, "text/html", good.to_string()),
        answer(200, "text/json+plain", good.to_string()),
        answer(200, json, format!("[{good}]")),
        answer(200, json, doubled),
        answer(200, json, "<html>".to_owned()),
        answer(200, json, bad(json!({ "padding": "x".repeat(200_000) }))),
    ];
    let count = cases.len();
    for (index, case) in cases.into_iter().enumerate() {
        let case = case.unwrap();
        publisher.answers(Ok(case.clone()));
        let page = rp.authorize(&app.person(), &pkce, &[]).await;
        assert_eq!(page.status, 400, "{index} {case:?}");
        let refused = push(&rp, &pkce, &[]).await.expect_error("invalid_client");
        assert!(!refused.json().to_string().contains("127.0.0.1"), "{refused:?}");
    }
    assert_eq!(publisher.site.asked() - asked_before, 2 * count);

    // What was wrong is put right at once, with any media type of JSON.
    publisher.answers(answer(200, "application/client+json; charset=utf-8", good.to_string()));
    push(&rp, &pkce, &[]).await.expect_status(201);
    assert_eq!(kept(&app).await, 0);

    // §3: a client_id that is no such URL is not even looked up.
    let asked = publisher.site.asked();
    for bad in [
        publisher.site.url.clone(),
        format!("{}#x", publisher.id()),
        format!("{}/a/../client.json", publisher.site.url),
        publisher.id().replace("https://", "https://ada@"),
        publisher.id().replace("https://localhost", "https://LOCALHOST"),
        publisher.id().replace("https://", "http://"),
    ] {
        let rp = Party { id: bad.clone(), ..publisher.party(&app) };
        push(&rp, &pkce, &[]).await.expect_error("invalid_client");
        assert_eq!(rp.authorize(&app.person(), &pkce, &[]).await.status, 400, "{bad}");
    }
    // And neither is one that the guard does not let through.
    let inside = Party { id: "https://10.0.0.1/client.json".to_owned(), ..publisher.party(&app) };
    push(&inside, &pkce, &[]).await.expect_error("invalid_client");
    assert_eq!(publisher.site.asked(), asked);
}

async fn a_client_returns_where_its_document_says_and_nowhere_else(engine: Engine) {
    let publisher = Publisher::start().await;
    publisher.shows(&publisher.document(&json!({ "redirect_uris": [CALLBACK, "http://127.0.0.1/cb"] })));
    let app = publisher.app(engine, true).await;
    let (rp, pkce) = (publisher.party(&app), Pkce::new());
    for bad in ["https://app.example/callback/", "https://app.example/callback?x", "https://evil.example/callback"] {
        rp.authorize(&app.person(), &pkce, &[("redirect_uri", bad)]).await.expect_error_page(400);
    }
    // RFC 8252 §7.3: any port of the person's own machine.
    for good in [CALLBACK, "http://127.0.0.1:51234/cb"] {
        assert!(rp.authorize(&app.person(), &pkce, &[("redirect_uri", good)]).await.asks_to_sign_in(), "{good}");
    }
}

async fn people_see_whose_document_it_is(engine: Engine) {
    let publisher = Publisher::start().await;
    let uris = json!(["http://localhost/cb", "http://127.0.0.1/cb"]);
    publisher.shows(&publisher.document(&json!({
        "redirect_uris": uris, "policy_uri": "https://policy.example/p", "logo_uri": "https://pictures.example/l.png",
    })));
    let app = publisher.app(engine, true).await;
    let (rp, person, pkce) = (publisher.party(&app), app.person(), Pkce::new());
    let page = rp.authorize(&person, &pkce, &[("redirect_uri", "http://localhost:4711/cb")]).await;
    assert!(page.body.contains("You will return to <span class=\"address\">localhost:4711</span>"), "{}", page.body);
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    let host = format!("<span class=\"address\">{}</span>", publisher.host());
    for shown in [
        host.as_str(),
        "Notes of a stranger",
        "<strong>Not verified.</strong>",
        "<strong>It runs on your own device,</strong>",
        "a program on this device, <span class=\"address\">localhost:4711</span>",
        "<span class=\"address\">policy.example</span>",
    ] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    assert!(!page.body.contains("pictures.example"));
    person.decide(&page, "allow").await.code();
    assert!(person.get("/account").await.body.contains(publisher.host()));
}

async fn a_changed_document_counts_when_it_is_fetched_again(engine: Engine) {
    let publisher = Publisher::start().await;
    publisher.shows(&publisher.document(&json!({})));
    let app = publisher.app(engine, true).await;
    let (rp, person) = (publisher.party(&app), app.person());
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;

    let moved = Party { redirect_uri: "https://app.example/moved".to_owned(), ..publisher.party(&app) };
    publisher.shows(&publisher.document(&json!({ "redirect_uris": [moved.redirect_uri], "client_name": "Moved" })));
    rp.code(&person, "ada", &Pkce::new(), &[]).await;
    app.advance(61);
    rp.authorize(&person, &Pkce::new(), &[]).await.expect_error_page(400);
    moved.code(&person, "ada", &Pkce::new(), &[]).await;
    moved.refresh(&tokens).await.expect_tokens();
    let kept = app.store.client(&publisher.id().parse().unwrap()).await.unwrap().unwrap();
    assert_eq!(kept.metadata.client_name, "Moved");
    assert!(person.get("/account").await.body.contains("Moved"));
}

async fn without_its_document_a_client_begins_nothing_new(engine: Engine) {
    let publisher = Publisher::start().await;
    publisher.shows(&publisher.document(&json!({})));
    let app = publisher.app(engine, true).await;
    let (rp, person) = (publisher.party(&app), app.person());
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    publisher.answers(Response::builder().status(503).body(String::new()));
    app.advance(61);
    // §5.1: "the authorization server SHOULD abort the authorization request". What was allowed goes on.
    rp.authorize(&person, &Pkce::new(), &[]).await.expect_error_page(400);
    let tokens = rp.refresh(&tokens).await.expect_tokens();
    // What can be fetched and is wrong is another matter.
    publisher.shows(&publisher.document(&json!({ "client_id": "https://other.example/client.json" })));
    rp.refresh(&tokens).await.expect_error("invalid_client");
    publisher.shows(&publisher.document(&json!({})));
    rp.refresh(&tokens).await.expect_tokens();
}

async fn an_administrator_can_disable_verify_and_delete_it(engine: Engine) {
    let publisher = Publisher::start().await;
    publisher.shows(&publisher.document(&json!({})));
    let app = publisher.app(engine, true).await;
    let (rp, person) = (publisher.party(&app), app.person());
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    let id = publisher.id().parse().unwrap();

    // Somebody answers for what the document says, and not for what it says next.
    let mut verified = (*app.store.client(&id).await.unwrap().unwrap()).clone();
    verified.registration.as_mut().unwrap().verified = true;
    let now = app.clock.now();
    app.change(async |tx| tx.update_client(&verified, now).await).await;
    let asked = async || rp.authorize(&person, &Pkce::new(), &[("prompt", "consent")]).await.body;
    assert!(asked().await.contains("Verified by the administrator"));
    publisher.shows(&publisher.document(&json!({ "client_name": "Another" })));
    app.advance(61);
    assert!(asked().await.contains("Not verified"));

    // Nobody has the token that would manage it over the network (RFC 7592).
    let now = app.clock.now();
    app.change(async |tx| tx.disable_client(&id, now).await).await;
    rp.authorize(&person, &Pkce::new(), &[]).await.expect_error_page(400);
    rp.refresh(&tokens).await.expect_error("invalid_client");
    app.introspect(tokens.access_token()).await.expect_inactive();

    app.change(async |tx| tx.delete_client(&id, now).await).await;
    app.advance(1);
    let again = rp.sign_in_with(&person, "ada", &[]).await;
    app.introspect(again.access_token()).await.expect_active();
    app.introspect(tokens.access_token()).await.expect_inactive();
}

async fn the_first_consents_race_and_one_client_comes_of_it(engine: Engine) {
    let publisher = Publisher::start().await;
    publisher.shows(&publisher.document(&json!({})));
    let app = publisher.app(engine, true).await;
    let rp = publisher.party(&app);
    let mut waiting = Vec::new();
    for _ in 0..6 {
        let (person, pkce) = (app.person(), Pkce::new());
        let page = rp.authorize(&person, &pkce, &[]).await;
        waiting.push((person.sign_in(&page, "ada", PASSWORD).await, person, pkce));
    }
    let pages = at_once(waiting.iter().map(|(page, person, _)| person.decide(page, "allow"))).await;
    assert_eq!(kept(&app).await, 1);
    for (page, (_, _, pkce)) in pages.iter().zip(&waiting) {
        let tokens = rp.redeem(&page.code(), pkce).await.expect_tokens();
        app.introspect(tokens.access_token()).await.expect_active();
    }
}

async fn who_names_too_many_documents_that_are_none_has_to_wait(engine: Engine) {
    let publisher = Publisher::start().await;
    publisher.shows(&publisher.document(&json!({})));
    let limited = "client_id_metadata_documents = true\nper_address = 2";
    let app = publisher.app_with(engine, limited).await;
    let (rp, pkce) = (publisher.party(&app), Pkce::new());
    let tokens = rp.sign_in("ada").await;
    // Those that are good do not count, however often they are fetched.
    for fetched in 2..6 {
        app.advance(61);
        push(&rp, &pkce, &[]).await.expect_status(201);
        assert_eq!(publisher.site.asked(), fetched);
    }
    // What is there is not theirs: whose server it is only sees our requests.
    let stranger = |path: &str| Party { id: format!("{}/{path}", publisher.site.url), ..publisher.party(&app) };
    let asked = publisher.site.asked();
    stranger("a").authorize(&app.person(), &pkce, &[]).await.expect_error_page(400);
    push(&stranger("b"), &pkce, &[]).await.expect_error("invalid_client");
    assert_eq!(publisher.site.asked(), asked + 2);
    for again in ["a", "c"] {
        stranger(again).authorize(&app.person(), &pkce, &[]).await.expect_error_page(503);
        push(&stranger(again), &pkce, &[]).await.expect_error("temporarily_unavailable").expect_status(503);
    }
    // RFC 6749 §4.1: posted by a browser, too.
    let fields: Vec<_> = stranger("c").request(&pkce);
    let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    app.post("/oauth/authorize", &fields).await.expect_status(503);
    assert_eq!(publisher.site.asked(), asked + 2, "nothing was fetched");
    // What is remembered goes on, and so does what was allowed, though nothing is remembered.
    push(&rp, &pkce, &[]).await.expect_status(201);
    app.advance(61);
    push(&rp, &pkce, &[]).await.expect_status(201);
    rp.refresh(&tokens).await.expect_tokens();
    assert_eq!(publisher.site.asked(), asked + 2);
    // Half an hour is half of two.
    app.advance(1_800);
    push(&stranger("d"), &pkce, &[]).await.expect_error("invalid_client");
    assert_eq!(publisher.site.asked(), asked + 3);

    let exempt = publisher.app_with(engine, &format!("{limited}\nunlimited = [\"127.0.0.0/8\", \"::1\"]")).await;
    for n in 0..5 {
        let stranger = Party { id: format!("{}/{n}", publisher.site.url), ..publisher.party(&exempt) };
        push(&stranger, &pkce, &[]).await.expect_error("invalid_client");
    }
}
