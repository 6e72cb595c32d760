//! An issuer with a path: everything stands under it, and the metadata where each specification looks for it.

use crate::support::authenticator::Authenticator;
use crate::support::{Engine, Pkce, TestApp};

async fn app(engine: Engine) -> TestApp {
    TestApp::with(engine, "[server]\nissuer = \"http://localhost:8080/auth/eu\"").await
}

#[tokio::test]
async fn the_whole_flow_stays_under_the_path_of_the_issuer() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let app = app(engine).await;
        assert!(app.issuer().ends_with("/auth/eu"));
        app.user("ada").await;
        let rp = app.client("web").create().await;
        let (person, pkce) = (app.person(), Pkce::new());

        let page = rp.authorize(&person, &pkce, &[]).await;
        assert!(page.asks_to_sign_in(), "{page:?}");
        let ours = |page: &crate::support::Page| page.url.starts_with(&format!("{}/", app.issuer()));
        assert!(ours(&page), "{}", page.url);
        for (attribute, own) in
            [("action=\"", "/auth/eu/sign-in"), ("href=\"", "/auth/eu/static/"), ("src=\"", "/auth/eu/static/")]
        {
            let starts = page.body.split(attribute).skip(1).all(|rest| rest.starts_with(own));
            assert!(starts, "{attribute}: {}", page.body);
        }
        let page = person.sign_in(&page, "ada", crate::support::app::PASSWORD).await;
        assert!(page.asks_for_consent() && ours(&page), "{page:?}");
        assert!(page.body.contains("action=\"/auth/eu/consent\""), "{}", page.body);
        let page = person.decide(&page, "allow").await;
        // RFC 9207 §2
        assert_eq!(page.param("iss").as_deref(), Some(app.issuer()));
        let tokens = rp.redeem(&page.code(), &pkce).await.expect_tokens();
        assert_eq!(crate::support::party::decode(tokens.id_token()).1["iss"], app.issuer());
        app.introspect(tokens.access_token()).await.expect_active();
        rp.userinfo(tokens.access_token()).await.expect_status(200);
        rp.refresh(&tokens).await.expect_tokens();

        let page = rp.authorize(&person, &pkce, &[("prompt", "select_account")]).await;
        let session = page.body.split("name=\"session\" value=\"").nth(1).unwrap().split('"').next().unwrap();
        let page = person.choose_account(&page, Some(session)).await;
        page.code();
        let page = person.withdraw("web").await;
        assert!(ours(&page) && page.body.contains("can no longer use"), "{page:?}");
        assert!(ours(&person.sign_out().await));
        assert!(!person.is_signed_in().await);
    }
}

#[tokio::test]
async fn a_passkey_answers_at_the_origin_of_an_issuer_with_a_path() {
    let app = app(Engine::Sqlite).await;
    app.user("ada").await;
    let person = app.person();
    person.sign_in_to_account("ada").await;
    let mut device = Authenticator::at(&app);
    assert!(!device.origin.contains("/auth"));
    assert_eq!(person.adds_a_passkey(&mut device).await.status, 200);
    let other = app.person();
    let page = other.get("/sign-in").await;
    assert!(page.body.contains("action=\"/auth/eu/sign-in/passkey\""), "{}", page.body);
    let page = other.shows(&page, &mut device).await;
    assert!(page.url.ends_with("/auth/eu/account"), "{page:?}");
}

#[tokio::test]
async fn the_metadata_is_where_each_specification_looks_for_it() {
    let app = app(Engine::Sqlite).await;
    let root = app.url.strip_suffix("/auth/eu").unwrap();
    let get = async |url: String| crate::support::Answer::of(app.http.get(url).send().await.unwrap()).await;
    // RFC 9728 §3.1
    let resource = get(format!("{root}/.well-known/oauth-protected-resource/auth/eu")).await.expect_status(200).json();
    assert_eq!(resource["resource"], app.issuer());
    // OpenID Connect Discovery §4: behind the path; RFC 8414 §3.1: before it; §5: both, for OpenID clients.
    for url in [
        format!("{}/.well-known/openid-configuration", app.url),
        format!("{}/.well-known/oauth-authorization-server", app.url),
        format!("{root}/.well-known/oauth-authorization-server/auth/eu"),
        format!("{root}/.well-known/openid-configuration/auth/eu"),
    ] {
        let metadata = get(url.clone()).await.expect_status(200).json();
        assert_eq!(metadata["issuer"], app.issuer(), "{url}");
        for (name, value) in metadata.as_object().unwrap() {
            if name.ends_with("_endpoint") || name == "jwks_uri" {
                assert!(value.as_str().unwrap().starts_with(&format!("{}/oauth/", app.issuer())), "{name}: {value}");
            }
        }
        get(metadata["jwks_uri"].as_str().unwrap().to_owned()).await.expect_status(200);
    }
}

#[tokio::test]
async fn outside_of_the_path_nothing_is_served() {
    let app = app(Engine::Sqlite).await;
    let root = app.url.strip_suffix("/auth/eu").unwrap();
    let get = async |url: String| crate::support::Answer::of(app.http.get(url).send().await.unwrap()).await;
    for path in [
        "/",
        "/sign-in",
        "/oauth/jwks",
        "/auth",
        "/auth/eu2/sign-in",
        "/.well-known/openid-configuration",
        "/.well-known/oauth-authorization-server/auth",
    ] {
        let answer = get(format!("{root}{path}")).await.expect_status(404);
        assert!(answer.body.contains("<h1"), "{path} is a page: {}", answer.body);
    }
    // Whoever runs it probes the root.
    for path in ["/healthz", "/readyz", "/auth/eu/healthz", "/auth/eu/account", "/auth/eu", "/auth/eu/"] {
        let status = get(format!("{root}{path}")).await.status.as_u16();
        assert!(matches!(status, 200 | 303), "{path}: {status}");
    }
    // The cookie is for the whole host, as its prefix on https demands.
    let answer = get(format!("{}/sign-in", app.url)).await;
    assert!(
        answer.header("set-cookie").unwrap().contains("Path=/;")
            || answer.header("set-cookie").unwrap().ends_with("Path=/")
    );
}
