//! Clients that register themselves (RFC 7591, OpenID Connect Dynamic Client Registration §2, §3).

use std::time::Duration;

use grantor::crypto::sha256;
use grantor::store::RegistrationToken;
use grantor::types::Clock;
use serde_json::{Value, json};

use crate::each_engine;
use crate::support::behind::at_once;
use crate::support::party::Party;
use crate::support::{Answer, Engine, Pkce, TestApp};

each_engine!(
    off_there_is_no_registration,
    what_a_client_registers_is_what_it_is_told_and_works,
    a_public_client_gets_no_secret,
    a_client_that_registered_itself_may_ask_for_too_much,
    nobody_makes_itself_more_than_a_client,
    what_cannot_be_done_as_asked_is_refused,
    what_is_no_document_is_refused,
    an_initial_access_token_is_good_for_its_uses,
    the_last_use_goes_to_one,
    who_registers_too_often_has_to_wait,
    a_page_may_register_where_registration_is_open,
    of_what_a_client_offers_it_gets_what_can_be_had,
);

pub const OPEN: &str = "[registration]\nmode = \"open\"\n";
const TOKEN: &str = "[registration]\nmode = \"token\"\n";
const CALLBACK: &str = "https://app.example/callback";

pub async fn register(app: &TestApp, token: Option<&str>, document: &Value) -> Answer {
    send(app, token, document.to_string()).await
}

async fn send(app: &TestApp, token: Option<&str>, body: String) -> Answer {
    let bearer = token.map(|token| format!("Bearer {token}"));
    let mut headers = vec![("content-type", "application/json")];
    headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
    app.post_raw("/oauth/register", &headers, body).await
}

/// What the client is told that has been registered.
pub async fn registered(app: &TestApp, document: &Value) -> Value {
    register(app, None, document).await.expect_status(201).json()
}

/// The client that was registered, as it speaks to the server.
pub fn party<'a>(app: &'a TestApp, information: &Value) -> Party<'a> {
    let text = |name: &str| information[name].as_str().map(str::to_owned);
    Party {
        app,
        id: text("client_id").expect("there is an id"),
        secret: text("client_secret"),
        redirect_uri: information["redirect_uris"][0].as_str().expect("there is a redirect URI").to_owned(),
    }
}

/// Makes an initial access token.
pub async fn voucher(app: &TestApp, secret: &str, uses_left: u32, verifies: bool) {
    let now = app.clock.now();
    let (created_at, expires_at) = (now, now.plus(Duration::from_hours(1)));
    let token = RegistrationToken { id: format!("id-{secret}"), verifies, uses_left, created_at, expires_at };
    app.change(async |tx| tx.insert_registration_token(&token, &sha256(secret.as_bytes())).await).await;
}

async fn off_there_is_no_registration(engine: Engine) {
    let app = TestApp::spawn(engine).await;
    register(&app, None, &json!({ "redirect_uris": [CALLBACK] })).await.expect_status(404);
    app.get("/oauth/register/dyn-x").await.expect_status(404);
    assert_eq!(app.get("/.well-known/openid-configuration").await.json()["registration_endpoint"], Value::Null);
}

