//! Client authentication (OAuth 2.1 §2.4, RFC 6749 §2.3): one method, the right secret, and the same words for the rest.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use grantor::types::AuthMethod;

use crate::each_database;
use crate::support::party::{SECRET, basic};
use crate::support::{Answer, Pkce, TestApp};

each_database!(
    a_secret_may_come_in_the_header_or_in_the_body,
    two_authentications_are_one_too_many,
    whoever_fails_hears_the_same_words,
    a_header_that_is_not_basic_is_refused,
    a_public_client_is_known_by_its_id_alone,
    assertions_are_not_taken_for_secrets,
);

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

async fn with_header(app: &TestApp, authorization: &str, body: &str) -> Answer {
    let body = format!("grant_type=client_credentials{body}");
    app.post_raw("/oauth/token", &[("authorization", authorization), FORM], body).await
}

async fn with_body(app: &TestApp, more: &[(&str, &str)]) -> Answer {
    let mut fields = vec![("grant_type", "client_credentials")];
    fields.extend(more);
    app.post("/oauth/token", &fields).await
}

async fn a_secret_may_come_in_the_header_or_in_the_body(app: TestApp) {
    // RFC 6749 §2.3.1: both halves are form-encoded, so an id may have a colon and a percent sign.
    for id in ["web", "https://app.example/client:1", "a%2Bb+c&d=e"] {
        app.client(id).create().await;
        with_header(&app, &basic(id, SECRET), "").await.expect_tokens();
        with_header(&app, &basic(id, SECRET).replace("Basic", "bASIC"), "").await.expect_tokens();
        with_body(&app, &[("client_id", id), ("client_secret", SECRET)]).await.expect_tokens();
        // One method still: mod_auth_openidc and others repeat their id.
        let repeated = form_urlencoded::byte_serialize(id.as_bytes()).collect::<String>();
        with_header(&app, &basic(id, SECRET), &format!("&client_id={repeated}")).await.expect_tokens();
        with_header(&app, &basic(id, SECRET), &format!("&client_id={repeated}&client_secret=")).await.expect_tokens();
    }
    // OAuth 2.1 §2.4.1: whichever of the two it was registered with.
    app.client("post").with(|client| client.token_endpoint_auth_method = AuthMethod::ClientSecretPost).create().await;
    with_header(&app, &basic("post", SECRET), "").await.expect_tokens();
    with_body(&app, &[("client_id", "post"), ("client_secret", SECRET)]).await.expect_tokens();
}

async fn two_authentications_are_one_too_many(app: TestApp) {
    app.client("web").create().await;
    app.client("other").create().await;
    let header = basic("web", SECRET);

    // RFC 6749 §2.3: "The client MUST NOT use more than one authentication method in each request."
    for body in [
        &format!("&client_secret={SECRET}"),
        &format!("&client_id=web&client_secret={SECRET}"),
        "&client_id=web&client_secret=wrong",
        &format!("&client_id=other&client_secret={SECRET}"),
        // Another id in the body is another client.
        "&client_id=other",
        "&client_id=nobody",
    ] {
        with_header(&app, &header, body).await.expect_error("invalid_request").expect_status(400);
    }
    let twice = [("authorization", header.as_str()), ("authorization", header.as_str()), FORM];
    let answer = app.post_raw("/oauth/token", &twice, "grant_type=client_credentials").await;
    answer.expect_error("invalid_request").expect_status(400);
    // At the other endpoints as well.
    for path in ["/oauth/introspect", "/oauth/revoke"] {
        let body = format!("token=x&client_id=web&client_secret={SECRET}");
        app.post_raw(path, &[("authorization", &header), FORM], body).await.expect_error("invalid_request");
    }
    // RFC 6749 §5.2: "no client authentication included".
    with_body(&app, &[]).await.expect_error("invalid_client").expect_status(401);
    with_body(&app, &[("client_secret", SECRET)]).await.expect_error("invalid_client");
}

async fn whoever_fails_hears_the_same_words(app: TestApp) {
    app.client("web").create().await;
    app.client("spa").public().create().await;
    app.client("closed").create().await;
    app.disable_client("closed").await;

    let mut words = Vec::new();
    for (id, secret) in [
        ("web", "wrong"),
        ("web", &SECRET[1..]),
        ("web", &format!("{SECRET} ")),
        ("web", &SECRET.to_uppercase()),
        ("nobody", SECRET),
        ("closed", SECRET),
        ("spa", SECRET),
        ("WEB", SECRET),
        ("we\u{e9}b", SECRET),
        (&"w".repeat(300), SECRET),
        ("0197c0de-0000-7000-8000-000000000000", SECRET),
    ] {
        // RFC 6749 §5.2: 401, and the scheme where the client tried the header.
        let answer = with_header(&app, &basic(id, secret), "").await.expect_error("invalid_client").expect_status(401);
        assert!(answer.header("www-authenticate").is_some_and(|value| value.starts_with("Basic realm=")), "{id}");
        words.push(answer.body);
        let answer = with_body(&app, &[("client_id", id), ("client_secret", secret)]).await;
        let answer = answer.expect_error("invalid_client").expect_status(401);
        assert_eq!(answer.header("www-authenticate"), None, "{id}");
        words.push(answer.body);
    }
    // A confidential client that merely names itself.
    for answer in [with_body(&app, &[("client_id", "web")]).await, with_header(&app, &basic("web", ""), "").await] {
        words.push(answer.expect_error("invalid_client").expect_status(401).body);
    }
    words.dedup();
    assert_eq!(words.len(), 1, "{words:?}");
}

