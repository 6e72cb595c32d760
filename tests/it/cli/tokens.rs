//! `grantor token …`, beside a running server.

use serde_json::{Value, json};

use super::live::Beside;
use crate::each_database;
use crate::support::TestApp;

each_database!(a_key_is_made_shown_once_listed_and_revoked);

async fn a_key_is_made_shown_once_listed_and_revoked(app: TestApp) {
    let beside = Beside::new(&app);
    let robot = app.client("robot").scope("notes:read notes:write").create().await;
    assert!(beside.ok(&["token", "list"]).await.starts_with("There is none."));
    let make = ["token", "create", "robot", "--name", "Nightly", "--scope"];
    for (arguments, code, why) in [
        ([&make[..], &["admin"]].concat(), 1, "registered for the scope \"notes:read notes:write\" and no more"),
        (vec!["token", "create", "nobody", "--name", "a", "--scope", "a"], 1, "no client has the id nobody"),
        (vec!["token", "create", "robot", "--name", "a", "--scope", "a", "--lifetime", "0s"], 2, "at least one"),
        (vec!["token", "revoke", "x"], 1, "there is no token with the id x"),
        (vec!["token", "list", "--user", "nobody"], 1, "no user has"),
    ] {
        beside.run(&arguments, "").await.expect_refused(code, why);
    }
    let made = beside.ok(&[&make[..], &["notes:read", "--lifetime", "30d", "--json"]].concat()).await;
    let made: Value = serde_json::from_str(&made).unwrap();
    let key = made["token"].as_str().unwrap();
    assert_eq!(robot.introspect(key).await.expect_active()["scope"], "notes:read");
    let listed = beside.ok(&["token", "list", "--client", "robot", "--json"]).await;
    assert!(!listed.contains(key), "{listed}");
    let listed: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!(
        (&listed[0]["id"], &listed[0]["name"], &listed[0]["user"]),
        (&made["id"], &json!("Nightly"), &Value::Null)
    );
    assert!(beside.ok(&["token", "list"]).await.contains("client robot"));

    // Whoever found it has no id.
    let out = beside.run(&["token", "revoke", "-"], &format!("{key}\n")).await.expect_ok();
    assert!(out.contains("Revoked"), "{out}");
    robot.introspect(key).await.expect_inactive();
    beside.run(&["token", "revoke", "-"], key).await.expect_refused(1, "not good here any more");
    beside.run(&["token", "revoke", "-"], "password").await.expect_refused(1, "begins with gr_pat_ or gr_key_");
    let shown = beside.ok(&[&make[..], &["notes:write"]].concat()).await;
    assert!(shown.contains("gr_key_") && shown.contains("It is shown this once"), "{shown}");
    let listed: Value = serde_json::from_str(&beside.ok(&["token", "list", "--json"]).await).unwrap();
    beside.ok(&["token", "revoke", listed[0]["id"].as_str().unwrap()]).await;
    assert_eq!(app.count("api_tokens").await, 0);
}
