//! Applications that want two factors: `acr_values`, `acr` of the claims parameter, and what is registered of a client.

use grantor::types::{Clock as _, Group};
use serde_json::{Value, json};

use super::authorize::refused_at_the_client;
use crate::each_database;
use crate::store::transitions::within;
use crate::support::app::PASSWORD;
use crate::support::party::decode;
use crate::support::{Page, Party, Person, Pkce, TestApp, Tokens};
use crate::web::second_factor::{App, STEP};

each_database!(
    whoever_is_signed_in_is_asked_for_the_factor_that_is_missing_alone,
    whoever_has_none_sets_one_up_and_goes_on,
    a_wish_is_met_where_it_can_be_and_answered_truthfully_where_not,
    a_client_may_demand_two_factors_or_have_them_as_its_default,
    an_essential_acr_is_demanded,
    whoever_turns_away_is_not_asked_again,
    who_is_in_a_group_that_demands_it_proves_two_factors,
);

fn is_asked(page: &Page) -> bool {
    page.url.contains("/sign-in/second") && !page.body.contains("name=\"password\"")
}

fn acr(tokens: &Tokens) -> Value {
    decode(tokens.id_token()).1["acr"].clone()
}

/// Ada, who is signed in by her password and has consented; she sets up an app.
async fn ada(app: &TestApp, rp: &Party<'_>) -> (Person, App) {
    app.user("ada").await;
    let person = app.person();
    assert_eq!(acr(&rp.sign_in_with(&person, "ada", &[]).await), "1");
    let (telephone, _) = person.sets_up_an_app(app).await;
    app.clock.advance(STEP);
    (person, telephone)
}

async fn whoever_is_signed_in_is_asked_for_the_factor_that_is_missing_alone(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, telephone) = ada(&app, &rp).await;
    let pkce = Pkce::new();
    let before = decode(rp.sign_in_with(&person, "ada", &[]).await.id_token()).1;
    let two = ("acr_values", "2");
    // OpenID Connect Core Unmet Authentication Requirements §2
    let quiet = rp.authorize(&person, &pkce, &[two, ("prompt", "none")]).await;
    refused_at_the_client(&app, &quiet, "unmet_authentication_requirements", "prompt=none");

    let page = rp.authorize(&person, &pkce, &[two]).await;
    assert!(is_asked(&page) && page.body.contains("Lighthouse"), "{page:?}");
    let page = person.enter(&page, "000000").await;
    assert!(is_asked(&page) && page.status == 422, "{page:?}");
    app.clock.advance(STEP);
    let tokens = rp.redeem(&person.enter(&page, &telephone.code(&app)).await.code(), &pkce).await.expect_tokens();
    let now = app.clock.now().secs();
    let told = app.introspect(tokens.access_token()).await.expect_active();
    for claims in [&decode(tokens.id_token()).1, &decode(tokens.access_token()).1, &told] {
        // RFC 9470 §6; RFC 8176 §2
        assert_eq!(
            (&claims["acr"], &claims["amr"], &claims["auth_time"]),
            (&json!("2"), &json!(["pwd", "otp", "mfa"]), &json!(now)),
        );
    }
    // The session is the same, and so are the tokens that hang on it.
    assert_eq!(decode(tokens.id_token()).1["sid"], before["sid"]);
    let quiet = rp.sign_in_with(&person, "ada", &[two, ("prompt", "none")]).await;
    assert_eq!(acr(&quiet), "2");
    assert_eq!(acr(&rp.refresh(&tokens).await.expect_tokens()), "2");
}

