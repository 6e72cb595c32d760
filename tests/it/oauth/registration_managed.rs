//! Clients that manage their registration (RFC 7592), and what becomes of those that nobody uses.

use std::time::Duration;

use grantor::types::{ClientId, PkcePolicy};
use http::Method;
use serde_json::{Value, json};

use super::registration::{OPEN, party, register, registered, voucher};
use crate::each_engine;
use crate::support::behind::at_once;
use crate::support::{Answer, Engine, TestApp};

each_engine!(
    a_client_reads_what_is_registered_of_it,
    a_client_replaces_its_registration_as_a_whole,
    of_two_replacements_at_once_one_counts,
    a_client_deletes_itself_with_all_that_was_granted,
    who_is_not_the_client_is_refused,
    what_a_client_changes_is_not_verified_any_more,
    what_an_administrator_limited_stays_and_what_they_allowed_does_not,
    a_client_that_nobody_uses_goes_and_no_other,
);

const DAY: u64 = 86_400;
const CALLBACK: &str = "https://app.example/callback";

async fn manage(app: &TestApp, method: Method, client: &Value, document: Option<&Value>) -> Answer {
    let uri = client["registration_client_uri"].as_str().expect("there is an address");
    let token = client["registration_access_token"].as_str().expect("there is a token");
    let mut request = app.http.request(method, uri).bearer_auth(token);
    if let Some(document) = document {
        request = request.header("content-type", "application/json").body(document.to_string());
    }
    Answer::of(request.send().await.expect("the server answers")).await
}

fn id(client: &Value) -> ClientId {
    client["client_id"].as_str().unwrap().parse().unwrap()
}

