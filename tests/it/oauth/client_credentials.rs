//! The client credentials grant (RFC 6749 §4.4, OAuth 2.1 §4.2).

use std::time::Duration;

use grantor::types::{AuthMethod, ClientMetadata, GrantType, Scope};
use serde_json::json;

use crate::support::app::{Folder, config};
use crate::support::behind::IMPATIENT;
use crate::support::party::{SECRET, basic, decode};
use crate::support::postgres::Cluster;
use crate::support::{Engine, TestApp};
use crate::{each_database, each_engine};

each_database!(
    a_client_acts_for_itself,
    a_client_gets_what_it_asks_for_within_its_registration,
    scopes_of_people_mean_nothing_here,
    clients_that_may_not_are_refused,
    a_client_authenticates_or_gets_nothing,
    nothing_is_written,
);
each_engine!(a_server_has_a_default_scope, no_access_token_lives_longer_than_the_ceiling);

async fn a_client_acts_for_itself(app: TestApp) {
    let rp = app.client("web").create().await;
    let tokens = rp.client_credentials("notes:read").await.expect_tokens();
    assert_eq!(tokens.0["token_type"], "Bearer");
    assert_eq!(tokens.0["expires_in"], 600);
    assert_eq!(tokens.scope(), "notes:read");
    // RFC 6749 §4.4.3: "A refresh token SHOULD NOT be included"; and there is nobody to identify.
    assert_eq!((tokens.0.get("refresh_token"), tokens.0.get("id_token")), (None, None));

    // RFC 9068 §2.2
    let (header, claims) = decode(tokens.access_token());
    assert_eq!((&header["typ"], &header["alg"]), (&json!("at+jwt"), &json!("ES256")));
    for (name, value) in
        [("iss", app.issuer()), ("aud", app.issuer()), ("sub", "web"), ("client_id", "web"), ("scope", "notes:read")]
    {
        assert_eq!(claims[name], value, "{name}");
    }
    assert_eq!(claims["exp"].as_i64(), claims["iat"].as_i64().map(|iat| iat + 600));
    for absent in ["grant_id", "sid", "auth_time", "acr", "amr"] {
        assert_eq!(claims.get(absent), None, "{absent}");
    }
    let active = app.introspect(tokens.access_token()).await.expect_active();
    assert_eq!((&active["sub"], &active["client_id"]), (&json!("web"), &json!("web")));

    let other = rp.client_credentials("notes:read").await.expect_tokens();
    assert_ne!(decode(other.access_token()).1["jti"], claims["jti"]);
    app.advance(600);
    app.introspect(tokens.access_token()).await.expect_inactive();
}

async fn a_client_gets_what_it_asks_for_within_its_registration(app: TestApp) {
    let plain = app.client("plain").scope("notes:read notes:write").create().await;
    let default = |client: &mut ClientMetadata| client.default_scope = Some(Scope::from("notes:read"));
    let modest = app.client("modest").scope("notes:read notes:write").with(default).create().await;
    let bare = app.client("bare").scope("").create().await;
    for (rp, asked, granted) in [
        (&plain, "notes:read", Some("notes:read")),
        (&plain, "notes:write notes:read notes:write", Some("notes:read notes:write")),
        (&plain, "", None), // RFC 6749 §3.3: no default, so none; and none is not told
        (&modest, "", Some("notes:read")),
        (&modest, "notes:write", Some("notes:write")),
        (&bare, "", None),
    ] {
        let tokens = rp.client_credentials(asked).await.expect_tokens();
        assert_eq!(tokens.0.get("scope").and_then(|scope| scope.as_str()), granted, "{} asks for {asked:?}", rp.id);
        let claims = decode(tokens.access_token()).1;
        assert_eq!(claims.get("scope").and_then(|scope| scope.as_str()), granted);
    }
    for (rp, asked) in [
        (&plain, "notes:delete"),
        (&plain, "notes:read notes:delete"),
        (&plain, "Notes:Read"),
        (&plain, "openid"),
        (&plain, "notes:read\u{7f}"),
        (&plain, "notes:\\read"),
        (&modest, "profile"),
        (&bare, "notes:read"),
    ] {
        rp.client_credentials(asked).await.expect_error("invalid_scope").expect_status(400);
    }
}

