//! What is not there, not allowed or not readable.

use crate::each_database;
use crate::support::{Answer, Pkce, TestApp};

each_database!(
    an_address_at_which_nothing_is_says_so,
    a_method_that_is_not_for_an_address_is_refused_with_those_that_are,
    a_body_that_is_too_large_is_refused_on_every_form,
    what_is_no_text_is_refused_on_every_form,
    an_address_or_a_header_without_end_is_refused,
    whatever_is_sent_it_is_never_our_mistake,
);

const FORM: &str = "application/x-www-form-urlencoded";

const PAGES: [&str; 6] = [
    "/sign-in",
    "/select-account",
    "/consent",
    "/oauth/logout/confirm",
    "/account/consents/withdraw",
    "/account/sessions/end",
];
const ENDPOINTS: [&str; 3] = ["/oauth/token", "/oauth/introspect", "/oauth/revoke"];

async fn an_address_at_which_nothing_is_says_so(app: TestApp) {
    for path in ["/nothing", "/oauth", "/oauth/", "/account/", "/sign-in/x", "/.well-known/", "//", "/%00", "/%ff"] {
        let page = app.person().get(path).await;
        page.expect_error_page(404);
        assert!(page.body.contains("There is nothing here"), "{path}");
    }
    for path in ["/static/nothing.css", "/static/../Cargo.toml", "/static/%2e%2e/Cargo.toml", "/static//etc/passwd"] {
        app.get(path).await.expect_status(404);
    }
}

async fn a_method_that_is_not_for_an_address_is_refused_with_those_that_are(app: TestApp) {
    for (method, path, allowed) in [
        ("GET", "/oauth/token", "POST"),
        ("PUT", "/oauth/token", "POST"),
        ("GET", "/oauth/introspect", "POST"),
        ("GET", "/oauth/revoke", "POST"),
        ("POST", "/oauth/jwks", "GET,HEAD"),
        ("DELETE", "/sign-in", "GET,HEAD,POST"),
        ("GET", "/account/sessions/end", "POST"),
        ("GET", "/account/consents/withdraw", "POST"),
        ("PATCH", "/account", "GET,HEAD"),
        ("TRACE", "/healthz", "GET,HEAD"),
    ] {
        let method = method.parse().unwrap();
        let answer = Answer::of(app.http.request(method, format!("{}{path}", app.url)).send().await.unwrap()).await;
        // RFC 9110 §15.5.6
        assert_eq!((answer.status.as_u16(), answer.header("allow")), (405, Some(allowed)), "{path}");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{path}");
        // People are told on a page, clients in JSON.
        assert_eq!(answer.body.contains("<h1"), PAGES.contains(&path) || path == "/account", "{path}");
        if ENDPOINTS.contains(&path) {
            answer.expect_error("invalid_request");
        }
    }
}

async fn a_body_that_is_too_large_is_refused_on_every_form(app: TestApp) {
    let large = format!("x={}", "a".repeat(64 * 1024));
    let fits = format!("x={}", "a".repeat(60 * 1024));
    for path in PAGES.iter().chain(&ENDPOINTS) {
        app.post_raw(path, &[("content-type", FORM)], large.clone()).await.expect_status(413);
        // Without its length in advance.
        let parts: Vec<Result<_, std::io::Error>> = large.as_bytes().chunks(8_000).map(|c| Ok(c.to_vec())).collect();
        let body = reqwest::Body::from(parts.into_iter().collect::<Result<Vec<_>, _>>().unwrap().concat());
        let request = app.http.post(format!("{}{path}", app.url)).header("content-type", FORM);
        let request = request.header("transfer-encoding", "chunked").body(body);
        assert_eq!(request.send().await.unwrap().status(), 413, "{path}");
        let status = app.post_raw(path, &[("content-type", FORM)], fits.clone()).await.status;
        assert!(status != 413 && status.is_client_error(), "{path}: {status}");
    }
    let page = app.post_raw("/sign-in", &[("content-type", FORM)], large).await;
    assert!(page.body.contains("<h1"), "{}", page.body);
}

async fn what_is_no_text_is_refused_on_every_form(app: TestApp) {
    let person = app.person();
    let csrf = person.get("/sign-in").await.hidden("csrf");
    let (name, value) = person.own_cookie().unwrap();
    let cookie = format!("{name}={value}");
    for path in PAGES.iter().chain(&ENDPOINTS) {
        for bad in ["username=a%00b", "username=%ff", "username=%c3%28", "username=%", "username=%zz", "a=1&a=2"] {
            let body = format!("csrf={csrf}&{bad}");
            let headers = [("content-type", FORM), ("cookie", cookie.as_str())];
            app.post_raw(path, &headers, body).await.expect_status(400);
        }
        let raw = b"username=\xff\xfe".to_vec();
        app.post_raw(path, &[("content-type", FORM)], raw).await.expect_status(400);
    }
    for path in ["/sign-in", "/consent", "/account", "/oauth/authorize", "/oauth/logout"] {
        for bad in ["request=%00", "request=%ff", "request=%", "request=1&request=2"] {
            person.get(&format!("{path}?{bad}")).await.expect_error_page(400);
        }
    }
}

