//! Cross-origin requests: pages of registered clients may call what they need, and nobody else (Fetch §3.2).

use grantor::types::{ClientId, Clock};
use http::Method;

use crate::each_database;
use crate::support::app::eventually;
use crate::support::party::REDIRECT_URI;
use crate::support::{Answer, TestApp};

each_database!(
    the_origin_of_a_registered_client_may_call_what_it_needs,
    an_origin_of_nobody_may_not,
    a_loopback_origin_may_have_any_port,
    the_authorization_endpoint_and_introspection_answer_no_script,
    a_client_that_was_registered_elsewhere_is_known_within_a_second,
    a_client_that_is_gone_takes_its_origin_along,
    a_refusal_can_be_read_by_the_page_that_caused_it,
);

const ORIGIN: &str = "https://app.example";

async fn send(app: &TestApp, method: Method, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut request = app.http.request(method, format!("{}{path}", app.url));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    Answer::of(request.send().await.expect("the server answers")).await
}

async fn preflight(app: &TestApp, path: &str, method: &str, origin: &str) -> Answer {
    let asked = [
        ("origin", origin),
        ("access-control-request-method", method),
        ("access-control-request-headers", "authorization,content-type,dpop"),
    ];
    send(app, Method::OPTIONS, path, &asked).await
}

/// The origin that a browser is told may read the answer.
async fn allowed(app: &TestApp, origin: &str) -> Option<String> {
    let answer = send(app, Method::GET, "/oauth/jwks", &[("origin", origin)]).await;
    answer.header("access-control-allow-origin").map(str::to_owned)
}

const OPEN: [(&str, &str); 6] = [
    ("POST", "/oauth/token"),
    ("POST", "/oauth/revoke"),
    ("GET", "/oauth/userinfo"),
    ("GET", "/oauth/jwks"),
    ("GET", "/.well-known/openid-configuration"),
    ("GET", "/.well-known/oauth-authorization-server"),
];

async fn the_origin_of_a_registered_client_may_call_what_it_needs(app: TestApp) {
    app.client("spa").public().create().await;
    for (method, path) in OPEN {
        let answer = preflight(&app, path, method, ORIGIN).await;
        assert!(answer.status.is_success(), "{path}: {}", answer.status);
        assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN), "{path}");
        let methods = answer.header("access-control-allow-methods").unwrap_or_default();
        assert!(methods.split(',').any(|allowed| allowed.trim() == method), "{path}: {methods}");
        let headers = answer.header("access-control-allow-headers").unwrap_or_default().to_lowercase();
        for header in ["authorization", "content-type", "dpop"] {
            assert!(headers.contains(header), "{path}: {headers}");
        }

        let method = method.parse().expect("a method");
        let answer = send(&app, method, path, &[("origin", ORIGIN)]).await;
        assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN), "{path}");
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default();
        assert!(exposed.contains("www-authenticate") && exposed.contains("dpop-nonce"), "{path}: {exposed}");
        // Cookies never come along, and what is kept by a cache is kept for each origin by itself.
        assert_eq!(answer.header("access-control-allow-credentials"), None, "{path}");
        let vary = answer.headers.get_all("vary").iter().map(|value| value.to_str().expect("text").to_lowercase());
        assert!(vary.collect::<Vec<_>>().join(",").contains("origin"), "{path}");
    }
}

async fn an_origin_of_nobody_may_not(app: TestApp) {
    app.client("spa").public().create().await;
    app.client("app").public().redirect_uris(&["com.example.app:/callback"]).create().await;
    for origin in [
        "https://evil.example",
        "http://app.example",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "https://sub.app.example",
        "https://app.example/",
        "HTTPS://APP.EXAMPLE",
        "https://app.example https://evil.example",
        "com.example.app:",
        "com.example.app://callback",
        "null",
        "*",
        "",
        "http://localhost:8080",
    ] {
        for (method, path) in OPEN {
            let answer = preflight(&app, path, method, origin).await;
            assert_eq!(answer.header("access-control-allow-origin"), None, "{origin} {path}");
            let answer = send(&app, method.parse().expect("a method"), path, &[("origin", origin)]).await;
            assert_eq!(answer.header("access-control-allow-origin"), None, "{origin} {path}");
        }
    }
    // Not even our own: our pages have no scripts that call.
    assert_eq!(allowed(&app, &app.url).await, None);
    assert_eq!(allowed(&app, ORIGIN).await.as_deref(), Some(ORIGIN));
}