async fn a_header_that_is_not_basic_is_refused(app: TestApp) {
    app.client("web").create().await;
    let encoded = |text: &[u8]| format!("Basic {}", STANDARD.encode(text));
    let unpadded = format!("Basic {}", URL_SAFE_NO_PAD.encode("web:??>>??"));
    for malformed in [
        "Basic",
        "Basic ",
        "Basic !!!!",
        &unpadded,
        &encoded(b""),
        &encoded(b"web"),
        &encoded(b":"),
        &encoded(format!(":{SECRET}").as_bytes()),
        &encoded(b"web:%"),
        &encoded(b"web:%zz"),
        &encoded(b"web:%00"),
        &encoded(b"web\0:x"),
        &encoded(b"web:\xff\xfe"),
        &encoded(b"w%FFb:x"),
        &format!("Bearer {SECRET}"),
        &format!("Digest username=\"web\", response=\"{SECRET}\""),
        SECRET,
    ] {
        let answer = with_header(&app, malformed, "").await.expect_error("invalid_client").expect_status(401);
        assert!(answer.header("www-authenticate").is_some_and(|value| value.starts_with("Basic ")), "{malformed}");
        // A header that proves nothing is not made good by the body (RFC 6749 §2.3).
        let body = format!("&client_id=web&client_secret={SECRET}");
        let answer = with_header(&app, malformed, &body).await;
        assert!(answer.status.is_client_error(), "{malformed}");
    }
    // Many clients do not encode, and what needs none is the same either way.
    with_header(&app, &encoded(format!("web:{SECRET}").as_bytes()), "").await.expect_tokens();
}

async fn a_public_client_is_known_by_its_id_alone(app: TestApp) {
    app.user("ada").await;
    let spa = app.client("spa").public().create().await;
    let pkce = Pkce::new();
    let code = spa.code(&app.person(), "ada", &pkce, &[]).await;
    let fields = [("grant_type", "authorization_code"), ("code", &code), ("code_verifier", &pkce.verifier)];

    // It has no secret, so who sends one is not the client that was registered.
    let mut with_secret = fields.to_vec();
    with_secret.extend([("client_id", "spa"), ("client_secret", SECRET)]);
    app.post("/oauth/token", &with_secret).await.expect_error("invalid_client");
    app.post("/oauth/token", &fields).await.expect_error("invalid_client");
    spa.post("/oauth/token", &fields).await.expect_tokens();

    // RFC 7662 §2.1: introspection is for those who prove who they are.
    spa.introspect("x").await.expect_error("invalid_client").expect_status(401);
    spa.revoke("x").await.expect_status(200);
}

async fn assertions_are_not_taken_for_secrets(app: TestApp) {
    app.client("web").create().await;
    app.client("spa").public().create().await;
    let kind = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    let assertion = ("client_assertion", "eyJhbGciOiJub25lIn0.eyJpc3MiOiJ3ZWIiLCJzdWIiOiJ3ZWIifQ.");
    for fields in [
        &[kind, assertion][..],
        &[("client_id", "web"), kind, assertion],
        &[("client_id", "spa"), kind, assertion],
        &[("client_id", "web"), ("client_secret", SECRET), kind],
        &[("client_id", "spa"), assertion],
        &[("client_id", "web"), assertion, ("client_assertion_type", "urn:ietf:params:oauth:grant-type:saml2-bearer")],
    ] {
        with_body(&app, fields).await.expect_error("invalid_client").expect_status(401);
    }
    // RFC 6749 §2.3: "MUST NOT use more than one authentication method in each request."
    let both = [("client_id", "web"), ("client_secret", SECRET), kind, assertion];
    with_body(&app, &both).await.expect_error("invalid_request").expect_status(400);
    let body = format!("&{}={}&{}={}", kind.0, kind.1, assertion.0, assertion.1);
    with_header(&app, &basic("web", SECRET), &body).await.expect_error("invalid_request").expect_status(400);
}
