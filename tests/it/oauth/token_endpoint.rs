//! The token endpoint: what it takes, and what it says to the rest (OAuth 2.1 §3.2, RFC 6749 §3.2, §5.2).

use grantor::types::GrantType;
use http::Method;

use crate::each_database;
use crate::support::party::{SECRET, basic};
use crate::support::{Answer, Pkce, TestApp};

each_database!(
    a_body_must_be_a_form_of_a_sane_size,
    parameters_must_be_readable_and_stand_there_once,
    a_grant_type_must_be_known_and_allowed,
    a_token_is_for_this_issuer_or_for_nobody,
    only_post_is_answered,
    a_refusal_is_json_that_nobody_keeps,
);

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
const CREDENTIALS: &str = "grant_type=client_credentials&scope=notes%3Aread";

async fn a_body_must_be_a_form_of_a_sane_size(app: TestApp) {
    app.client("web").create().await;
    let authorization = basic("web", SECRET);
    let authorization = ("authorization", authorization.as_str());
    let post = async |content_type: &str, body: String| {
        app.post_raw("/oauth/token", &[authorization, ("content-type", content_type)], body).await
    };

    // RFC 6749 §3.2, appendix B
    for right in [
        "application/x-www-form-urlencoded",
        "application/x-www-form-urlencoded; charset=UTF-8",
        "Application/X-WWW-Form-URLEncoded ;charset=utf-8",
    ] {
        post(right, CREDENTIALS.to_owned()).await.expect_tokens();
    }
    let json = r#"{"grant_type":"client_credentials"}"#;
    for (wrong, body) in [
        ("application/json", json),
        ("application/json", CREDENTIALS),
        ("text/plain", CREDENTIALS),
        ("multipart/form-data; boundary=x", CREDENTIALS),
        ("application/x-www-form-urlencoded-not", CREDENTIALS),
        ("", CREDENTIALS),
    ] {
        post(wrong, body.to_owned()).await.expect_error("invalid_request").expect_status(400);
    }
    app.post_raw("/oauth/token", &[authorization], CREDENTIALS).await.expect_error("invalid_request");
    // Nor does the query count (RFC 6749 §2.3.1: "MUST NOT be included in the request URI").
    let query = format!("/oauth/token?{CREDENTIALS}&client_id=web&client_secret={SECRET}");
    app.post_raw(&query, &[FORM], "").await.expect_error("invalid_client");

    let limit = app.config.server.max_body_bytes;
    let padded = |length: usize| format!("{CREDENTIALS}&x={}", "x".repeat(length - CREDENTIALS.len() - 3));
    post(FORM.1, padded(limit)).await.expect_tokens();
    post(FORM.1, padded(limit + 1)).await.expect_error("invalid_request").expect_status(413);
    post(FORM.1, padded(limit * 4)).await.expect_error("invalid_request").expect_status(413);
}

async fn parameters_must_be_readable_and_stand_there_once(app: TestApp) {
    app.client("web").create().await;
    let authorization = basic("web", SECRET);
    let post = async |body: &[u8]| {
        app.post_raw("/oauth/token", &[("authorization", &authorization), FORM], body.to_vec()).await
    };
    for bad in [
        // RFC 6749 §3.2: "Request and response parameters MUST NOT be included more than once."
        &b"&grant_type=client_credentials"[..],
        b"&grant_type=",
        b"&scope=notes%3Awrite",
        b"&client_id=web&client_id=web",
        b"&x=1&x=1",
        b"&%78=1&x=1",
        b"&x=%",
        b"&x=%f",
        b"&x=%gg",
        b"&x=%00",
        b"&%00=x",
        b"&x=%ff",
        b"&x=%C0%80",
        b"&x=\xff",
        b"&x=\xc3\xa9",
        b"\0",
    ] {
        let body = [CREDENTIALS.as_bytes(), bad].concat();
        post(&body).await.expect_error("invalid_request").expect_status(400);
    }
    for fine in [&b"&x=%C3%A9"[..], b"&unknown=1", b"&&", b"&x", b"&audience=a&audience=b", b"&resource=&resource="] {
        post(&[CREDENTIALS.as_bytes(), fine].concat()).await.expect_tokens();
    }
}

