//! `grantor authorization-type …`: by itself, and beside a running server.

use std::fs;

use serde_json::{Value, json};

use super::live::Beside;
use super::place::Place;
use crate::each_database;
use crate::support::TestApp;
use crate::support::app::eventually;

each_database!(a_type_is_made_changed_and_taken_away_beside_a_running_server);

const DATABASE: &str = "https://data.example/sql";

fn schema(tables: &[&str]) -> String {
    let table = json!({"enum": tables});
    json!({"properties": {"type": {}, "table": table}, "required": ["table"], "additionalProperties": false})
        .to_string()
}

async fn a_type_is_made_changed_and_taken_away_beside_a_running_server(app: TestApp) {
    let beside = Beside::new(&app);
    let file = |name: &str, text: &str| {
        let path = app.folder.path(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let rp = app.client("web").create().await;
    let ask = async |table: &str| {
        let asked = json!([{"type": "table_access", "table": table}]).to_string();
        rp.post("/oauth/token", &[("grant_type", "client_credentials"), ("authorization_details", &asked)]).await
    };
    assert!(beside.ok(&["authorization-type", "list"]).await.starts_with("No type is registered yet"));
    ask("orders").await.expect_error("invalid_authorization_details");

    beside.ok(&["resource", "create", DATABASE, "--name", "Data"]).await;
    let create = ["authorization-type", "create", "table_access", "--description", "Read the table {table}"];
    let schema_file = file("orders.json", &schema(&["orders"]));
    let more = ["--schema", &schema_file, "--resource", DATABASE, "--json"];
    let made: Value = serde_json::from_str(&beside.ok(&[&create[..], &more].concat()).await).unwrap();
    assert_eq!(
        (&made["type"], &made["description"], &made["resource"]),
        (&json!("table_access"), &json!("Read the table {table}"), &json!(DATABASE))
    );
    assert_eq!(made["schema"]["required"], json!(["table"]));
    let set = "authorization_details_types=[\"table_access\"]";
    let shown = beside.ok(&["client", "update", "web", "--set", set, "--json"]).await;
    assert_eq!(serde_json::from_str::<Value>(&shown).unwrap()["authorization_details_types"], json!(["table_access"]));
    eventually("the server has heard of it", async || ask("orders").await.status == 200).await;
    ask("customers").await.expect_error("invalid_authorization_details");
    assert!(beside.ok(&["authorization-type", "list"]).await.contains("Read the table {table}"));

    // What is not named stays, and what is there once compiled is compiled anew.
    let wider = file("both.json", &schema(&["orders", "customers"]));
    beside.ok(&["authorization-type", "update", "table_access", "--schema", &wider]).await;
    eventually("the server has heard of that, too", async || ask("customers").await.status == 200).await;
    let update = [
        "authorization-type",
        "update",
        "table_access",
        "--clear",
        "resource",
        "--description",
        "See {table}",
        "--each-time",
        "true",
    ];
    beside.ok(&update).await;
    let shown = beside.ok(&["authorization-type", "show", "table_access"]).await;
    for words in ["See {table}", "any", "at every request", "\"customers\""] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let deleted = beside.ok(&["authorization-type", "delete", "table_access"]).await;
    assert!(deleted.starts_with("Deleted") && deleted.contains("these clients name it still: web"), "{deleted}");
    eventually("it is no type any more", async || ask("orders").await.status == 400).await;
}

#[test]
fn what_cannot_be_a_type_is_refused() {
    let place = Place::new();
    let file = |text: &str| fs::write(place.path("schema.json"), text).unwrap();
    let create = |description: &str, more: &[&str]| {
        let usual = ["authorization-type", "create", "table_access", "--schema", "schema.json"];
        place.run(&[&usual[..], &["--description", description], more].concat())
    };
    create("Read", &[]).expect_refused(1, "the schema schema.json cannot be read");
    for (text, words) in [
        ("{", "is not JSON"),
        (r#"{"type":"object","type":"array"}"#, "twice"),
        ("[]", "a schema is a JSON object"),
        (r#"{"type":"table"}"#, "it is not a JSON Schema that can be used here"),
        // Nothing is fetched.
        (r#"{"$ref":"https://schemas.example/table.json"}"#, "it is not a JSON Schema that can be used here"),
        (r#"{"$ref":"file:///etc/hostname"}"#, "it is not a JSON Schema that can be used here"),
        (r#"{"properties":{"table":{}},"additionalProperties":false}"#, "add \"type\": {\"const\": \"table_access\"}"),
    ] {
        file(text);
        create("Read", &[]).expect_refused(1, words);
    }
    file(&schema(&["orders"]));
    create("Read {tabel}", &[]).expect_refused(1, "{tabel}, which is no property of the schema");
    create("Read {", &[]).expect_refused(2, "no place for a member");
    create("Read", &["--resource", DATABASE]).expect_refused(1, "register it first with grantor resource create");
    let usual = ["authorization-type", "create", "a b", "--schema", "schema.json", "--description", "Read"];
    place.run(&usual).expect_refused(2, "without spaces");
    let types = "authorization_details_types=[\"table_access\"]";
    let client = |verb: &[&str], set: &str| place.run(&[&["client"], verb, &["--set", set]].concat());
    let new = ["create", "--name", "Web", "--id", "web"];
    client(&new, types).expect_refused(1, "no authorization details type has the name table_access");

    create("Read {table}", &[]).expect_ok();
    create("Read", &[]).expect_refused(1, "there is an authorization details type with the name table_access already");
    client(&new, types).expect_ok();
    client(&["update", "web"], "authorization_details_types=[\"a b\"]").expect_refused(1, "has the name a b");
    client(&["update", "web"], "authorization_details_types=\"table_access\"").expect_refused(2, "sequence");
    for command in ["show", "update", "delete"] {
        let unknown = "no authorization details type has the name other";
        place.run(&["authorization-type", command, "other"]).expect_refused(1, unknown);
    }
    assert_eq!(place.json(&["authorization-type", "list"]).as_array().map(Vec::len), Some(1));

    // Whoever lets anything stand beside what the schema names is told.
    file("{}");
    let open = ["authorization-type", "update", "table_access", "--schema", "schema.json"];
    assert!(place.ok(&open).contains("add \"additionalProperties\": false"));
}