async fn scopes_of_people_mean_nothing_here(app: TestApp) {
    let rp = app.client("web").create().await;
    let tokens = rp.client_credentials("openid offline_access notes:read").await.expect_tokens();
    // RFC 6749 §5.1: the answer says that it is not what was asked for.
    assert_eq!(tokens.scope(), "notes:read");
    assert_eq!((tokens.0.get("refresh_token"), tokens.0.get("id_token")), (None, None));
    let tokens = rp.client_credentials("openid").await.expect_tokens();
    assert_eq!(tokens.0.get("scope"), None);
    rp.userinfo(tokens.access_token()).await.expect_error("insufficient_scope").expect_status(403);
}

async fn clients_that_may_not_are_refused(app: TestApp) {
    // RFC 6749 §4.4: "MUST only be used by confidential clients". Registration refuses it of public ones...
    let public = app.client("spa").public().create().await;
    public.client_credentials("").await.expect_error("unauthorized_client").expect_status(400);
    let metadata =
        json!({ "client_name": "x", "token_endpoint_auth_method": "none", "grant_types": ["client_credentials"] });
    let metadata: ClientMetadata = serde_json::from_value(metadata).expect("it reads");
    metadata.validate().expect_err("a public client cannot be registered for it");

    // ... and a row that says so all the same was not written by us.
    let both = r#"["authorization_code","refresh_token","client_credentials"]"#;
    let statement = format!(
        "UPDATE clients SET metadata = REPLACE(metadata, '[\"authorization_code\",\"refresh_token\"]', '{both}')
         WHERE id = 'spa'"
    );
    assert_eq!(app.sql(&statement).await, 1);
    let mut node = app.second_node().await;
    let answer = public.at(&node).client_credentials("").await;
    assert!(!answer.status.is_success(), "a public client acts for itself: {}", answer.body);
    node.stop().await;

    let web = app.client("web").grants(&[GrantType::AuthorizationCode]).create().await;
    web.client_credentials("notes:read").await.expect_error("unauthorized_client").expect_status(400);
}

async fn a_client_authenticates_or_gets_nothing(app: TestApp) {
    let rp = app.client("web").create().await;
    let post = app.client("post").with(|c| c.token_endpoint_auth_method = AuthMethod::ClientSecretPost).create().await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let grant = "grant_type=client_credentials";
    let by = |id: &str, secret: &str| Some(basic(id, secret));
    for (authorization, body, status) in [
        (by("web", SECRET), grant.to_owned(), 200),
        (by(&post.id, SECRET), grant.to_owned(), 200),
        (None, format!("{grant}&client_id=post&client_secret={SECRET}"), 200),
        (None, format!("{grant}&client_id=post&client_secret=wrong"), 401),
        (None, format!("{grant}&client_id=post"), 401),
        (by("web", ""), grant.to_owned(), 401),
        (by("web", &SECRET[1..]), grant.to_owned(), 401),
        (by("web", &format!("{SECRET} ")), grant.to_owned(), 401),
        (by("nobody", SECRET), grant.to_owned(), 401),
        (by("WEB", SECRET), grant.to_owned(), 401),
    ] {
        let mut headers = vec![form];
        headers.extend(authorization.as_deref().map(|value| ("authorization", value)));
        let answer = app.post_raw("/oauth/token", &headers, body.clone()).await;
        assert_eq!(answer.status.as_u16(), status, "{authorization:?} {body}: {}", answer.body);
        if status == 401 {
            // RFC 6749 §5.2
            assert_eq!(answer.header("www-authenticate").is_some(), authorization.is_some(), "{answer:?}");
            answer.expect_error("invalid_client");
        }
    }
    rp.client_credentials("").await.expect_tokens();
}