async fn a_grant_type_must_be_known_and_allowed(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let pkce = Pkce::new();

    rp.post("/oauth/token", &[]).await.expect_error("invalid_request");
    rp.post("/oauth/token", &[("grant_type", "")]).await.expect_error("invalid_request");
    for unknown in [
        // OAuth 2.1 §10: the password grant is gone, and `implicit` was never one of this endpoint.
        "password",
        "implicit",
        "Authorization_Code",
        "authorization_code ",
        "code",
        "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "urn:ietf:params:oauth:grant-type:token-exchange",
        "\"\\\u{e9}",
    ] {
        let fields = [("grant_type", unknown), ("username", "ada"), ("password", crate::support::app::PASSWORD)];
        rp.post("/oauth/token", &fields).await.expect_error("unsupported_grant_type").expect_status(400);
    }
    rp.post("/oauth/token", &[("grant_type", "authorization_code")]).await.expect_error("invalid_request");
    rp.post("/oauth/token", &[("grant_type", "refresh_token")]).await.expect_error("invalid_request");

    // ASVS 10.4.4: each client has its grant types. Before anything of the grant is looked at.
    let machine = app.client("machine").grants(&[GrantType::ClientCredentials]).redirect_uris(&[]).create().await;
    let once = app.client("once").grants(&[GrantType::AuthorizationCode]).create().await;
    let spa = app.client("spa").public().create().await;
    machine.client_credentials("notes:read").await.expect_tokens();
    machine.redeem("x", &pkce).await.expect_error("unauthorized_client").expect_status(400);
    machine.refresh_with("x", &[]).await.expect_error("unauthorized_client");
    once.client_credentials("").await.expect_error("unauthorized_client");
    once.refresh_with("x", &[]).await.expect_error("unauthorized_client");
    spa.client_credentials("").await.expect_error("unauthorized_client");

    // Where there is no refresh grant, offline_access means nothing (OpenID Connect Core §11).
    let code = once.code(&app.person(), "ada", &pkce, &[]).await;
    let tokens = once.redeem(&code, &pkce).await.expect_tokens();
    assert_eq!((tokens.scope(), tokens.0.get("refresh_token")), ("openid", None));
}

async fn only_post_is_answered(app: TestApp) {
    // RFC 6749 §3.2: "The client MUST use the HTTP POST method when making access token requests."
    for method in [Method::GET, Method::HEAD, Method::PUT, Method::DELETE, Method::PATCH] {
        let request = app.http.request(method.clone(), format!("{}/oauth/token?{CREDENTIALS}", app.url));
        let answer = Answer::of(request.send().await.expect("the server answers")).await.expect_status(405);
        assert_eq!(answer.header("allow"), Some("POST"), "{method}");
    }
}

async fn a_refusal_is_json_that_nobody_keeps(app: TestApp) {
    let rp = app.client("web").create().await;
    for answer in [
        rp.post("/oauth/token", &[("grant_type", "password")]).await.expect_error("unsupported_grant_type"),
        rp.client_credentials("admin").await.expect_error("invalid_scope"),
        app.post("/oauth/token", &[]).await.expect_error("invalid_client"),
        app.post("/oauth/token", &[("client_id", "nobody")]).await.expect_error("invalid_client"),
    ] {
        // RFC 6749 §5.2, §5.1
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        // §5.2: "MUST NOT include characters outside the set %x20-21 / %x23-5B / %x5D-7E".
        let description = answer.json()["error_description"].as_str().expect("a description").to_owned();
        assert!(description.chars().all(|c| matches!(c, ' '..='!' | '#'..='[' | ']'..='~')), "{description}");
    }
    // What a stranger sent is repeated neither whole nor raw.
    let answer = rp.post("/oauth/token", &[("grant_type", &"\"<\u{e9}\r\n".repeat(1_000))]).await;
    let answer = answer.expect_error("unsupported_grant_type");
    assert!(answer.body.len() < 500, "{}", answer.body.len());
    let answer = rp.client_credentials(&"long".repeat(1_000)).await.expect_error("invalid_scope");
    assert!(answer.body.len() < 500, "{}", answer.body.len());
}

async fn a_token_is_for_this_issuer_or_for_nobody(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in("ada").await;
    let (person, pkce) = (app.person(), Pkce::new());
    let code = rp.code(&person, "ada", &pkce, &[]).await;
    // RFC 8707 §2: "invalid_target: The requested resource is invalid, missing, unknown, or malformed."
    let elsewhere = ("resource", "https://api.example");
    rp.redeem_with(&code, &pkce, &[elsewhere]).await.expect_error("invalid_target").expect_status(400);
    rp.refresh_with(tokens.refresh_token(), &[elsewhere]).await.expect_error("invalid_target");
    let credentials = ("grant_type", "client_credentials");
    rp.post("/oauth/token", &[credentials, elsewhere]).await.expect_error("invalid_target");
    rp.post("/oauth/token", &[credentials, ("resource", app.issuer()), elsewhere]).await.expect_error("invalid_target");
    // Nothing was burnt, and what we are is no other place.
    let here = ("resource", app.issuer());
    rp.redeem_with(&code, &pkce, &[here]).await.expect_tokens();
    rp.refresh_with(tokens.refresh_token(), &[here]).await.expect_tokens();
    let own = rp.post("/oauth/token", &[credentials, here]).await.expect_tokens();
    assert_eq!(crate::support::party::decode(own.access_token()).1["aud"], app.issuer());
}
