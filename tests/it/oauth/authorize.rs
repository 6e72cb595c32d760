//! The authorization endpoint: who is told of what is wrong, the person or the client
//! (RFC 6749 §4.1.2.1, OpenID Connect Core §3.1.2).

use grantor::types::GrantType;
use serde_json::json;

use crate::each_database;
use crate::support::{Page, Pkce, TestApp};

each_database!(
    without_a_proved_client_and_redirect_uri_the_person_alone_is_told,
    a_redirect_uri_is_compared_letter_for_letter,
    a_loopback_redirect_uri_matches_with_any_port_and_with_nothing_else_changed,
    a_redirect_uri_goes_without_saying_only_where_there_is_one_and_openid_is_not_asked,
    what_is_wrong_with_the_request_is_told_to_the_client,
    what_is_odd_but_right_is_accepted,
    parameters_that_cannot_be_read_for_certain_go_nowhere,
    a_scope_must_follow_the_grammar_and_the_registration,
    a_client_that_names_no_scope_gets_its_default_or_the_servers_and_never_offline_access,
);

/// The client was told, at its redirect URI, with everything that it needs to know.
#[track_caller]
pub fn refused_at_the_client(app: &TestApp, page: &Page, error: &str, what: &str) {
    assert!(page.url.starts_with("https://app.example/callback?"), "{what}: {} {}", page.url, page.body);
    page.expect_redirect_error(error);
    assert_eq!(page.status.as_u16(), 303, "{what}");
    assert_eq!(page.param("iss").as_deref(), Some(app.issuer()), "RFC 9207 §2: {what}");
    assert!(page.param("error_description").is_some_and(|text| (10..400).contains(&text.len())), "{what}");
}

async fn without_a_proved_client_and_redirect_uri_the_person_alone_is_told(app: TestApp) {
    let rp = app.client("web").create().await;
    app.client("closed").create().await;
    app.disable_client("closed").await;
    let (person, pkce) = (app.person(), Pkce::new());

    for changes in [
        // RFC 6749 §4.1.2.1: "the client identifier is missing or invalid"
        &[("client_id", "")][..],
        &[("client_id", "nobody")],
        &[("client_id", "closed")],
        &[("client_id", "WEB")],
        &[("client_id", "web ")],
        &[("client_id", "we\u{e9}b")],
        &[("client_id", "'; DROP TABLE clients; --")],
        // ... "missing, invalid, or mismatching redirection URI"
        &[("redirect_uri", "https://evil.example/callback")],
        &[("redirect_uri", "")],
        // Whatever else is wrong, and however the answer is asked for.
        &[("redirect_uri", "https://evil.example/callback"), ("response_mode", "form_post")],
        &[("redirect_uri", "https://evil.example/callback"), ("response_type", "token")],
        &[("redirect_uri", "https://evil.example/callback"), ("prompt", "none")],
        &[("redirect_uri", "https://evil.example/callback"), ("request_uri", "https://evil.example/r")],
        // RFC 9101 §7: what cannot be read says nothing of where to go.
        &[("request", "eyJhbGciOiJub25lIn0.e30.")],
        &[("request_uri", "urn:ietf:params:oauth:request_uri:x")],
    ] {
        let page = rp.authorize(&person, &pkce, changes).await;
        page.expect_error_page(400);
        // Nothing on it leads there.
        assert!(!page.body.contains("href=\"https://evil"), "{changes:?}");
        assert!(!page.body.contains("action=\"https://evil"), "{changes:?}");
    }

    // An unknown application and a disabled one cannot be told apart, but for the reference to the log.
    let unknown = rp.authorize(&person, &pkce, &[("client_id", "nobody")]).await;
    let disabled = rp.authorize(&person, &pkce, &[("client_id", "closed")]).await;
    let words = |page: &Page| page.body.split("<dt>Reference").next().map(str::to_owned);
    assert_eq!(words(&unknown), words(&disabled));
    assert!(rp.authorize(&person, &pkce, &[]).await.asks_to_sign_in());
}