async fn what_a_client_registers_is_what_it_is_told_and_works(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    app.user("ada").await;
    let endpoint = app.get("/.well-known/openid-configuration").await.json()["registration_endpoint"].clone();
    assert_eq!(endpoint, format!("{}/oauth/register", app.issuer()));

    let answer = register(&app, None, &json!({ "redirect_uris": [CALLBACK] })).await.expect_status(201);
    // RFC 7591 §3.2.1
    assert_eq!((answer.header("cache-control"), answer.header("pragma")), (Some("no-store"), Some("no-cache")));
    let told = answer.json();
    // The defaults of RFC 7591 §2 and OpenID Connect Registration §2.
    for (name, value) in [
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("grant_types", json!(["authorization_code"])),
        ("response_types", json!(["code"])),
        ("application_type", json!("web")),
        ("id_token_signed_response_alg", json!("RS256")),
        ("redirect_uris", json!([CALLBACK])),
        ("client_name", json!("app.example")),
        ("scope", json!("email offline_access openid profile")),
        ("client_secret_expires_at", json!(0)),
        ("client_id_issued_at", json!(app.clock.now().secs())),
    ] {
        assert_eq!(told[name], value, "{name}");
    }
    let id = told["client_id"].as_str().unwrap();
    assert_eq!(told["registration_client_uri"], format!("{}/oauth/register/{id}", app.issuer()));
    assert!(told["client_secret"].as_str().unwrap().len() >= 43);
    assert!(told["registration_access_token"].as_str().unwrap().len() >= 43);
    let tokens = party(&app, &told).sign_in_with(&app.person(), "ada", &[("scope", "openid email")]).await;
    assert_eq!(tokens.scope(), "email openid");

    // Everything that can be said is told again; what nobody knows is not (RFC 7591 §2).
    let said = json!({
        "redirect_uris": [CALLBACK, "https://app.example/other?x=1"],
        "client_name": "Gedichte \u{1F4D6}", "client_uri": "https://app.example/",
        "logo_uri": "https://app.example/logo.png", "policy_uri": "https://app.example/policy",
        "tos_uri": "https://app.example/terms", "contacts": ["ops@app.example"],
        "token_endpoint_auth_method": "client_secret_post", "application_type": "web",
        "grant_types": ["authorization_code", "refresh_token"], "response_types": ["code"],
        "id_token_signed_response_alg": "ES256", "scope": "email openid",
        "jwks_uri": "https://app.example/jwks", "software_id": "4NRB1", "software_version": "2.1",
        "initiate_login_uri": "https://app.example/login",
        "post_logout_redirect_uris": ["https://app.example/bye"],
        "backchannel_logout_uri": "https://app.example/back", "backchannel_logout_session_required": true,
        "frontchannel_logout_uri": "https://app.example/front",
    });
    let mut asked = said.clone();
    let unknown =
        [("colour", json!("blue")), ("client_name#ja", json!("x")), ("tos_uri#de", json!(1)), ("x", Value::Null)];
    for (name, value) in unknown {
        asked[name] = value;
    }
    asked["subject_type"] = json!("public");
    let told = registered(&app, &asked).await;
    for (name, value) in said.as_object().unwrap() {
        assert_eq!(&told[name], value, "{name}");
    }
    assert_eq!((&told["colour"], &told["client_name#ja"]), (&Value::Null, &Value::Null));

    // What is replaced by what can be had.
    let asked = json!({
        "redirect_uris": [CALLBACK, CALLBACK], "scope": "openid notes:read admin",
        "grant_types": ["authorization_code", "implicit", "client_credentials"], "response_types": ["code", "id_token"],
    });
    let told = registered(&app, &asked).await;
    assert_eq!((&told["scope"], &told["redirect_uris"]), (&json!("openid"), &json!([CALLBACK])));
    assert_eq!((&told["grant_types"], &told["response_types"]), (&json!(["authorization_code"]), &json!(["code"])));
}

async fn a_public_client_gets_no_secret(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    app.user("ada").await;
    for uri in ["http://127.0.0.1/callback", "http://localhost:3000/cb", "http://[::1]/cb", "com.example.app:/cb"] {
        // Many native clients do not say what they are.
        for said in [json!("native"), Value::Null] {
            let document = json!({
                "redirect_uris": [uri], "token_endpoint_auth_method": "none", "application_type": said,
                "grant_types": ["authorization_code", "refresh_token"],
            });
            let told = registered(&app, &document).await;
            assert_eq!((&told["client_secret"], &told["client_secret_expires_at"]), (&Value::Null, &Value::Null));
            assert_eq!(told["application_type"], "native", "{uri}");
            let tokens = party(&app, &told).sign_in("ada").await;
            party(&app, &told).refresh(&tokens).await.expect_tokens();
        }
    }
}

async fn a_client_that_registered_itself_may_ask_for_too_much(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    app.user("ada").await;
    let rp = party(&app, &registered(&app, &json!({ "redirect_uris": [CALLBACK], "scope": "openid email" })).await);
    let all = app.get("/.well-known/oauth-authorization-server").await.json()["scopes_supported"].clone();
    let all: Vec<_> = all.as_array().unwrap().iter().map(|scope| scope.as_str().unwrap()).collect();
    let answer = rp.sign_in_with(&app.person(), "ada", &[("scope", &all.join(" "))]).await;
    // RFC 6749 §3.3, §5.1: what it got is told, since it is not what it asked for.
    assert_eq!(answer.scope(), "email openid");
    for beyond in ["phone", "admin phone", "offline_access"] {
        let page = rp.authorize(&app.person(), &Pkce::new(), &[("scope", beyond)]).await;
        page.expect_redirect_error("invalid_scope");
    }
}