async fn a_loopback_origin_may_have_any_port(app: TestApp) {
    let uris = ["http://127.0.0.1/callback", "http://localhost:3000/cb?x=1"];
    app.client("dev").public().redirect_uris(&uris).create().await;
    for origin in ["http://127.0.0.1:5173", "http://127.0.0.1", "http://localhost:3000", "http://localhost:4200"] {
        assert_eq!(allowed(&app, origin).await.as_deref(), Some(origin));
    }
    for origin in [
        "http://[::1]:5173",
        "https://localhost:3000",
        "http://127.0.0.2:80",
        "http://localhost.evil.example",
        "http://localhost:",
        "http://localhost:3000/",
        "http://localhost:300000",
        "http://localhost@evil.example",
        "http://localhost:80@evil.example",
        "http://localhost?",
    ] {
        assert_eq!(allowed(&app, origin).await, None, "{origin}");
    }
}

async fn the_authorization_endpoint_and_introspection_answer_no_script(app: TestApp) {
    app.client("spa").public().create().await;
    let closed = ["/oauth/authorize", "/oauth/introspect", "/oauth/logout", "/sign-in", "/consent", "/account"];
    for path in closed {
        for method in ["GET", "POST"] {
            let answer = preflight(&app, path, method, ORIGIN).await;
            assert!(!answer.status.is_success(), "{path}: {}", answer.status);
            let actual = send(&app, method.parse().expect("a method"), path, &[("origin", ORIGIN)]).await;
            for answer in [answer, actual] {
                let names = answer.headers.keys().filter(|name| name.as_str().starts_with("access-control-"));
                assert_eq!(names.count(), 0, "{method} {path}: {:?}", answer.headers);
            }
        }
    }
}

async fn a_client_that_was_registered_elsewhere_is_known_within_a_second(app: TestApp) {
    assert_eq!(allowed(&app, ORIGIN).await, None, "and now it is remembered that there is none");
    app.client("spa").public().create().await;
    // In the same process at once.
    assert_eq!(allowed(&app, ORIGIN).await.as_deref(), Some(ORIGIN));

    let elsewhere = app.other_store().await;
    let mut client = (*app.store.client(&"spa".parse().unwrap()).await.unwrap().unwrap()).clone();
    client.id = "late".parse().expect("an id");
    client.metadata.redirect_uris = vec!["https://late.example/cb".parse().expect("a URI")];
    let mut tx = elsewhere.begin().await.unwrap();
    tx.insert_client(&client).await.unwrap();
    tx.commit().await.unwrap();
    eventually("the new client's origin is known", async || allowed(&app, "https://late.example").await.is_some())
        .await;

    // The same of a change.
    client.metadata.redirect_uris = vec!["https://moved.example/cb".parse().expect("a URI")];
    let mut tx = elsewhere.begin().await.unwrap();
    tx.update_client(&client, app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    eventually("its new origin is known", async || allowed(&app, "https://moved.example").await.is_some()).await;
    assert_eq!(allowed(&app, "https://late.example").await, None);
    elsewhere.close().await;
}

async fn a_client_that_is_gone_takes_its_origin_along(app: TestApp) {
    let spa: ClientId = "spa".parse().expect("an id");
    app.client("spa").public().create().await;
    app.client("web").redirect_uris(&[REDIRECT_URI, "https://web.example/cb"]).create().await;
    app.change(async |tx| tx.disable_client(&spa, app.clock.now()).await).await;
    // Another client is still there.
    assert_eq!(allowed(&app, ORIGIN).await.as_deref(), Some(ORIGIN));
    let web: ClientId = "web".parse().expect("an id");
    app.change(async |tx| tx.disable_client(&web, app.clock.now()).await).await;
    assert_eq!((allowed(&app, ORIGIN).await, allowed(&app, "https://web.example").await), (None, None));
    app.change(async |tx| tx.enable_client(&web, app.clock.now()).await).await;
    assert_eq!(allowed(&app, "https://web.example").await.as_deref(), Some("https://web.example"));
    app.change(async |tx| tx.delete_client(&web, app.clock.now()).await).await;
    assert_eq!(allowed(&app, "https://web.example").await, None);
}

async fn a_refusal_can_be_read_by_the_page_that_caused_it(app: TestApp) {
    app.client("spa").public().create().await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    for (method, path, headers, status) in [
        (Method::POST, "/oauth/token", vec![form], 400),
        (Method::POST, "/oauth/revoke", vec![form], 400),
        (Method::GET, "/oauth/userinfo", vec![], 401),
        (Method::GET, "/oauth/userinfo", vec![("authorization", "Bearer x")], 401),
    ] {
        let mut headers = headers;
        headers.push(("origin", ORIGIN));
        let answer = send(&app, method, path, &headers).await;
        assert!([400, 401].contains(&answer.status.as_u16()), "{path}: {} for {status}", answer.status);
        assert_eq!(answer.header("access-control-allow-origin"), Some(ORIGIN), "{path}");
        let exposed = answer.header("access-control-expose-headers").unwrap_or_default().to_lowercase();
        assert!(exposed.contains("www-authenticate"), "{path}: {exposed}");
    }
}
