use std::fs;

use super::place::Place;

const CREATE: [&str; 4] = ["client", "create", "--name", "Web"];

#[test]
fn a_client_that_cannot_be_is_refused_and_nothing_is_kept() {
    let place = Place::new();
    let long = "x".repeat(101);
    for (arguments, code, words) in [
        (&["--redirect-uri", "http://app.example/cb"][..], 2, "must use https"),
        (&["--redirect-uri", "https://app.example/cb#part"], 2, "must not have a fragment"),
        (&["--redirect-uri", "javascript:alert(1)"], 2, "redirect URI"),
        (&["--redirect-uri", "/cb"], 2, "not an absolute URI"),
        (&["--grant-type", "password"], 2, "unknown grant type"),
        (&["--grant-type", "authorization_code"], 1, "at least one redirect URI"),
        (&["--grant-type", "refresh_token"], 1, "needs the authorization_code or device_code grant"),
        (&["--public"], 1, "at least one redirect URI"),
        (&["--public", "--grant-type", "client_credentials"], 1, "a public client cannot use"),
        (&["--public", "--redirect-uri", "https://a.example/", "--resource-server"], 1, "must authenticate"),
        (&["--public", "--redirect-uri", "https://a.example/", "--pkce", "optional"], 1, "PKCE is always required"),
        (&["--public", "--auth-method", "none"], 2, "cannot be used with"),
        (&["--public", "--secret-stdin"], 2, "cannot be used with"),
        (&["--auth-method", "none", "--redirect-uri", "https://a.example/", "--secret-stdin"], 2, "has no secret"),
        (&["--auth-method", "client_secret_saml"], 2, "unknown authentication method"),
        (&["--auth-method", "private_key_jwt"], 1, "needs the client's public keys"),
        (&["--auth-method", "private_key_jwt", "--set", "jwks={}", "--secret-stdin"], 1, "jwks: not a JWK Set"),
        (&["--scope", "read \"write\""], 2, "RFC 6749 section 3.3"),
        (&["--scope", "read", "--default-scope", "write"], 1, "default_scope must be within scope"),
        (&["--id", "with space"], 2, "visible ASCII"),
        (&["--id", "01890a5d-ac96-774b-bcce-b302099a8057"], 2, "must not be a UUID"),
        (&["--pkce", "never"], 2, "unknown PKCE policy"),
        (&["--id-token-alg", "none"], 2, "unknown algorithm"),
        (&["--id-token-alg", "HS256"], 1, "asymmetric"),
        (&["--id-token-alg", "EdDSA"], 1, "keys.algorithms"),
        (&["--access-token-lifetime", "2h"], 1, "at most 1h"),
        (&["--access-token-lifetime", "soon"], 2, "not a duration"),
        (&["--client-uri", "http://app.example"], 1, "client_uri must be an https URL"),
        (&["--name", &long], 2, "cannot be used multiple times"),
        (&["--redirct-uri", "https://a.example/"], 2, "unexpected argument '--redirct-uri'"),
    ] {
        place.run(&[&CREATE, arguments].concat()).expect_refused(code, words);
    }
    place.run(&["client", "create", "--name", &long]).expect_refused(1, "client_name must have");
    place.run(&["client", "create", "--name", "a\nb"]).expect_refused(1, "no control characters");
    place.run(&["client", "create"]).expect_refused(2, "--name");
    place
        .run_with(&[&CREATE[..], &["--secret-stdin"]].concat(), "hunter2\n")
        .expect_refused(2, "at least 32 characters");
    assert_eq!(place.json(&["client", "list"]), serde_json::json!([]));
}

#[test]
fn a_client_id_is_taken_once() {
    let place = Place::new();
    let create = [&CREATE[..], &["--id", "web"]].concat();
    place.ok(&create);
    place.run(&create).expect_refused(1, "there is a client with the id web already");
}

