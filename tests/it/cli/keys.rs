//! `grantor keys …`: by themselves, and beside a running server.

use std::fs;

use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::live::Beside;
use super::place::Place;
use crate::each_database;
use crate::support::TestApp;
use crate::support::app::eventually;
use crate::support::party::decode;

each_database!(
    a_running_server_publishes_the_next_key_within_a_second,
    a_rotation_now_is_signed_with_at_once,
    a_revoked_key_is_dead_at_a_running_server,
    a_key_that_the_servers_could_not_open_is_not_made,
);

impl Beside<'_> {
    /// Names the seal key of the server in a configuration file.
    pub fn with_the_seal_key(&self) -> String {
        let file = self.place.path("grantor.toml");
        let ring = self.app.config.seal.keys.as_ref().expect("test servers have a key ring").expose_secret();
        fs::write(&file, format!("[seal]\nkeys = {ring:?}\n")).unwrap();
        file.display().to_string()
    }

    async fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[arguments, &["--json"]].concat()).await).unwrap()
    }
}

/// The ids of what is published.
async fn published(app: &TestApp) -> Vec<String> {
    let document = app.get("/oauth/jwks").await.json();
    let kid = |key: &Value| key["kid"].as_str().unwrap().to_owned();
    document["keys"].as_array().unwrap().iter().map(kid).collect()
}

fn kids(keys: &Value, state: &str) -> Vec<String> {
    let keys = keys.as_array().unwrap().iter().filter(|key| key["state"] == state);
    keys.map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

async fn a_running_server_publishes_the_next_key_within_a_second(app: TestApp) {
    let beside = Beside::new(&app);
    let config = beside.with_the_seal_key();
    let before = beside.json(&["keys", "list"]).await;
    assert_eq!((kids(&before, "active").len(), before.as_array().unwrap().len()), (3, 3), "{before}");
    for key in before.as_array().unwrap() {
        let symmetric = key["algorithm"] == "HS256";
        assert_eq!(key["published"], !symmetric, "{key}");
        assert_eq!(published(&app).await.contains(&key["kid"].as_str().unwrap().to_owned()), !symmetric);
        assert!(key["until"].as_str() > key["since"].as_str(), "{key}");
        let members = "active_from algorithm created_at kid published retired_at since state until";
        let names: Vec<&str> = key.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names.join(" "), members);
    }

    let rotated = beside.json(&["keys", "rotate", "--config", &config]).await;
    let next = kids(&rotated, "next");
    assert_eq!(next.len(), 3, "{rotated}");
    eventually("the next keys are published", async || published(&app).await.len() == 4).await;
    assert_eq!(published(&app).await.iter().filter(|kid| next.contains(kid)).count(), 2);
    let rp = app.client("web").create().await;
    let kid = |token: &str| decode(token).0["kid"].as_str().unwrap().to_owned();
    let old = rp.client_credentials("").await.expect_tokens();
    assert!(kids(&before, "active").contains(&kid(old.access_token())));
    app.advance(86_400);
    let new = rp.client_credentials("").await.expect_tokens();
    assert!(next.contains(&kid(new.access_token())));

    // Asked for again, it is as it was.
    let again = beside.ok(&["keys", "rotate", "--algorithm", "ES256", "--config", &config]).await;
    assert!(again.starts_with("ES256: ") && again.contains("was there, and signs, as before, from"), "{again}");
    let table = beside.ok(&["keys", "list"]).await;
    let heading: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(heading, ["KID", "ALGORITHM", "STATE", "SINCE", "UNTIL"]);
    assert_eq!(table.lines().count(), 7, "{table}");
    assert!(next.iter().all(|kid| table.lines().any(|line| line.starts_with(kid) && line.contains("next"))), "{table}");
}

async fn a_rotation_now_is_signed_with_at_once(app: TestApp) {
    let rp = app.client("web").create().await;
    let old = rp.client_credentials("").await.expect_tokens();
    let beside = Beside::new(&app);
    let config = beside.with_the_seal_key();
    let arguments = ["keys", "rotate", "--now", "--algorithm", "ES256", "--config", &config];
    let told = beside.ok(&arguments).await;
    assert!(told.starts_with("ES256: ") && told.contains("was made, and signs from"), "{told}");
    assert_eq!(told.lines().count(), 1);
    let new = told.split_whitespace().nth(1).unwrap().to_owned();
    let signs = async || decode(rp.client_credentials("").await.expect_tokens().access_token()).0["kid"] == *new;
    eventually("the new key signs", signs).await;
    app.introspect(old.access_token()).await.expect_active();
    assert_eq!(published(&app).await.len(), 3);
}

