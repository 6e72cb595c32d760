//! Pairwise subjects (OpenID Connect Core §8): two clients cannot find out that they have the same user.

use axum::response::IntoResponse as _;
use grantor::oauth::subjects::check_sector;
use grantor::outgoing::{Options, Outgoing};
use grantor::types::{ClientMetadata, SubjectType, UserId};

use crate::each_engine;
use crate::support::app::Folder;
use crate::support::party::{Party, decode};
use crate::support::receiver::{NEARBY, Receiver, Reply};
use crate::support::website::{Website, certificate};
use crate::support::{Engine, Person, Pkce, TestApp};

each_engine!(
    a_person_is_another_in_each_sector_and_the_same_in_every_token_of_one,
    a_pairwise_subject_dies_with_its_user,
    a_hint_and_a_logout_token_speak_of_the_same_person,
);

async fn pairwise<'a>(app: &'a TestApp, id: &str, redirect_uri: &str) -> Party<'a> {
    app.client(id)
        .redirect_uris(&[redirect_uri])
        .with(|client| client.subject_type = SubjectType::Pairwise)
        .create()
        .await
}

/// The subject of a person at a client, which all that it gets agrees on.
async fn subject(app: &TestApp, rp: &Party<'_>, person: &Person) -> String {
    let tokens = rp.sign_in_with(person, "ada", &[]).await;
    let subject = decode(tokens.id_token()).1["sub"].as_str().expect("a subject").to_owned();
    let claims = decode(tokens.access_token()).1;
    assert_eq!(claims["sub"], subject);
    assert_eq!(rp.userinfo(tokens.access_token()).await.expect_status(200).json()["sub"], subject);
    assert_eq!(app.introspect(tokens.access_token()).await.expect_active()["sub"], subject);
    assert_eq!(rp.introspect(tokens.refresh_token()).await.expect_active()["sub"], subject);
    let refreshed = rp.refresh(&tokens).await.expect_tokens();
    assert_eq!(decode(refreshed.id_token()).1["sub"], subject);
    assert!(UserId::parse(&subject).is_some(), "it looks like any other, and not like a client's id: {subject}");
    subject
}

async fn a_person_is_another_in_each_sector_and_the_same_in_every_token_of_one(engine: Engine) {
    let app = TestApp::spawn(engine).await;
    let (ada, person) = (app.user("ada").await.to_string(), app.person());
    let one = pairwise(&app, "one", "https://a.example/cb").await;
    let same = pairwise(&app, "same", "https://a.example:8443/other").await;
    let other = pairwise(&app, "other", "https://b.example/cb").await;
    let public = app.client("public").create().await;

    let (at_one, at_other) = (subject(&app, &one, &person).await, subject(&app, &other, &person).await);
    assert_eq!(subject(&app, &same, &person).await, at_one);
    assert_eq!(subject(&app, &public, &person).await, ada);
    assert!(at_one != at_other && at_one != ada && at_other != ada);
    // §8: "MUST be the same" whenever, and at whichever node, they sign in.
    let node = app.second_node().await;
    assert_eq!(subject(&node, &one.at(&node), &node.person()).await, at_one);
    app.user("grace").await;
    let graces = one.sign_in("grace").await;
    assert_ne!(decode(graces.id_token()).1["sub"], at_one);
    // What a client gets shows no id of the user's, and its own token is about itself.
    let tokens = one.sign_in_with(&person, "ada", &[]).await;
    for token in [tokens.id_token(), tokens.access_token(), tokens.refresh_token()] {
        assert!(!decode(token).1.to_string().contains(&ada));
    }
    let own = one.client_credentials("notes:read").await.expect_tokens();
    assert_eq!(decode(own.access_token()).1["sub"], "one");
    // Nobody else can compute it: the secret lies sealed.
    assert_eq!(app.count("secrets WHERE name = 'pairwise_subjects'").await, 1);
}

async fn a_pairwise_subject_dies_with_its_user(engine: Engine) {
    let app = TestApp::spawn(engine).await;
    let (ada, rp) = (app.user("ada").await, pairwise(&app, "one", "https://a.example/cb").await);
    let tokens = rp.sign_in("ada").await;
    app.introspect(tokens.access_token()).await.expect_active();
    app.disable_user(ada).await;
    app.introspect(tokens.access_token()).await.expect_inactive();
    rp.userinfo(tokens.access_token()).await.expect_error("invalid_token");
    rp.refresh(&tokens).await.expect_error("invalid_grant");
}

