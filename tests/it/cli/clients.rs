use serde_json::json;

use super::place::Place;

const CALLBACK: &str = "https://app.example/callback";

#[test]
fn a_client_lives_from_create_to_delete() {
    let place = Place::new();
    assert!(place.ok(&["client", "list"]).contains("No client is registered yet"));

    let created = place.ok(&["client", "create", "--name", "Web shop", "--id", "web", "--redirect-uri", CALLBACK]);
    assert!(created.starts_with("Registered Web shop.\n\nclient id      web\nclient secret  "), "{created}");
    assert!(created.contains("shown this once"), "{created}");
    assert!(created.contains("grantor client update web --scope"), "{created}");

    let list = place.ok(&["client", "list"]);
    let lines: Vec<&str> = list.lines().collect();
    assert_eq!(
        lines,
        [
            "ID   NAME      TYPE          GRANTS                            REGISTERED BY  DISABLED",
            "web  Web shop  confidential  authorization_code refresh_token  administrator",
        ]
    );

    let shown = place.ok(&["client", "show", "web"]);
    for words in
        ["redirect URIs           https://app.example/callback\n", "authenticates by        client_secret_basic\n"]
    {
        assert!(shown.contains(words), "{shown}");
    }

    assert!(place.ok(&["client", "disable", "web"]).starts_with("Disabled web."));
    assert!(place.ok(&["client", "disable", "web"]).contains("already"));
    assert_eq!(place.json(&["client", "show", "web"])["disabled"], true);
    assert!(place.ok(&["client", "enable", "web"]).starts_with("Enabled web."));
    assert!(place.ok(&["client", "enable", "web"]).contains("already"));
    assert_eq!(place.json(&["client", "show", "web"])["disabled"], false);

    assert!(place.ok(&["client", "delete", "web"]).starts_with("Deleted web (Web shop)"));
    place.run(&["client", "show", "web"]).expect_refused(1, "no client has the id web");
    assert_eq!(place.json(&["client", "list"]), json!([]));
}

#[test]
fn json_is_the_client_information_response_of_rfc_7591() {
    let place = Place::new();
    let arguments = [
        "client",
        "create",
        "--name",
        "Everything",
        "--id",
        "all",
        "--auth-method",
        "client_secret_post",
        "--redirect-uri",
        CALLBACK,
        "--redirect-uri",
        "http://127.0.0.1/cb",
        "--redirect-uri",
        CALLBACK,
        "--post-logout-redirect-uri",
        "https://app.example/bye",
        "--grant-type",
        "client_credentials",
        "--grant-type",
        "authorization_code",
        "--scope",
        "write  read write",
        "--default-scope",
        "read",
        "--pkce",
        "optional",
        "--id-token-alg",
        "ES256",
        "--access-token-lifetime",
        "5m",
        "--refresh-idle-lifetime",
        "1d",
        "--refresh-absolute-lifetime",
        "2d",
        "--always-refresh",
        "--resource-server",
        "--skip-consent",
        "--client-uri",
        "https://app.example",
    ];
    let mut created = place.json(&arguments);
    let secret = created.as_object_mut().unwrap().remove("client_secret").unwrap();
    assert_eq!(secret.as_str().unwrap().len(), 43);
    let issued_at = created["client_id_issued_at"].as_i64().unwrap();
    assert!(issued_at > 1_700_000_000);

    let expected = json!({
        "client_id": "all",
        "client_id_issued_at": issued_at,
        "client_secret_expires_at": 0,
        "disabled": false,
        "verified": true,
        "client_name": "Everything",
        "client_uri": "https://app.example",
        "redirect_uris": [CALLBACK, "http://127.0.0.1/cb"],
        "post_logout_redirect_uris": ["https://app.example/bye"],
        "token_endpoint_auth_method": "client_secret_post",
        "grant_types": ["client_credentials", "authorization_code"],
        "scope": "read write",
        "default_scope": "read",
        "id_token_signed_response_alg": "ES256",
        "pkce": "optional",
        "access_token_lifetime": 300,
        "refresh_token_idle_lifetime": 86_400,
        "refresh_token_absolute_lifetime": 172_800,
        "always_issue_refresh_token": true,
        "resource_server": true,
        "skip_consent": true,
    });
    assert_eq!(created, expected);
    assert_eq!(place.json(&["client", "show", "all"]), expected);
    let told = place.ok(&["client", "show", "all"]);
    assert!(told.contains("resource_server") && !told.contains("dpop_bound_access_tokens"), "{told}");
    place.ok(&["client", "update", "all", "--set", "dpop_bound_access_tokens=true"]);
    assert!(place.ok(&["client", "show", "all"]).contains("dpop_bound_access_tokens  true"));
    place.ok(&["client", "update", "all", "--set", "dpop_bound_access_tokens=false"]);
    assert_eq!(place.json(&["client", "list"]), json!([expected]));
}

