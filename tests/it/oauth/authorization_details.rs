//! Rich authorization requests (RFC 9396): what is asked for in particular, shown, and refused.

use grantor::types::{AuthorizationType, Clock, Schema};
use serde_json::{Value, json};

use super::authorize::refused_at_the_client;
use super::par::{address, push, pushed};
use super::{jar, registration};
use crate::support::app::{PASSWORD, eventually};
use crate::support::behind::{at_once, signed};
use crate::support::party::{SECRET, decode};
use crate::support::{Answer, Engine, Page, Party, Person, Pkce, TestApp};
use crate::{each_database, each_engine};

each_database!(
    what_is_asked_for_in_particular_is_told_to_the_person_the_client_and_the_api,
    what_is_not_as_its_type_says_is_refused_wherever_it_is_asked_for,
    a_client_asks_for_the_types_that_it_is_registered_for,
    a_consent_covers_what_was_allowed_in_particular_and_no_more,
    what_is_asked_each_time_is_never_remembered,
    it_may_be_pushed_or_stand_in_a_request_object,
    where_requests_must_be_pushed_it_comes_in_no_other_way,
    the_pages_show_it_as_text_alone,
    types_are_told_where_there_are_any_and_heard_of_at_other_nodes,
    of_two_changes_at_once_one_counts,
    two_answers_at_once_are_both_remembered,
);

each_engine!(a_client_that_registers_itself_may_have_the_types_that_are_open_to_it);

const OPENID: &str = "/.well-known/openid-configuration";

/// Rows, columns and tables of an API.
pub fn table_access() -> Value {
    json!({
        "type": "object",
        "properties": {
            "type": {"const": "table_access"},
            "table": {"enum": ["customers", "orders"]},
            "columns": {"type": "array", "items": {"type": "string", "maxLength": 200}, "minItems": 1},
            "rows": {"type": "object", "additionalProperties": {"type": "string"}},
            "actions": {"type": "array", "items": {"enum": ["select", "update"]}, "minItems": 1},
        },
        "required": ["type", "table", "columns", "actions"],
        "additionalProperties": false,
    })
}

pub fn kind(app: &TestApp, name: &str, schema: Value) -> AuthorizationType {
    let now = app.clock.now();
    AuthorizationType {
        name: name.parse().expect("a name"),
        schema: Schema::compile(schema).expect("a schema"),
        description: "Read {columns} of the table {table}".parse().expect("words"),
        resource: None,
        each_time: false,
        created_at: now,
        updated_at: now,
    }
}

pub async fn register(app: &TestApp, kind: &AuthorizationType) {
    let mut tx = app.store.begin().await.unwrap();
    tx.insert_authorization_type(kind).await.unwrap();
    tx.commit().await.unwrap();
}

/// A type, and a client that may use it.
pub async fn place(app: &TestApp) -> Party<'_> {
    app.user("ada").await;
    register(app, &kind(app, "table_access", table_access())).await;
    app.client("web")
        .scope("openid offline_access notes:read")
        .with(|client| {
            client.authorization_details_types = vec!["table_access".to_owned()];
            client.jwks = jar::jwks(&[&jar::KEY]);
        })
        .create()
        .await
}

pub fn customers() -> Value {
    json!({
        "type": "table_access",
        "table": "customers",
        "columns": ["name", "city"],
        "rows": {"country": "CH"},
        "actions": ["select"],
    })
}

pub fn orders() -> Value {
    json!({"type": "table_access", "table": "orders", "columns": ["id"], "actions": ["select", "update"]})
}

pub fn list(details: &[Value]) -> String {
    json!(details).to_string()
}

pub async fn for_itself(rp: &Party<'_>, fields: &[(&str, &str)]) -> Answer {
    rp.post("/oauth/token", &[&[("grant_type", "client_credentials")], fields].concat()).await
}

/// The page that asks, for a person who is not signed in yet.
async fn question(rp: &Party<'_>, person: &Person, asked: &[(&str, &str)]) -> Page {
    let page = rp.authorize(person, &Pkce::new(), asked).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    assert!(page.asks_for_consent(), "{page:?}");
    page
}

