//! Request objects that the client keeps where its `request_uri` says (RFC 9101 §5.2, OpenID Connect Core §6.2).

use std::sync::{Arc, Mutex};

use axum::response::IntoResponse as _;
use grantor::crypto::{SigningKey, sha256};
use grantor::types::{Algorithm, ClientMetadata, Clock as _};
use http::Response;
use serde_json::{Value, json};

use super::authorize::refused_at_the_client;
use super::fapi::key;
use super::registration::register;
use crate::each_engine;
use crate::support::app::{Folder, PASSWORD};
use crate::support::behind::signed;
use crate::support::party::encode;
use crate::support::website::{Website, certificate};
use crate::support::{Engine, Page, Party, Person, Pkce, TestApp};

each_engine!(
    what_is_there_is_handled_as_if_it_had_come_with_the_request,
    nothing_is_fetched_that_the_client_did_not_register,
    a_client_that_must_push_cannot_refer_elsewhere,
    what_is_wrong_with_what_is_there_is_told_to_the_person_alone,
    it_is_not_fetched_as_often_as_strangers_like,
    a_fragment_says_what_is_meant,
    a_client_registers_its_request_uris,
);

/// Where a client keeps a request object, and the key that it signs them with.
struct Keeper {
    site: Website,
    folder: Folder,
    shown: Arc<Mutex<Response<String>>>,
    key: SigningKey,
}

impl Keeper {
    async fn start() -> Self {
        let folder = Folder::new();
        certificate(&folder);
        let shown = Arc::new(Mutex::new(Response::new(String::new())));
        let object = shown.clone();
        let site = Website::start_secure(&folder, move |_| object.lock().unwrap().clone().into_response()).await;
        Self { site, folder, shown, key: key(Algorithm::Es256) }
    }

    async fn app(&self, engine: Engine, toml: &str) -> TestApp {
        let ca = self.folder.path("tls.crt").display().to_string();
        let outgoing = format!("[outgoing]\nallow = [\"127.0.0.1/32\"]\nextra_ca = {ca:?}\n");
        let app = TestApp::with(engine, &format!("{toml}{outgoing}")).await;
        app.user("ada").await;
        app
    }

    fn uri(&self) -> String {
        format!("{}/request.jwt", self.site.url)
    }

    fn jwks(&self) -> Value {
        json!({"keys": [self.key.public_jwk()]})
    }

    async fn party<'a>(&self, app: &'a TestApp, change: impl FnOnce(&mut ClientMetadata)) -> Party<'a> {
        let builder = app.client("web").with(|client| {
            client.jwks = Some(self.jwks());
            client.request_uris = vec![self.uri()];
        });
        builder.with(change).create().await
    }

    /// The usual request, but for these claims.
    fn object(&self, rp: &Party<'_>, changes: &Value) -> String {
        let now = rp.app.clock.now().secs();
        let mut claims: Value =
            rp.request(&Pkce::new()).into_iter().map(|(name, value)| (name, json!(value))).collect();
        let own = json!({"iss": rp.id, "aud": rp.app.issuer(), "nbf": now, "exp": now + 300});
        for (name, value) in own.as_object().unwrap().iter().chain(changes.as_object().unwrap()) {
            claims[name] = value.clone();
        }
        signed(&self.key, &json!({"alg": "ES256", "kid": self.key.kid(), "typ": "oauth-authz-req+jwt"}), &claims)
    }

    fn shows(&self, object: &str) {
        let response = Response::builder().header("content-type", "application/oauth-authz-req+jwt");
        self.answers(response.body(object.to_owned()));
    }

    fn answers(&self, response: http::Result<Response<String>>) {
        *self.shown.lock().unwrap() = response.unwrap();
    }
}

/// Opens what the client sends a browser to, with a redirect URI beside it that counts where nothing is referred to.
async fn open(rp: &Party<'_>, person: &Person, request_uri: &str) -> Page {
    let fields = [
        ("client_id", rp.id.as_str()),
        ("request_uri", request_uri),
        ("redirect_uri", &rp.redirect_uri),
        ("response_type", "code"),
        ("state", "a state"),
    ];
    let fields = fields.map(|(name, value)| (name.to_owned(), value.to_owned()));
    person.get(&format!("/oauth/authorize?{}", encode(&fields))).await
}