async fn nobody_makes_itself_more_than_a_client(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    let document = json!({
        "redirect_uris": [CALLBACK], "client_id": "web", "client_secret": "chosen", "skip_consent": true,
        "resource_server": true, "always_issue_refresh_token": true, "pkce": "optional", "default_scope": "openid",
        "access_token_lifetime": 3_600, "refresh_token_idle_lifetime": 99_999_999, "verified": true,
        "registered_by": "administrator", "registration_access_token": "chosen",
    });
    let told = registered(&app, &document).await;
    assert_ne!((&told["client_id"], &told["client_secret"]), (&json!("web"), &json!("chosen")));
    assert_ne!(told["registration_access_token"], "chosen");
    let id = told["client_id"].as_str().unwrap().parse().unwrap();
    let client = app.store.client(&id).await.unwrap().unwrap();
    let metadata = &client.metadata;
    assert!(!metadata.skip_consent && !metadata.resource_server && !metadata.always_issue_refresh_token);
    assert_eq!((metadata.pkce, &metadata.default_scope), (None, &None));
    assert_eq!((metadata.access_token_lifetime, metadata.refresh_token_idle_lifetime), (None, None));
    assert!(!client.is_verified());
    // Neither secret nor token is kept.
    for (table, name) in [("clients", "client_secret"), ("clients", "registration_access_token")] {
        let secret = told[name].as_str().unwrap();
        assert_eq!(app.count(&format!("{table} WHERE metadata LIKE '%{secret}%'")).await, 0);
    }
}

async fn what_cannot_be_done_as_asked_is_refused(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    let (uri, metadata) = ("invalid_redirect_uri", "invalid_client_metadata");
    for (members, code) in [
        (json!({ "redirect_uris": [] }), uri),
        (json!({ "redirect_uris": null }), uri),
        (json!({ "redirect_uris": ["http://app.example/cb"] }), uri),
        (json!({ "redirect_uris": ["https://app.example/cb#x"] }), uri),
        (json!({ "redirect_uris": ["javascript:alert(1)"] }), uri),
        (json!({ "redirect_uris": ["http://127.0.0.1/cb"], "application_type": "web" }), uri),
        (json!({ "redirect_uris": [CALLBACK, "com.example.app:/cb"], "application_type": "web" }), uri),
        (json!({ "redirect_uris": (0..33).map(|n| format!("{CALLBACK}/{n}")).collect::<Vec<_>>() }), uri),
        (json!({ "redirect_uris": CALLBACK }), metadata),
        (json!({ "redirect_uris": [1] }), metadata),
        (json!({ "application_type": "desk" }), metadata),
        (json!({ "token_endpoint_auth_method": "magic" }), metadata),
        (json!({ "grant_types": ["implicit"] }), metadata),
        (json!({ "grant_types": ["client_credentials"] }), metadata),
        (json!({ "grant_types": "authorization_code" }), metadata),
        (json!({ "response_types": ["token"] }), metadata),
        (json!({ "response_types": ["code id_token"] }), metadata),
        (json!({ "scope": "admin" }), metadata),
        (json!({ "scope": "a\u{7}b" }), metadata),
        (json!({ "scope": ["openid"] }), metadata),
        (json!({ "client_name": "" , "client_uri": "javascript:alert(1)" }), metadata),
        (json!({ "client_name": "x".repeat(101) }), metadata),
        (json!({ "client_name": "Bank\u{202e}knab" }), metadata),
        (json!({ "client_name": "Bank\n" }), metadata),
        (json!({ "client_name": 1 }), metadata),
        (json!({ "client_uri": "http://app.example/" }), metadata),
        (json!({ "logo_uri": "data:image/png;base64,AA" }), metadata),
        (json!({ "policy_uri": "https://user@app.example/" }), metadata),
        (json!({ "tos_uri": "https://" }), metadata),
        (json!({ "initiate_login_uri": "http://app.example/login" }), metadata),
        (json!({ "contacts": "me" }), metadata),
        (json!({ "id_token_signed_response_alg": "none" }), metadata),
        (json!({ "id_token_signed_response_alg": "HS256" }), metadata),
        (json!({ "jwks": { "keys": [] }, "jwks_uri": "https://app.example/jwks" }), metadata),
        (json!({ "jwks": { "keys": [{ "kty": "oct", "k": "AAAA" }] } }), metadata),
        (json!({ "jwks_uri": "ftp://app.example/jwks" }), metadata),
        (json!({ "backchannel_logout_uri": "ftp://app.example/" }), metadata),
        (json!({ "software_statement": 1 }), metadata),
        (json!({ "software_statement": "a.b.c" }), "unapproved_software_statement"),
    ] {
        let mut document = json!({ "redirect_uris": [CALLBACK] });
        document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        register(&app, None, &document).await.expect_error(code).expect_status(400);
        // The whole table is more than one address may try in an hour.
        app.advance(3_600);
    }
    assert_eq!(app.count("clients").await, 0);
}

