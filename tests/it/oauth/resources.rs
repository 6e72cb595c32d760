//! Resource indicators (RFC 8707).

use std::time::Duration;

use grantor::types::{Algorithm, Clock, Resource, Scope};
use serde_json::{Value, json};

use super::par::{address, pushed};
use crate::each_database;
use crate::support::app::{PASSWORD, eventually};
use crate::support::party::{Tokens, decode, encode};
use crate::support::{Party, Pkce, TestApp};

each_database!(
    a_token_is_for_the_resource_that_was_asked_for,
    several_resources_are_narrowed_at_the_token_endpoint,
    a_scope_goes_to_its_own_resource_alone,
    a_scope_that_is_not_of_the_named_resource_is_refused_by_its_name,
    without_a_resource_the_scopes_say_where_a_token_is_good,
    a_refresh_stays_within_what_was_granted,
    a_pushed_request_may_name_resources,
    a_device_may_name_resources_and_is_held_to_them,
    the_pages_name_the_places_besides_what_may_be_done_there,
    a_resource_server_is_told_of_tokens_for_its_own_resources_alone,
    a_resource_says_how_long_its_tokens_live_and_what_signs_them,
    what_is_not_registered_is_no_target,
    a_change_is_heard_of_at_other_nodes,
    of_two_changes_at_once_one_counts,
);

const NOTES: &str = "https://notes.example/api";
const MAIL: &str = "https://mail.example/";

pub fn resource(app: &TestApp, uri: &str, scope: &str) -> Resource {
    let now = app.clock.now();
    Resource {
        uri: uri.parse().expect("a URI"),
        name: uri.to_owned(),
        scope: Scope::from(scope),
        access_token_lifetime: None,
        access_token_signing_alg: None,
        created_at: now,
        updated_at: now,
    }
}

async fn register(app: &TestApp, resource: &Resource) {
    let mut tx = app.store.begin().await.unwrap();
    tx.insert_resource(resource).await.unwrap();
    tx.commit().await.unwrap();
}

/// Two resources with a scope each, and a client that may ask for both.
async fn place(app: &TestApp) -> Party<'_> {
    app.user("ada").await;
    register(app, &resource(app, NOTES, "notes:read")).await;
    register(app, &resource(app, MAIL, "mail:read")).await;
    app.client("web").scope("openid offline_access notes:read mail:read extra").create().await
}

fn audience(tokens: &Tokens) -> Value {
    decode(tokens.access_token()).1["aud"].clone()
}

async fn for_itself(rp: &Party<'_>, fields: &[(&str, &str)]) -> crate::support::Answer {
    rp.post("/oauth/token", &[&[("grant_type", "client_credentials")], fields].concat()).await
}

async fn a_token_is_for_the_resource_that_was_asked_for(app: TestApp) {
    let rp = place(&app).await;
    let scope = ("scope", "notes:read extra");
    let tokens = rp.sign_in_with(&app.person(), "ada", &[scope, ("resource", NOTES)]).await;
    assert_eq!((audience(&tokens), tokens.scope()), (json!(NOTES), "extra notes:read"));
    // UserInfo is at the issuer, so it is among them where it was asked for.
    let scope = ("scope", "openid notes:read");
    let tokens = rp.sign_in_with(&app.person(), "ada", &[scope, ("resource", NOTES)]).await;
    assert_eq!(audience(&tokens), json!([NOTES, app.issuer()]));
    rp.userinfo(tokens.access_token()).await.expect_status(200);
    // The ID token is for the client all the same.
    assert_eq!(decode(tokens.id_token()).1["aud"], "web");

    let own = for_itself(&rp, &[("scope", "notes:read"), ("resource", NOTES)]).await.expect_tokens();
    assert_eq!(audience(&own), json!(NOTES));
    let both = for_itself(&rp, &[("resource", NOTES), ("resource", MAIL), ("resource", NOTES)]).await.expect_tokens();
    assert_eq!(audience(&both), json!([NOTES, MAIL]));
}

