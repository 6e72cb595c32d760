//! Request objects (RFC 9101).

use std::sync::LazyLock;

use grantor::crypto::{SigningKey, SystemRandom};
use grantor::types::{Algorithm, Clock};
use serde_json::{Value, json};

use super::authorize::refused_at_the_client;
use super::par::{address, push};
use crate::each_database;
use crate::support::app::PASSWORD;
use crate::support::behind::signed;
use crate::support::party::{decode, encode};
use crate::support::rows::rows;
use crate::support::{Page, Party, Person, Pkce, TestApp};

each_database!(
    what_the_client_signed_counts_and_nothing_beside_it,
    a_request_object_may_be_pushed,
    whatever_is_wrong_with_a_request_object_is_told_to_the_person_alone,
    a_request_object_has_its_time,
    a_client_that_must_sign_does,
    the_algorithm_is_the_registered_one,
    a_request_object_says_who_may_sign_in_and_is_not_kept,
);

pub(super) static KEY: LazyLock<SigningKey> = LazyLock::new(|| key(Algorithm::Es256));

fn key(algorithm: Algorithm) -> SigningKey {
    let material = SigningKey::generate(algorithm, &SystemRandom::new()).expect("a key");
    SigningKey::parse("mine".into(), algorithm, &material).expect("a key")
}

pub(super) fn jwks(keys: &[&SigningKey]) -> Option<Value> {
    Some(json!({"keys": keys.iter().map(|key| key.public_jwk()).collect::<Vec<_>>()}))
}

async fn signing<'a>(app: &'a TestApp, id: &str) -> Party<'a> {
    app.client(id).with(|client| client.jwks = jwks(&[&KEY])).create().await
}

pub(super) fn header() -> Value {
    json!({"alg": "ES256", "kid": "mine", "typ": "oauth-authz-req+jwt"})
}

/// The usual request as claims.
pub(super) fn claims(rp: &Party<'_>, pkce: &Pkce) -> Value {
    let now = rp.app.clock.now().secs();
    let mut claims: Value = rp.request(pkce).into_iter().map(|(name, value)| (name, Value::from(value))).collect();
    claims["iss"] = rp.id.as_str().into();
    claims["aud"] = rp.app.issuer().into();
    claims["nbf"] = now.into();
    claims["exp"] = (now + 300).into();
    claims
}

pub(super) fn with(mut claims: Value, name: &str, value: Value) -> Value {
    claims[name] = value;
    claims
}

fn without(mut claims: Value, name: &str) -> Value {
    claims.as_object_mut().expect("claims").remove(name);
    claims
}

pub(super) async fn open(rp: &Party<'_>, person: &Person, object: &str, beside: &str) -> Page {
    person.get(&format!("/oauth/authorize?client_id={}&request={object}{beside}", rp.id)).await
}

async fn what_the_client_signed_counts_and_nothing_beside_it(app: TestApp) {
    app.user("ada").await;
    let rp = signing(&app, "web").await;
    let (person, pkce) = (app.person(), Pkce::new());
    // RFC 9101 §4: numbers and objects as they are; §6.3: what stands beside it does not count.
    let asked = with(with(claims(&rp, &pkce), "max_age", json!(10)), "claims", json!({"userinfo": {"name": null}}));
    let beside = "&state=other&scope=admin&redirect_uri=https%3A%2F%2Fevil.example%2F&nonce=x&response_type=token";
    let page = open(&rp, &person, &signed(&KEY, &header(), &asked), beside).await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    let page = person.decide(&page, "allow").await;
    assert_eq!(page.param("state").as_deref(), Some("a state"));
    let tokens = rp.redeem(&page.code(), &pkce).await.expect_tokens();
    assert_eq!(decode(tokens.id_token()).1["nonce"], "a nonce");
    assert_eq!(tokens.scope(), "offline_access openid");
    assert_eq!(rp.userinfo(tokens.access_token()).await.json()["name"], "ada Lovelace");
    app.advance(11);
    let asked = with(claims(&rp, &pkce), "max_age", json!(10));
    assert!(open(&rp, &person, &signed(&KEY, &header(), &asked), "").await.asks_to_sign_in());

    // RFC 9101 §10.8: the type may be left out, or be the general one; aud may be a list.
    for typ in [Value::Null, json!("JWT"), json!("application/oauth-authz-req+jwt"), json!("OAuth-Authz-Req+JWT")] {
        let header = with(header(), "typ", typ.clone());
        let header = if typ.is_null() { without(header, "typ") } else { header };
        let aud = json!(["https://other.example", app.issuer()]);
        let object = signed(&KEY, &header, &with(claims(&rp, &pkce), "aud", aud));
        assert!(open(&rp, &person, &object, "").await.param("code").is_some(), "{typ}");
    }
    // An error goes where the object says.
    let object = signed(&KEY, &header(), &with(claims(&rp, &pkce), "scope", json!("admin")));
    refused_at_the_client(&app, &open(&rp, &person, &object, "").await, "invalid_scope", "a scope in the object");
}