async fn a_redirect_uri_is_compared_letter_for_letter(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());

    // RFC 9700 §4.1.3: "exact string matching"
    for near_miss in [
        "https://app.example/callback/",
        "https://app.example/callback?",
        "https://app.example/callback?x=1",
        "https://app.example/callback#",
        "https://app.example/callback#x",
        "https://app.example/callback;x",
        "https://app.example/callback\\",
        "https://app.example/callback%20",
        "https://app.example/callback ",
        " https://app.example/callback",
        "https://app.example/callback\r\nSet-Cookie: a=b",
        "https://app.example/Callback",
        "https://app.example/%63allback",
        "https://app.example/callbac",
        "https://app.example/callback2",
        "https://app.example//callback",
        "https://app.example/./callback",
        "https://app.example/x/../callback",
        "https://app.example",
        "https://APP.example/callback",
        "HTTPS://app.example/callback",
        "https://app.example:443/callback",
        "https://app.example./callback",
        "https://www.app.example/callback",
        "https://app.example.evil.example/callback",
        "https://app.example@evil.example/callback",
        "https://user@app.example/callback",
        "https://app.example\\@evil.example/callback",
        "http://app.example/callback",
        "https:app.example/callback",
        "//app.example/callback",
        "/callback",
        "*",
        "javascript:alert(1)//https://app.example/callback",
        "data:text/html,https://app.example/callback",
        "https://\u{430}pp.example/callback",
    ] {
        let page = rp.authorize(&person, &pkce, &[("redirect_uri", near_miss)]).await;
        assert!(page.url.starts_with(&app.url), "{near_miss}: {}", page.url);
        page.expect_error_page(400);
    }
    assert!(rp.authorize(&person, &pkce, &[("redirect_uri", "https://app.example/callback")]).await.asks_to_sign_in());
}

async fn a_loopback_redirect_uri_matches_with_any_port_and_with_nothing_else_changed(app: TestApp) {
    app.user("ada").await;
    let registered = ["http://127.0.0.1/cb", "http://[::1]:9000/cb", "http://localhost:3000/cb?x=1"];
    let rp = app.client("native").public().redirect_uris(&registered).create().await;
    let (person, pkce) = (app.person(), Pkce::new());

    // RFC 8252 §7.3: "MUST allow any port to be specified at the time of the request"
    for same in [
        "http://127.0.0.1/cb",
        "http://127.0.0.1:1/cb",
        "http://127.0.0.1:65535/cb",
        "http://[::1]/cb",
        "http://[::1]:51004/cb",
        "http://localhost/cb?x=1",
        "http://localhost:51004/cb?x=1",
    ] {
        // The answer goes where this run of the application listens, and is redeemed for that address alone.
        let code = rp.code(&person, "ada", &pkce, &[("redirect_uri", same)]).await;
        let other = "http://127.0.0.1:2/cb";
        rp.redeem_with(&code, &pkce, &[("redirect_uri", other)]).await.expect_error("invalid_grant");
        rp.redeem_with(&code, &pkce, &[("redirect_uri", same)]).await.expect_tokens();
    }
    for other in [
        "http://localhost:51004/cb",
        "http://127.0.0.2:80/cb",
        "http://127.1:80/cb",
        "http://2130706433:80/cb",
        "http://0x7f.0.0.1:80/cb",
        "http://[::ffff:127.0.0.1]:80/cb",
        "http://[0:0:0:0:0:0:0:1]:80/cb",
        "https://127.0.0.1:80/cb",
        "HTTP://127.0.0.1:80/cb",
        "http://127.0.0.1:80/cb/",
        "http://127.0.0.1:80/cb?x=1",
        "http://127.0.0.1:80/cb#",
        "http://127.0.0.1:/cb",
        "http://127.0.0.1:+80/cb",
        "http://127.0.0.1: 80/cb",
        "http://127.0.0.1:0x50/cb",
        "http://127.0.0.1:65536/cb",
        "http://127.0.0.1:123456/cb",
        "http://127.0.0.1:000080/cb",
        "http://127.0.0.1:80@evil.example/cb",
        "http://127.0.0.1@evil.example/cb",
        "http://127.0.0.1:80\\@evil.example/cb",
        "http://127.0.0.1.evil.example/cb",
        "http://127.0.0.1:80.evil.example/cb",
        "http://localhost.evil.example:80/cb?x=1",
        "http://user@localhost:80/cb?x=1",
    ] {
        let page = rp.authorize(&person, &pkce, &[("redirect_uri", other)]).await;
        assert!(page.url.starts_with(&app.url), "{other}: {}", page.url);
        page.expect_error_page(400);
    }
}