#[test]
fn what_is_left_out_is_what_the_client_needs() {
    let place = Place::new();
    let service = place.json(&["client", "create", "--name", "Service"]);
    assert_eq!(service["grant_types"], json!(["client_credentials"]));
    let told = "It acts for itself alone (client_credentials). For people to sign in to it, it needs a --redirect-uri.";
    assert!(place.ok(&["client", "create", "--name", "Other"]).contains(told));
    let said = ["client", "create", "--name", "Third", "--grant-type", "client_credentials"];
    assert!(!place.ok(&said).contains(told));
    assert_eq!(service["token_endpoint_auth_method"], "client_secret_basic");
    let id = service["client_id"].as_str().unwrap();
    assert!(id.len() == 22 && !id.starts_with('-'), "{id}");

    let api = place.json(&["client", "create", "--name", "API", "--resource-server"]);
    assert_eq!(api["grant_types"], json!([]));
    let told = place.ok(&["client", "create", "--name", "API", "--resource-server"]);
    assert!(!told.contains("--scope"), "{told}");

    let app = place.json(&["client", "create", "--name", "App", "--public", "--redirect-uri", "com.example.app:/cb"]);
    assert_eq!(app["grant_types"], json!(["authorization_code", "refresh_token"]));
    assert_eq!(app["token_endpoint_auth_method"], "none");
    assert!(app.get("client_secret").is_none() && app.get("client_secret_expires_at").is_none(), "{app}");
}

#[test]
fn a_secret_is_printed_once_and_kept_as_its_hash_alone() {
    let place = Place::new();
    let first = place.json(&["client", "create", "--name", "Service", "--id", "service"]);
    let first = first["client_secret"].as_str().unwrap();
    let second = place.json(&["client", "rotate-secret", "service"]);
    let second = second["client_secret"].as_str().unwrap();
    assert_ne!(first, second);
    assert!(place.keeps_in_clear("Service"), "the search finds what is there");

    for secret in [first, second] {
        assert!(!place.keeps_in_clear(secret));
        for arguments in [&["client", "show", "service"][..], &["client", "list"], &["client", "list", "--json"]] {
            assert!(!place.ok(arguments).contains(secret));
        }
    }
}

#[test]
fn a_secret_of_ones_own_is_read_from_standard_input_and_not_printed() {
    let place = Place::new();
    let secret = "a secret of one's own, 32 or longer";
    let create = ["client", "create", "--name", "Service", "--id", "service", "--secret-stdin"];
    let created = place.run_with(&create, &format!("{secret}\n")).expect_ok();
    assert!(created.contains("service") && !created.contains(secret), "{created}");
    assert!(!place.keeps_in_clear(secret));

    let rotate = ["client", "rotate-secret", "service", "--secret-stdin", "--json"];
    let rotated = place.run_with(&rotate, "another secret of one's own, as long").expect_ok();
    assert!(!rotated.contains("client_secret\""), "{rotated}");
    for weak in ["", "short\n", "11111111111111111111111111111111111111"] {
        assert_eq!(place.run_with(&rotate, weak).code, 2, "{weak:?}");
    }
}

#[test]
fn an_update_changes_what_it_names_and_nothing_else() {
    let place = Place::new();
    let create =
        ["client", "create", "--name", "Web", "--id", "web", "--redirect-uri", CALLBACK, "--scope", "openid email"];
    let mut expected = place.json(&create);
    expected.as_object_mut().unwrap().remove("client_secret");

    let other = "https://app.example/other";
    let update = |arguments: &[&str]| place.json(&[&["client", "update", "web"], arguments].concat());
    expected["client_name"] = json!("Shop");
    assert_eq!(update(&["--name", "Shop"]), expected);
    expected["redirect_uris"] = json!([CALLBACK, other]);
    assert_eq!(update(&["--add-redirect-uri", other, "--add-redirect-uri", CALLBACK]), expected);
    expected["redirect_uris"] = json!([other]);
    assert_eq!(update(&["--remove-redirect-uri", CALLBACK]), expected);
    expected["default_scope"] = json!("openid");
    expected["skip_consent"] = json!(true);
    assert_eq!(update(&["--default-scope", "openid", "--skip-consent"]), expected);
    expected.as_object_mut().unwrap().remove("default_scope");
    expected["skip_consent"] = json!(false);
    assert_eq!(update(&["--clear", "default-scope", "--no-skip-consent"]), expected);
    expected["scope"] = json!("openid");
    assert_eq!(update(&["--scope", "openid"]), expected);
    assert_eq!(place.json(&["client", "show", "web"]), expected);

    // Any member of the document, by its name.
    expected["client_uri"] = json!("https://app.example");
    expected["skip_consent"] = json!(true);
    assert_eq!(update(&["--set", "client_uri=\"https://app.example\"", "--set", "skip_consent=true"]), expected);
    expected.as_object_mut().unwrap().remove("client_uri");
    expected["skip_consent"] = json!(false);
    assert_eq!(update(&["--set", "client_uri=null", "--set", "skip_consent=false"]), expected);
    assert_eq!(place.json(&["client", "show", "web"]), expected);
    for (member, why) in [
        ("favourite_colour=\"blue\"", "no setting \"favourite_colour\""),
        ("client_name=7", "client_name"),
        ("client_name=null", "client_name"),
        ("client_uri=https://app.example", "not JSON"),
        ("client_uri", "name=json"),
        ("redirect_uris=[]", "at least one redirect URI"),
    ] {
        let code = if member.starts_with("redirect") { 1 } else { 2 };
        place.run(&["client", "update", "web", "--set", member]).expect_refused(code, why);
    }

    for arguments in [&["client", "update", "web"][..], &["client", "update", "web", "--scope", "openid"]] {
        assert_eq!(place.ok(arguments), "web is so already: nothing was changed.\n");
    }

    place.run(&["client", "update", "web", "--remove-redirect-uri", CALLBACK]).expect_refused(1, "not among");
    place.run(&["client", "update", "web", "--clear", "redirect-uri"]).expect_refused(1, "at least one redirect URI");
    assert_eq!(place.json(&["client", "show", "web"]), expected);
}

