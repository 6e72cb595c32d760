//! The headers around every answer (`docs/security.md`).

use std::collections::HashSet;

use grantor::types::ClientMetadata;

use crate::each_database;
use crate::support::{Answer, Page, Pkce, TestApp};

each_database!(
    every_page_loads_nothing_inline_and_is_kept_and_framed_by_nobody,
    a_form_may_lead_to_the_application_that_asked_and_nowhere_else,
    hsts_is_for_https_alone,
    answers_of_the_api_are_not_stored,
    every_answer_has_a_number_of_its_own_and_a_fault_tells_it,
    a_hostile_host_header_changes_no_address,
);

/// Every page, by a word for it.
async fn pages(app: &TestApp) -> Vec<(&'static str, Page)> {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let mut pages = vec![("sign-in", person.get("/sign-in").await)];
    let page = rp.authorize(&person, &pkce, &[]).await;
    let consent = person.sign_in(&page, "ada", crate::support::app::PASSWORD).await;
    pages.push(("sign-in for an application", page));
    let form_post = rp.authorize(&person, &pkce, &[("response_mode", "form_post")]).await;
    let form_post = person.decide(&form_post, "allow").await;
    pages.push(("form post", form_post));
    pages.push(("consent", consent));
    pages.push(("select account", rp.authorize(&person, &pkce, &[("prompt", "select_account")]).await));
    pages.push(("account", person.get("/account").await));
    pages.push(("sign out", person.get("/oauth/logout").await));
    let framed = |client: &mut ClientMetadata| client.frontchannel_logout_uri = Some("https://app.example/out".into());
    let tokens = app.client("out").with(framed).create().await.sign_in_with(&person, "ada", &[]).await;
    pages.push(("signing out", person.get(&format!("/oauth/logout?id_token_hint={}", tokens.id_token())).await));
    pages.push(("signed out", person.get("/signed-out").await));
    pages.push(("error", person.get("/oauth/authorize?client_id=nobody").await));
    pages.push(("forged", person.post("/consent", &[]).await));
    pages.push(("nothing", person.get("/nothing/here").await));
    pages
}

fn directive<'a>(csp: &'a str, name: &str) -> &'a str {
    let directive = csp.split(';').map(str::trim).find(|directive| directive.split(' ').next() == Some(name));
    directive.unwrap_or_else(|| panic!("no {name} in {csp}")).trim_start_matches(name).trim()
}

async fn every_page_loads_nothing_inline_and_is_kept_and_framed_by_nobody(app: TestApp) {
    for (what, page) in pages(&app).await {
        assert!(page.body.contains("<h1"), "{what}: {page:?}");
        let csp = page.header("content-security-policy").unwrap();
        assert!(!csp.contains("unsafe"), "{what}: {csp}");
        assert_eq!(directive(csp, "default-src"), "'none'", "{what}");
        assert_eq!(directive(csp, "frame-ancestors"), "'none'", "{what}");
        assert_eq!(directive(csp, "base-uri"), "'none'", "{what}");
        let scripted = ["sign-in", "sign-in for an application", "form post", "signing out"].contains(&what);
        assert_eq!(csp.contains("script-src"), scripted, "{what}: {csp}");
        assert!(!scripted || directive(csp, "script-src") == "'self'", "{what}: {csp}");
        assert_eq!(csp.contains("frame-src"), what == "signing out", "{what}: {csp}");
        assert_eq!(page.header("x-content-type-options"), Some("nosniff"), "{what}");
        assert_eq!(page.header("referrer-policy"), Some("no-referrer"), "{what}");
        assert_eq!(page.header("cache-control"), Some("no-store"), "{what}");
        assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"), "{what}");
        assert!(page.header("strict-transport-security").is_none(), "{what}");
        for inline in ["<style", " style=", "<script>", "javascript:", " onclick=", " onload=", " onsubmit="] {
            assert!(!page.body.contains(inline), "{what}: {inline}");
        }
    }
}

async fn a_form_may_lead_to_the_application_that_asked_and_nowhere_else(app: TestApp) {
    app.user("ada").await;
    for (id, uri, sent, source) in [
        ("web", "https://app.example:8443/cb?x=1", "https://app.example:8443/cb?x=1", "https://app.example:8443"),
        ("cli", "http://127.0.0.1/cb", "http://127.0.0.1:54321/cb", "http://127.0.0.1:54321"),
        ("phone", "com.example.app:/cb", "com.example.app:/cb", "com.example.app:"),
    ] {
        let rp = app.client(id).public().redirect_uris(&[uri]).create().await;
        let (person, pkce) = (app.person(), Pkce::new());
        let page = rp.authorize(&person, &pkce, &[("redirect_uri", sent)]).await;
        let policy = |page: &Page| page.header("content-security-policy").unwrap().to_owned();
        // Chromium holds form-action against the redirect that answers a form.
        assert_eq!(directive(&policy(&page), "form-action"), format!("'self' {source}"));
        let page = person.sign_in(&page, "ada", crate::support::app::PASSWORD).await;
        assert!(page.asks_for_consent());
        assert_eq!(directive(&policy(&page), "form-action"), format!("'self' {source}"));
        let page = rp.authorize(&person, &pkce, &[("redirect_uri", sent), ("prompt", "select_account")]).await;
        assert_eq!(directive(&policy(&page), "form-action"), format!("'self' {source}"));
    }
    for path in ["/sign-in", "/nothing", "/signed-out"] {
        let page = app.person().get(path).await;
        assert_eq!(directive(page.header("content-security-policy").unwrap(), "form-action"), "'self'", "{path}");
    }
}

