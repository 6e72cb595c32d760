//! `grantor group …`, beside a running server.

use serde_json::{Value, json};

use super::live::Beside;
use crate::each_database;
use crate::support::TestApp;
use crate::support::party::decode;

each_database!(a_group_is_made_filled_emptied_and_removed_beside_a_running_server);

async fn a_group_is_made_filled_emptied_and_removed_beside_a_running_server(app: TestApp) {
    let beside = Beside::new(&app);
    app.user("ada").await;
    app.user("bob").await;
    let rp = app.client("web").scope("openid offline_access groups roles").create().await;
    assert!(beside.ok(&["group", "list"]).await.starts_with("There is no group yet"));
    let created = beside.ok(&["group", "create", "staff", "--role", "reader", "--role", "writer", "--json"]).await;
    let created: Value = serde_json::from_str(&created).unwrap();
    assert_eq!((&created["name"], &created["roles"]), (&json!("staff"), &json!(["reader", "writer"])));
    for (arguments, code, why) in [
        (vec!["group", "create", "staff"], 1, "there is a group staff already"),
        (vec!["group", "create", "a,b"], 2, "without commas"),
        (vec!["group", "add", "nobody", "ada"], 1, "there is no group nobody"),
        (vec!["group", "add", "staff", "ada", "eve"], 1, "no user has"),
        (vec!["group", "delete", "nobody"], 1, "there is no group nobody"),
    ] {
        beside.run(&arguments, "").await.expect_refused(code, why);
    }
    assert_eq!(beside.ok(&["group", "add", "staff", "ada@example.org", "ada"]).await, "Put into staff: ada.\n");
    assert!(beside.ok(&["group", "add", "staff", "ada"]).await.contains("nothing was changed"));
    beside.ok(&["group", "add", "staff", "bob"]).await;
    beside.ok(&["group", "update", "staff", "--description", "All of us", "--remove-role", "writer"]).await;
    let shown: Value = serde_json::from_str(&beside.ok(&["group", "show", "staff", "--json"]).await).unwrap();
    assert_eq!(
        (&shown["members"], &shown["roles"], &shown["description"]),
        (&json!(["ada", "bob"]), &json!(["reader"]), &json!("All of us"))
    );
    let user: Value = serde_json::from_str(&beside.ok(&["user", "show", "ada", "--json"]).await).unwrap();
    assert_eq!(user["groups"], json!(["staff"]));

    let tokens = rp.sign_in_with(&app.person(), "ada", &[("scope", "openid offline_access groups roles")]).await;
    let told = decode(tokens.access_token()).1;
    assert_eq!((&told["groups"], &told["roles"]), (&json!(["staff"]), &json!(["reader"])));
    let out = beside.ok(&["group", "remove", "staff", "ada"]).await;
    assert_eq!(out, "Taken out of staff: ada. Their access tokens are ended.\n");
    assert!(beside.ok(&["group", "list"]).await.contains("All of us"));
    assert!(beside.ok(&["group", "delete", "staff"]).await.contains("One user was in it"));
    let next = rp.refresh(&tokens).await.expect_tokens();
    assert_eq!(decode(next.access_token()).1.get("groups"), None);
}