async fn what_is_there_is_handled_as_if_it_had_come_with_the_request(engine: Engine) {
    let keeper = Keeper::start().await;
    let app = keeper.app(engine, "").await;
    let rp = keeper.party(&app, |_| ()).await;
    let (person, pkce) = (app.person(), Pkce::new());
    // RFC 9101 §6.3: what stands beside it does not count.
    let changes = json!({"state": "that of the object", "code_challenge": pkce.challenge});
    keeper.shows(&format!("{}\n", keeper.object(&rp, &changes)));
    let page = open(&rp, &person, &keeper.uri()).await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    let page = person.decide(&page, "allow").await;
    assert_eq!(page.param("state").as_deref(), Some("that of the object"));
    rp.redeem(&page.code(), &pkce).await.expect_tokens();
    // RFC 9101 §5.2.1: fetched once, for the pages after it are those of the request that waits.
    assert_eq!(keeper.site.asked(), 1);
    // A client that must sign may do it so (RFC 9101 §10.5).
    app.reregister("web", |client| client.require_signed_request_object = true).await;
    open(&rp, &person, &keeper.uri()).await.code();
    // RFC 9126 §2.1: but not within a pushed request.
    rp.post("/oauth/par", &[("request_uri", &keeper.uri())]).await.expect_error("invalid_request");
}

async fn nothing_is_fetched_that_the_client_did_not_register(engine: Engine) {
    let keeper = Keeper::start().await;
    let app = keeper.app(engine, "").await;
    let rp = keeper.party(&app, |_| ()).await;
    let other = app.client("other").create().await;
    keeper.shows(&keeper.object(&rp, &json!({})));
    let (uri, person) = (keeper.uri(), app.person());
    // RFC 9101 §10.4.1; OpenID Connect Discovery §3: `require_request_uri_registration`.
    for wrong in [
        format!("{uri}x"),
        format!("{uri}/"),
        format!("{uri}?"),
        format!("{uri}?a=b#c"),
        uri.replace("request.jwt", "./request.jwt"),
        uri.replace("localhost", "LOCALHOST"),
        uri.replace("localhost", "127.0.0.1"),
        uri.replace("https:", "http:"),
    ] {
        refused_at_the_client(&app, &open(&rp, &person, &wrong).await, "invalid_request_uri", &wrong);
    }
    refused_at_the_client(&app, &open(&other, &person, &uri).await, "invalid_request_uri", "that of another");
    assert_eq!(keeper.site.asked(), 0);
    assert!(open(&rp, &person, &uri).await.asks_to_sign_in());
}

async fn a_client_that_must_push_cannot_refer_elsewhere(engine: Engine) {
    let keeper = Keeper::start().await;
    let app = keeper.app(engine, "").await;
    let rp = keeper.party(&app, |client| client.require_pushed_authorization_requests = true).await;
    keeper.shows(&keeper.object(&rp, &json!({})));
    // RFC 9126 §6; FAPI 2.0 has every client push.
    let page = open(&rp, &app.person(), &keeper.uri()).await;
    refused_at_the_client(&app, &page, "request_uri_not_supported", "it must push");
    assert_eq!(keeper.site.asked(), 0);

    let all = keeper.app(engine, "[authorization]\nrequire_pushed_authorization_requests = true\n").await;
    let rp = keeper.party(&all, |_| ()).await;
    let page = open(&rp, &all.person(), &keeper.uri()).await;
    refused_at_the_client(&all, &page, "request_uri_not_supported", "all must push");
    let document = all.get("/.well-known/openid-configuration").await.json();
    assert_eq!(document["request_uri_parameter_supported"], false);
    assert_eq!(keeper.site.asked(), 0);
}

async fn what_is_wrong_with_what_is_there_is_told_to_the_person_alone(engine: Engine) {
    let keeper = Keeper::start().await;
    let app = keeper.app(engine, "").await;
    let rp = keeper.party(&app, |_| ()).await;
    let person = app.person();
    let good = keeper.object(&rp, &json!({}));
    let away = Response::builder().status(302).header("location", format!("{}/other", keeper.uri())).body(good.clone());
    for (what, code, answer) in [
        ("nothing", "invalid_request_uri", Response::builder().status(404).body(good.clone())),
        // No redirect is followed: it could lead anywhere.
        ("elsewhere", "invalid_request_uri", away),
        ("without end", "invalid_request_uri", Ok(Response::new(good.repeat(1_000)))),
        ("no JWT", "invalid_request_object", Ok(Response::new("<html>".to_owned()))),
        // RFC 9101 §4, §10.2: as of one that came with the request.
        ("another client's", "invalid_request_object", Ok(Response::new(keeper.object(&rp, &json!({"iss": "other"}))))),
        (
            "for another",
            "invalid_request_object",
            Ok(Response::new(keeper.object(&rp, &json!({"aud": "https://o.example"})))),
        ),
        (
            "leading on",
            "invalid_request_object",
            Ok(Response::new(keeper.object(&rp, &json!({"request_uri": keeper.uri()})))),
        ),
    ] {
        keeper.answers(answer);
        let page = open(&rp, &person, &keeper.uri()).await;
        assert!(page.url.starts_with(&app.url) && page.body.contains(code), "{what}: {page:?}");
        page.expect_error_page(400);
        // What is remembered is forgotten after ten seconds.
        app.advance(11);
    }
    keeper.shows(&keeper.object(&rp, &json!({})));
    assert!(open(&rp, &person, &keeper.uri()).await.asks_to_sign_in());
}