async fn hsts_is_for_https_alone(mut app: TestApp) {
    let paths = ["/sign-in", "/oauth/jwks", "/healthz", "/nothing", "/static/app.css"];
    for path in paths {
        assert!(app.get(path).await.header("strict-transport-security").is_none(), "{path}");
    }
    let secure = app.on_https().await;
    for path in paths {
        let answer = secure.get(path).await;
        assert_eq!(answer.header("strict-transport-security"), Some("max-age=31536000"), "{path}");
    }
}

async fn answers_of_the_api_are_not_stored(app: TestApp) {
    let rp = app.client("web").create().await;
    let api = app.resource_server().await;
    let token = rp.client_credentials("notes:read").await.expect_tokens();
    for (what, answer) in [
        ("token", rp.client_credentials("notes:read").await),
        ("refused token", rp.client_credentials("never:given").await),
        ("unknown client", app.post("/oauth/token", &[("client_id", "nobody")]).await),
        ("introspection", api.introspect(token.access_token()).await),
        ("refused introspection", app.post("/oauth/introspect", &[]).await),
        ("revocation", rp.revoke(token.access_token()).await),
        ("userinfo", rp.userinfo(token.access_token()).await),
        ("no token", app.get("/oauth/userinfo").await),
    ] {
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{what}: {}", answer.body);
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{what}");
        assert_eq!(
            answer.header("content-security-policy"),
            Some("default-src 'none'; frame-ancestors 'none'"),
            "{what}"
        );
    }
    // What may be kept is public.
    for path in ["/oauth/jwks", "/.well-known/openid-configuration"] {
        assert_eq!(app.get(path).await.header("cache-control"), Some("public, max-age=60"), "{path}");
    }
}

async fn every_answer_has_a_number_of_its_own_and_a_fault_tells_it(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let mut seen = HashSet::new();
    for path in ["/healthz", "/nothing", "/sign-in", "/oauth/jwks", "/static/app.css", "/oauth/token", "/healthz"] {
        let answer = app.get(path).await;
        let number = answer.header("x-correlation-id").unwrap_or_else(|| panic!("{path}")).to_owned();
        assert!(seen.insert(number), "{path}");
    }
    // A number of the client's choosing would be a stranger's text in our log.
    let request = app.http.get(format!("{}/nothing", app.url)).header("x-correlation-id", "chosen");
    let answer = Answer::of(request.send().await.unwrap()).await;
    let number = answer.header("x-correlation-id").unwrap();
    assert_ne!(number, "chosen");
    assert!(answer.body.contains(number), "the page tells it");

    // The database goes away: faults, of pages and of the API.
    app.store.close().await;
    let page = person.get("/account").await;
    page.expect_error_page(503);
    assert!(page.body.contains(page.header("x-correlation-id").unwrap()), "{}", page.body);
    let answer = rp.refresh_with("x.y.z", &[]).await;
    let answer = if answer.status == 503 { answer } else { app.get("/readyz").await };
    assert_eq!(answer.status, 503);
    assert_eq!(answer.header("retry-after"), Some("2"));
    assert!(answer.body.contains(answer.header("x-correlation-id").unwrap()), "{}", answer.body);
    // None of its innards.
    assert!(!answer.body.to_lowercase().contains("pool") && !page.body.to_lowercase().contains("pool"));
}

async fn a_hostile_host_header_changes_no_address(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let (name, value) = person.own_cookie().unwrap();
    let authorize = crate::support::party::encode(&rp.request(&Pkce::new()));
    for path in [
        "/",
        "/account",
        "/sign-in",
        "/nothing",
        "/oauth/logout",
        "/oauth/jwks",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server",
        "/oauth/userinfo",
        &format!("/oauth/authorize?{authorize}"),
    ] {
        for cookie in ["", &format!("{name}={value}")] {
            let request = app
                .http
                .get(format!("{}{path}", app.url))
                .header("host", "evil.example")
                .header("x-forwarded-host", "evil.example")
                .header("x-forwarded-proto", "gopher")
                .header("x-forwarded-prefix", "/evil.example")
                .header("x-original-url", "/evil.example")
                .header("forwarded", "for=1.2.3.4;host=evil.example;proto=gopher")
                .header("origin", "https://evil.example")
                .header("referer", "https://evil.example/")
                .header("cookie", cookie);
            let answer = Answer::of(request.send().await.unwrap()).await;
            assert!(answer.status.as_u16() < 500);
            let said = format!("{:?} {}", answer.headers, answer.body);
            assert!(!said.contains("evil") && !said.contains("gopher"), "{path}: {said}");
        }
    }
    let metadata = app.get("/.well-known/openid-configuration").await.json();
    assert_eq!(metadata["issuer"], app.issuer());
}