async fn an_address_or_a_header_without_end_is_refused(app: TestApp) {
    let long = "a".repeat(600_000);
    let get = async |path: &str, header: &str| {
        let request = app.http.get(format!("{}{path}", app.url)).header("x-long", header);
        // Whoever is refused in the middle of sending may find the connection closed.
        request.send().await.map_or(431, |answer| answer.status().as_u16())
    };
    for (path, header) in [(format!("/sign-in?x={long}"), ""), ("/sign-in".to_owned(), long.as_str())] {
        let status = get(&path, header).await;
        assert!(matches!(status, 414 | 431), "{status}");
    }
    assert_eq!(get(&format!("/sign-in?x={}", &long[..20_000]), "").await, 414);
    assert_eq!(get(&format!("/sign-in?x={}", &long[..8_000]), "").await, 200);
}

/// A few hundred requests at every route, out of pieces that have hurt others.
async fn whatever_is_sent_it_is_never_our_mistake(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    let page = rp.authorize(&person, &Pkce::new(), &[("prompt", "consent")]).await;
    let (name, value) = person.own_cookie().unwrap();
    let basic = crate::support::party::basic("web", crate::support::party::SECRET);
    let long = "A".repeat(6_000);

    let routes = [
        "/",
        "/account",
        "/oauth/authorize",
        "/oauth/authorize/continue",
        "/oauth/logout",
        "/oauth/userinfo",
        "/oauth/jwks",
        "/.well-known/openid-configuration",
        "/static/app.css",
        "/static/%2e",
        "/signed-out",
        "/healthz",
        "/readyz",
    ];
    let routes: Vec<_> = routes.iter().chain(&PAGES).chain(&ENDPOINTS).copied().collect();
    let methods = ["GET", "POST", "GET", "POST", "HEAD", "OPTIONS", "PUT", "BREW"];
    let kinds =
        [FORM, FORM, FORM, "application/json", "text/plain", "", "x", "application/x-www-form-urlencoded;;;=\""];
    let names = [
        "csrf",
        "request",
        "session",
        "decision",
        "username",
        "password",
        "client_id",
        "client_secret",
        "redirect_uri",
        "response_type",
        "response_mode",
        "scope",
        "state",
        "nonce",
        "prompt",
        "max_age",
        "login_hint",
        "id_token_hint",
        "code",
        "code_challenge",
        "code_challenge_method",
        "code_verifier",
        "grant_type",
        "refresh_token",
        "token",
        "resource",
        "claims",
        "post_logout_redirect_uri",
        "switch",
        "done",
        "",
    ];
    let (csrf, request) = (page.hidden("csrf"), page.hidden("request"));
    let values = [
        "",
        "web",
        "ada",
        "code",
        "openid",
        "none",
        "login",
        "0",
        "-1",
        "99999999999999999999",
        "NaN",
        "S256",
        "plain",
        "authorization_code",
        "refresh_token",
        "client_credentials",
        "allow",
        "deny",
        "form_post",
        "{}",
        "[[[[",
        "null",
        "https%3A%2F%2Fapp.example%2Fcallback",
        "javascript%3Aalert(1)",
        "%0d%0aSet-Cookie%3Aa%3Db",
        "%00",
        "%ff",
        "%",
        "%F0%9F%94%91",
        "..%2f..%2f",
        "'%20OR%201%3D1--",
        "%3Cscript%3E",
        "00000000-0000-0000-0000-000000000000",
        &csrf,
        &request,
        tokens.access_token(),
        tokens.refresh_token(),
        tokens.id_token(),
        &long,
    ];
    let authorizations = ["", "Basic", "Basic !!!", "Basic Og==", &basic, "Bearer", "Bearer x", "Digest a=b", "\t"];
    let cookies = [String::new(), format!("{name}={value}"), format!("{name}=x"), "=;=;=".to_owned()];

    // The same requests each time (xorshift64).
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut pick = |count: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % count as u64).unwrap()
    };
    for number in 0..600 {
        let (route, method) = (routes[pick(routes.len())], methods[pick(methods.len())]);
        let mut fields = |count: usize| {
            let count = pick(count);
            let pairs = (0..count).map(|_| format!("{}={}", names[pick(names.len())], values[pick(values.len())]));
            pairs.collect::<Vec<_>>().join("&")
        };
        let (query, body) = (fields(5), fields(8));
        let url = format!("{}{route}?{query}", app.url);
        let mut request = app.http.request(method.parse().unwrap(), &url);
        request = request.header("content-type", kinds[pick(kinds.len())]);
        request = request.header("cookie", &cookies[pick(cookies.len())]);
        request = request.header("authorization", authorizations[pick(authorizations.len())]);
        if pick(4) == 0 {
            request = request.header("origin", ["null", "https://app.example", "x", ""][pick(4)]);
        }
        let answer = Answer::of(request.body(body.clone()).send().await.unwrap()).await;
        let status = answer.status.as_u16();
        assert!(status < 500, "{number}: {status} {method} {route}?{query}\n{body}\n{}", answer.body);
        assert!(!answer.headers.contains_key("content-encoding"));
        let injected = answer.headers.get_all("set-cookie").iter().any(|cookie| cookie.as_bytes().starts_with(b"a="));
        assert!(!injected, "{number}: {method} {route}?{query}");
    }
    // It is as well as before.
    app.get("/readyz").await.expect_status(200);
    rp.client_credentials("notes:read").await.expect_tokens();
}
