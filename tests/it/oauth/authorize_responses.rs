//! How the answer of the authorization endpoint travels (RFC 6749 §4.1.2, RFC 9207, Form Post Response Mode).

use http::Method;

use super::authorize::refused_at_the_client;
use crate::each_database;
use crate::support::app::PASSWORD;
use crate::support::{Answer, Page, Party, Person, Pkce, TestApp};

each_database!(
    state_comes_back_byte_for_byte_whatever_the_answer_and_its_way,
    an_answer_is_posted_where_that_is_asked_and_an_error_too,
    a_redirect_uri_with_a_query_comes_back_intact,
    a_request_may_be_posted,
    other_methods_are_refused,
    looking_at_the_address_does_nothing,
);

/// Signed in, with everything allowed before: a right request is answered at once.
async fn settled(app: &TestApp, rp: &Party<'_>) -> Person {
    app.user("ada").await;
    let person = app.person();
    rp.sign_in_with(&person, "ada", &[]).await;
    person
}

async fn state_comes_back_byte_for_byte_whatever_the_answer_and_its_way(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, pkce) = (settled(&app, &rp).await, Pkce::new());
    let printable: String = (' '..='~').collect();
    for state in [
        printable.as_str(),
        "a&b=c;d",
        "\"><script>alert('x')</script>",
        "&quot;&#34;&amp;amp;",
        " two  spaces ",
        "%41%2B+%",
        "{\"return\":\"/notes?x=1#top\"}",
        " ",
    ] {
        // RFC 6749 §4.1.2: "The exact value received from the client."
        let page = rp.authorize(&person, &pkce, &[("state", state)]).await;
        assert!(page.param("code").is_some(), "{}", page.url);
        assert_eq!(page.param("state").as_deref(), Some(state));
        let page = rp.authorize(&person, &pkce, &[("state", state), ("scope", "admin")]).await;
        refused_at_the_client(&app, &page, "invalid_scope", state);
        assert_eq!(page.param("state").as_deref(), Some(state));

        for (changes, member) in [(("prompt", "none"), "code"), (("scope", "admin"), "error")] {
            let form_post = [("response_mode", "form_post"), ("state", state), changes];
            let (_, fields) = rp.authorize(&person, &pkce, &form_post).await.posts();
            assert!(fields.contains_key(member), "{fields:?}");
            assert_eq!(fields.get("state").map(String::as_str), Some(state));
        }
    }
}

async fn an_answer_is_posted_where_that_is_asked_and_an_error_too(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, pkce) = (settled(&app, &rp).await, Pkce::new());
    let posted = |page: &Page| {
        // Form Post Response Mode §2: the parameters are form values, and none stands in an address.
        assert_eq!(page.status.as_u16(), 200, "{}", page.body);
        assert!(page.header("location").is_none());
        assert_eq!(page.header("cache-control"), Some("no-store"));
        let policy = page.header("content-security-policy").unwrap_or_default();
        assert!(policy.contains("form-action 'self' https://app.example;"), "{policy}");
        assert!(!policy.contains("unsafe-inline"), "{policy}");
        let (action, fields) = page.posts();
        assert_eq!(action, "https://app.example/callback");
        assert_eq!(fields.get("iss").map(String::as_str), Some(app.issuer()), "RFC 9207 §2");
        assert_eq!(fields.get("state").map(String::as_str), Some("a state"));
        fields
    };

    let page = rp.authorize(&person, &pkce, &[("response_mode", "form_post")]).await;
    let fields = posted(&page);
    assert_eq!(fields.len(), 3, "{fields:?}");
    rp.redeem(&fields["code"], &pkce).await.expect_tokens();

    // Every kind of error: of the request, of the session, of the person.
    for (error, changes) in [
        ("unsupported_response_type", ("response_type", "token")),
        ("invalid_scope", ("scope", "openid admin\"")),
        ("consent_required", ("scope", "openid profile")),
    ] {
        let form_post = [("response_mode", "form_post"), ("prompt", "none"), changes];
        let fields = posted(&rp.authorize(&person, &pkce, &form_post).await);
        assert_eq!(fields["error"], error);
        assert!(fields["error_description"].len() > 10 && !fields.contains_key("code"), "{fields:?}");
    }
    let page = rp.authorize(&person, &pkce, &[("response_mode", "form_post"), ("prompt", "consent")]).await;
    assert!(page.asks_for_consent(), "{page:?}");
    assert_eq!(posted(&person.decide(&page, "deny").await)["error"], "access_denied");
}