async fn a_redirect_uri_goes_without_saying_only_where_there_is_one_and_openid_is_not_asked(app: TestApp) {
    app.user("ada").await;
    let (person, pkce) = (app.person(), Pkce::new());
    let one = app.client("one").create().await;
    let several =
        app.client("several").redirect_uris(&["https://app.example/callback", "https://app.example/other"]).create();
    let several = several.await;

    // OAuth 2.1 §4.1.1: required "if multiple redirect URIs are registered"
    several.authorize(&person, &pkce, &[("redirect_uri", ""), ("scope", "notes:read")]).await.expect_error_page(400);
    // OpenID Connect Core §3.1.2.1: REQUIRED
    for scope in ["openid", "notes:read openid"] {
        one.authorize(&person, &pkce, &[("redirect_uri", ""), ("scope", scope)]).await.expect_error_page(400);
    }

    let without = [("redirect_uri", ""), ("scope", "notes:read")];
    let code = one.code(&person, "ada", &pkce, &without).await;
    one.redeem_with(&code, &pkce, &[("redirect_uri", "https://app.example/other")]).await.expect_error("invalid_grant");
    one.redeem_with(&code, &pkce, &[("redirect_uri", "")]).await.expect_tokens();
    // A client may repeat at the token endpoint what is registered.
    let code = one.code(&person, "ada", &pkce, &without).await;
    one.redeem(&code, &pkce).await.expect_tokens();
}