async fn a_request_object_may_be_pushed(app: TestApp) {
    let rp = signing(&app, "web").await;
    let (person, pkce) = (app.person(), Pkce::new());
    let object = signed(&KEY, &header(), &claims(&rp, &pkce));
    // RFC 9126 §3
    let answer = rp.post("/oauth/par", &[("request", &object), ("state", "other")]).await.expect_status(201);
    let request_uri = answer.json()["request_uri"].as_str().expect("a request_uri").to_owned();
    let page = person.get(&address("web", &request_uri)).await;
    assert!(page.asks_to_sign_in(), "{page:?}");
    let page = person.cancel(&page).await;
    assert_eq!(page.param("state").as_deref(), Some("a state"));

    let foreign = signed(&key(Algorithm::Es256), &header(), &claims(&rp, &pkce));
    rp.post("/oauth/par", &[("request", &foreign)]).await.expect_error("invalid_request_object").expect_status(400);
    let wrong = signed(&KEY, &header(), &with(claims(&rp, &pkce), "redirect_uri", json!("https://evil.example/")));
    rp.post("/oauth/par", &[("request", &wrong)]).await.expect_error("invalid_request");
}

async fn whatever_is_wrong_with_a_request_object_is_told_to_the_person_alone(app: TestApp) {
    let rp = signing(&app, "web").await;
    signing(&app, "other").await;
    let keyless = app.client("keyless").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let good = claims(&rp, &pkce);
    let unsigned = format!(
        "{}.{}.",
        crate::support::behind::encoded(&json!({"alg": "none"})),
        crate::support::behind::encoded(&good)
    );
    let object = |claims: Value| signed(&KEY, &header(), &claims);
    for (what, bad) in [
        ("nothing", "x".to_owned()),
        ("no signature", unsigned),
        ("a key of another", signed(&key(Algorithm::Es256), &header(), &good)),
        ("a key that is not registered", signed(&KEY, &with(header(), "kid", json!("other")), &good)),
        ("crit", signed(&KEY, &with(header(), "crit", json!(["exp"])), &good)),
        // RFC 9101 §10.8
        ("another type", signed(&KEY, &with(header(), "typ", json!("client-authentication+jwt")), &good)),
        ("an access token's type", signed(&KEY, &with(header(), "typ", json!("at+jwt")), &good)),
        ("an assertion", object(with(good.clone(), "sub", json!("web")))),
        // RFC 9101 §4, §5
        ("request inside", object(with(good.clone(), "request", json!("x")))),
        ("request_uri inside", object(with(good.clone(), "request_uri", json!("urn:x")))),
        ("client_id of another", object(with(good.clone(), "client_id", json!("other")))),
        ("iss of another", object(with(good.clone(), "iss", json!("other")))),
        ("aud of another", object(with(good.clone(), "aud", json!("https://other.example")))),
        ("aud near", object(with(good.clone(), "aud", json!(format!("{}/", app.issuer()))))),
        ("a NUL", object(with(good.clone(), "state", json!("a\0b")))),
    ] {
        let page = open(&rp, &person, &bad, "&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback").await;
        assert!(page.url.starts_with(&app.url), "{what}: {}", page.url);
        page.expect_error_page(400);
    }
    // Without a redirect URI in it, the one beside it does not count.
    let object = object(without(good.clone(), "redirect_uri"));
    open(&rp, &person, &object, "&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback").await.expect_error_page(400);
    // The object of one client is not another's, and one without keys has none.
    let object = signed(&KEY, &header(), &good);
    person.get(&format!("/oauth/authorize?client_id=other&request={object}")).await.expect_error_page(400);
    let own = signed(&KEY, &header(), &claims(&keyless, &pkce));
    open(&keyless, &person, &own, "").await.expect_error_page(400);
    assert!(open(&rp, &person, &object, "").await.asks_to_sign_in());
}

