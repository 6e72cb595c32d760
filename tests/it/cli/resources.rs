//! `grantor resource …`: by itself, and beside a running server.

use std::fs;

use serde_json::{Value, json};

use super::live::Beside;
use super::place::Place;
use crate::each_database;
use crate::support::TestApp;
use crate::support::app::{Folder, eventually};
use crate::support::party::decode;
use crate::support::process::Process;

each_database!(a_resource_is_made_changed_and_taken_away_beside_a_running_server);

const NOTES: &str = "https://notes.example/api";

async fn a_resource_is_made_changed_and_taken_away_beside_a_running_server(app: TestApp) {
    let beside = Beside::new(&app);
    let rp = app.client("web").create().await;
    let ask = async || rp.post("/oauth/token", &[("grant_type", "client_credentials"), ("resource", NOTES)]).await;
    assert!(beside.ok(&["resource", "list"]).await.starts_with("No resource is registered yet"));
    ask().await.expect_error("invalid_target");

    let create = ["resource", "create", NOTES, "--name", "Notes", "--scope", "notes:write notes:read"];
    let more = ["--access-token-lifetime", "2m", "--access-token-alg", "RS256", "--json"];
    let made: Value = serde_json::from_str(&beside.ok(&[&create[..], &more].concat()).await).unwrap();
    assert_eq!(
        (&made["resource"], &made["resource_name"], &made["scope"], &made["access_token_lifetime"]),
        (&json!(NOTES), &json!("Notes"), &json!("notes:read notes:write"), &json!(120))
    );
    assert_eq!(made["access_token_signing_alg"], "RS256");
    eventually("the server has heard of it", async || ask().await.status == 200).await;
    let tokens = ask().await.expect_tokens();
    assert_eq!((&tokens.0["expires_in"], &decode(tokens.access_token()).0["alg"]), (&json!(120), &json!("RS256")));
    assert!(beside.ok(&["resource", "list"]).await.contains(NOTES));

    // What is not named stays; what is cleared is again as the server and the client say.
    beside.ok(&["resource", "update", NOTES, "--name", "Notebook", "--clear", "access-token-alg"]).await;
    let shown = beside.ok(&["resource", "show", NOTES]).await;
    for words in ["Notebook", "notes:read notes:write", "2m at most", "as the server and the client say"] {
        assert!(shown.contains(words), "{words}: {shown}");
    }
    let clear = ["--clear", "access-token-lifetime", "--clear", "scope", "--json"];
    let cleared = beside.ok(&[&["resource", "update", NOTES], &clear[..]].concat()).await;
    let cleared: Value = serde_json::from_str(&cleared).unwrap();
    assert_eq!(
        (&cleared["access_token_lifetime"], &cleared["access_token_signing_alg"], &cleared["scope"]),
        (&Value::Null, &Value::Null, &json!(""))
    );
    let expires_in = async || ask().await.expect_tokens().0["expires_in"].clone();
    eventually("the server has heard of that, too", async || expires_in().await == 600).await;
    assert_eq!(decode(ask().await.expect_tokens().access_token()).0["alg"], "ES256");

    assert!(beside.ok(&["resource", "delete", NOTES]).await.starts_with("Deleted"));
    eventually("it is no target any more", async || ask().await.status == 400).await;
}

#[test]
fn what_cannot_be_a_resource_is_refused() {
    let place = Place::new();
    let create =
        |uri: &str, more: &[&str]| place.run(&[&["resource", "create", uri, "--name", "Notes"], more].concat());
    create("http://localhost:8080", &[]).expect_refused(1, "is the issuer itself");
    // RFC 8707 §2: "MUST be an absolute URI", "MUST NOT include a fragment component".
    for uri in ["https://notes.example/#part", "/notes", "notes", "//notes.example"] {
        create(uri, &[]).expect_refused(2, "is not an absolute URI without a fragment");
    }
    for algorithm in ["EdDSA", "HS256"] {
        create(NOTES, &["--access-token-alg", algorithm]).expect_refused(1, "see keys.algorithms");
    }
    create(NOTES, &["--access-token-alg", "none"]).expect_refused(2, "--access-token-alg");
    create(NOTES, &["--access-token-lifetime", "0s"]).expect_refused(2, "whole seconds");
    create(NOTES, &["--scope", "notes\"read"]).expect_refused(2, "--scope");
    create(NOTES, &[]).expect_ok();
    create(NOTES, &[]).expect_refused(1, "there is a resource with the URI https://notes.example/api already");
    let unknown = "no resource has the URI https://notes.example/";
    for command in ["show", "update", "delete"] {
        place.run(&["resource", command, "https://notes.example/"]).expect_refused(1, unknown);
    }
    place.run(&["resource", "update", NOTES, "--clear", "name"]).expect_refused(2, "--clear");
    assert_eq!(place.json(&["resource", "list"]).as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_resource_whose_algorithm_is_gone_is_told_of() {
    let folder = Folder::new();
    fs::write(folder.path("all.toml"), "[keys]\nalgorithms = [\"ES256\", \"RS256\", \"EdDSA\"]\n").unwrap();
    let run = async |arguments: &[&str]| Process::start(&folder, arguments, &[]).ended().await;
    assert_eq!(run(&["migrate"]).await.0, 0);
    for (uri, algorithm) in [(NOTES, "EdDSA"), ("https://mail.example/", "RS256")] {
        let create = ["resource", "create", uri, "--name", "An API", "--access-token-alg", algorithm];
        assert_eq!(run(&[&create[..], &["--config", "all.toml"]].concat()).await, (0, String::new()));
    }
    let report = || fs::read_to_string(folder.path("out")).unwrap();
    assert_eq!(run(&["doctor", "--config", "all.toml"]).await.0, 0, "{}", report());

    // The configuration has it no more.
    assert_eq!(run(&["doctor"]).await.0, 1);
    let told = format!("error: resource {NOTES}: its tokens are signed with EdDSA, which keys.algorithms has not");
    assert!(report().contains(&told), "{}", report());
    assert!(report().contains("--clear access-token-alg") && !report().contains("mail.example"), "{}", report());
    let (process, _) = Process::serve(&folder, &[], &[]).await;
    let warns = |log: &str| log.lines().filter(|line| line.contains("keys.algorithms has not")).count();
    assert_eq!(warns(&process.err()), 1, "{}", process.err());
    assert!(process.err().contains(NOTES), "{}", process.err());
    process.terminate();
    process.ended().await;

    assert_eq!(run(&["resource", "update", NOTES, "--clear", "access-token-alg"]).await, (0, String::new()));
    assert_eq!(run(&["doctor"]).await.0, 0, "{}", report());
    let (process, _) = Process::serve(&folder, &[], &[]).await;
    assert_eq!(warns(&process.err()), 0, "{}", process.err());
    process.terminate();
    process.ended().await;
}
