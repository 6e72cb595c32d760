//! Tokens with which clients register themselves, and what an administrator makes of those clients.

use serde_json::json;

use super::place::Place;
use crate::each_engine;
use crate::oauth::registration::{OPEN, register, registered};
use crate::support::app::eventually;
use crate::support::{Engine, TestApp};

each_engine!(a_token_of_the_command_line_registers, an_administrator_verifies_and_takes_over);

fn run(app: &TestApp, place: &Place, arguments: &[&str]) -> String {
    let database = app.database_url();
    tokio::task::block_in_place(|| place.ok(&[&["--database", database.as_str()], arguments].concat()))
}

async fn a_token_of_the_command_line_registers(engine: Engine) {
    let (app, place) = (TestApp::with(engine, "[registration]\nmode = \"token\"\n").await, Place::new());
    assert!(run(&app, &place, &["registration-token", "list"]).contains("There is no registration token"));
    let made = run(&app, &place, &["registration-token", "create", "--uses", "2", "--lifetime", "1h", "--json"]);
    let made: serde_json::Value = serde_json::from_str(&made).unwrap();
    let (id, token) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    assert_eq!((&made["uses_left"], &made["verifies"]), (&json!(2), &json!(false)));
    let document = json!({ "redirect_uris": ["https://app.example/cb"] });
    register(&app, Some(token), &document).await.expect_status(201);

    let listed = run(&app, &place, &["registration-token", "list", "--json"]);
    assert!(listed.contains("\"uses_left\": 1") && !listed.contains(token), "{listed}");
    assert!(run(&app, &place, &["client", "list"]).contains(&format!("token {id}")));
    assert!(run(&app, &place, &["registration-token", "revoke", id]).starts_with("Revoked"));
    register(&app, Some(token), &document).await.expect_error("invalid_token");
    assert!(run(&app, &place, &["registration-token", "create"]).contains("shown this once"));
}

async fn an_administrator_verifies_and_takes_over(engine: Engine) {
    let (app, place) = (TestApp::with(engine, OPEN).await, Place::new());
    app.client("made").create().await;
    let client = registered(&app, &json!({ "redirect_uris": ["https://app.example/cb"] })).await;
    let id = client["client_id"].as_str().unwrap();
    assert!(run(&app, &place, &["client", "list"]).contains("open registration"));
    let verified = async || app.store.client(&id.parse().unwrap()).await.unwrap().unwrap().is_verified();
    assert!(!verified().await);
    run(&app, &place, &["client", "verify", id]);
    eventually("the server has heard that it is verified", &verified).await;
    run(&app, &place, &["client", "verify", id, "--undo"]);
    eventually("and that it is not", async || !verified().await).await;

    run(&app, &place, &["client", "verify", id, "--take-over"]);
    assert!(run(&app, &place, &["client", "show", id]).contains("administrator"));
    let managed = async || {
        let token = client["registration_access_token"].as_str().unwrap();
        let request = app.http.get(client["registration_client_uri"].as_str().unwrap()).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    eventually("nobody manages it by its token any more", async || managed().await == 401).await;
    let database = app.database_url();
    let done = tokio::task::block_in_place(|| place.run(&["--database", &database, "client", "verify", "made"]));
    done.expect_refused(1, "made by an administrator");
}
