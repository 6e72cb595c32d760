//! Rich authorization requests (RFC 9396): what becomes of what was granted: narrowed, refreshed, for one place of several.

use grantor::types::{AuthorizationType, Clock, Schema};
use serde_json::{Value, json};

use super::authorization_details::{customers, for_itself, kind, list, orders, place, register, table_access};
use super::resources;
use crate::each_database;
use crate::support::device::GRANT;
use crate::support::party::{Tokens, decode};
use crate::support::{Party, Pkce, TestApp};

each_database!(
    the_token_endpoint_is_asked_for_less_and_never_for_more,
    a_client_acts_for_itself_within_its_types,
    a_device_asks_for_it_too,
    what_its_type_or_client_allows_no_more_is_in_no_new_token,
    a_token_says_what_belongs_to_its_place,
    a_resource_server_is_told_of_its_own_types_alone,
    what_belongs_elsewhere_is_refused,
);

const DATABASE: &str = "https://data.example/sql";
const BANK: &str = "https://bank.example/";

fn details(tokens: &Tokens) -> Value {
    let told = tokens.0["authorization_details"].clone();
    let in_token = decode(tokens.access_token()).1["authorization_details"].clone();
    assert_eq!(told, in_token, "RFC 9396 §7: what was assigned to the token is what the client is told");
    told
}

fn audience(tokens: &Tokens) -> Value {
    decode(tokens.access_token()).1["aud"].clone()
}

async fn the_token_endpoint_is_asked_for_less_and_never_for_more(app: TestApp) {
    let rp = place(&app).await;
    let (person, pkce) = (app.person(), Pkce::new());
    let all = list(&[customers(), orders()]);
    let code = rp.code(&person, "ada", &pkce, &[("authorization_details", &all)]).await;
    let mut wider = customers();
    wider["columns"] = json!(["name", "city", "iban"]);
    // RFC 9396 §6.1: what is less of one object, no rule says.
    let mut other = customers();
    other["columns"] = json!(["name"]);
    for more in [list(std::slice::from_ref(&wider)), list(&[customers(), other])] {
        let refused = rp.redeem_with(&code, &pkce, &[("authorization_details", &more)]).await;
        refused.expect_error("invalid_authorization_details").expect_status(400);
    }
    // What is refused spends nothing.
    let some = list(&[customers()]);
    let tokens = rp.redeem_with(&code, &pkce, &[("authorization_details", &some)]).await.expect_tokens();
    assert_eq!(details(&tokens), json!([customers()]));

    // The grant keeps what was granted (RFC 9396 §6), through each rotation.
    let beyond = rp.refresh_with(tokens.refresh_token(), &[("authorization_details", &list(&[wider]))]).await;
    beyond.expect_error("invalid_authorization_details").expect_status(400);
    let next = rp.refresh(&tokens).await.expect_tokens();
    assert_eq!(details(&next), json!([customers(), orders()]));
    let less = list(&[orders()]);
    let last = rp.refresh_with(next.refresh_token(), &[("authorization_details", &less)]).await.expect_tokens();
    assert_eq!(details(&last), json!([orders()]));
    assert_eq!(details(&rp.refresh(&last).await.expect_tokens()), json!([customers(), orders()]));

    // A grant of nothing in particular gives nothing in particular.
    let code = rp.code(&person, "ada", &pkce, &[]).await;
    let refused = rp.redeem_with(&code, &pkce, &[("authorization_details", &some)]).await;
    refused.expect_error("invalid_authorization_details");
    assert_eq!(details(&rp.redeem(&code, &pkce).await.expect_tokens()), Value::Null);
}

async fn a_client_acts_for_itself_within_its_types(app: TestApp) {
    let rp = place(&app).await;
    let asked = list(&[orders()]);
    let tokens = for_itself(&rp, &[("authorization_details", &asked)]).await.expect_tokens();
    assert_eq!((details(&tokens), audience(&tokens)), (json!([orders()]), json!(app.issuer())));
    let told = app.introspect(tokens.access_token()).await.expect_active();
    assert_eq!((&told["authorization_details"], &told["sub"]), (&json!([orders()]), &json!("web")));
    assert_eq!(details(&for_itself(&rp, &[("scope", "notes:read")]).await.expect_tokens()), Value::Null);
}