async fn a_hint_and_a_logout_token_speak_of_the_same_person(engine: Engine) {
    let (app, receiver) = (TestApp::with(engine, NEARBY).await, Receiver::start(Reply::Status(200)).await);
    app.user("ada").await;
    app.user("grace").await;
    let rp = pairwise(&app, "one", "https://a.example/cb").await;
    let uri = receiver.uri();
    app.reregister("one", |client| client.backchannel_logout_uri = Some(uri)).await;
    let (person, elsewhere) = (app.person(), app.person());
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    let graces = rp.sign_in_with(&elsewhere, "grace", &[]).await;
    // OpenID Connect Core §3.1.2.1: the user of the hint, or nobody.
    let silent = |hint: &str| [("prompt", "none".to_owned()), ("id_token_hint", hint.to_owned())];
    for (hint, is_them) in [(tokens.id_token(), true), (graces.id_token(), false)] {
        let changes = silent(hint);
        let changes: Vec<_> = changes.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let page = rp.authorize(&person, &Pkce::new(), &changes).await;
        assert_eq!(page.param("code").is_some(), is_them, "{page:?}");
        assert_eq!(page.param("error").is_none(), is_them, "{page:?}");
    }
    // OpenID Connect Core §5.5.1: so does the claim `sub`, by the name that this client knows them by.
    for (token, is_them) in [(tokens.id_token(), true), (graces.id_token(), false)] {
        let claims = serde_json::json!({"id_token": {"sub": {"value": decode(token).1["sub"]}}}).to_string();
        let page = rp.authorize(&person, &Pkce::new(), &[("prompt", "none"), ("claims", &claims)]).await;
        assert_eq!(page.param("code").is_some(), is_them, "{page:?}");
    }
    // RP-Initiated Logout §2: it proves whose session is meant.
    person.get(&format!("/oauth/logout?id_token_hint={}", tokens.id_token())).await;
    let token = receiver.hears(1).await.remove(0);
    assert_eq!(decode(&token).1["sub"], decode(tokens.id_token()).1["sub"]);
}

fn client(redirect_uris: &[&str], sector: Option<&str>) -> ClientMetadata {
    ClientMetadata {
        client_name: "x".into(),
        redirect_uris: redirect_uris.iter().map(|uri| uri.parse().unwrap()).collect(),
        subject_type: SubjectType::Pairwise,
        sector_identifier_uri: sector.map(str::to_owned),
        ..ClientMetadata::default()
    }
}

#[test]
fn a_sector_is_one_host() {
    let named = Some("https://sector.example/uris.json");
    for (redirect_uris, sector, host) in [
        (&["https://a.example/cb", "https://a.example:8443/x"][..], None, "a.example"),
        (&["https://a.example/cb", "https://b.example/cb"], named, "sector.example"),
        (&["com.example.app:/cb", "http://127.0.0.1/cb"], named, "sector.example"),
    ] {
        let client = client(redirect_uris, sector);
        assert_eq!(client.validate(), Ok(()), "{redirect_uris:?}");
        assert_eq!(client.sector().as_deref(), Some(host));
    }
    for (redirect_uris, sector) in [
        (&[][..], None),
        (&["https://a.example/cb", "https://b.example/cb"], None),
        (&["https://a.example/cb", "http://127.0.0.1/cb"], None),
        (&["http://127.0.0.1/cb"], None),
        (&["com.example.app:/cb"], None),
        (&["https://a.example/cb"], Some("http://a.example/uris.json")),
        (&["https://a.example/cb"], Some("https://a.example/uris.json#x")),
        (&["https://a.example/cb"], Some("a.example")),
    ] {
        assert!(client(redirect_uris, sector).validate().is_err(), "{redirect_uris:?} {sector:?}");
    }
    let public = ClientMetadata { subject_type: SubjectType::Public, ..client(&["https://a.example/cb"], named) };
    assert_eq!((public.validate(), public.sector()), (Ok(()), None));
}

#[tokio::test]
async fn a_sector_lists_its_clients() {
    let folder = Folder::new();
    certificate(&folder);
    let site = Website::start_secure(&folder, |request| match request.uri().path() {
        "/uris" => r#"["https://a.example/cb", "https://b.example/cb"]"#.into_response(),
        "/object" => r#"{"redirect_uris": ["https://a.example/cb"]}"#.into_response(),
        _ => http::StatusCode::NOT_FOUND.into_response(),
    });
    let site = site.await;
    let options = Options {
        allow: vec!["127.0.0.1/32".parse().unwrap()],
        extra_ca: Some(std::fs::read(folder.path("tls.crt")).unwrap()),
        timeout: std::time::Duration::from_secs(5),
        max_bytes: 10_000,
    };
    let outgoing = Outgoing::new(&options).unwrap();
    let check = async |redirect_uris: &[&str], path: &str| {
        check_sector(&outgoing, &client(redirect_uris, Some(&format!("{}{path}", site.url)))).await
    };
    assert_eq!(check(&["https://a.example/cb"], "/uris").await, Ok(()));
    assert_eq!(check(&["https://b.example/cb", "https://a.example/cb"], "/uris").await, Ok(()));
    assert_eq!(check_sector(&outgoing, &client(&["https://a.example/cb"], None)).await, Ok(()));
    // OpenID Connect Registration §5: each of them, letter for letter.
    let missing = check(&["https://a.example/cb", "https://a.example/cb2"], "/uris").await.unwrap_err();
    assert!(missing.contains("https://a.example/cb2"), "{missing}");
    for path in ["/object", "/missing"] {
        assert!(check(&["https://a.example/cb"], path).await.is_err(), "{path}");
    }
    // Through the guard.
    let closed = Outgoing::new(&Options { allow: Vec::new(), ..options }).unwrap();
    let uri = format!("{}/uris", site.url);
    assert!(check_sector(&closed, &client(&["https://a.example/cb"], Some(&uri))).await.is_err());
}