async fn a_redirect_uri_with_a_query_comes_back_intact(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    // RFC 6749 §3.1.2: the query component "MUST be retained when adding additional query parameters".
    for (id, uri, separator) in [
        ("query", "https://app.example/cb?tenant=a%20b+c&x=%E9&empty=", "&"),
        ("bare", "https://app.example/cb?", ""),
        ("native", "com.example.app:/cb", "?"),
    ] {
        let rp = app.client(id).redirect_uris(&[uri]).create().await;
        let pkce = Pkce::new();
        let mut page = rp.authorize(&person, &pkce, &[]).await;
        if page.asks_to_sign_in() {
            page = person.sign_in(&page, "ada", PASSWORD).await;
        }
        let page = person.decide(&page, "allow").await;
        assert!(page.url.starts_with(&format!("{uri}{separator}code=")), "{}", page.url);
        assert!(!page.url.contains('#'), "{}", page.url);
        rp.redeem(&page.code(), &pkce).await.expect_tokens();
    }
}

async fn a_request_may_be_posted(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, pkce) = (settled(&app, &rp).await, Pkce::new());
    let request = rp.request(&pkce);
    let fields: Vec<_> = request.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();

    // OpenID Connect Core §3.1.2.1: "MUST support the use of the HTTP GET and POST methods".
    let page = person.post("/oauth/authorize", &fields).await;
    assert_eq!(page.param("state").as_deref(), Some("a state"));
    rp.redeem(&page.code(), &pkce).await.expect_tokens();
    let page = app.person().post("/oauth/authorize", &fields).await;
    assert!(page.asks_to_sign_in(), "{page:?}");

    // It is answered with a redirect that a browser follows with its cookies, by GET (OAuth 2.1 §7.5.3).
    let answer = app.post("/oauth/authorize", &fields).await.expect_status(303);
    assert!(answer.header("location").is_some_and(|to| to.starts_with("/oauth/authorize/continue?")), "{answer:?}");

    let body = crate::support::party::encode(&request);
    for (kind, status) in [("application/json", 400), ("text/plain", 400), ("multipart/form-data; boundary=x", 400)] {
        app.post_raw("/oauth/authorize", &[("content-type", kind)], body.clone()).await.expect_status(status);
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let large = format!("{body}&x={}", "x".repeat(app.config.server.max_body_bytes));
    app.post_raw("/oauth/authorize", &form, large).await.expect_status(413);
    app.post_raw("/oauth/authorize", &form, b"client_id=w\xffb".to_vec()).await.expect_status(400);
}

async fn other_methods_are_refused(app: TestApp) {
    let rp = app.client("web").create().await;
    let query = crate::support::party::encode(&rp.request(&Pkce::new()));
    let url = format!("{}/oauth/authorize?{query}", app.url);
    for method in [Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS] {
        let request = app.http.request(method.clone(), &url).header("origin", "https://app.example");
        let answer = Answer::of(request.send().await.expect("the server answers")).await.expect_status(405);
        // RFC 9110 §15.5.6
        assert!(
            answer.header("allow").is_some_and(|allow| allow.contains("GET") && allow.contains("POST")),
            "{method}"
        );
        assert!(answer.header("location").is_none());
        // Never CORS on authorize: it is for navigation.
        assert!(answer.header("access-control-allow-origin").is_none(), "{method}");
    }
    let get = app.http.get(&url).header("origin", "https://app.example").send().await.expect("the server answers");
    assert!(!get.headers().contains_key("access-control-allow-origin"));
}

async fn looking_at_the_address_does_nothing(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    rp.code(&person, "ada", &pkce, &[]).await;
    let cookie = person.cookies().into_iter().map(|(name, value)| format!("{name}={value}; ")).collect::<String>();
    let query = crate::support::party::encode(&rp.request(&pkce));
    for path in [&format!("/oauth/authorize?{query}"), "/oauth/logout"] {
        let request = app.http.head(format!("{}{path}", app.url)).header("cookie", &cookie);
        // RFC 9110 §9.2.1: HEAD is safe.
        let answer = Answer::of(request.send().await.expect("the server answers")).await.expect_status(200);
        assert!(answer.header("location").is_none() && answer.header("set-cookie").is_none(), "{answer:?}");
    }
    assert_eq!(app.count("grants").await, 1);
    assert_eq!(app.count("pending_requests").await, 0);
    rp.authorize(&person, &pkce, &[("prompt", "none")]).await.code();
}
