//! UserInfo (OpenID Connect Core §5.3) and bearer tokens (RFC 6750).

use grantor::types::Clock;
use http::Method;
use serde_json::{Map, Value, json};

use crate::each_database;
use crate::support::{Answer, Party, TestApp};

each_database!(
    each_scope_gives_its_claims_and_no_others,
    claims_that_are_not_known_are_left_out,
    a_token_comes_in_the_header_or_in_a_form,
    a_token_comes_in_one_way,
    without_a_token_nothing_is_said_but_how_to_bring_one,
    a_token_that_is_not_good_is_invalid,
    a_token_without_openid_is_not_enough,
    a_token_dies_with_its_user,
    what_changed_of_a_user_is_told_at_once,
);

/// Everything that OpenID Connect Core §5.1 names.
fn everything() -> Map<String, Value> {
    let claims = json!({
        "name": "Ada Lovelace", "family_name": "Lovelace", "given_name": "Ada", "middle_name": "King",
        "nickname": "Countess", "profile": "https://ada.example/", "picture": "https://ada.example/me.png",
        "website": "https://ada.example/", "gender": "female", "birthdate": "1815-12-10",
        "zoneinfo": "Europe/London", "locale": "en-GB",
        "address": { "locality": "London", "country": "GB" },
        "phone_number": "+44 20 7946 0000", "phone_number_verified": true,
    });
    serde_json::from_value(claims).expect("it is an object")
}

async fn each_scope_gives_its_claims_and_no_others(app: TestApp) {
    let ada = app.user_with("ada", |user| user.claims = everything()).await;
    let rp = app.client("web").create().await;
    let person = app.person();
    let profile = json!({
        "name": "Ada Lovelace", "family_name": "Lovelace", "given_name": "Ada", "middle_name": "King",
        "nickname": "Countess", "preferred_username": "ada", "profile": "https://ada.example/",
        "picture": "https://ada.example/me.png", "website": "https://ada.example/", "gender": "female",
        "birthdate": "1815-12-10", "zoneinfo": "Europe/London", "locale": "en-GB",
        "updated_at": app.clock.now().secs(),
    });
    let email = json!({ "email": "ada@example.org", "email_verified": true });
    let address = json!({ "address": { "locality": "London", "country": "GB" } });
    let phone = json!({ "phone_number": "+44 20 7946 0000", "phone_number_verified": true });
    let none = json!({});
    // OpenID Connect Core §5.4
    for (scope, parts) in [
        ("openid", vec![&none]),
        ("openid profile", vec![&profile]),
        ("openid email", vec![&email]),
        ("openid address", vec![&address]),
        ("openid phone", vec![&phone]),
        ("openid notes:read offline_access", vec![&none]),
        ("openid phone email", vec![&phone, &email]),
        ("openid profile email address phone", vec![&profile, &email, &address, &phone]),
    ] {
        // OpenID Connect Core §5.3.2: "The sub Claim MUST always be returned".
        let mut expected = Map::from_iter([("sub".to_owned(), json!(ada.to_string()))]);
        for part in parts {
            expected.extend(part.as_object().expect("an object").clone());
        }
        let tokens = rp.sign_in_with(&person, "ada", &[("scope", scope)]).await;
        let answer = rp.userinfo(tokens.access_token()).await.expect_status(200);
        assert_eq!(answer.header("content-type"), Some("application/json"), "OpenID Connect Core §5.3.2");
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert_eq!(answer.json(), Value::Object(expected), "{scope}");
    }
}

async fn claims_that_are_not_known_are_left_out(app: TestApp) {
    let bob = app.user_with("bob", |user| {
        user.email = None;
        user.claims = Map::new();
    });
    let bob = bob.await;
    let rp = app.client("web").create().await;
    let scope = [("scope", "openid profile email address phone")];
    let tokens = rp.sign_in_with(&app.person(), "bob", &scope).await;
    // OpenID Connect Core §5.3.2: "that Claim Name SHOULD be omitted"; nothing is null or empty.
    let expected = json!({ "sub": bob.to_string(), "preferred_username": "bob", "updated_at": app.clock.now().secs() });
    assert_eq!(rp.userinfo(tokens.access_token()).await.json(), expected);
}