async fn several_resources_are_narrowed_at_the_token_endpoint(app: TestApp) {
    let rp = place(&app).await;
    let person = app.person();
    let sign_in = async |pkce: &Pkce| {
        let mut fields = rp.request(pkce);
        fields.retain(|(name, _)| name != "scope");
        let both = [("scope", "notes:read mail:read"), ("resource", NOTES), ("resource", MAIL)];
        fields.extend(both.map(|(name, value)| (name.to_owned(), value.to_owned())));
        let mut page = person.get(&format!("/oauth/authorize?{}", encode(&fields))).await;
        if page.asks_to_sign_in() {
            page = person.sign_in(&page, "ada", PASSWORD).await;
        }
        if page.asks_for_consent() {
            page = person.decide(&page, "allow").await;
        }
        page.code()
    };
    // RFC 8707 §2.2: a subset, or all of it.
    for (asked, audience_then, scope) in
        [(&[][..], json!([NOTES, MAIL]), "mail:read notes:read"), (&[("resource", MAIL)], json!(MAIL), "mail:read")]
    {
        let pkce = Pkce::new();
        let code = sign_in(&pkce).await;
        let tokens = rp.redeem_with(&code, &pkce, asked).await.expect_tokens();
        assert_eq!((audience(&tokens), tokens.scope()), (audience_then, scope));
    }
    let pkce = Pkce::new();
    let code = sign_in(&pkce).await;
    let refused = rp.redeem_with(&code, &pkce, &[("resource", app.issuer())]).await;
    refused.expect_error("invalid_target").expect_status(400);
    // What is refused spends nothing.
    let tokens = rp.redeem_with(&code, &pkce, &[("resource", NOTES)]).await.expect_tokens();
    assert_eq!(audience(&tokens), json!(NOTES));
}

async fn a_scope_goes_to_its_own_resource_alone(app: TestApp) {
    let rp = place(&app).await;
    let asked = [("scope", "notes:read mail:read extra"), ("resource", MAIL)];
    let tokens = for_itself(&rp, &asked).await.expect_tokens();
    assert_eq!((audience(&tokens), tokens.scope()), (json!(MAIL), "extra mail:read"));
    let here = [("scope", "notes:read extra"), ("resource", app.issuer())];
    let tokens = for_itself(&rp, &here).await.expect_tokens();
    assert_eq!((audience(&tokens), tokens.scope()), (json!(app.issuer()), "extra"));
}

async fn a_scope_that_is_not_of_the_named_resource_is_refused_by_its_name(app: TestApp) {
    let rp = place(&app).await;
    let elsewhere = [("scope", "notes:read"), ("resource", MAIL)];
    for_itself(&rp, &elsewhere).await.expect_error("invalid_scope").expect_status(400);
    super::par::push(&rp, &Pkce::new(), &elsewhere).await.expect_error("invalid_scope");
    // RFC 6749 §5.1: of several, what is left is told.
    let some = [("scope", "notes:read mail:read"), ("resource", MAIL)];
    assert_eq!(for_itself(&rp, &some).await.expect_tokens().scope(), "mail:read");
}

async fn without_a_resource_the_scopes_say_where_a_token_is_good(app: TestApp) {
    let rp = place(&app).await;
    // RFC 9068 §3
    for (scope, expected) in [
        ("notes:read", json!(NOTES)),
        ("notes:read extra", json!(NOTES)),
        ("notes:read mail:read", json!([MAIL, NOTES])),
        ("extra", json!(app.issuer())),
    ] {
        let tokens = for_itself(&rp, &[("scope", scope)]).await.expect_tokens();
        assert_eq!(audience(&tokens), expected, "{scope}");
        assert_eq!(Scope::from(tokens.scope()), Scope::from(scope));
    }
    // So they can be named at the token endpoint alone, and others cannot.
    let (person, pkce) = (app.person(), Pkce::new());
    let code = rp.code(&person, "ada", &pkce, &[("scope", "openid notes:read")]).await;
    rp.redeem_with(&code, &pkce, &[("resource", MAIL)]).await.expect_error("invalid_target");
    let tokens = rp.redeem_with(&code, &pkce, &[("resource", NOTES)]).await.expect_tokens();
    assert_eq!(audience(&tokens), json!([NOTES, app.issuer()]));
    // A token for UserInfo alone.
    let pkce = Pkce::new();
    let code = rp.code(&person, "ada", &pkce, &[("scope", "openid notes:read"), ("resource", NOTES)]).await;
    let tokens = rp.redeem_with(&code, &pkce, &[("resource", app.issuer())]).await.expect_tokens();
    assert_eq!((audience(&tokens), tokens.scope()), (json!(app.issuer()), "openid"));
}

async fn a_refresh_stays_within_what_was_granted(app: TestApp) {
    let rp = place(&app).await;
    let asked = [("scope", "offline_access notes:read mail:read"), ("resource", NOTES)];
    let tokens = rp.sign_in_with(&app.person(), "ada", &asked).await;
    assert_eq!(audience(&tokens), json!(NOTES));
    // What is refused spends nothing.
    let beyond = rp.refresh_with(tokens.refresh_token(), &[("resource", MAIL)]).await;
    beyond.expect_error("invalid_target").expect_status(400);
    let next = rp.refresh_with(tokens.refresh_token(), &[("resource", NOTES)]).await.expect_tokens();
    assert_eq!(audience(&next), json!(NOTES));
    let last = rp.refresh(&next).await.expect_tokens();
    assert_eq!((audience(&last), last.scope()), (json!(NOTES), "notes:read offline_access"));

    // A resource that is gone is no place any more.
    let mut tx = app.store.begin().await.unwrap();
    tx.delete_resource(NOTES, app.clock.now()).await.unwrap();
    tx.commit().await.unwrap();
    rp.refresh(&last).await.expect_error("invalid_target");
}

