//! What people are shown of clients that registered themselves.

use serde_json::{Value, json};

use crate::each_engine;
use crate::oauth::registration::{OPEN, party, register, registered, voucher};
use crate::support::app::PASSWORD;
use crate::support::{Engine, Page, Pkce, TestApp};

each_engine!(
    people_are_warned_of_a_client_that_nobody_has_verified,
    a_logo_is_loaded_of_verified_clients_alone,
    a_sign_in_can_be_begun_from_the_account_page,
    an_application_that_was_allowed_nothing_can_be_opened_if_somebody_answers_for_it,
);

fn document() -> Value {
    json!({
        "redirect_uris": ["https://app.example/cb"], "client_name": "Poems <b>",
        "client_uri": "https://app.example/about", "logo_uri": "https://pictures.example:8443/logo.png?x=1",
        "policy_uri": "https://policy.example/p?a=1&b=\"x", "tos_uri": "https://terms.example/t",
        "initiate_login_uri": "https://app.example/login?from=account",
    })
}

/// The page on which a person signs in to continue there.
async fn signing_in(app: &TestApp, client: &Value) -> Page {
    let page = party(app, client).authorize(&app.person(), &Pkce::new(), &[]).await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    page
}

async fn asked(app: &TestApp, client: &Value) -> Page {
    let person = app.person();
    let page = party(app, client).authorize(&person, &Pkce::new(), &[]).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    assert!(page.asks_for_consent(), "{page:?}");
    page
}

async fn people_are_warned_of_a_client_that_nobody_has_verified(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    app.user("ada").await;
    let client = registered(&app, &document()).await;
    let page = asked(&app, &client).await;
    for shown in [
        "<strong>Not verified.</strong>",
        "<span class=\"address\">app.example</span>",
        "Poems &#60;b&#62;",
        "href=\"https://terms.example/t\"",
        "href=\"https://policy.example/p?a=1&#38;b=&#34;x\"",
        "<span class=\"address\">policy.example</span>",
    ] {
        assert!(page.body.contains(shown), "{shown}: {}", page.body);
    }
    assert!(!page.body.contains("Verified by the administrator"));
    // OpenID Connect Registration §2: `policy_uri` and `tos_uri` are shown to whoever signs in, too.
    let before = signing_in(&app, &client).await.body;
    let links = ["https://policy.example/p?a=1&#38;b=&#34;x", "https://terms.example/t", "https://app.example/about"];
    for (link, host) in links.into_iter().zip(["policy.example", "terms.example", "app.example"]) {
        let (_, rest) = before.split_once(&format!("href=\"{link}\"")).expect("the link is there");
        let item = rest.split("</li>").next().unwrap();
        assert!(item.ends_with(&format!("at <span class=\"address\">{host}</span>")), "{item}");
    }

    // An administrator answers for it.
    let id = client["client_id"].as_str().unwrap().parse().unwrap();
    let mut known = (*app.store.client(&id).await.unwrap().unwrap()).clone();
    known.registration.as_mut().unwrap().verified = true;
    app.advance(1);
    let now = grantor::types::Clock::now(&*app.clock);
    app.change(async |tx| tx.update_client(&known, now).await).await;
    let page = asked(&app, &client).await;
    assert!(page.body.contains("Verified by the administrator") && !page.body.contains("Not verified"));
}

async fn a_logo_is_loaded_of_verified_clients_alone(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    app.user("ada").await;
    voucher(&app, "good", 1, true).await;
    let policy = |page: &Page| page.headers["content-security-policy"].to_str().unwrap().to_owned();

    let client = registered(&app, &document()).await;
    for page in [signing_in(&app, &client).await, asked(&app, &client).await] {
        assert!(!page.body.contains("pictures.example") && !policy(&page).contains("pictures.example"));
    }
    let client = register(&app, Some("good"), &document()).await.expect_status(201).json();
    for page in [signing_in(&app, &client).await, asked(&app, &client).await] {
        assert!(page.body.contains("src=\"https://pictures.example:8443/logo.png?x=1\""));
        let policy = policy(&page);
        assert!(policy.contains("img-src 'self' https://pictures.example:8443;"), "{policy}");
    }
}

async fn a_sign_in_can_be_begun_from_the_account_page(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    app.user("ada").await;
    let client = registered(&app, &document()).await;
    let person = app.person();
    party(&app, &client).code(&person, "ada", &Pkce::new(), &[]).await;
    // OpenID Connect Core §4: `iss` is required; what the address has already stays.
    let issuer: String = form_urlencoded::byte_serialize(app.issuer().as_bytes()).collect();
    let link = format!("href=\"https://app.example/login?from=account&#38;iss={issuer}\"");
    let page = person.get("/account").await;
    assert!(page.body.contains(&link), "{link}: {}", page.body);
}

async fn an_application_that_was_allowed_nothing_can_be_opened_if_somebody_answers_for_it(engine: Engine) {
    let app = TestApp::with(engine, OPEN).await;
    app.user("ada").await;
    voucher(&app, "good", 2, true).await;
    let stranger = registered(&app, &document()).await;
    let mut verified = document();
    verified["client_name"] = json!("Verified poems");
    let verified = register(&app, Some("good"), &verified).await.expect_status(201).json();
    // One that says nothing of it, but in a name.
    let named = json!({ "redirect_uris": ["https://app.example/cb"], "client_name": "\"initiate_login_uri\":" });
    register(&app, Some("good"), &named).await.expect_status(201);

    let person = app.person();
    let page = person.get("/sign-in").await;
    person.sign_in(&page, "ada", PASSWORD).await;
    let links = async || person.get("/account").await.body.matches("href=\"https://app.example/login?").count();
    let page = person.get("/account").await;
    assert!(page.body.contains("More applications") && page.body.contains("Verified poems"), "{}", page.body);
    assert!(!page.body.contains("Poems &#60;b&#62;") && !page.body.contains("initiate_login_uri"), "{}", page.body);
    assert_eq!(links().await, 1);

    // It goes to the others when it is allowed something, and a stranger comes there in no other way.
    party(&app, &verified).code(&person, "ada", &Pkce::new(), &[]).await;
    assert!(!person.get("/account").await.body.contains("More applications"));
    party(&app, &stranger).code(&person, "ada", &Pkce::new(), &[]).await;
    assert_eq!(links().await, 2);

    let id = verified["client_id"].as_str().unwrap().parse().unwrap();
    let now = grantor::types::Clock::now(&*app.clock);
    app.change(async |tx| tx.disable_client(&id, now).await).await;
    assert_eq!(links().await, 1);
}
