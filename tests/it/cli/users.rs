use serde_json::json;

use super::place::Place;

const PASSWORD: &str = "engines that weave algebra";

#[test]
fn a_user_lives_from_create_to_delete() {
    let place = Place::new();
    assert!(place.ok(&["user", "list"]).contains("There is no user yet"));
    let create = [
        "user",
        "create",
        "--username",
        "ada",
        "--email",
        "Ada@example.com",
        "--email-verified",
        "--name",
        "Ada Lovelace",
        "--claim",
        "given_name=Ada",
        "--claim",
        r#"address={"locality":"London"}"#,
        "--password-stdin",
        "--json",
    ];
    let created = place.run_with(&create, &format!("{PASSWORD}\n")).expect_ok();
    let created: serde_json::Value = serde_json::from_str(&created).unwrap();
    let id = created["id"].as_str().unwrap();
    let expected = json!({
        "id": id,
        "username": "ada",
        "email": "Ada@example.com",
        "email_verified": true,
        "claims": { "name": "Ada Lovelace", "given_name": "Ada", "address": { "locality": "London" } },
        "groups": [],
        "created_at": created["created_at"],
        "updated_at": created["created_at"],
        "disabled": false,
    });
    assert_eq!(created, expected);
    let mut whole = expected.clone();
    whole["passkeys"] = json!(0);
    for name in ["ada", "ADA", "ada@EXAMPLE.com", id] {
        assert_eq!(place.json(&["user", "show", name]), whole, "{name}");
    }
    assert_eq!(place.json(&["user", "list"]), json!([expected]));
    assert!(place.ok(&["user", "list"]).ends_with(&format!("\n{id}  ada       Ada@example.com  Ada Lovelace\n")));
    let shown = place.ok(&["user", "show", "ada"]);
    assert!(shown.contains("Ada@example.com (verified)\n") && shown.contains("name        Ada Lovelace\n"), "{shown}");

    assert!(place.ok(&["user", "disable", "ada"]).starts_with("Disabled ada."));
    assert!(place.ok(&["user", "disable", "ada"]).contains("already"));
    assert_eq!(place.json(&["user", "show", "ada"])["disabled"], true);
    assert!(place.ok(&["user", "enable", "ada@example.com"]).starts_with("Enabled ada."));
    assert!(place.ok(&["user", "delete", id]).starts_with(&format!("Deleted ada ({id})")));
    place.run(&["user", "show", "ada"]).expect_refused(1, "no user has");
}

#[test]
fn a_user_is_shown_by_what_a_client_knows_them() {
    let place = Place::new();
    for name in ["ada", "grace"] {
        place.run_with(&["user", "create", "--username", name, "--password-stdin"], PASSWORD).expect_ok();
    }
    let client = |id: &str, host: &str, subject_type: &str| {
        let redirect = format!("https://{host}/cb");
        let of_type = format!("subject_type=\"{subject_type}\"");
        let create = ["client", "create", "--id", id, "--name", id, "--redirect-uri", &redirect, "--set", &of_type];
        place.ok(&create);
    };
    client("one", "a.example", "pairwise");
    client("other", "b.example", "pairwise");
    client("public", "a.example", "public");
    let shown = |user: &str, client: &str| place.json(&["user", "show", user, "--client", client]);
    let (ada, one) = (place.json(&["user", "show", "ada"]), shown("ada", "one"));
    assert_eq!(ada.get("sub"), None);
    assert_eq!(shown("ada", "public")["sub"], ada["id"]);
    let sub = one["sub"].as_str().unwrap();
    assert!(sub != ada["id"] && sub != shown("ada", "other")["sub"] && sub != shown("grace", "one")["sub"]);
    assert_eq!(shown(sub, "one"), one);
    assert_eq!(shown(ada["id"].as_str().unwrap(), "one"), one);
    assert!(place.ok(&["user", "show", sub, "--client", "one"]).contains(&format!("sub       {sub}\n")));
    // At another client it means nobody.
    for arguments in [&["user", "show", sub][..], &["user", "show", sub, "--client", "other"]] {
        place.run(arguments).expect_refused(1, "no user has");
    }
    place.run(&["user", "show", "ada", "--client", "none"]).expect_refused(1, "no client has the id");
}