async fn a_pushed_request_may_name_resources(app: TestApp) {
    let rp = place(&app).await;
    let (person, pkce) = (app.person(), Pkce::new());
    let request_uri = pushed(&rp, &pkce, &[("scope", "notes:read"), ("resource", NOTES)]).await;
    let page = person.get(&address("web", &request_uri)).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    let page = person.decide(&page, "allow").await;
    let tokens = rp.redeem(&page.code(), &pkce).await.expect_tokens();
    assert_eq!(audience(&tokens), json!(NOTES));
    super::par::push(&rp, &pkce, &[("resource", "https://nowhere.example/")]).await.expect_error("invalid_target");
}

async fn a_device_may_name_resources_and_is_held_to_them(app: TestApp) {
    place(&app).await;
    let tv = app.client("tv").on_a_device().scope("offline_access notes:read mail:read").create().await;
    let begin = async |asked: &[(&str, &str)]| {
        let fields = [&[("scope", "notes:read mail:read")], asked].concat();
        tv.post("/oauth/device_authorization", &fields).await
    };
    begin(&[("resource", "https://nowhere.example/")]).await.expect_error("invalid_target");
    // RFC 8707 §2.2, from the device authorization to the token.
    for (asked, wanted, refused, expected) in [
        (&[NOTES][..], &[][..], MAIL, (json!(NOTES), "notes:read")),
        (&[NOTES], &[NOTES], MAIL, (json!(NOTES), "notes:read")),
        (&[NOTES, MAIL], &[MAIL], "urn:example:unknown", (json!(MAIL), "mail:read")),
        (&[NOTES, MAIL], &[], app.issuer(), (json!([NOTES, MAIL]), "mail:read notes:read")),
        // None was named, so those are granted whose scopes were.
        (&[], &[NOTES], "urn:example:unknown", (json!(NOTES), "notes:read")),
    ] {
        let named: Vec<_> = asked.iter().map(|uri| ("resource", *uri)).collect();
        let waiting = begin(&named).await.expect_status(200).json();
        let code = waiting["device_code"].as_str().unwrap();
        app.person().allow_device("ada", waiting["user_code"].as_str().unwrap()).await;
        let redeem = async |wanted: &[&str]| {
            let mut fields = vec![("grant_type", crate::support::device::GRANT), ("device_code", code)];
            fields.extend(wanted.iter().map(|uri| ("resource", *uri)));
            tv.post("/oauth/token", &fields).await
        };
        // §2: what is refused is told so, and spends nothing.
        redeem(&[refused]).await.expect_error("invalid_target").expect_status(400);
        let tokens = redeem(wanted).await.expect_tokens();
        assert_eq!((audience(&tokens), tokens.scope()), expected, "{asked:?} {wanted:?}");
    }
}

async fn the_pages_name_the_places_besides_what_may_be_done_there(app: TestApp) {
    app.user("ada").await;
    for (uri, name, scope) in [(NOTES, "Notes & more", "notes:read"), ("urn:example:mail", "Mail", "mail:read")] {
        register(&app, &Resource { name: name.to_owned(), ..resource(&app, uri, scope) }).await;
    }
    let rp = app.client("web").scope("openid notes:read mail:read extra").create().await;
    let (notes, mail) =
        ("Notes &#38; more</bdi> (<span class=\"address\">notes.example</span>)", "urn:example:mail</span>");
    for (scope, asked, told, untold) in [
        ("notes:read", &[NOTES][..], &[notes][..], &[mail][..]),
        ("openid extra", &["urn:example:mail"], &[mail], &[notes]),
        ("notes:read mail:read", &[], &[notes, mail], &[]),
        ("openid extra", &[], &[], &["Used at"]),
        ("openid extra", &[app.issuer()], &[], &["Used at"]),
    ] {
        let (person, pkce) = (app.person(), Pkce::new());
        let mut fields = vec![("scope", scope)];
        fields.extend(asked.iter().map(|uri| ("resource", *uri)));
        let page = rp.authorize(&person, &pkce, &fields).await;
        let page = person.sign_in(&page, "ada", PASSWORD).await;
        assert!(page.asks_for_consent(), "{page:?}");
        assert!(told.iter().all(|words| page.body.contains(words)), "{scope} {asked:?}: {}", page.body);
        assert!(!untold.iter().any(|words| page.body.contains(words)), "{scope} {asked:?}: {}", page.body);
    }
    let tv = app.client("tv").on_a_device().scope("notes:read").create().await;
    let waiting = tv.begin("notes:read").await;
    let page = app.person().enter_code("ada", &waiting.user_code).await;
    assert!(page.asks_about_a_device() && page.body.contains(notes), "{page:?}");
}