/// A request to UserInfo, with whatever headers and body.
async fn ask(app: &TestApp, method: Method, headers: &[(&str, &str)], body: Option<String>) -> Answer {
    let mut request = app.http.request(method, format!("{}/oauth/userinfo", app.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if let Some(body) = body {
        request = request.body(body);
    }
    Answer::of(request.send().await.expect("the server answers")).await
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn good_token(rp: &Party<'_>) -> String {
    rp.app.user("ada").await;
    rp.sign_in("ada").await.access_token().to_owned()
}

async fn a_token_comes_in_the_header_or_in_a_form(app: TestApp) {
    let rp = app.client("web").create().await;
    let token = good_token(&rp).await;
    let bearer = format!("Bearer {token}");
    let lower = format!("bearer {token}");
    // OpenID Connect Core §5.3: "MUST support the use of the HTTP GET and HTTP POST methods"; RFC 6750 §2.1, §2.2.
    for (method, headers, body) in [
        (Method::GET, vec![("authorization", &*bearer)], None),
        (Method::GET, vec![("authorization", &*lower)], None), // RFC 9110 §11.1: case-insensitive
        (Method::POST, vec![("authorization", &*bearer)], None),
        (Method::POST, vec![("authorization", &*bearer), FORM], Some(String::new())),
        (Method::POST, vec![("authorization", &*bearer), FORM], Some("other=x".to_owned())),
        (Method::POST, vec![FORM], Some(format!("access_token={token}"))),
        (Method::POST, vec![("authorization", "Basic eDp5"), FORM], Some(format!("access_token={token}"))),
        // RFC 6750 §2.2: a body of another type is not looked into, so it has no say.
        (Method::POST, vec![("authorization", &*bearer), ("content-type", "application/json")], Some("{}".into())),
        (Method::POST, vec![("authorization", &*bearer), ("content-type", "text/plain")], Some("?".into())),
    ] {
        let answer = ask(&app, method.clone(), &headers, body.clone()).await;
        assert_eq!(answer.status.as_u16(), 200, "{method} {headers:?} {body:?}: {}", answer.body);
        assert!(answer.json()["sub"].is_string());
    }
}

async fn a_token_comes_in_one_way(app: TestApp) {
    let rp = app.client("web").create().await;
    let token = good_token(&rp).await;
    let bearer = format!("Bearer {token}");
    // RFC 6750 §2: "MUST NOT use more than one method"; §3.1: invalid_request.
    for (headers, body) in [
        (vec![("authorization", &*bearer), FORM], format!("access_token={token}")),
        (vec![("authorization", &*bearer), FORM], "access_token=another".to_owned()),
        (vec![FORM], format!("access_token={token}&access_token={token}")),
        (vec![("authorization", &*bearer), ("authorization", &*bearer), FORM], String::new()),
    ] {
        let answer = ask(&app, Method::POST, &headers, Some(body)).await;
        answer.expect_error("invalid_request").expect_status(400);
    }
}

async fn without_a_token_nothing_is_said_but_how_to_bring_one(app: TestApp) {
    let rp = app.client("web").create().await;
    let token = good_token(&rp).await;
    let json = format!("{{\"access_token\":\"{token}\"}}");
    for (method, headers, body) in [
        (Method::GET, vec![], None),
        (Method::POST, vec![], None),
        (Method::POST, vec![FORM], Some(String::new())),
        (Method::POST, vec![FORM], Some("access_token=".to_owned())),
        (Method::GET, vec![("authorization", "Basic eDp5")], None),
        (Method::POST, vec![("content-type", "application/json")], Some(json)),
        (Method::GET, vec![FORM], Some(format!("access_token={token}"))), // RFC 6750 §2.2: never with GET
    ] {
        let answer = ask(&app, method.clone(), &headers, body.clone()).await;
        // RFC 6750 §3.1: "SHOULD NOT include an error code or other error information".
        assert_eq!(answer.status.as_u16(), 401, "{method} {headers:?} {body:?}: {}", answer.body);
        // RFC 9728 §5.1
        let challenge = format!("Bearer resource_metadata=\"{}/.well-known/oauth-protected-resource\"", app.issuer());
        assert_eq!((answer.header("www-authenticate"), &*answer.body), (Some(&*challenge), ""));
    }
    // OAuth 2.1 §5.1: never in the query, where it would stand in logs.
    app.get(&format!("/oauth/userinfo?access_token={token}")).await.expect_status(401);
}

fn expect_challenge(answer: Answer, status: u16, error: &str) {
    let challenge = answer.header("www-authenticate").expect("RFC 6750 §3: a challenge").to_owned();
    assert!(challenge.starts_with("Bearer resource_metadata=\"http"), "RFC 9728 §5.1: {challenge}");
    assert!(challenge.contains(&format!(", error=\"{error}\", error_description=\"")), "{challenge}");
    answer.expect_error(error).expect_status(status);
}

async fn a_token_that_is_not_good_is_invalid(app: TestApp) {
    let rp = app.client("web").create().await;
    let token = good_token(&rp).await;
    rp.userinfo(&token).await.expect_status(200);
    for bad in ["x", "a.b.c", "", "x y", &token[1..], &token[..token.len() - 4], &"x".repeat(20_000)] {
        expect_challenge(
            ask(&app, Method::GET, &[("authorization", &format!("Bearer {bad}"))], None).await,
            401,
            "invalid_token",
        );
    }
    rp.revoke(&token).await.expect_status(200);
    expect_challenge(rp.userinfo(&token).await, 401, "invalid_token");

    let other = rp.sign_in("ada").await;
    app.advance(600);
    expect_challenge(rp.userinfo(other.access_token()).await, 401, "invalid_token");
}

async fn a_token_without_openid_is_not_enough(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in_with(&app.person(), "ada", &[("scope", "profile email")]).await;
    let own = rp.client_credentials("profile").await.expect_tokens();
    for token in [tokens.access_token(), own.access_token()] {
        let answer = rp.userinfo(token).await;
        // RFC 6750 §3.1: 403, and it may say what is needed.
        assert!(
            answer.header("www-authenticate").is_some_and(|value| value.ends_with("scope=\"openid\"")),
            "{answer:?}"
        );
        expect_challenge(answer, 403, "insufficient_scope");
    }
}

async fn a_token_dies_with_its_user(app: TestApp) {
    let ada = app.user("ada").await;
    let bob = app.user("bob").await;
    let rp = app.client("web").create().await;
    let (adas, bobs) = (rp.sign_in("ada").await, rp.sign_in("bob").await);
    app.change(async |tx| tx.disable_user(ada, app.clock.now()).await).await;
    app.change(async |tx| tx.delete_user(bob, app.clock.now()).await).await;
    expect_challenge(rp.userinfo(adas.access_token()).await, 401, "invalid_token");
    expect_challenge(rp.userinfo(bobs.access_token()).await, 401, "invalid_token");

    // Even where nothing was announced: the row has the last word.
    app.user("eve").await;
    let eves = rp.sign_in("eve").await;
    rp.userinfo(eves.access_token()).await.expect_status(200);
    app.sql("UPDATE users SET disabled_at = 1 WHERE username = 'eve'").await;
    expect_challenge(rp.userinfo(eves.access_token()).await, 401, "invalid_token");
}

async fn what_changed_of_a_user_is_told_at_once(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in_with(&app.person(), "ada", &[("scope", "openid email")]).await;
    let mut ada = app.store.user_by_login("ada").await.unwrap().expect("she is there");
    ada.email = Some("countess@example.org".to_owned());
    ada.email_verified = false;
    app.change(async |tx| tx.update_user(&ada, app.clock.now()).await).await;
    let told = rp.userinfo(tokens.access_token()).await.json();
    assert_eq!((&told["email"], &told["email_verified"]), (&json!("countess@example.org"), &json!(false)));
}