#[test]
fn every_standard_claim_can_be_set() {
    let place = Place::new();
    place.run_with(&["user", "create", "--username", "ada", "--password-stdin"], PASSWORD).expect_ok();
    // OpenID Connect Core §5.1, but for those that the server knows by itself.
    let everything = json!({
        "name": "Ada Lovelace", "given_name": "Ada", "family_name": "Lovelace", "middle_name": "King",
        "nickname": "Countess", "profile": "https://ada.example/", "picture": "https://ada.example/me.png",
        "website": "https://ada.example/", "gender": "female", "birthdate": "1815-12-10",
        "zoneinfo": "Europe/London", "locale": "en-GB", "phone_number": "+44 20 7946 0000",
        "phone_number_verified": true, "address": {"street_address": "12 St James's Square\nLondon", "country": "UK"},
        // RFC 9068 §2.2.3.1
        "groups": ["staff", "editors"], "roles": ["admin"], "entitlements": ["print"],
    });
    let mut update: Vec<String> = ["user", "update", "ada"].map(str::to_owned).into();
    for (name, value) in everything.as_object().unwrap() {
        update.extend(["--claim".to_owned(), format!("{name}={value}")]);
    }
    let update: Vec<&str> = update.iter().map(String::as_str).collect();
    assert_eq!(place.json(&update)["claims"], everything);
    for (claim, words) in [
        ("birthdate=10.12.1815", "birthdate is a date"),
        ("picture=javascript:alert(1)", "picture is a URL"),
        ("groups=staff", "groups is a JSON list"),
        ("roles=[\"admin\", \"admin\"]", "roles is a JSON list of different texts"),
        ("email=ada@example.org", "--email"),
        ("preferred_username=countess", "--username"),
        ("updated_at=1", "changed last"),
        ("sub=1", "not a standard claim"),
    ] {
        place.run(&["user", "update", "ada", "--claim", claim]).expect_refused(2, words);
    }
    assert_eq!(place.json(&["user", "show", "ada"])["claims"], everything);
}