async fn a_resource_server_is_told_of_tokens_for_its_own_resources_alone(app: TestApp) {
    let rp = place(&app).await;
    let server = |id: &'static str, own: &[&str]| {
        let own: Vec<String> = own.iter().map(|uri| (*uri).to_owned()).collect();
        app.client(id).grants(&[]).redirect_uris(&[]).with(|client| {
            client.resource_server = true;
            client.resources = own;
        })
    };
    let notes = server("notes", &[NOTES]).create().await;
    let mail = server("mail", &[MAIL]).create().await;
    let plain = server("plain", &[]).create().await;
    let token = async |asked: &[(&str, &str)]| for_itself(&rp, asked).await.expect_tokens().access_token().to_owned();
    for (token, [at_notes, at_mail, at_plain]) in [
        (token(&[("resource", NOTES)]).await, [true, false, false]),
        (token(&[("resource", NOTES), ("resource", MAIL)]).await, [true, true, false]),
        (token(&[("scope", "extra")]).await, [true, true, true]),
    ] {
        for (asker, sees) in [(&notes, at_notes), (&mail, at_mail), (&plain, at_plain), (&rp, true)] {
            let told = asker.introspect(&token).await.json();
            assert_eq!(told["active"], sees, "{} {told}", asker.id);
        }
    }
}

async fn a_resource_says_how_long_its_tokens_live_and_what_signs_them(app: TestApp) {
    let rp = place(&app).await;
    let short = Resource {
        access_token_lifetime: Some(Duration::from_secs(60)),
        access_token_signing_alg: Some(Algorithm::Rs256),
        ..resource(&app, "urn:example:short", "")
    };
    register(&app, &short).await;
    let tokens = for_itself(&rp, &[("resource", "urn:example:short")]).await.expect_tokens();
    assert_eq!((&tokens.0["expires_in"], &decode(tokens.access_token()).0["alg"]), (&json!(60), &json!("RS256")));
    // With another that does not expect it, what the server says.
    let both = for_itself(&rp, &[("resource", "urn:example:short"), ("resource", NOTES)]).await.expect_tokens();
    assert_eq!((&both.0["expires_in"], &decode(both.access_token()).0["alg"]), (&json!(60), &json!("ES256")));
}

async fn what_is_not_registered_is_no_target(app: TestApp) {
    let rp = place(&app).await;
    for uri in ["https://notes.example/api/", "https://notes.example/api#part", "notes", "https://nowhere.example"] {
        for_itself(&rp, &[("resource", uri)]).await.expect_error("invalid_target").expect_status(400);
        let page = rp.authorize(&app.person(), &Pkce::new(), &[("resource", uri)]).await;
        page.expect_redirect_error("invalid_target");
    }
    for_itself(&rp, &[("resource", NOTES), ("resource", "notes")]).await.expect_error("invalid_target");
}

async fn a_change_is_heard_of_at_other_nodes(app: TestApp) {
    let rp = place(&app).await;
    let node = app.second_node().await;
    let there = Party::existing(&node, "web", crate::support::party::SECRET);
    let new = ("resource", "https://new.example/");
    for_itself(&there, &[new]).await.expect_error("invalid_target");
    register(&app, &resource(&app, new.1, "")).await;
    for_itself(&rp, &[new]).await.expect_tokens();
    eventually("the other node knows it", async || for_itself(&there, &[new]).await.status == 200).await;
}

async fn of_two_changes_at_once_one_counts(app: TestApp) {
    place(&app).await;
    let before = app.store.resources().await.unwrap().get(NOTES).unwrap().clone();
    let change = async |name: &str| {
        let mut tx = app.store.begin().await.unwrap();
        let changed = Resource { name: name.to_owned(), ..before.clone() };
        let stored = tx.update_resource(&changed, app.clock.now()).await.unwrap();
        tx.commit().await.unwrap();
        stored
    };
    let names = ["a", "b", "c", "d"];
    let done = crate::support::behind::at_once(names.map(change)).await;
    let won: Vec<_> =
        names.iter().zip(&done).filter(|(_, stored)| **stored == grantor::store::Stored::Stored).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(app.store.resources().await.unwrap().get(NOTES).unwrap().name, *won[0].0);
}