#[test]
fn what_is_not_there_is_told() {
    let place = Place::new();
    for verb in ["show", "disable", "enable", "delete", "rotate-secret"] {
        place.run(&["client", verb, "nobody"]).expect_refused(1, "no client has the id nobody");
        if verb != "rotate-secret" {
            place.run(&["user", verb, "nobody"]).expect_refused(1, "no user has the username, e-mail address or id");
        }
    }
    place.run(&["client", "update", "nobody", "--name", "N"]).expect_refused(1, "no client has the id nobody");
    place.run(&["user", "update", "nobody", "--name", "N"]).expect_refused(1, "no user has");
    place.run(&["user", "set-password", "nobody", "--password-stdin"]).expect_refused(1, "no user has");
}

#[test]
fn a_user_that_cannot_be_is_refused_and_nothing_is_kept() {
    let place = Place::new();
    let good = "engines that weave algebra";
    let long = "x".repeat(1_025);
    for (arguments, password, code, words) in [
        (&["--username", "ada"][..], "", 2, "nothing on standard input"),
        (&["--username", "ada"], "elevenchars", 1, "at least 12 characters"),
        (&["--username", "ada"], &long, 1, "at most 1024 bytes"),
        (&["--username", "ada"], "123456789012", 1, "tried first"),
        (&["--username", "ada"], "PasswordPassword", 1, "tried first"),
        (&["--username", "ada"], "Grantor-20262026", 1, "the name of this service"),
        (&["--username", "ada"], "ada123456789!", 1, "your own name"),
        (&["--username", "al", "--email", "lovelace@example.com"], "LOVELACE-1815", 1, "your own name"),
        (&["--username", "al", "--name", "Countess Lovelace"], "countess.1815", 1, "your own name"),
        (&["--username", ""], good, 1, "1 to 64 characters"),
        (&["--username", " ada"], good, 1, "white space"),
        (&["--username", "a\tda"], good, 1, "control characters"),
        (&["--username", "01890a5d-ac96-774b-bcce-b302099a8057"], good, 1, "must not be a UUID"),
        (&["--username", "eve@example.com", "--email", "ada@example.com"], good, 1, "own e-mail address"),
        (&["--username", "ada", "--email", "ada"], good, 1, "of the form name@host"),
        (&["--username", "ada", "--email-verified"], good, 1, "no e-mail address"),
        (&["--username", "ada", "--claim", "sub=1"], good, 2, "not a standard claim"),
        (&["--username", "ada", "--claim", "address=London"], good, 2, "JSON object"),
    ] {
        let arguments = [&["user", "create", "--password-stdin"], arguments].concat();
        place.run_with(&arguments, password).expect_refused(code, words);
    }
    place.run(&["user", "create", "--username", "ada"]).expect_refused(2, "--password-stdin");
    place.run(&["user", "create", "--password-stdin"]).expect_refused(2, "--username");
    assert_eq!(place.json(&["user", "list"]), serde_json::json!([]));
}

#[test]
fn a_name_or_an_address_is_one_users_alone() {
    let place = Place::new();
    let create = |arguments: &[&str]| {
        place.run_with(&[&["user", "create", "--password-stdin"], arguments].concat(), "engines that weave algebra")
    };
    create(&["--username", "ada", "--email", "ada@example.com"]).expect_ok();
    create(&["--username", "ADA"]).expect_refused(1, "the username ADA is another user's already");
    create(&["--username", "bob", "--email", "Ada@Example.com"])
        .expect_refused(1, "the e-mail address Ada@Example.com is");
    create(&["--username", "ada@example.com"]).expect_refused(1, "ada@example.com is another user's already");
}