async fn nothing_is_written(app: TestApp) {
    let rp = app.client("web").create().await;
    let before = app.count("changes").await;
    for _ in 0..5 {
        rp.client_credentials("notes:read").await.expect_tokens();
    }
    assert_eq!((app.count("changes").await, app.count("grants").await), (before, 0));
}

async fn a_server_has_a_default_scope(engine: Engine) {
    let app = TestApp::with(engine, "[authorization]\ndefault_scope = \"notes:read profile\"").await;
    let some = app.client("some").scope("notes:read notes:write").create().await;
    // RFC 6749 §3.3: "a pre-defined default value", of which a client gets what it is registered for.
    assert_eq!(some.client_credentials("").await.expect_tokens().scope(), "notes:read");
    let none = app.client("none").scope("other").create().await;
    assert_eq!(none.client_credentials("").await.expect_tokens().0.get("scope"), None);
    let own = app.client("own").with(|client| client.default_scope = Some(Scope::from("notes:write"))).create().await;
    assert_eq!(own.client_credentials("").await.expect_tokens().scope(), "notes:write");
}

async fn no_access_token_lives_longer_than_the_ceiling(engine: Engine) {
    let app = TestApp::with(engine, "[tokens]\naccess_token_lifetime = \"1h\"").await;
    for (id, own, expected) in [("a", None, 3_600), ("b", Some(60), 60), ("c", Some(1), 1), ("d", Some(86_400), 3_600)]
    {
        let client = app.client(id).with(|client| client.access_token_lifetime = own.map(Duration::from_secs));
        let tokens = client.create().await.client_credentials("").await.expect_tokens();
        assert_eq!(tokens.0["expires_in"], expected);
        let claims = decode(tokens.access_token()).1;
        assert_eq!(claims["exp"].as_i64(), claims["iat"].as_i64().map(|iat| iat + expected));
    }
    for toml in ["[tokens]\naccess_token_lifetime = \"61m\"", "[tokens]\naccess_token_lifetime = \"0s\""] {
        let refused = grantor::config::Config::parse(toml).expect_err("the ceiling is one hour");
        assert!(refused.to_string().contains("access_token_lifetime"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_warm_server_needs_no_database_and_a_stale_one_answers_nothing() {
    let mut cluster = Cluster::start();
    let app = TestApp::on(&cluster.create_database().await, config(IMPATIENT), Folder::new()).await;
    let rp = app.client("web").create().await;
    let tokens = rp.client_credentials("notes:read").await.expect_tokens();
    app.introspect(tokens.access_token()).await.expect_active();
    // The feed brings what happened here, too, and has the caches filled anew. After that they are warm.
    app.store.read_changes().await.expect("the database answers");
    app.introspect(tokens.access_token()).await.expect_active();
    rp.client_credentials("notes:read").await.expect_tokens();

    cluster.stop();
    app.get("/readyz").await.expect_status(503);
    for _ in 0..3 {
        let more = rp.client_credentials("notes:read").await.expect_tokens();
        ask(&app, more.access_token()).await.expect_active();
        ask(&app, tokens.access_token()).await.expect_active();
    }

    // docs/architecture.md, "The change feed": a node that has not read the feed for too long vouches for nothing,
    // neither for tokens nor for its memory of who is a client.
    app.advance(4);
    for answer in [ask(&app, tokens.access_token()).await, rp.client_credentials("").await] {
        assert_eq!(answer.header("retry-after"), Some("2"));
        answer.expect_error("temporarily_unavailable").expect_status(503);
    }

    cluster.start_again();
    crate::support::app::eventually("the server is ready again", || async {
        app.get("/readyz").await.status.is_success()
    })
    .await;
    app.introspect(tokens.access_token()).await.expect_active();
    rp.client_credentials("").await.expect_tokens();
}

/// `TestApp::introspect` looks into the store first, which cannot answer here.
async fn ask(app: &TestApp, token: &str) -> crate::support::Answer {
    crate::support::Party::existing(app, "api", SECRET).introspect(token).await
}