async fn what_is_asked_for_in_particular_is_told_to_the_person_the_client_and_the_api(app: TestApp) {
    let rp = place(&app).await;
    let (person, pkce) = (app.person(), Pkce::new());
    let asked = list(&[customers(), orders()]);
    let page = rp.authorize(&person, &pkce, &[("authorization_details", &asked)]).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    for words in [
        r#"Read <bdi class="value">name, city</bdi> of the table <bdi class="value">customers</bdi></p>"#,
        r#"of the table <bdi class="value">orders</bdi></p>"#,
        "<dt>rows › country</dt><dd><bdi>CH</bdi></dd>",
        "<dt>actions</dt><dd><bdi>select, update</bdi></dd>",
        // RFC 9396 §3.1: "the merged set of requirements".
        "Know that it is you",
    ] {
        assert!(page.body.contains(words), "{words}: {}", page.body);
    }
    let page = person.decide(&page, "allow").await;
    let tokens = rp.redeem(&page.code(), &pkce).await.expect_tokens();

    // RFC 9396 §7, §9.1, §9.2
    let expected = json!([customers(), orders()]);
    assert_eq!(tokens.0["authorization_details"], expected);
    assert_eq!(decode(tokens.access_token()).1["authorization_details"], expected);
    assert_eq!(app.introspect(tokens.access_token()).await.expect_active()["authorization_details"], expected);
    assert_eq!(rp.introspect(tokens.refresh_token()).await.expect_active()["authorization_details"], expected);
    // The account page says what was allowed.
    let account = person.get("/account").await;
    assert!(account.body.contains("Read “name, city” of the table “customers”"), "{}", account.body);

    // Whoever asks for nothing in particular gets nothing in particular.
    let plain = rp.sign_in_with(&person, "ada", &[]).await;
    assert_eq!(plain.0.get("authorization_details"), None);
    assert_eq!(decode(plain.access_token()).1.get("authorization_details"), None);
}