async fn what_is_no_document_is_refused(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    let deep = format!(r#"{{"redirect_uris":["{CALLBACK}"],"x":{}{}}}"#, "[".repeat(99), "]".repeat(99));
    let long = json!({ "redirect_uris": [CALLBACK], "x": "x".repeat(33 * 1024) }).to_string();
    let twice = format!(r#"{{"redirect_uris":["{CALLBACK}"],"scope":"openid","scope":"email"}}"#);
    for body in [
        String::new(),
        "[]".into(),
        "null".into(),
        "{".into(),
        "{}x".into(),
        "redirect_uris=x".into(),
        deep,
        long,
        twice,
    ] {
        send(&app, None, body).await.expect_error("invalid_client_metadata").expect_status(400);
    }
    let document = json!({ "redirect_uris": [CALLBACK] }).to_string();
    for wrong in ["application/x-www-form-urlencoded", "text/plain", ""] {
        let answer = app.post_raw("/oauth/register", &[("content-type", wrong)], document.clone()).await;
        answer.expect_error("invalid_request").expect_status(400);
    }
    app.get("/oauth/register").await.expect_status(405);
    assert_eq!(app.count("clients").await, 0);
}

async fn an_initial_access_token_is_good_for_its_uses(engine: Engine) {
    let app = TestApp::with(engine, TOKEN).await;
    voucher(&app, "twice", 2, false).await;
    voucher(&app, "short", 9, true).await;
    let document = json!({ "redirect_uris": [CALLBACK] });
    // RFC 7591 §3; RFC 6750 §3
    for token in [None, Some("wrong"), Some("")] {
        let refused = register(&app, token, &document).await.expect_error("invalid_token").expect_status(401);
        assert!(refused.header("www-authenticate").unwrap().starts_with("Bearer "));
    }
    // A refusal costs no use.
    register(&app, Some("twice"), &json!({})).await.expect_error("invalid_redirect_uri");
    for _ in 0..2 {
        register(&app, Some("twice"), &document).await.expect_status(201);
    }
    register(&app, Some("twice"), &document).await.expect_error("invalid_token").expect_status(401);

    let told = register(&app, Some("short"), &document).await.expect_status(201).json();
    let id = told["client_id"].as_str().unwrap().parse().unwrap();
    let client = app.store.client(&id).await.unwrap().unwrap();
    assert!(client.is_verified(), "its token says so");
    assert_eq!(client.registration.as_ref().unwrap().by, "token id-short");
    app.advance(3_600);
    register(&app, Some("short"), &document).await.expect_error("invalid_token");
    assert_eq!(app.count("clients").await, 3);
}

async fn the_last_use_goes_to_one(engine: Engine) {
    let app = TestApp::with(engine, TOKEN).await;
    voucher(&app, "once", 1, false).await;
    let document = json!({ "redirect_uris": [CALLBACK] });
    let answers = at_once((0..12).map(|_| register(&app, Some("once"), &document))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status.as_u16() == 201).count(), 1);
    for answer in answers.into_iter().filter(|answer| answer.status.as_u16() != 201) {
        answer.expect_error("invalid_token").expect_status(401);
    }
    assert_eq!(app.count("clients").await, 1);
    assert_eq!(app.count("registration_tokens WHERE uses_left = 0").await, 1);
}

async fn who_registers_too_often_has_to_wait(engine: Engine) {
    let app = TestApp::with(engine, "[registration]\nmode = \"open\"\nper_address = 2\n").await;
    let document = json!({ "redirect_uris": [CALLBACK] });
    for _ in 0..2 {
        register(&app, None, &document).await.expect_status(201);
    }
    let refused = register(&app, None, &document).await.expect_status(429);
    let wait: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1_799..=1_801).contains(&wait), "{wait}");
    app.advance(wait);
    register(&app, None, &document).await.expect_status(201);

    let lifted = "[registration]\nmode = \"open\"\nper_address = 1\nunlimited = [\"127.0.0.0/8\", \"::1\"]\n";
    let app = TestApp::with(engine, lifted).await;
    for _ in 0..5 {
        register(&app, None, &document).await.expect_status(201);
    }

    // Behind a proxy each client has its own address.
    let behind = "[server]\ntrusted_proxies = [\"127.0.0.1\"]\n[registration]\nmode = \"open\"\nper_address = 1\n";
    let app = TestApp::with(engine, behind).await;
    let from = async |address: &str| {
        let headers = [("content-type", "application/json"), ("x-forwarded-for", address)];
        app.post_raw("/oauth/register", &headers, document.to_string()).await.status
    };
    assert_eq!([from("192.0.2.1").await, from("192.0.2.2").await, from("192.0.2.1").await], [201, 201, 429]);
}