async fn it_is_not_fetched_as_often_as_strangers_like(engine: Engine) {
    let keeper = Keeper::start().await;
    let app = keeper.app(engine, "").await;
    let rp = keeper.party(&app, |_| ()).await;
    keeper.shows(&keeper.object(&rp, &json!({})));
    // RFC 9101 §10.4.1
    for number in 0..5 {
        assert!(open(&rp, &app.person(), &format!("{}#{number}", keeper.uri())).await.asks_to_sign_in());
    }
    assert_eq!(keeper.site.asked(), 1);
    app.advance(11);
    keeper.answers(Response::builder().status(500).body(String::new()));
    for _ in 0..5 {
        open(&rp, &app.person(), &keeper.uri()).await.expect_error_page(400);
    }
    assert_eq!(keeper.site.asked(), 2);
}

async fn a_fragment_says_what_is_meant(engine: Engine) {
    let keeper = Keeper::start().await;
    let app = keeper.app(engine, "").await;
    let rp = keeper.party(&app, |_| ()).await;
    let (first, second) = (keeper.object(&rp, &json!({})), keeper.object(&rp, &json!({"prompt": "none"})));
    // OpenID Connect Core §6.2: "the base64url-encoded SHA-256 hash of the referenced resource contents".
    let meant = |object: &str| {
        use base64::Engine as _;
        let hash = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(sha256(object.as_bytes()));
        format!("{}#{hash}", keeper.uri())
    };
    keeper.shows(&first);
    assert!(open(&rp, &app.person(), &meant(&first)).await.asks_to_sign_in());
    // "If the fragment value used for a URI changes, that signals the server that its cached value ... is no longer valid."
    keeper.shows(&second);
    open(&rp, &app.person(), &meant(&second)).await.expect_redirect_error("login_required");
    assert_eq!(keeper.site.asked(), 2);
    // What is there no more cannot be had, nor can whoever asks for it have it fetched again and again.
    for _ in 0..5 {
        open(&rp, &app.person(), &meant(&first)).await.expect_error_page(400);
    }
    assert_eq!(keeper.site.asked(), 2);
}

async fn a_client_registers_its_request_uris(engine: Engine) {
    let keeper = Keeper::start().await;
    let app = keeper.app(engine, "[registration]\nmode = \"open\"\nper_address = 1000\n").await;
    let document = |uris: Value| json!({"redirect_uris": ["https://app.example/callback"], "jwks": keeper.jwks(), "request_uris": uris});
    let registered = register(&app, None, &document(json!([keeper.uri()]))).await.expect_status(201).json();
    assert_eq!(registered["request_uris"], json!([keeper.uri()]));
    let id = registered["client_id"].as_str().unwrap();
    let rp = Party::existing(&app, id, registered["client_secret"].as_str().unwrap());
    keeper.shows(&keeper.object(&rp, &json!({"scope": "openid"})));
    assert!(open(&rp, &app.person(), &keeper.uri()).await.asks_to_sign_in());

    let long = format!("https://app.example/{}", "x".repeat(500));
    for wrong in [
        json!("https://app.example/r"),
        json!(["http://app.example/r"]),
        json!(["urn:example:r"]),
        json!(["https://user@app.example/r"]),
        json!([long]),
        json!(vec!["https://app.example/r"; 33]),
    ] {
        register(&app, None, &document(wrong)).await.expect_error("invalid_client_metadata");
    }
    let keyless = json!({"redirect_uris": ["https://app.example/callback"], "request_uris": [keeper.uri()]});
    register(&app, None, &keyless).await.expect_error("invalid_client_metadata");
}