/// What is wrong, and what the client is told of it.
fn refusals() -> Vec<(String, &'static str)> {
    let with = |name: &str, value: Value| {
        let mut detail = customers();
        detail[name] = value;
        list(&[detail])
    };
    let without = |name: &str| {
        let mut detail = customers();
        detail.as_object_mut().unwrap().remove(name);
        list(&[detail])
    };
    vec![
        ("{}".into(), "a JSON array"),
        ("[".into(), "not JSON"),
        ("[]".into(), "an object at least"),
        (r#"["table_access"]"#.into(), "entry 1 is not an object"),
        (list(&[customers(), json!({"table": "orders"})]), "entry 2 has no type"),
        (with("type", json!(1)), "is not a string"),
        (r#"[{"type":"table_access","type":"other"}]"#.into(), "twice"),
        // RFC 9396 §5: "contains an unknown authorization details type value",
        (list(&[customers(), json!({"type": "payment_initiation"})]), "payment_initiation is unknown"),
        // "is an object of known type but containing unknown fields",
        (with("limit", json!(3)), "'limit' was unexpected"),
        // "contains fields of the wrong type",
        (with("columns", json!("name")), "at /columns"),
        // "contains fields with invalid values",
        (with("table", json!("salaries")), "at /table"),
        (with("actions", json!(["select", "drop"])), "at /actions/1"),
        // "is missing required fields".
        (without("columns"), "'columns' is a required property"),
        // And what nobody could carry, or read.
        (with("rows", json!({"country": "x".repeat(4_096)})), "4096 bytes"),
        (format!("[{}]", vec![orders().to_string(); 17].join(",")), "16 objects"),
        (with("rows", (0..20).fold(json!("deep"), |inner, _| json!([inner]))), "deep"),
    ]
}

async fn what_is_not_as_its_type_says_is_refused_wherever_it_is_asked_for(app: TestApp) {
    let rp = place(&app).await;
    let tv = app.client("tv").on_a_device().scope("notes:read");
    let tv = tv.with(|client| client.authorization_details_types = vec!["table_access".into()]).create().await;
    let error = "invalid_authorization_details";
    let (person, pkce) = (app.person(), Pkce::new());
    for (text, words) in refusals() {
        let asked = [("authorization_details", text.as_str())];
        let page = rp.authorize(&person, &pkce, &asked).await;
        refused_at_the_client(&app, &page, error, &text);
        assert!(page.param("error_description").unwrap().contains(words), "{words}: {}", page.url);
        for answer in [
            push(&rp, &pkce, &asked).await,
            for_itself(&rp, &asked).await,
            rp.redeem_with("whatever", &pkce, &asked).await,
            tv.post("/oauth/device_authorization", &asked).await,
        ] {
            let told = answer.expect_error(error).expect_status(400).json();
            assert!(told["error_description"].as_str().unwrap().contains(words), "{words}: {told}");
        }
    }
    // RFC 6749 §3.1: once.
    let twice = [("authorization_details", "[]"), ("authorization_details", "[]")];
    for_itself(&rp, &twice).await.expect_error("invalid_request");
}

async fn a_client_asks_for_the_types_that_it_is_registered_for(app: TestApp) {
    let rp = place(&app).await;
    register(&app, &kind(&app, "other", json!({}))).await;
    let asked = [("authorization_details", r#"[{"type":"other"}]"#)];
    let told = for_itself(&rp, &asked).await.expect_error("invalid_authorization_details").json();
    assert!(told["error_description"].as_str().unwrap().contains("authorization_details_types"), "{told}");
    app.reregister("web", |client| client.authorization_details_types.push("other".into())).await;
    assert_eq!(for_itself(&rp, &asked).await.expect_tokens().0["authorization_details"], json!([{"type": "other"}]));
    // Who registered for none may use none.
    let plain = app.client("plain").create().await;
    for_itself(&plain, &asked).await.expect_error("invalid_authorization_details");
}

async fn a_consent_covers_what_was_allowed_in_particular_and_no_more(app: TestApp) {
    let rp = place(&app).await;
    let (person, pkce) = (app.person(), Pkce::new());
    let all = list(&[customers(), orders()]);
    rp.code(&person, "ada", &pkce, &[("authorization_details", &all)]).await;
    let asks = async |details: &[Value]| {
        rp.authorize(&person, &pkce, &[("authorization_details", &list(details))]).await.asks_for_consent()
    };
    assert!(!asks(&[customers()]).await && !asks(&[orders(), customers()]).await);
    assert!(!rp.authorize(&person, &pkce, &[]).await.asks_for_consent());
    let mut wider = customers();
    wider["columns"] = json!(["name", "city", "iban"]);
    assert!(asks(std::slice::from_ref(&wider)).await && asks(&[customers(), wider.clone()]).await);
    // OpenID Connect Core §3.1.2.6
    let quiet = [("prompt", "none"), ("authorization_details", &list(std::slice::from_ref(&wider)))];
    refused_at_the_client(&app, &rp.authorize(&person, &pkce, &quiet).await, "consent_required", "wider");

    // What is allowed later adds to what was, across sign-ins, until it is withdrawn.
    rp.code(&person, "ada", &pkce, &[("authorization_details", &list(std::slice::from_ref(&wider)))]).await;
    person.sign_out().await;
    rp.sign_in_with(&person, "ada", &[]).await;
    assert!(!asks(&[wider, customers()]).await);
    person.withdraw("web").await;
    assert!(asks(&[customers()]).await);

    // Nobody who turns away has allowed anything.
    let page = rp.authorize(&person, &pkce, &[("authorization_details", &list(&[orders()]))]).await;
    person.decide(&page, "deny").await.expect_redirect_error("access_denied");
    assert!(asks(&[orders()]).await);

    // An application of the house is not asked about.
    app.reregister("web", |client| client.skip_consent = true).await;
    let code = rp.authorize(&person, &pkce, &[("authorization_details", &list(&[orders()]))]).await.code();
    assert_eq!(rp.redeem(&code, &pkce).await.expect_tokens().0["authorization_details"], json!([orders()]));
    app.reregister("web", |client| client.skip_consent = false).await;
    assert!(asks(&[orders()]).await);
}

async fn what_is_asked_each_time_is_never_remembered(app: TestApp) {
    let rp = place(&app).await;
    register(&app, &AuthorizationType { each_time: true, ..kind(&app, "payment", json!({})) }).await;
    let both = vec!["table_access".to_owned(), "payment".to_owned()];
    app.reregister("web", |client| client.authorization_details_types = both).await;
    let payment = json!({"type": "payment", "amount": "12.50"});
    let (person, pkce) = (app.person(), Pkce::new());
    let asked = list(&[customers(), payment.clone()]);
    let code = rp.code(&person, "ada", &pkce, &[("authorization_details", &asked)]).await;
    let granted = rp.redeem(&code, &pkce).await.expect_tokens();
    assert_eq!(granted.0["authorization_details"], json!([customers(), payment]));

    let again = list(std::slice::from_ref(&payment));
    assert!(rp.authorize(&person, &pkce, &[("authorization_details", &again)]).await.asks_for_consent());
    let quiet = [("prompt", "none"), ("authorization_details", again.as_str())];
    refused_at_the_client(&app, &rp.authorize(&person, &pkce, &quiet).await, "consent_required", "payment");
    let other = list(&[customers()]);
    rp.authorize(&person, &pkce, &[("authorization_details", &other)]).await.code();
    // What was granted is good for as long as the grant is.
    let refreshed = rp.refresh(&granted).await.expect_tokens();
    assert_eq!(refreshed.0["authorization_details"], json!([customers(), payment]));
}

async fn it_may_be_pushed_or_stand_in_a_request_object(app: TestApp) {
    let rp = place(&app).await;
    let (person, pkce) = (app.person(), Pkce::new());
    let request_uri = pushed(&rp, &pkce, &[("authorization_details", &list(&[customers()]))]).await;
    let page = person.get(&address("web", &request_uri)).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    assert!(page.body.contains("customers"), "{}", page.body);
    let page = person.decide(&page, "allow").await;
    let tokens = rp.redeem(&page.code(), &pkce).await.expect_tokens();
    assert_eq!(tokens.0["authorization_details"], json!([customers()]));

    // RFC 9396 §3: in a request object it is JSON itself.
    let claims = jar::with(jar::claims(&rp, &pkce), "authorization_details", json!([customers()]));
    let object = signed(&jar::KEY, &jar::header(), &claims);
    let code = jar::open(&rp, &person, &object, "").await.code();
    assert_eq!(rp.redeem(&code, &pkce).await.expect_tokens().0["authorization_details"], json!([customers()]));
    for wrong in [json!({}), json!("customers"), json!([{"type": "unknown"}])] {
        let claims = jar::with(jar::claims(&rp, &pkce), "authorization_details", wrong);
        let page = jar::open(&rp, &person, &signed(&jar::KEY, &jar::header(), &claims), "").await;
        page.expect_redirect_error("invalid_authorization_details");
    }
}

/// ASVS 10.4.15
async fn where_requests_must_be_pushed_it_comes_in_no_other_way(app: TestApp) {
    let rp = place(&app).await;
    let (person, pkce) = (app.person(), Pkce::new());
    let asked = list(&[customers()]);
    rp.authorize(&person, &pkce, &[("authorization_details", &asked)]).await;
    app.reregister("web", |client| client.require_pushed_authorization_requests = true).await;
    let refused = rp.authorize(&person, &pkce, &[("authorization_details", &asked)]).await;
    refused_at_the_client(&app, &refused, "invalid_request", "not pushed");
    let request_uri = pushed(&rp, &pkce, &[("authorization_details", &asked)]).await;
    let page = person.sign_in(&person.get(&address("web", &request_uri)).await, "ada", PASSWORD).await;
    let code = person.decide(&page, "allow").await.code();
    assert_eq!(rp.redeem(&code, &pkce).await.expect_tokens().0["authorization_details"], json!([customers()]));
    // Nor in a request to which the pushed one is added.
    let request_uri = pushed(&rp, &pkce, &[]).await;
    let added =
        format!("{}&authorization_details={}", address("web", &request_uri), "%5B%7B%22type%22%3A%22x%22%7D%5D");
    let code = person.get(&added).await.code();
    assert_eq!(rp.redeem(&code, &pkce).await.expect_tokens().0.get("authorization_details"), None);
}

async fn the_pages_show_it_as_text_alone(app: TestApp) {
    let rp = place(&app).await;
    let mut detail = customers();
    detail["columns"] = json!(["<script>alert(1)</script>", "\u{202e}eman", "\"'&"]);
    detail["rows"] = json!({"<img src=x>": "a\nb"});
    let page = question(&rp, &app.person(), &[("authorization_details", &list(&[detail]))]).await;
    for told in ["&#60;script&#62;alert(1)", "\u{fffd}eman", "&#34;&#39;&#38;", "&#60;img src=x&#62;", "a\u{fffd}b"] {
        assert!(page.body.contains(told), "{told}: {}", page.body);
    }
    for untold in ["<script>alert", "\u{202e}", "<img src=x"] {
        assert!(!page.body.contains(untold), "{untold}: {}", page.body);
    }
}

async fn types_are_told_where_there_are_any_and_heard_of_at_other_nodes(app: TestApp) {
    let node = app.second_node().await;
    for one in [&app, &node] {
        let member = one.get(OPENID).await.json();
        assert_eq!(member.get("authorization_details_types_supported"), None);
    }
    let rp = place(&app).await;
    let there = Party::existing(&node, "web", SECRET);
    let asked = list(&[orders()]);
    let ask = async || for_itself(&there, &[("authorization_details", &asked)]).await.status;
    eventually("the other node knows the type", async || ask().await == 200).await;
    for one in [&app, &node] {
        // RFC 9396 §10
        let member = one.get(OPENID).await.json()["authorization_details_types_supported"].clone();
        assert_eq!(member, json!(["table_access"]));
    }
    let mut tx = app.store.begin().await.unwrap();
    tx.delete_authorization_type("table_access", app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    for_itself(&rp, &[("authorization_details", &asked)]).await.expect_error("invalid_authorization_details");
    eventually("the other node knows that it is gone", async || ask().await == 400).await;
    assert_eq!(node.get(OPENID).await.json().get("authorization_details_types_supported"), None);
}

async fn of_two_changes_at_once_one_counts(app: TestApp) {
    place(&app).await;
    let before = app.store.authorization_types().await.unwrap().get("table_access").unwrap().clone();
    let change = async |words: &'static str| {
        let mut tx = app.store.begin().await.unwrap();
        let changed = AuthorizationType { description: words.parse().unwrap(), ..before.clone() };
        let stored = tx.update_authorization_type(&changed, app.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        stored
    };
    let words = ["a", "b", "c", "d"];
    let done = at_once(words.map(change)).await;
    let won: Vec<_> =
        words.iter().zip(&done).filter(|(_, stored)| **stored == grantor::store::Stored::Stored).collect();
    assert_eq!(won.len(), 1);
    let after = app.store.authorization_types().await.unwrap();
    assert_eq!(after.get("table_access").unwrap().description.as_str(), *won[0].0);
}

async fn two_answers_at_once_are_both_remembered(app: TestApp) {
    let ada = app.user("ada").await;
    app.client("web").create().await;
    let (web, now) = ("web".parse().unwrap(), app.clock.now());
    let read = |n: u32| serde_json::from_value(json!([{"type": "table_access", "table": n}])).unwrap();
    let answers = (0..6).map(async |n| {
        let mut tx = app.store.begin().await.unwrap();
        tx.grant_consent(ada, &web, &"openid".into(), now).await.unwrap();
        tx.remember_details(ada, &web, &read(n)).await.unwrap();
        tx.commit().await.unwrap();
    });
    at_once(answers).await;
    let consent = app.store.consent(ada, &web).await.unwrap().expect("there is one");
    for n in 0..6 {
        assert!(read(n).is_within(&consent.details), "{n} was allowed and is lost");
    }
    assert_eq!(consent.details.len(), 6);
}

async fn a_client_that_registers_itself_may_have_the_types_that_are_open_to_it(engine: Engine) {
    let closed = TestApp::with(engine, registration::OPEN).await;
    let document = json!({
        "redirect_uris": ["https://app.example/callback"],
        "authorization_details_types": ["table_access"],
    });
    let told = registration::register(&closed, None, &document).await;
    told.expect_error("invalid_client_metadata").expect_status(400);

    let toml = format!("{}authorization_details_types = [\"table_access\"]\n", registration::OPEN);
    let app = TestApp::with(engine, &toml).await;
    app.user("ada").await;
    register(&app, &kind(&app, "table_access", table_access())).await;
    let information = registration::registered(&app, &document).await;
    assert_eq!(information["authorization_details_types"], json!(["table_access"]));
    let rp = registration::party(&app, &information);
    let page = question(&rp, &app.person(), &[("authorization_details", &list(&[orders()]))]).await;
    assert!(page.body.contains("Not verified"), "{}", page.body);
    for wrong in [json!("table_access"), json!([1]), json!(["a b"]), json!(["other"])] {
        let document = json!({"redirect_uris": ["https://app.example/callback"], "authorization_details_types": wrong});
        registration::register(&app, None, &document).await.expect_error("invalid_client_metadata");
    }
}