#[test]
fn a_place_that_cannot_be_used_is_told_with_its_name() {
    let place = Place::new();
    fs::write(place.path("file"), "").unwrap();
    fs::write(place.path("garbage.db"), "no database, but long enough to be one ".repeat(30)).unwrap();
    fs::write(place.path("typo.toml"), "[server]\nnmae = \"Acme\"\n[databse]\nurl = \"sqlite:a.db\"\n").unwrap();
    for (arguments, words) in [
        (["--data-dir", "file"], "the data directory file is not a directory"),
        (["--data-dir", "file/inside"], "file/inside cannot be used"),
        (["--database", "sqlite:missing/g.db"], "missing/g.db cannot be used: the directory missing is not there"),
        (["--database", "sqlite:garbage.db"], "garbage.db cannot be opened"),
        (["--database", "sqlite:."], "there is a directory of that name"),
        (["--database", "mysql://ada:s3cret@db/g"], "--database: database.url: must begin with"),
        (["--database", "postgres://ada:s3cret@127.0.0.1:1/g"], "postgres://ada:***@127.0.0.1:1/g cannot be opened"),
        (["--config", "missing.toml"], "missing.toml: cannot be read"),
        (["--config", "typo.toml"], "typo.toml:2: server.nmae"),
    ] {
        let done = place.run(&[&["client", "list"], &arguments[..]].concat());
        assert!(!done.err.contains("s3cret"), "{}", done.err);
        done.expect_refused(1, words);
    }
    let typos = place.run(&["--config", "typo.toml", "migrate"]).err;
    assert_eq!(typos.lines().filter(|line| line.starts_with("error: ")).count(), 2, "{typos}");
    place.run(&["--data-dir", "/proc/grantor", "migrate"]).expect_refused(1, "/proc/grantor cannot be used");
}

#[test]
fn every_place_is_used_as_it_is_named() {
    let place = Place::empty();
    assert_eq!(place.ok(&["migrate"]), "The schema of sqlite:./data/grantor.db is up to date.\n");
    assert!(place.path("data/grantor.db").exists());
    place.ok(&["migrate", "--data-dir", "other/place"]);
    assert!(place.path("other/place/grantor.db").exists());
    place.ok(&["--database", "sqlite:third.db", "migrate"]);
    assert!(place.path("third.db").exists());
    fs::write(place.path("g.toml"), "[server]\ndata_dir = \"fourth\"\n").unwrap();
    place.ok(&["migrate", "--config", "g.toml"]);
    assert!(place.path("fourth/grantor.db").exists());
}

#[test]
fn who_is_in_the_wrong_place_is_told() {
    let place = Place::empty();
    place
        .run(&["doctor"])
        .expect_refused(1, "there is no database at ./data/grantor.db: run this where the server runs");
    assert!(!place.path("data").exists(), "nothing was made");
    let create = ["client", "create", "--name", "Lost", "--redirect-uri", "https://lost.example/cb"];
    let done = place.run(&create);
    assert_eq!(done.code, 0);
    assert!(done.err.starts_with("Made the new database ./data/grantor.db. If a server runs already"), "{}", done.err);
    assert_eq!(place.run(&create).err, "", "it is new once");
}

#[test]
fn a_certificate_that_cannot_be_used_is_told_with_its_file() {
    let place = Place::new();
    let serve = |cert: &str, key: &str| {
        let toml = format!("[tls]\ncert = \"{cert}\"\nkey = \"{key}\"\n[server]\nlisten = \"127.0.0.1:0\"\n");
        fs::write(place.path("tls.toml"), toml).unwrap();
        place.run(&["serve", "--issuer", "https://localhost:8443", "--config", "tls.toml"])
    };
    fs::write(place.path("empty.pem"), "").unwrap();
    for (cert, key, why) in [
        ("missing.pem", "empty.pem", "tls.cert missing.pem: "),
        ("empty.pem", "empty.pem", "tls.cert empty.pem: there is no certificate in it"),
    ] {
        serve(cert, key).expect_refused(1, why);
    }
}

#[test]
fn the_demo_keeps_away_from_a_database_that_somebody_uses() {
    let place = Place::new();
    let demo = ["demo", "--listen", "127.0.0.1:0", "--app-listen", "127.0.0.1:0", "--data-dir", "data"];
    place
        .run_with(&["user", "create", "--username", "bob", "--password-stdin"], "engines that weave algebra\n")
        .expect_ok();
    place.run(&demo).expect_refused(1, "the demo is for a database of its own");
    assert!(place.ok(&["user", "list"]).contains("bob"));

    let other = Place::new();
    other.ok(&["client", "create", "--name", "Web", "--id", "web"]);
    other.run(&demo).expect_refused(1, "the demo is for a database of its own");
    assert_eq!(other.json(&["client", "list"]).as_array().map(Vec::len), Some(1));
    // Nor does it make itself at home there.
    assert_eq!(other.json(&["user", "list"]), serde_json::json!([]));
}