#[test]
fn neither_a_password_nor_its_hash_is_printed_and_only_the_hash_is_kept() {
    let place = Place::new();
    let create = ["user", "create", "--username", "ada", "--password-stdin"];
    let created = place.run_with(&create, PASSWORD).expect_ok();
    let other = "difference engines, number two";
    let set = place.run_with(&["user", "set-password", "ada", "--password-stdin"], other).expect_ok();
    assert_eq!(set, "ada has another password. Their sessions are ended.\n");
    for printed in [created, set, place.ok(&["user", "show", "ada", "--json"]), place.ok(&["user", "list", "--json"])] {
        assert!(!printed.contains("argon2") && !printed.contains(PASSWORD) && !printed.contains(other), "{printed}");
    }
    assert!(place.keeps_in_clear("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert!(!place.keeps_in_clear(PASSWORD) && !place.keeps_in_clear(other));
}

#[test]
fn an_update_changes_what_it_names_and_nothing_else() {
    let place = Place::new();
    let create =
        ["user", "create", "--username", "ada", "--email", "ada@example.com", "--email-verified", "--password-stdin"];
    place.run_with(&create, PASSWORD).expect_ok();
    place.run_with(&["user", "create", "--username", "bob@example.com", "--password-stdin"], PASSWORD).expect_ok();
    let update = |arguments: &[&str]| place.json(&[&["user", "update", "ada"], arguments].concat());

    let named = update(&["--name", "Ada", "--claim", "nickname=Countess"]);
    assert_eq!(named["claims"], json!({ "name": "Ada", "nickname": "Countess" }));
    assert_eq!(named["email_verified"], true);
    assert_eq!(update(&["--remove-claim", "name"])["claims"], json!({ "nickname": "Countess" }));
    assert_eq!(update(&["--claim", "nickname=null", "--claim", "locale=en"])["claims"], json!({ "locale": "en" }));
    // Another number is another promise, and so is another address.
    let number = |number: &str| ["--claim".to_owned(), format!("phone_number={number}")];
    let [claim, first] = number("+44 1");
    let called = update(&[&claim, &first, "--claim", "phone_number_verified=true"])["claims"].clone();
    assert_eq!(called, json!({ "locale": "en", "phone_number": "+44 1", "phone_number_verified": true }));
    assert_eq!(update(&[&claim, &first])["claims"], called);
    let [claim, second] = number("+44 2");
    assert_eq!(update(&[&claim, &second])["claims"], json!({ "locale": "en", "phone_number": "+44 2" }));
    update(&["--claim", "phone_number_verified=true"]);
    assert_eq!(update(&["--remove-claim", "phone_number"])["claims"], json!({ "locale": "en" }));
    let unsaid = ["user", "update", "ada", "--claim", "phone_number_verified=true"];
    place.run(&unsaid).expect_refused(1, "phone_number_verified is said of a phone_number");
    let moved = update(&["--email", "ada@example.org"]);
    assert_eq!((&moved["email"], &moved["email_verified"]), (&json!("ada@example.org"), &json!(false)));
    assert_eq!(update(&["--email-verified"])["email_verified"], true);
    assert_eq!(update(&["--no-email-verified"])["email_verified"], false);
    assert_eq!(update(&["--no-email"])["email"], json!(null));
    assert!(place.ok(&["user", "update", "ada", "--no-email"]).contains("so already"));

    for (arguments, words) in [
        (["--username", "BOB@example.com"], "the username BOB@example.com is another user's"),
        (["--email", "Bob@example.com"], "the e-mail address Bob@example.com is another user's"),
        (["--email", "bob"], "of the form name@host"),
    ] {
        place.run(&[&["user", "update", "ada"], &arguments[..]].concat()).expect_refused(1, words);
    }
    place.run(&["user", "update", "bob@example.com", "--username", "ADA"]).expect_refused(1, "the username ADA is");
    assert_eq!(update(&["--username", "countess"])["username"], "countess");
    place.run(&["user", "show", "ada"]).expect_refused(1, "no user has");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_factor_is_removed_by_an_administrator() {
    let app = crate::support::TestApp::spawn(crate::support::Engine::Sqlite).await;
    app.user("ada").await;
    let beside = super::live::Beside::new(&app);
    let remove = ["user", "remove-second-factor", "ada"];
    assert!(beside.ok(&remove).await.contains("ada has no second factor"));
    let person = app.person();
    person.sign_in_to_account("ada").await;
    person.sets_up_an_app(&app).await;
    assert!(beside.ok(&remove).await.starts_with("Removed the second factor of ada"));
    assert!(app.person().sign_in_to_account("ada").await.url.ends_with("/account"));

    let mut device = crate::support::authenticator::Authenticator::at(&app);
    person.adds_a_passkey(&mut device).await;
    let show = ["user", "show", "ada"];
    let shown = beside.ok(&show).await;
    assert!(shown.lines().any(|line| line.split_whitespace().eq(["passkeys", "1"])), "{shown}");
    assert!(beside.ok(&remove).await.starts_with("Removed the second factor of ada: apps, passkeys"));
    let shown = beside.ok(&show).await;
    assert!(shown.lines().any(|line| line.split_whitespace().eq(["passkeys", "0"])), "{shown}");
    let other = app.person();
    assert_eq!(other.shows(&other.get("/sign-in").await, &mut device).await.status, 422);
    assert!(app.person().sign_in_to_account("ada").await.url.ends_with("/account"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_lets_somebody_try_again_at_once() {
    let settings = "[throttle]\nfree_attempts_per_account = 2\nfirst_delay = \"10m\"";
    let app = crate::support::TestApp::with(crate::support::Engine::Sqlite, settings).await;
    app.user("ada").await;
    let beside = super::live::Beside::new(&app);
    let config = beside.with_the_seal_key();
    let unlock = ["--config", config.as_str(), "user", "unlock", "ada"];
    assert!(beside.ok(&unlock).await.contains("Nobody has guessed at ada lately"));
    let person = app.person();
    let attempt = async |password| person.sign_in(&person.get("/sign-in").await, "ada", password).await.status.as_u16();
    assert_eq!([attempt("wrong").await, attempt("wrong").await], [422, 422]);
    assert_eq!(attempt(crate::support::app::PASSWORD).await, 429);
    assert!(beside.ok(&unlock).await.starts_with("Forgot the wrong attempts at ada"));
    assert_eq!(attempt(crate::support::app::PASSWORD).await, 200);

    let mut device = crate::support::authenticator::Authenticator::at(&app);
    person.adds_a_passkey(&mut device).await;
    let attempt = async |forges: bool| {
        let (person, mut device) =
            (app.person(), crate::support::authenticator::Authenticator { forges, ..device.clone() });
        person.shows(&person.get("/sign-in").await, &mut device).await.status.as_u16()
    };
    for _ in 0..5 {
        assert_eq!(attempt(true).await, 422);
    }
    assert_eq!(attempt(false).await, 429);
    assert!(beside.ok(&unlock).await.starts_with("Forgot the wrong attempts at ada"));
    assert_eq!(attempt(false).await, 200);
}