async fn a_request_object_has_its_time(app: TestApp) {
    let rp = signing(&app, "web").await;
    let (person, pkce) = (app.person(), Pkce::new());
    let now = app.clock.now().secs();
    let at = |nbf: i64, exp: i64| with(with(claims(&rp, &pkce), "nbf", json!(now + nbf)), "exp", json!(now + exp));
    for (fits, nbf, exp) in [
        (true, 0, 1),
        (true, 0, 3_600),
        (false, 0, 0),
        (false, -10, -1),
        // FAPI 2.0 Message Signing §5.3.1
        (false, 0, 3_601),
        (false, -3_601, 10),
        (true, 10, 300),
        (false, 60, 300),
    ] {
        let page = open(&rp, &person, &signed(&KEY, &header(), &at(nbf, exp)), "").await;
        assert_eq!(page.asks_to_sign_in(), fits, "{nbf} {exp}: {page:?}");
    }
    for (name, value) in [("exp", json!("soon")), ("nbf", json!(true)), ("exp", json!(1e300))] {
        let object = signed(&KEY, &header(), &with(claims(&rp, &pkce), name, value));
        open(&rp, &person, &object, "").await.expect_error_page(400);
    }
    // RFC 9101 does not ask for them, ...
    let timeless = signed(&KEY, &header(), &without(without(claims(&rp, &pkce), "exp"), "nbf"));
    assert!(open(&rp, &person, &timeless, "").await.asks_to_sign_in());
    // §4: nor, with a MUST, for who made it and for whom.
    let nobodys = signed(&KEY, &header(), &without(without(claims(&rp, &pkce), "iss"), "aud"));
    assert!(open(&rp, &person, &nobodys, "").await.asks_to_sign_in());
    // ... FAPI does, of clients that must sign.
    app.reregister("web", |client| client.require_signed_request_object = true).await;
    open(&rp, &person, &timeless, "").await.expect_error_page(400);
    let half = signed(&KEY, &header(), &without(claims(&rp, &pkce), "nbf"));
    open(&rp, &person, &half, "").await.expect_error_page(400);
    for missing in ["iss", "aud"] {
        let half = signed(&KEY, &header(), &without(at(0, 60), missing));
        open(&rp, &person, &half, "").await.expect_error_page(400);
    }
    assert!(open(&rp, &person, &signed(&KEY, &header(), &at(0, 60)), "").await.asks_to_sign_in());
}

async fn a_client_that_must_sign_does(app: TestApp) {
    let rp = app.client("web").with(|client| {
        client.jwks = jwks(&[&KEY]);
        client.require_signed_request_object = true;
    });
    let rp = rp.create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    // RFC 9101 §10.5
    let page = rp.authorize(&person, &pkce, &[]).await;
    refused_at_the_client(&app, &page, "invalid_request", "not signed");
    push(&rp, &pkce, &[]).await.expect_error("invalid_request");
    let object = signed(&KEY, &header(), &claims(&rp, &pkce));
    assert!(open(&rp, &person, &object, "").await.asks_to_sign_in());
    let answer = rp.post("/oauth/par", &[("request", &object)]).await.expect_status(201).json();
    let request_uri = answer["request_uri"].as_str().expect("a request_uri");
    assert!(person.get(&address("web", request_uri)).await.asks_to_sign_in());

    let mut metadata = grantor::types::ClientMetadata { client_name: "x".into(), ..Default::default() };
    metadata.require_signed_request_object = true;
    assert!(metadata.validate().is_err_and(|why| why.contains("jwks")));
}

async fn the_algorithm_is_the_registered_one(app: TestApp) {
    let (ed, rsa) = (key(Algorithm::EdDsa), key(Algorithm::Ps256));
    let both = jwks(&[&ed, &rsa]);
    let rp = app.client("web").with(|client| client.jwks = both).create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let by = |key: &SigningKey, alg: &str| signed(key, &json!({"alg": alg, "kid": "mine"}), &claims(&rp, &pkce));
    let document = app.get("/.well-known/openid-configuration").await.json();
    let supported = document["request_object_signing_alg_values_supported"].clone();
    assert_eq!(supported, json!(["ES256", "ES384", "RS256", "PS256", "EdDSA"]));
    assert!(open(&rp, &person, &by(&ed, "EdDSA"), "").await.asks_to_sign_in());
    assert!(open(&rp, &person, &by(&rsa, "PS256"), "").await.asks_to_sign_in());
    app.reregister("web", |client| client.request_object_signing_alg = Some(Algorithm::Ps256)).await;
    open(&rp, &person, &by(&ed, "EdDSA"), "").await.expect_error_page(400);
    open(&rp, &person, &by(&rsa, "RS256"), "").await.expect_error_page(400);
    assert!(open(&rp, &person, &by(&rsa, "PS256"), "").await.asks_to_sign_in());
}

async fn a_request_object_says_who_may_sign_in_and_is_not_kept(app: TestApp) {
    app.user("ada").await;
    app.user("bob").await;
    let rp = signing(&app, "web").await;
    let (ada, bob, pkce) = (app.person(), app.person(), Pkce::new());
    let hint = rp.sign_in_with(&ada, "ada", &[]).await.id_token().to_owned();
    rp.sign_in_with(&bob, "bob", &[]).await;
    let asked = with(claims(&rp, &pkce), "id_token_hint", json!(hint));
    let object = signed(&KEY, &header(), &asked);
    open(&rp, &ada, &object, "").await.code();
    assert!(open(&rp, &bob, &object, "").await.asks_to_sign_in());
    rp.post("/oauth/par", &[("request", &object)]).await.expect_status(201);
    let kept = rows(&app).await.join("\n");
    assert!(kept.contains("a nonce") && !kept.contains("eyJ"), "what is read again is kept, and no token");

    // It may be posted by the browser as well.
    let form = encode(&[("client_id".to_owned(), "web".to_owned()), ("request".to_owned(), object)]);
    let form_type = [("content-type", "application/x-www-form-urlencoded")];
    let answer = app.post_raw("/oauth/authorize", &form_type, form).await.expect_status(303);
    ada.get(answer.header("location").expect("a redirect")).await.code();
}