async fn a_device_asks_for_it_too(app: TestApp) {
    place(&app).await;
    let tv = app.client("tv").on_a_device().scope("offline_access notes:read");
    let tv = tv.with(|client| client.authorization_details_types = vec!["table_access".into()]).create().await;
    let all = list(&[customers(), orders()]);
    let begin = async || {
        let fields = [("scope", "offline_access notes:read"), ("authorization_details", all.as_str())];
        tv.post("/oauth/device_authorization", &fields).await.expect_status(200).json()
    };
    let redeem = async |waiting: &Value, more: &[(&str, &str)]| {
        let code = waiting["device_code"].as_str().unwrap();
        tv.post("/oauth/token", &[&[("grant_type", GRANT), ("device_code", code)], more].concat()).await
    };
    let waiting = begin().await;
    let person = app.person();
    let page = person.enter_code("ada", waiting["user_code"].as_str().unwrap()).await;
    assert!(page.asks_about_a_device(), "{page:?}");
    assert!(page.body.contains(r#"of the table <bdi class="value">customers</bdi>"#), "{}", page.body);
    person.answer_for_device(&page, "allow").await;
    let tokens = redeem(&waiting, &[]).await.expect_tokens();
    assert_eq!(details(&tokens), json!([customers(), orders()]));
    assert_eq!(details(&tv.refresh(&tokens).await.expect_tokens()), json!([customers(), orders()]));
    assert!(person.get("/account").await.body.contains("of the table “orders”"));

    let waiting = begin().await;
    app.person().allow_device("ada", waiting["user_code"].as_str().unwrap()).await;
    let mut other = orders();
    other["actions"] = json!(["select"]);
    let more = redeem(&waiting, &[("authorization_details", &list(&[other]))]).await;
    more.expect_error("invalid_authorization_details").expect_status(400);
    let less = redeem(&waiting, &[("authorization_details", &list(&[orders()]))]).await.expect_tokens();
    assert_eq!(details(&less), json!([orders()]));
}

async fn what_its_type_or_client_allows_no_more_is_in_no_new_token(app: TestApp) {
    let rp = place(&app).await;
    let all = list(&[customers(), orders()]);
    let first = rp.sign_in_with(&app.person(), "ada", &[("authorization_details", &all)]).await;

    // A narrower schema.
    let before = app.store.authorization_types().await.unwrap().get("table_access").unwrap().clone();
    let mut schema = table_access();
    schema["properties"]["table"] = json!({"enum": ["orders"]});
    let narrower = AuthorizationType { schema: Schema::compile(schema).unwrap(), ..before };
    app.change(async |tx| tx.update_authorization_type(&narrower, app.clock.now()).await).await;
    let second = rp.refresh(&first).await.expect_tokens();
    assert_eq!(details(&second), json!([orders()]));
    // ASVS 10.4.11
    app.reregister("web", |client| client.authorization_details_types.clear()).await;
    let third = rp.refresh(&second).await.expect_tokens();
    assert_eq!(details(&third), Value::Null);
    // The grant keeps what was granted: it comes back with the registration.
    app.reregister("web", |client| client.authorization_details_types = vec!["table_access".into()]).await;
    let fourth = rp.refresh(&third).await.expect_tokens();
    assert_eq!(details(&fourth), json!([orders()]));
    app.change(async |tx| tx.delete_authorization_type("table_access", app.clock.now()).await).await;
    assert_eq!(details(&rp.refresh(&fourth).await.expect_tokens()), Value::Null);
}

fn payment() -> Value {
    json!({"type": "payment", "amount": "10.00"})
}

fn note() -> Value {
    json!({"type": "note", "text": "of no place"})
}

/// Two resources with a type each, a type of none, and a client that may use all three.
async fn places(app: &TestApp) -> Party<'_> {
    let rp = place(app).await;
    app.reregister("web", |client| {
        client.scope = "openid offline_access sql extra".into();
        client.authorization_details_types.extend(["payment".into(), "note".into()]);
    })
    .await;
    for (uri, scope) in [(DATABASE, "sql"), (BANK, "")] {
        resources::register(app, &resources::resource(app, uri, scope)).await;
    }
    for (name, uri) in [("payment", Some(BANK)), ("note", None)] {
        let resource = uri.map(|uri| uri.parse().unwrap());
        let description = "Some words".parse().unwrap();
        register(app, &AuthorizationType { resource, description, ..kind(app, name, json!({})) }).await;
    }
    let before = app.store.authorization_types().await.unwrap().get("table_access").unwrap().clone();
    let owned = AuthorizationType { resource: Some(DATABASE.parse().unwrap()), ..before };
    app.change(async |tx| tx.update_authorization_type(&owned, app.clock.now()).await).await;
    rp
}

async fn a_token_says_what_belongs_to_its_place(app: TestApp) {
    let rp = places(&app).await;
    // Where no resource is named, the types say where a token is good, beside the scopes (RFC 9068 §3).
    for (scope, asked, expected) in [
        ("extra", vec![orders()], json!(DATABASE)),
        ("sql", vec![payment()], json!([BANK, DATABASE])),
        ("extra", vec![note()], json!(app.issuer())),
        ("sql", vec![note()], json!(DATABASE)),
    ] {
        let fields = [("scope", scope), ("authorization_details", &list(&asked))];
        let tokens = for_itself(&rp, &fields).await.expect_tokens();
        assert_eq!((audience(&tokens), details(&tokens), tokens.scope()), (expected, json!(asked), scope), "{asked:?}");
    }

    let (person, pkce) = (app.person(), Pkce::new());
    let all = list(&[orders(), payment(), note()]);
    let asked = [("scope", "offline_access sql"), ("authorization_details", all.as_str())];
    let code = rp.code(&person, "ada", &pkce, &asked).await;
    let tokens = rp.redeem(&code, &pkce).await.expect_tokens();
    assert_eq!(audience(&tokens), json!([BANK, DATABASE]));
    assert_eq!(details(&tokens), json!([orders(), payment(), note()]));
    // RFC 9396 §9.1: "filtered to the specific audience". No scope belongs to the bank, and what is allowed there is
    // said in particular.
    let at_bank = rp.refresh_with(tokens.refresh_token(), &[("resource", BANK)]).await.expect_tokens();
    assert_eq!((audience(&at_bank), details(&at_bank)), (json!(BANK), json!([payment(), note()])));
    let at_database = rp.refresh_with(at_bank.refresh_token(), &[("resource", DATABASE)]).await.expect_tokens();
    assert_eq!((audience(&at_database), details(&at_database)), (json!(DATABASE), json!([orders(), note()])));
    // UserInfo is at the issuer, and none of this is for it.
    let asked = [("scope", "openid"), ("authorization_details", &list(&[orders()]))];
    let tokens = rp.sign_in_with(&person, "ada", &asked).await;
    assert_eq!(audience(&tokens), json!([DATABASE, app.issuer()]));
}

async fn a_resource_server_is_told_of_its_own_types_alone(app: TestApp) {
    let rp = places(&app).await;
    let server = |id: &'static str, uri: &'static str| {
        app.client(id).grants(&[]).redirect_uris(&[]).with(move |client| {
            client.resource_server = true;
            client.resources = vec![uri.to_owned()];
        })
    };
    let (database, bank) = (server("database", DATABASE).create().await, server("bank", BANK).create().await);
    let all = list(&[orders(), payment(), note()]);
    let tokens = for_itself(&rp, &[("authorization_details", &all)]).await.expect_tokens();
    for (asker, expected) in [
        (&database, json!([orders(), note()])),
        (&bank, json!([payment(), note()])),
        (&rp, json!([orders(), payment(), note()])),
        (&database, json!([orders(), note()])),
    ] {
        let told = asker.introspect(tokens.access_token()).await.expect_active();
        assert_eq!(told["authorization_details"], expected, "{}", asker.id);
    }
}

async fn what_belongs_elsewhere_is_refused(app: TestApp) {
    let rp = places(&app).await;
    let elsewhere = [("resource", BANK), ("authorization_details", &list(&[orders()]))];
    for_itself(&rp, &elsewhere).await.expect_error("invalid_authorization_details").expect_status(400);
    super::par::push(&rp, &Pkce::new(), &elsewhere).await.expect_error("invalid_authorization_details");
    let (person, pkce) = (app.person(), Pkce::new());
    let all = list(&[orders(), payment()]);
    let code = rp.code(&person, "ada", &pkce, &[("authorization_details", &all)]).await;
    // What is refused spends nothing.
    rp.redeem_with(&code, &pkce, &elsewhere).await.expect_error("invalid_authorization_details");
    let here = [("resource", BANK), ("authorization_details", &list(&[payment()]))];
    assert_eq!(details(&rp.redeem_with(&code, &pkce, &here).await.expect_tokens()), json!([payment()]));

    // A resource that is gone takes its types along.
    app.change(async |tx| tx.delete_resource(BANK, app.clock.now()).await).await;
    for_itself(&rp, &[("authorization_details", &list(&[payment()]))]).await.expect_error("invalid_target");
    let beside = [("authorization_details", list(&[payment(), orders()]))];
    let beside = [(beside[0].0, beside[0].1.as_str())];
    for_itself(&rp, &beside).await.expect_error("invalid_authorization_details");
}