async fn what_is_wrong_with_the_request_is_told_to_the_client(app: TestApp) {
    let rp = app.client("web").create().await;
    let machine = app.client("machine").grants(&[GrantType::ClientCredentials]).create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let long = "n".repeat(513);

    for (error, changes) in [
        // RFC 6749 §3.1.1, §4.1.2.1; ASVS 10.6.1: `code` and nothing else.
        ("invalid_request", &[("response_type", "")][..]),
        ("unsupported_response_type", &[("response_type", "token")]),
        ("unsupported_response_type", &[("response_type", "id_token")]),
        ("unsupported_response_type", &[("response_type", "code token")]),
        ("unsupported_response_type", &[("response_type", "code id_token")]),
        ("unsupported_response_type", &[("response_type", "code code")]),
        ("unsupported_response_type", &[("response_type", "none")]),
        ("unsupported_response_type", &[("response_type", "CODE")]),
        // OAuth 2.0 Multiple Response Types §2.1
        ("invalid_request", &[("response_mode", "fragment")]),
        ("invalid_request", &[("response_mode", "web_message")]),
        ("invalid_request", &[("response_mode", "fragment.jwt")]),
        ("invalid_request", &[("response_mode", "Query")]),
        // OpenID Connect Core §3.1.2.6
        ("invalid_request_uri", &[("request_uri", "https://app.example/request")]),
        ("invalid_request_uri", &[("request_uri", "urn:ietf:params:oauth:x")]),
        ("registration_not_supported", &[("registration", "{}")]),
        // OpenID Connect Core §3.1.2.1: "If this parameter contains none with any other value, an error is returned."
        ("invalid_request", &[("prompt", "none login")]),
        ("invalid_request", &[("prompt", "consent none")]),
        ("invalid_request", &[("prompt", "none select_account")]),
        ("invalid_request", &[("prompt", "create")]),
        ("invalid_request", &[("prompt", "LOGIN")]),
        ("invalid_request", &[("prompt", "login,consent")]),
        ("invalid_request", &[("max_age", "-1")]),
        ("invalid_request", &[("max_age", "+5")]),
        ("invalid_request", &[("max_age", " 5")]),
        ("invalid_request", &[("max_age", "1.5")]),
        ("invalid_request", &[("max_age", "1e3")]),
        ("invalid_request", &[("max_age", "0x10")]),
        ("invalid_request", &[("max_age", "soon")]),
        ("invalid_request", &[("max_age", "\u{661}")]),
        ("invalid_request", &[("max_age", "99999999999999999999999")]),
        ("invalid_request", &[("nonce", &long)]),
        ("invalid_request", &[("nonce", "a\nb")]),
        ("invalid_request", &[("login_hint", &long)]),
        ("invalid_request", &[("login_hint", "ada\u{7f}")]),
        ("invalid_request", &[("id_token_hint", "not a token")]),
        // RFC 8707 §2
        ("invalid_target", &[("resource", "https://api.example")]),
        ("invalid_target", &[("resource", "not a uri")]),
        ("invalid_target", &[("resource", &format!("{}/", app.issuer()))]),
        ("invalid_target", &[("resource", &format!("{}#x", app.issuer()))]),
        // OAuth 2.1 §7.5.1
        ("invalid_request", &[("code_challenge", ""), ("code_challenge_method", "")]),
        // The same where no page may be shown.
        ("unsupported_response_type", &[("response_type", "token"), ("prompt", "none")]),
    ] {
        let page = rp.authorize(&person, &pkce, changes).await;
        refused_at_the_client(&app, &page, error, &format!("{changes:?}"));
        assert_eq!(page.param("state").as_deref(), Some("a state"), "{changes:?}");
    }

    // RFC 6749 §A.5: state is printable ASCII; what was sent comes back all the same.
    for state in ["caf\u{e9}", "a\r\nb", "tab\tbed", "\u{7f}"] {
        let page = rp.authorize(&person, &pkce, &[("state", state)]).await;
        refused_at_the_client(&app, &page, "invalid_request", state);
        assert_eq!(page.param("state").as_deref(), Some(state));
    }
    // RFC 6749 §4.1.2: no state where none was sent.
    let page = rp.authorize(&person, &pkce, &[("state", ""), ("response_type", "token")]).await;
    refused_at_the_client(&app, &page, "unsupported_response_type", "without state");
    assert_eq!(page.param("state"), None);

    let page = machine.authorize(&person, &pkce, &[]).await;
    refused_at_the_client(&app, &page, "unauthorized_client", "a client of another grant");
}

async fn what_is_odd_but_right_is_accepted(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let (longest, state) = ("n".repeat(512), "s".repeat(2_000));
    for changes in [
        &[("response_mode", "query")][..],
        &[("response_mode", "form_post")],
        &[("prompt", "login consent select_account")],
        &[("prompt", "login  login ")],
        &[("max_age", "0")],
        &[("max_age", "007")],
        &[("max_age", "18446744073709551615")],
        &[("nonce", &longest)],
        &[("login_hint", &longest)],
        &[("state", &state)],
        &[("state", "")],
        &[("nonce", "")],
        // RFC 6749 §3.1: "MUST ignore unrecognized request parameters"
        &[("ui_locales", "cy fr"), ("acr_values", "5"), ("display", "x"), ("claims", "{}"), ("x", "y")],
    ] {
        assert!(rp.authorize(&person, &pkce, changes).await.asks_to_sign_in(), "{changes:?}");
    }
    // RFC 6749 §3.1: "Parameters sent without a value MUST be treated as if they were omitted from the request."
    let empty = "prompt=&max_age=&request=&request_uri=&response_mode=&login_hint=&id_token_hint=";
    let query = crate::support::party::encode(&rp.request(&pkce));
    assert!(person.get(&format!("/oauth/authorize?{query}&{empty}")).await.asks_to_sign_in());
    // RFC 8707 §2: "Multiple resource parameters MAY be used"; this server knows one resource.
    let issuer = form_urlencoded::byte_serialize(app.issuer().as_bytes()).collect::<String>();
    let resources = format!("resource={issuer}&resource={issuer}&resource=");
    assert!(person.get(&format!("/oauth/authorize?{query}&{resources}")).await.asks_to_sign_in());
}