async fn a_revoked_key_is_dead_at_a_running_server(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in("ada").await;
    let beside = Beside::new(&app);
    let config = beside.with_the_seal_key();
    let kid = |token: &str| decode(token).0["kid"].as_str().unwrap().to_owned();
    let signing = kid(tokens.access_token());
    let told = beside.ok(&["keys", "revoke", &signing, "--config", &config]).await;
    assert!(told.starts_with(&format!("Revoked {signing} (ES256). The tokens that it signed are refused")), "{told}");
    assert!(told.lines().nth(1).unwrap().ends_with(" signs from now on."), "{told}");
    let dead = async || app.introspect(tokens.access_token()).await.body == r#"{"active":false}"#;
    eventually("the token is dead", dead).await;
    assert!(!published(&app).await.contains(&signing));
    assert_eq!(published(&app).await.len(), 2);
    let tokens = rp.refresh(&tokens).await.expect_tokens();
    app.introspect(tokens.access_token()).await.expect_active();
    let again = beside.run(&["keys", "revoke", &signing, "--config", &config], "").await;
    again.expect_refused(1, &format!("no signing key has the id {signing}"));

    let revoked = beside.json(&["keys", "revoke", &kid(tokens.refresh_token()), "--config", &config]).await;
    assert_eq!(
        (&revoked["revoked"]["algorithm"], &revoked["successor"]["algorithm"]),
        (&"HS256".into(), &"HS256".into())
    );
    let told = beside.ok(&["keys", "revoke", &kid(tokens.id_token()), "--config", &config]).await;
    assert!(told.contains("(RS256)"), "{told}");
    let gone = async || !published(&app).await.contains(&kid(tokens.id_token()));
    eventually("the server has heard of both", gone).await;
    rp.refresh(&tokens).await.expect_error("invalid_grant");
    // Access tokens of another key live.
    app.introspect(tokens.access_token()).await.expect_active();
}

async fn a_key_that_the_servers_could_not_open_is_not_made(app: TestApp) {
    let beside = Beside::new(&app);
    let before = beside.json(&["keys", "list"]).await;
    let kid = kids(&before, "active").remove(0);
    app.user("ada").await;
    app.client("web").create().await;
    let show = ["user", "show", "ada", "--client", "web"];
    let sealed = ["client", "create", "--name", "x", "--auth-method", "client_secret_jwt"];
    for arguments in [&["keys", "rotate"][..], &["keys", "revoke", &kid], &show, &sealed] {
        let refused = beside.run(arguments, "").await;
        refused.expect_refused(1, "seal.key is not there: this needs the one that the servers have");
    }
    // What lies in the database as a hash needs no seal key, and none is left behind.
    beside.ok(&["client", "create", "--name", "y", "--id", "hashed"]).await;
    beside.ok(&["client", "rotate-secret", "hashed"]).await;
    assert!(!beside.place.path("data/seal.key").exists());
    let file = beside.place.path("grantor.toml");
    fs::write(&file, "[seal]\nkeys = \"other:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\"\n").unwrap();
    let refused = beside.run(&["keys", "rotate", "--config", file.to_str().unwrap()], "").await;
    refused.expect_refused(1, "this node's seal key is not the one it was sealed with");
    assert_eq!(beside.json(&["keys", "list"]).await, before);
}

#[test]
fn what_cannot_be_is_told_and_a_new_place_has_no_key() {
    let place = Place::new();
    assert!(place.ok(&["keys", "list"]).starts_with("There is no signing key yet."));
    assert_eq!(place.json(&["keys", "list"]), serde_json::json!([]));
    place.run(&["keys", "rotate", "--algorithm", "none"]).expect_refused(2, "unknown algorithm");
    place.run(&["keys", "rotate", "--algorithm", "EdDSA"]).expect_refused(1, "keys.algorithms");
    place.run(&["keys", "revoke"]).expect_refused(2, "<KID>");
    for kid in ["nobody", "-body", "--nobody"] {
        let refused = place.run(&["keys", "revoke", kid, "--json"]);
        refused.expect_refused(1, &format!("no signing key has the id {kid}"));
    }
}