async fn whoever_has_none_sets_one_up_and_goes_on(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    rp.sign_in_with(&person, "ada", &[]).await;
    let page = rp.authorize(&person, &pkce, &[("acr_values", "2")]).await;
    assert!(is_asked(&page) && page.body.contains("Set up an authenticator app"), "{page:?}");
    let telephone = App::set_up(&page);
    let codes = person.enter(&page, &telephone.code(&app)).await;
    assert_eq!(codes.status, 200);
    let go_on = codes.body.split("primary\" href=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let tokens = rp.redeem(&person.get(go_on).await.code(), &pkce).await.expect_tokens();
    assert_eq!(acr(&tokens), "2");

    // From then on both are asked for at once.
    let other = app.person();
    let page = rp.authorize(&other, &pkce, &[]).await;
    let page = other.sign_in(&page, "ada", PASSWORD).await;
    assert!(is_asked(&page), "{page:?}");
    app.clock.advance(STEP);
    let tokens = rp.redeem(&other.enter(&page, &telephone.code(&app)).await.code(), &pkce).await.expect_tokens();
    assert_eq!(acr(&tokens), "2");
}

async fn a_wish_is_met_where_it_can_be_and_answered_truthfully_where_not(app: TestApp) {
    app.user("bob").await;
    let rp = app.client("web").create().await;
    let wish = ("acr_values", "2 1");
    let bob = app.person();
    assert_eq!(acr(&rp.sign_in_with(&bob, "bob", &[wish]).await), "1");
    let (person, telephone) = ada(&app, &rp).await;
    for other in ["1 2", "1", "phr", "phr 1"] {
        assert_eq!(acr(&rp.sign_in_with(&person, "ada", &[("acr_values", other)]).await), "1", "{other}");
    }
    assert_eq!(acr(&rp.sign_in_with(&person, "ada", &[wish, ("prompt", "none")]).await), "1");
    let pkce = Pkce::new();
    let page = rp.authorize(&person, &pkce, &[wish]).await;
    assert!(is_asked(&page), "{page:?}");
    let tokens = rp.redeem(&person.enter(&page, &telephone.code(&app)).await.code(), &pkce).await.expect_tokens();
    assert_eq!(acr(&tokens), "2");
}

async fn a_client_may_demand_two_factors_or_have_them_as_its_default(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, _) = ada(&app, &rp).await;
    let pkce = Pkce::new();
    let asked = async |changes: &[(&str, &str)]| is_asked(&rp.authorize(&person, &pkce, changes).await);
    app.reregister("web", |client| client.default_acr_values = vec!["2".into()]).await;
    // OpenID Connect Registration §2: "overridden by an explicit request".
    let claim = r#"{"id_token":{"acr":{"values":["1"]}}}"#;
    assert!(asked(&[]).await && !asked(&[("acr_values", "1")]).await && !asked(&[("claims", claim)]).await);
    app.reregister("web", |client| {
        client.default_acr_values = Vec::new();
        client.require_second_factor = true;
    })
    .await;
    assert!(asked(&[]).await && asked(&[("acr_values", "1")]).await && asked(&[("claims", claim)]).await);
    // Of other clients nothing is demanded.
    let other = app.client("other").create().await;
    assert_eq!(acr(&other.sign_in_with(&person, "ada", &[]).await), "1");
}

async fn an_essential_acr_is_demanded(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, telephone) = ada(&app, &rp).await;
    let pkce = Pkce::new();
    let claims = json!({"id_token": {"acr": {"essential": true, "values": ["2", "phr"]}}}).to_string();
    let quiet = rp.authorize(&person, &pkce, &[("claims", &claims), ("prompt", "none")]).await;
    refused_at_the_client(&app, &quiet, "unmet_authentication_requirements", "prompt=none");
    let page = rp.authorize(&person, &pkce, &[("claims", &claims)]).await;
    assert!(is_asked(&page), "{page:?}");
    let tokens = rp.redeem(&person.enter(&page, &telephone.code(&app)).await.code(), &pkce).await.expect_tokens();
    assert_eq!(acr(&tokens), "2");
}

async fn whoever_turns_away_is_not_asked_again(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, telephone) = ada(&app, &rp).await;
    let page = rp.authorize(&person, &Pkce::new(), &[("acr_values", "2")]).await;
    let [csrf, request] = ["csrf", "request"].map(|name| page.hidden(name));
    let fields = [("csrf", csrf.as_str()), ("request", &request), ("decision", "cancel")];
    person.post("/sign-in/second", &fields).await.expect_redirect_error("access_denied");
    // The request was answered by that.
    person.enter(&page, &telephone.code(&app)).await.expect_error_page(400);
}

async fn who_is_in_a_group_that_demands_it_proves_two_factors(app: TestApp) {
    let app = app.another("[second_factor]\ngroups = [\"admins\"]\n").await;
    let (ada, now) = (app.user("ada").await, app.clock.now());
    app.user("bob").await;
    let rp = app.client("web").create().await;
    let group = Group {
        name: "admins".parse().expect("a name"),
        description: None,
        roles: Vec::new(),
        created_at: now,
        updated_at: now,
    };
    within(&app.store, async |tx| tx.insert_group(&group).await).await;
    let (person, pkce) = (app.person(), Pkce::new());
    rp.sign_in_with(&person, "ada", &[]).await;
    // Who is put into it while they are signed in shows it at the next request.
    within(&app.store, async |tx| tx.join_group(&group.name, ada, now).await).await;
    let quiet = rp.authorize(&person, &pkce, &[("prompt", "none")]).await;
    quiet.expect_redirect_error("unmet_authentication_requirements");
    let page = rp.authorize(&person, &pkce, &[]).await;
    assert!(page.url.contains("/sign-in/second"), "{page:?}");
    // And at the next sign-in, before they are let in.
    let other = app.person();
    let page = rp.authorize(&other, &pkce, &[]).await;
    let page = other.sign_in(&page, "ada", PASSWORD).await;
    assert!(page.url.contains("/sign-in/second") && !other.is_signed_in().await, "{page:?}");
    // Nobody else is asked.
    rp.sign_in("bob").await;
    // The last one stays where it is.
    let (telephone, _) = person.sets_up_an_app(&app).await;
    app.clock.advance(STEP);
    let page = rp.authorize(&person, &pkce, &[]).await;
    person.enter(&page, &telephone.code(&app)).await;
    let page = person.get("/account/security").await;
    let fields = [("csrf", page.hidden("csrf")), ("app", page.hidden("app"))];
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let page = person.post("/account/security/app/remove", &fields).await;
    assert!(page.body.contains("Nothing was removed."), "{}", page.body);
}