async fn a_page_may_register_where_registration_is_open(engine: Engine) {
    let preflight = async |app: &TestApp, path: &str, method: &str| {
        let request = app.http.request(http::Method::OPTIONS, format!("{}{path}", app.url));
        let request =
            request.header("origin", "https://anywhere.example").header("access-control-request-method", method);
        let answer =
            Answer::of(request.header("access-control-request-headers", "content-type").send().await.unwrap()).await;
        assert_eq!(answer.header("access-control-allow-credentials"), None);
        answer.header("access-control-allow-origin").map(str::to_owned)
    };
    let documents = TestApp::with(engine, "[registration]\nclient_id_metadata_documents = true\n").await;
    let (open, token) = (TestApp::with(engine, OPEN).await, TestApp::with(engine, TOKEN).await);
    let metadata = "/.well-known/oauth-authorization-server";
    assert_eq!(preflight(&open, "/oauth/register", "POST").await.as_deref(), Some("*"));
    assert_eq!(preflight(&token, "/oauth/register", "POST").await, None);
    for (method, path) in [("GET", metadata), ("GET", "/oauth/jwks"), ("POST", "/oauth/par"), ("POST", "/oauth/token")]
    {
        assert_eq!(preflight(&open, path, method).await.as_deref(), Some("*"), "{path}");
        assert_eq!(preflight(&documents, path, method).await.as_deref(), Some("*"), "{path}");
        assert_eq!(preflight(&token, path, method).await, None, "{path}");
    }
}

/// OpenID Connect Relying Party Metadata Choices §2
async fn of_what_a_client_offers_it_gets_what_can_be_had(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    let document = |members: Value| {
        let mut document = json!({ "redirect_uris": [CALLBACK] });
        document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        document
    };
    for (said, member, had) in [
        // The first that can be had of what everybody has.
        (
            json!({ "token_endpoint_auth_methods_supported": ["none_yet", "none", "client_secret_post"] }),
            "token_endpoint_auth_method",
            json!("none"),
        ),
        (
            json!({ "id_token_signing_alg_values_supported": ["XX256", "ES256", "RS256"] }),
            "id_token_signed_response_alg",
            json!("ES256"),
        ),
        (json!({ "subject_types_supported": ["pairwise"] }), "subject_type", json!("pairwise")),
        // What it names itself, where that can be had; and otherwise not.
        (
            json!({ "id_token_signed_response_alg": "RS256", "id_token_signing_alg_values_supported": ["ES256", "RS256"] }),
            "id_token_signed_response_alg",
            json!("RS256"),
        ),
        (
            json!({ "id_token_signed_response_alg": "XX256", "id_token_signing_alg_values_supported": ["XX256", "ES256"] }),
            "id_token_signed_response_alg",
            json!("ES256"),
        ),
        // To be able to is not to want to.
        (json!({ "userinfo_signing_alg_values_supported": ["ES256"] }), "userinfo_signed_response_alg", Value::Null),
        (
            json!({ "introspection_signed_response_alg": "XX1", "introspection_signing_alg_values_supported": ["XX1", "ES256"] }),
            "introspection_signed_response_alg",
            json!("ES256"),
        ),
        (
            json!({ "userinfo_signed_response_alg": "XX1", "userinfo_signing_alg_values_supported": ["XX1", "ES256"] }),
            "userinfo_signed_response_alg",
            json!("ES256"),
        ),
    ] {
        assert_eq!(registered(&app, &document(said.clone())).await[member], had, "{said}");
    }
    for said in [
        json!({ "token_endpoint_auth_methods_supported": ["none_yet"] }),
        json!({ "token_endpoint_auth_methods_supported": [] }),
        json!({ "id_token_signing_alg_values_supported": ["none", "HS256"] }),
        json!({ "subject_types_supported": "public" }),
        json!({ "id_token_signing_alg_values_supported": ["ES256", 5] }),
    ] {
        register(&app, None, &document(said)).await.expect_error("invalid_client_metadata");
    }
}