#[test]
fn a_client_that_turns_public_loses_its_secret_and_gets_a_new_one_when_it_turns_back() {
    let place = Place::new();
    place.ok(&["client", "create", "--name", "Web", "--id", "web", "--redirect-uri", CALLBACK]);
    let public = place.json(&["client", "update", "web", "--public"]);
    assert_eq!(public["token_endpoint_auth_method"], "none");
    assert!(public.get("client_secret_expires_at").is_none());
    place.run(&["client", "rotate-secret", "web"]).expect_refused(1, "public client");

    let confidential = place.json(&["client", "update", "web", "--auth-method", "client_secret_basic"]);
    assert_eq!(confidential["client_secret"].as_str().unwrap().len(), 43);
    let post = place.json(&["client", "update", "web", "--auth-method", "client_secret_post"]);
    assert!(post.get("client_secret").is_none(), "{post}");
}

#[test]
fn changes_from_many_sides_are_all_kept() {
    let place = Place::new();
    place.ok(&["client", "create", "--name", "Web", "--id", "web", "--redirect-uri", CALLBACK]);
    std::thread::scope(|scope| {
        for number in 0..4 {
            let place = &place;
            scope.spawn(move || {
                let uri = format!("https://app.example/{number}");
                place.ok(&["client", "update", "web", "--add-redirect-uri", &uri]);
            });
        }
    });
    let shown = place.json(&["client", "show", "web"]);
    assert_eq!(shown["redirect_uris"].as_array().unwrap().len(), 5, "{shown}");
}

#[test]
fn a_secret_serves_one_way_of_using_it() {
    let place = Place::new();
    let create = ["client", "create", "--name", "Web", "--id", "web", "--grant-type", "client_credentials"];
    let first = place.json(&create)["client_secret"].as_str().unwrap().to_owned();
    let method = |method: &str, more: &[&str]| {
        let out = place.ok(&[&["client", "update", "web", "--json", "--auth-method", method], more].concat());
        serde_json::from_str::<serde_json::Value>(&out).unwrap()
    };
    // Shown in another way, it is the same.
    assert!(method("client_secret_post", &[]).get("client_secret").is_none());
    // A hash verifies no MAC, so there is another; it lies in the database sealed.
    let second = method("client_secret_jwt", &[])["client_secret"].as_str().unwrap().to_owned();
    assert_ne!(first, second);
    assert!(!place.keeps_in_clear(&second));
    assert!(method("client_secret_jwt", &[]).get("client_secret").is_none());
    let third = place.json(&["client", "rotate-secret", "web"])["client_secret"].as_str().unwrap().to_owned();
    assert_ne!(second, third);
    // And back.
    assert!(method("client_secret_basic", &[])["client_secret"].as_str().is_some_and(|fourth| fourth != third));

    // With keys of its own it has none.
    let update = ["client", "update", "web", "--auth-method", "private_key_jwt"];
    place.run(&update).expect_refused(1, "private_key_jwt needs the client's public keys: set jwks or jwks_uri");
    let private = r#"jwks={"keys":[{"kty":"OKP","crv":"Ed25519","x":"AA","d":"AA"}]}"#;
    place.run(&[&update[..], &["--set", private]].concat()).expect_refused(1, "it has the member \"d\"");
    let jwks = r#"jwks={"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
    let document = method("private_key_jwt", &["--set", jwks]);
    assert!(document.get("client_secret").is_none() && document.get("client_secret_expires_at").is_none());
    place.run(&["client", "rotate-secret", "web"]).expect_refused(1, "web authenticates by private_key_jwt");
    place
        .run(&["client", "update", "web", "--set", "token_endpoint_auth_signing_alg=\"HS256\""])
        .expect_refused(1, "HS256 does not go with private_key_jwt");
}
