//! `grantor user import`: people who come from elsewhere sign in as they did there.

use std::fs;

use serde_json::{Value, json};

use super::live::Beside;
use super::place::Place;
use crate::each_database;
use crate::support::TestApp;

each_database!(users_of_django_sign_in_with_the_passwords_that_they_have);

const PASSWORD: &str = "engines that weave algebra, ü";

/// As Django 5.2 made them of `PASSWORD`, by the name of their kind.
const HASHES: [(&str, &str); 6] = [
    ("pbkdf2", "pbkdf2_sha256$1000000$NaClNaClNaClNaCl$D63zWuDS62ByuTq9jQr2STEJEqtYzFS1SvHSmhCkMdQ="),
    ("sha1", "pbkdf2_sha1$1000000$NaClNaClNaClNaCl$SbLAvf8roo8XC8Z4abPp/vj1nYE="),
    (
        "argon2",
        "argon2$argon2id$v=19$m=102400,t=2,p=8$TmFDbE5hQ2xOYUNsTmFDbA$3zEbqJ2ARK5oMT4Px5/56ajrAI6jGmiVioxO69ZmbBk",
    ),
    (
        "scrypt",
        "scrypt$16384$NaClNaClNaClNaCl$8$5$E0tXbSdY+CKYsYjU50ibwAbDX8H4LzLiFdbP24zn0jX28V18cgQQpFUE+6VD5dxl7bKyV69FwA906xKVLl/Cjw==",
    ),
    ("bcrypt256", "bcrypt_sha256$$2b$12$bpIHxDffn871h.RQy6KnKumphqv9kL2ushAGNWPV7qvoiljuirgtO"),
    ("bcrypt", "bcrypt$$2b$12$7fb5eWNilWVLDJysCKna.eazDdb8arxAzW0odjNYs4DYuA05r36u."),
];

fn row(number: usize, username: &str, password: &str) -> Value {
    json!({"model": "auth.user", "pk": number, "fields": {
        "password": password, "last_login": null, "is_superuser": false, "username": username,
        "first_name": "Ada", "last_name": "Lovelace", "email": format!("{username}@example.org"),
        "is_staff": false, "is_active": true, "date_joined": "2024-01-01T00:00:00Z",
        "groups": [7], "user_permissions": [],
    }})
}

fn group() -> Value {
    json!({"model": "auth.group", "pk": 7, "fields": {"name": "editors", "permissions": []}})
}

async fn users_of_django_sign_in_with_the_passwords_that_they_have(app: TestApp) {
    let beside = Beside::new(&app);
    let mut rows = vec![group()];
    rows.extend(HASHES.iter().enumerate().map(|(number, (name, hash))| row(number, name, hash)));
    rows.push(row(90, "unusable", "!8wjzxFe3j6zJKphM8BViG3SOE6ix9kloP5pogaS9"));
    let mut gone = row(91, "gone", HASHES[0].1);
    gone["fields"]["is_active"] = json!(false);
    rows.push(gone);
    let file = app.folder.path("dump.json");
    fs::write(&file, json!(rows).to_string()).unwrap();
    let import = ["user", "import", "--from", "django-json", file.to_str().unwrap()];
    assert_eq!(beside.ok(&[&import[..], &["--dry-run"]].concat()).await, "Would import 8 users.\n");
    assert_eq!(app.count("users").await, 0);
    assert_eq!(beside.ok(&import).await, "Imported 8 users.\n");
    assert_eq!(beside.ok(&import).await, "Imported 0 users; 8 are here already, and were left as they are.\n");

    let sign_in = async |username: &str, password: &str| {
        let person = app.person();
        person.sign_in(&person.get("/sign-in").await, username, password).await
    };
    for (name, hash) in HASHES {
        assert_eq!(sign_in(name, "engines that weave algebra, u").await.status, 422, "{name}");
        // Wrong passwords change nothing of it.
        let kept = hash.strip_prefix("argon2").unwrap_or(hash);
        assert_eq!(app.count(&format!("users WHERE username = '{name}' AND password_hash = '{kept}'")).await, 1);
        let account = sign_in(&format!("{name}@example.org"), PASSWORD).await;
        assert!(account.url.ends_with("/account") && account.body.contains("Ada Lovelace"), "{name}: {account:?}");
        // From then on it is one of ours.
        let own = format!("users WHERE username = '{name}' AND password_hash LIKE '$argon2id$v=19$m=64,t=1,p=1$%'");
        assert_eq!(app.count(&own).await, 1, "{name}");
        assert!(sign_in(name, PASSWORD).await.url.ends_with("/account"), "{name}");
    }
    for nobody in ["unusable", "gone"] {
        for password in [PASSWORD, "", "!8wjzxFe3j6zJKphM8BViG3SOE6ix9kloP5pogaS9"] {
            assert_eq!(sign_in(nobody, password).await.status, 422, "{nobody}");
        }
    }
    let shown: Value = serde_json::from_str(&beside.ok(&["user", "show", "pbkdf2", "--json"]).await).unwrap();
    assert_eq!(
        shown["claims"],
        json!({"given_name": "Ada", "family_name": "Lovelace", "name": "Ada Lovelace", "groups": ["editors"]})
    );
    assert_eq!((&shown["email"], &shown["email_verified"]), (&json!("pbkdf2@example.org"), &json!(false)));
}