async fn parameters_that_cannot_be_read_for_certain_go_nowhere(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let query = crate::support::party::encode(&rp.request(&pkce));
    for bad in [
        // RFC 6749 §3.1: "Request and response parameters MUST NOT be included more than once."
        "client_id=web",
        "client_id=other",
        "redirect_uri=https%3A%2F%2Fapp.example%2Fcallback",
        "redirect_uri=https%3A%2F%2Fevil.example%2F",
        "state=another",
        "scop%65=openid",
        "unknown=1&unknown=2",
        "state=",
        // Not UTF-8, not percent-encoded, not text.
        "x=%FF",
        "x=%C3%28",
        "x=%ED%A0%80",
        "x=%C0%AF",
        "%FF=x",
        "x=%",
        "x=%4",
        "x=%zz",
        "x=a%00b",
        "%00=x",
    ] {
        let page = person.get(&format!("/oauth/authorize?{query}&{bad}")).await;
        assert!(page.url.starts_with(&app.url), "{bad}: {}", page.url);
        page.expect_error_page(400);

        let form = [("content-type", "application/x-www-form-urlencoded")];
        let posted = app.post_raw("/oauth/authorize", &form, format!("{query}&{bad}")).await.expect_status(400);
        assert!(posted.header("location").is_none(), "{bad}");
    }
    assert!(person.get(&format!("/oauth/authorize?{query}&x=%C3%A9")).await.asks_to_sign_in());
}

async fn a_scope_must_follow_the_grammar_and_the_registration(app: TestApp) {
    let rp = app.client("web").scope("openid notes:read a!#$%&'()*+,-./:;<=>?@[]^_`{|}~z").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let long = "admin".repeat(1_000);
    for scope in [
        // RFC 6749 §3.3: scope-token = 1*( %x21 / %x23-5B / %x5D-7E )
        "openid a\"b",
        "openid a\\b",
        "openid\u{a0}notes:read",
        "openid \u{fc}",
        "openid\tnotes:read",
        "openid\nnotes:read",
        " ",
        // ... and within what the client is registered for.
        "admin",
        "openid admin",
        "openid OPENID",
        "openid notes",
        "openid notes:read2",
        "openid,notes:read",
        "openid *",
        &long,
    ] {
        let page = rp.authorize(&person, &pkce, &[("scope", scope)]).await;
        refused_at_the_client(&app, &page, "invalid_scope", scope);
    }
    for scope in ["openid", "notes:read openid", "openid openid", "openid a!#$%&'()*+,-./:;<=>?@[]^_`{|}~z"] {
        assert!(rp.authorize(&person, &pkce, &[("scope", scope)]).await.asks_to_sign_in(), "{scope}");
    }
}

async fn a_client_that_names_no_scope_gets_its_default_or_the_servers_and_never_offline_access(app: TestApp) {
    let app = app.another("[authorization]\ndefault_scope = \"profile email notes:read\"").await;
    app.user("ada").await;
    let (person, pkce) = (app.person(), Pkce::new());

    let its_own = app.client("own").with(|client| {
        client.default_scope = Some("openid notes:write offline_access".into());
    });
    let its_own = its_own.create().await;
    let code = its_own.code(&person, "ada", &pkce, &[("scope", "")]).await;
    let tokens = its_own.redeem(&code, &pkce).await.expect_tokens();
    assert_eq!(tokens.scope(), "notes:write openid");
    assert_eq!(tokens.0.get("refresh_token"), None);

    // RFC 6749 §3.3: "a pre-defined default value"; the server's, as far as the client may have it.
    let servers = app.client("servers").scope("notes:read profile openid offline_access").create().await;
    let code = servers.code(&person, "ada", &pkce, &[("scope", "")]).await;
    let tokens = servers.redeem(&code, &pkce).await.expect_tokens();
    assert_eq!(tokens.0["scope"], json!("notes:read profile"));
}
