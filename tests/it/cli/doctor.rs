//! `grantor doctor`.

use std::fs;

use serde_json::Value;

use super::live::Beside;
use super::place::Place;
use crate::each_database;
use crate::support::TestApp;

each_database!(what_could_be_otherwise_is_told_client_by_client);

async fn what_could_be_otherwise_is_told_client_by_client(app: TestApp) {
    let beside = Beside::new(&app);
    app.client("web").create().await;
    let done = beside.run(&["doctor"], "").await;
    assert_eq!((done.code, done.err.as_str()), (0, ""), "{}", done.out);
    assert!(done.out.contains("advice: client web: it authenticates by client_secret_basic (RFC 9700 §2.5)"));
    assert!(done.out.contains("grantor client update web --set"), "{}", done.out);
    assert!(done.out.ends_with("Clients: 1.\n"), "{}", done.out);
    // FAPI 2.0 is for those who ask for it.
    assert!(!done.out.contains("(FAPI 2.0 §"), "{}", done.out);
    assert!(done.out.contains("that --fapi tells"), "{}", done.out);
    assert!(beside.run(&["doctor", "--fapi"], "").await.out.contains("client web: it authenticates by"));
    assert!(beside.run(&["doctor", "--fapi"], "").await.out.contains("(FAPI 2.0 §"));

    // What RFC 9700 objects to is an exit code of its own, and no error of the command.
    app.client("lax").with(|client| client.pkce = Some(grantor::types::PkcePolicy::Optional)).create().await;
    let done = beside.run(&["doctor", "--json"], "").await;
    assert_eq!((done.code, done.err.as_str()), (1, ""), "{}", done.out);
    let findings: Vec<Value> = serde_json::from_str(&done.out).unwrap();
    let found = findings.iter().find(|found| found["severity"] == "warning" && found["client"] == "lax");
    let found = found.expect("PKCE is objected to");
    assert_eq!((&found["standard"], &found["section"]), (&"RFC 9700".into(), &"§2.1.1".into()), "{found}");
    for name in ["what", "why", "remedy"] {
        assert!(found[name].as_str().is_some_and(|text| text.len() > 10), "{found}");
    }
    // A disabled client is nobody's concern.
    beside.ok(&["client", "disable", "lax"]).await;
    assert_eq!(beside.run(&["doctor"], "").await.code, 0);
}

#[test]
fn the_profile_takes_its_clients_in_and_leaves_nothing_to_object_to() {
    let place = Place::new();
    let refused = ["client", "create", "--name", "Bank", "--redirect-uri", "https://bank.example/cb"];
    place.run(&[&refused[..], &["--set", "profile=\"fapi2\""]].concat()).expect_refused(1, "FAPI 2.0 section 5.3.2.1");
    let config = "[server]\nissuer = \"https://auth.example\"\n[authorization]\ncode_lifetime = \"5m\"\n";
    fs::write(place.path("strict.toml"), format!("{config}[security]\nprofile = \"fapi2\"\n")).unwrap();
    fs::write(place.path("lax.toml"), format!("{config}pkce = \"optional\"\n")).unwrap();
    let create = [
        "client",
        "create",
        "--name",
        "Bank",
        "--id",
        "bank",
        "--auth-method",
        "private_key_jwt",
        "--id-token-alg",
        "ES256",
        "--redirect-uri",
        "https://bank.example/cb",
        "--set",
        "jwks_uri=\"https://bank.example/jwks\"",
        "--set",
        "profile=\"fapi2\"",
    ];
    place.ok(&create);
    assert_eq!(place.json(&["doctor", "--config", "strict.toml"]), Value::Array(Vec::new()));

    let done = place.run(&["doctor", "--config", "lax.toml"]);
    assert_eq!(done.code, 1, "{}", done.out);
    assert!(done.out.contains("warning: server: authorization.pkce is \"optional\" (RFC 9700 §2.1.1)"), "{}", done.out);
    assert!(done.out.contains("error: server: authorization codes can be redeemed for 5m (FAPI 2.0 §5.3.2.1)"));
    // The advice of RFC 9700 on bound tokens is what the profile does.
    assert!(!done.out.contains("client bank"), "{}", done.out);
}