#[test]
fn a_table_is_imported_whole_or_not_at_all() {
    let place = Place::new();
    let write = |text: &str| fs::write(place.path("people.csv"), text).unwrap();
    let import = ["user", "import", "--from", "csv", "people.csv"];
    write(&format!(
        "username,email,email_verified,name,password,groups,active\n\
         ada,ada@example.org,true,\"Lovelace, Ada\",{},staff; editors,\n\
         ,grace@example.org,no,,,,no\n",
        HASHES[0].1
    ));
    assert_eq!(place.ok(&import), "Imported 2 users.\n");
    let ada = place.json(&["user", "show", "ada"]);
    assert_eq!(ada["claims"], json!({"name": "Lovelace, Ada", "groups": ["staff", "editors"]}));
    assert_eq!((&ada["email_verified"], &ada["disabled"]), (&json!(true), &json!(false)));
    let grace = place.json(&["user", "show", "grace@example.org"]);
    assert_eq!((&grace["username"], &grace["disabled"]), (&json!("grace@example.org"), &json!(true)));

    write("username,password\nbob,\nbob,\ncleo,md5$x$d50b9ce14d81455c769d8d8988c01380\n two,\n");
    let refused = place.run(&import);
    for words in ["line 3: bob stands in the file before", "line 4: hashes of the kind \"md5\"", "line 5: a username"] {
        assert!(refused.err.contains(words), "{words}: {}", refused.err);
    }
    refused.expect_refused(1, "nobody was imported");
    assert_eq!(place.json(&["user", "list"]).as_array().map(Vec::len), Some(2));
    let text = place.ok(&[&import[..], &["--skip-refused"]].concat());
    assert!(text.starts_with("Left out:\n  line 3") && text.ends_with("Imported 1 user.\n"), "{text}");

    for (text, words) in [
        ("", "it needs a column username, or email"),
        ("name\nAda\n", "it needs a column username, or email"),
        ("username,passwort\nada,x\n", "no use for a column \"passwort\""),
        ("username,active\nada,perhaps\n", "line 2: active is \"perhaps\""),
        ("username,email\nada\n", "a line cannot be read"),
    ] {
        write(text);
        place.run(&import).expect_refused(1, words);
    }
    place.run(&["user", "import", "--from", "csv", "nowhere.csv"]).expect_refused(1, "nowhere.csv cannot be read");
}

#[test]
fn a_dump_of_another_model_is_told_by_its_name() {
    let place = Place::new();
    let mut own = row(1, "ada", "");
    own["model"] = json!("accounts.member");
    own["fields"].as_object_mut().unwrap().remove("username");
    own["fields"]["groups"] = json!([["editors"]]);
    fs::write(place.path("dump.json"), json!([group(), own]).to_string()).unwrap();
    let import = ["user", "import", "--from", "django-json", "dump.json"];
    place.run(&import).expect_refused(1, "only of accounts.member, auth.group: name the right one with --model");
    assert_eq!(place.ok(&[&import[..], &["--model", "accounts.Member"]].concat()), "Imported 1 user.\n");
    let ada = place.json(&["user", "show", "ada@example.org"]);
    assert_eq!((&ada["username"], &ada["claims"]["groups"]), (&json!("ada@example.org"), &json!(["editors"])));
    fs::write(place.path("dump.json"), "{}").unwrap();
    place.run(&import).expect_refused(1, "it is not what dumpdata writes");
}
