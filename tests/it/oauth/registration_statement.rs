//! Software statements (RFC 7591 §2.3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantor::crypto::{SigningKey, SystemRandom};
use grantor::types::{Algorithm, Clock};
use serde_json::{Value, json};

use super::registration::register;
use crate::each_engine;
use crate::support::app::Folder;
use crate::support::behind::signed;
use crate::support::{Engine, TestApp};

each_engine!(a_statement_of_somebody_we_know_has_precedence, a_statement_that_is_not_sound_is_refused);

fn key(kid: &str) -> SigningKey {
    let material = SigningKey::generate(Algorithm::Es256, &SystemRandom::new()).expect("a key can be made");
    SigningKey::parse(kid.to_owned(), Algorithm::Es256, &material).expect("it is a key")
}

/// A server that believes this key.
async fn believing(engine: Engine, folder: &Folder, key: &SigningKey) -> TestApp {
    let file = folder.path("statements.jwks");
    std::fs::write(&file, json!({ "keys": [key.public_jwk()] }).to_string()).expect("the folder is ours");
    let keys = format!("software_statement_keys = {:?}\n", file.display().to_string());
    TestApp::with(engine, &format!("[registration]\nmode = \"open\"\n{keys}")).await
}

fn statement(key: &SigningKey, claims: &Value) -> Value {
    json!(signed(key, &json!({ "alg": "ES256", "kid": key.kid() }), claims))
}

async fn a_statement_of_somebody_we_know_has_precedence(engine: Engine) {
    let (folder, key) = (Folder::new(), key("known"));
    let app = believing(engine, &folder, &key).await;
    let claims = json!({
        "iss": "https://store.example", "client_name": "Poems of the store", "software_id": "4NRB1",
        "exp": app.clock.now().secs() + 60, "skip_consent": true,
    });
    let statement = statement(&key, &claims);
    let document = json!({
        "redirect_uris": ["https://app.example/cb"], "client_name": "Anything", "software_version": "1",
        "software_statement": statement,
    });
    let told = register(&app, None, &document).await.expect_status(201).json();
    assert_eq!((&told["client_name"], &told["software_id"]), (&json!("Poems of the store"), &json!("4NRB1")));
    assert_eq!(
        (&told["software_version"], &told["iss"], &told["skip_consent"]),
        (&json!("1"), &Value::Null, &Value::Null)
    );
    // RFC 7591 §3.2.1: "MUST be returned ... unmodified".
    assert_eq!(told["software_statement"], statement);
}

async fn a_statement_that_is_not_sound_is_refused(engine: Engine) {
    let (folder, known, stranger, namesake) = (Folder::new(), key("known"), key("stranger"), key("known"));
    let app = believing(engine, &folder, &known).await;
    let now = app.clock.now().secs();
    let sound = json!({ "iss": "https://store.example" });
    let invalid = "invalid_software_statement";
    let unsigned =
        format!("{}.{}.", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(sound.to_string()));
    for (statement, code) in [
        (statement(&stranger, &sound), "unapproved_software_statement"),
        (statement(&namesake, &sound), invalid),
        (statement(&known, &json!({ "client_name": "Poems" })), invalid),
        (statement(&known, &json!({ "iss": "x", "exp": now })), invalid),
        (statement(&known, &json!({ "iss": "x", "exp": "tomorrow" })), invalid),
        (statement(&known, &json!({ "iss": "x", "nbf": now + 60 })), invalid),
        (json!(unsigned), invalid),
        (json!("nonsense"), invalid),
    ] {
        let document = json!({ "redirect_uris": ["https://app.example/cb"], "software_statement": statement });
        register(&app, None, &document).await.expect_error(code).expect_status(400);
    }
    assert_eq!(app.count("clients").await, 0);
}