async fn a_client_reads_what_is_registered_of_it(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    let client = registered(&app, &json!({ "redirect_uris": [CALLBACK], "client_name": "Poems" })).await;
    let answer = manage(&app, Method::GET, &client, None).await.expect_status(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let mut told = client.clone();
    // The secret is known to its hash alone; RFC 7592 §3 has it optional.
    for name in ["client_secret", "client_secret_expires_at"] {
        told.as_object_mut().unwrap().remove(name);
    }
    assert_eq!(answer.json(), told);
}

async fn a_client_replaces_its_registration_as_a_whole(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    app.user("ada").await;
    let first =
        registered(&app, &json!({ "redirect_uris": [CALLBACK], "client_name": "Poems", "scope": "openid" })).await;
    let document = json!({ "client_id": first["client_id"], "redirect_uris": ["https://new.example/cb"] });

    // RFC 7592 §2.2
    for (change, code) in [
        (json!({ "client_id": null }), "invalid_client_metadata"),
        (json!({ "client_id": "other" }), "invalid_client_metadata"),
        (json!({ "client_secret": "chosen" }), "invalid_client_metadata"),
        (json!({ "registration_access_token": first["registration_access_token"] }), "invalid_client_metadata"),
        (json!({ "registration_client_uri": "https://app.example" }), "invalid_client_metadata"),
        (json!({ "client_secret_expires_at": 0 }), "invalid_client_metadata"),
        (json!({ "client_id_issued_at": 1 }), "invalid_client_metadata"),
        (json!({ "redirect_uris": [] }), "invalid_redirect_uri"),
    ] {
        let mut wrong = document.clone();
        wrong.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        manage(&app, Method::PUT, &first, Some(&wrong)).await.expect_error(code).expect_status(400);
    }

    let mut right = document.clone();
    right["client_secret"] = first["client_secret"].clone();
    let second = manage(&app, Method::PUT, &first, Some(&right)).await.expect_status(200).json();
    assert_eq!(second["redirect_uris"], json!(["https://new.example/cb"]));
    // What is not there is not registered any more.
    assert_eq!(
        (&second["client_name"], &second["scope"]),
        (&json!("new.example"), &json!("email offline_access openid profile"))
    );
    // The secret stays; the token is another, and the old one is worth nothing.
    assert_eq!(second["client_secret"], Value::Null);
    assert_ne!(second["registration_access_token"], first["registration_access_token"]);
    manage(&app, Method::GET, &first, None).await.expect_error("invalid_token").expect_status(401);
    let mut rp = party(&app, &second);
    rp.secret = first["client_secret"].as_str().map(str::to_owned);
    rp.sign_in("ada").await;

    // A public client has no secret; one that was public gets another.
    let mut public = document.clone();
    public["token_endpoint_auth_method"] = json!("none");
    let third = manage(&app, Method::PUT, &second, Some(&public)).await.expect_status(200).json();
    assert_eq!(third["client_secret"], Value::Null);
    assert!(app.store.client(&id(&third)).await.unwrap().unwrap().secret_hash.is_none());
    let fourth = manage(&app, Method::PUT, &third, Some(&document)).await.expect_status(200).json();
    assert!(fourth["client_secret"].is_string() && fourth["client_secret"] != first["client_secret"]);
    assert_eq!(fourth["client_secret_expires_at"], 0);
}

async fn of_two_replacements_at_once_one_counts(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    let client = registered(&app, &json!({ "redirect_uris": [CALLBACK] })).await;
    let document = |n: i32| json!({ "client_id": client["client_id"], "redirect_uris": [CALLBACK], "client_name": format!("n{n}") });
    let documents: Vec<Value> = (0..8).map(document).collect();
    let answers = at_once(documents.iter().map(|document| manage(&app, Method::PUT, &client, Some(document)))).await;
    let (done, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status.is_success());
    assert_eq!(done.len(), 1);
    for answer in refused {
        answer.expect_error("invalid_token").expect_status(401);
    }
    let last = manage(&app, Method::GET, &done[0].json(), None).await.expect_status(200).json();
    assert_eq!(last["client_name"], done[0].json()["client_name"]);
}

async fn a_client_deletes_itself_with_all_that_was_granted(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    app.user("ada").await;
    let document = json!({ "redirect_uris": [CALLBACK], "grant_types": ["authorization_code", "refresh_token"] });
    let client = registered(&app, &document).await;
    let rp = party(&app, &client);
    let tokens = rp.sign_in("ada").await;
    app.introspect(tokens.access_token()).await.expect_active();

    let answer = manage(&app, Method::DELETE, &client, None).await.expect_status(204);
    assert_eq!((answer.body.as_str(), answer.header("cache-control")), ("", Some("no-store")));
    app.introspect(tokens.access_token()).await.expect_inactive();
    rp.refresh(&tokens).await.expect_error("invalid_client");
    for method in [Method::GET, Method::DELETE] {
        manage(&app, method, &client, None).await.expect_error("invalid_token").expect_status(401);
    }
    assert_eq!((app.count("grants").await, app.count("consents").await), (0, 0));
}

async fn who_is_not_the_client_is_refused(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    app.client("made").create().await;
    let document = json!({ "redirect_uris": [CALLBACK] });
    let (client, other) = (registered(&app, &document).await, registered(&app, &document).await);
    let put = json!({ "client_id": client["client_id"], "redirect_uris": [CALLBACK] });
    let uri = |id: &str| json!(format!("{}/oauth/register/{id}", app.url));
    let mut wrong = Vec::new();
    for token in [&other["registration_access_token"], &client["client_secret"], &json!("x"), &json!("")] {
        wrong.push(
            json!({ "registration_client_uri": client["registration_client_uri"], "registration_access_token": token }),
        );
    }
    // A client that is not there, and one that no token manages.
    for id in ["nobody", "made", "%00", "0197c0de-0000-4000-8000-000000000000"] {
        let token = &client["registration_access_token"];
        wrong.push(json!({ "registration_client_uri": uri(id), "registration_access_token": token }));
    }
    for wrong in &wrong {
        for (method, document) in [(Method::GET, None), (Method::PUT, Some(&put)), (Method::DELETE, None)] {
            manage(&app, method, wrong, document).await.expect_error("invalid_token").expect_status(401);
        }
    }
    // RFC 7592 §2.1: nor is a disabled client told anything.
    app.disable_client(client["client_id"].as_str().unwrap()).await;
    for (method, document) in [(Method::GET, None), (Method::PUT, Some(&put)), (Method::DELETE, None)] {
        manage(&app, method, &client, document).await.expect_error("invalid_token").expect_status(401);
    }
    manage(&app, Method::GET, &other, None).await.expect_status(200);
    assert_eq!(app.count("clients").await, 3);
}

async fn what_a_client_changes_is_not_verified_any_more(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    voucher(&app, "good", 1, true).await;
    let mut document = json!({ "redirect_uris": [CALLBACK], "client_name": "Poems" });
    let first = register(&app, Some("good"), &document).await.expect_status(201).json();
    let verified = async || app.store.client(&id(&first)).await.unwrap().unwrap().is_verified();
    assert!(verified().await);
    document["client_id"] = first["client_id"].clone();
    let second = manage(&app, Method::PUT, &first, Some(&document)).await.expect_status(200).json();
    assert!(verified().await, "nothing is new");
    document["client_name"] = json!("Your bank");
    manage(&app, Method::PUT, &second, Some(&document)).await.expect_status(200);
    assert!(!verified().await);
}

async fn what_an_administrator_limited_stays_and_what_they_allowed_does_not(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    let first = registered(&app, &json!({ "redirect_uris": [CALLBACK] })).await;
    let (minute, name) = (Duration::from_mins(1), first["client_id"].as_str().unwrap());
    app.reregister(name, |client| {
        (client.pkce, client.access_token_lifetime) = (Some(PkcePolicy::Required), Some(minute));
        (client.skip_consent, client.resource_server, client.always_issue_refresh_token) = (true, true, true);
    })
    .await;
    let document = json!({ "client_id": name, "redirect_uris": ["https://new.example/cb"] });
    manage(&app, Method::PUT, &first, Some(&document)).await.expect_status(200);
    let metadata = app.store.client(&id(&first)).await.unwrap().unwrap().metadata.clone();
    assert_eq!((metadata.pkce, metadata.access_token_lifetime), (Some(PkcePolicy::Required), Some(minute)));
    assert!(!metadata.skip_consent && !metadata.resource_server && !metadata.always_issue_refresh_token);
}

async fn a_client_that_nobody_uses_goes_and_no_other(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    app.user("ada").await;
    voucher(&app, "good", 1, true).await;
    let document = json!({ "redirect_uris": [CALLBACK] });
    app.client("made").create().await;
    let (unused, used) = (registered(&app, &document).await, registered(&app, &document).await);
    let vouched = register(&app, Some("good"), &document).await.expect_status(201).json();
    party(&app, &used).sign_in("ada").await;

    app.advance(7 * DAY - 1);
    app.sweep().await;
    assert_eq!(app.count("clients").await, 4);
    app.advance(2);
    app.sweep().await;
    assert!(app.store.client(&id(&unused)).await.unwrap().is_none());
    manage(&app, Method::GET, &unused, None).await.expect_error("invalid_token");
    assert_eq!(app.count("registration_tokens").await, 0, "they have expired");
    // Who was used once stays, long after its grant is gone.
    app.advance(200 * DAY);
    app.sweep().await;
    app.advance(2 * DAY);
    app.sweep().await;
    for client in [&used, &vouched] {
        assert!(app.store.client(&id(client)).await.unwrap().is_some());
    }
    assert_eq!((app.count("clients").await, app.count("grants").await), (3, 0));
}
