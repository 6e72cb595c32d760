//! Signed addresses (docs/how-to/signed-urls.md).

use std::time::Duration;

use grantor::store::Stored;
use grantor::types::{ClientMetadata, Clock as _, TokenId};
use serde_json::{Value, json};
use url::Url;

use super::resources::{register, resource};
use crate::each_database;
use crate::store::transitions::raced;
use crate::support::behind::at_once;
use crate::support::party::decode;
use crate::support::{Answer, Party, TestApp};

each_database!(
    a_server_checks_a_signature_by_itself_or_asks,
    a_reference_says_nothing_by_itself,
    what_works_once_lets_one_in,
    a_client_signs_under_its_own_prefixes_alone,
    a_signature_belongs_to_its_client_and_its_place,
    a_signature_ends_with_its_time_its_client_and_by_revocation,
    what_is_asked_for_wrongly_is_refused_with_a_reason,
    a_signature_is_spent_once,
);

const FILES: &str = "https://files.example/store/";

async fn files(app: &TestApp) -> (Party<'_>, Party<'_>) {
    register(app, &resource(app, "https://files.example/store", "files:read")).await;
    let signer = app.client("shop").with(may_sign).create().await;
    let server = app
        .client("files")
        .with(|client| {
            client.resource_server = true;
            client.resources = vec!["https://files.example/store".to_owned()];
        })
        .create()
        .await;
    (signer, server)
}

fn may_sign(client: &mut ClientMetadata) {
    client.signed_url_prefixes = vec![FILES.to_owned(), "http://localhost:8000/".to_owned()];
}

async fn signed(signer: &Party<'_>, fields: &[(&str, &str)]) -> Answer {
    signer.post("/oauth/signed-url", fields).await
}

async fn signature(signer: &Party<'_>, fields: &[(&str, &str)]) -> String {
    let url = format!("{FILES}report.pdf?v=2");
    let answer = signed(signer, &[&[("url", url.as_str())], fields].concat()).await.expect_status(200).json();
    answer["signature"].as_str().expect("a signature").to_owned()
}

async fn a_server_checks_a_signature_by_itself_or_asks(app: TestApp) {
    let (signer, server) = files(&app).await;
    let url = format!("{FILES}report.pdf?v=2&name=%C3%BC");
    let fields =
        [("url", url.as_str()), ("purpose", "download"), ("subject", "ada@example.org"), ("expires_in", "600")];
    let answer = signed(&signer, &fields).await.expect_status(200);
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let answer = answer.json();
    assert_eq!(answer["expires_in"], 600);
    let whole = Url::parse(answer["url"].as_str().unwrap()).unwrap();
    let (name, value) = whole.query_pairs().last().expect("there is one");
    assert_eq!((&*name, &*value), ("signature", answer["signature"].as_str().unwrap()));
    assert!(whole.as_str().starts_with(&format!("{url}&signature=")), "{whole}");

    let (header, claims) = decode(&value);
    assert_eq!((header["typ"].as_str(), header["alg"].as_str()), (Some("signed-url+jwt"), Some("ES256")));
    let jwks = app.get("/oauth/jwks").await.json();
    assert!(jwks["keys"].as_array().unwrap().iter().any(|key| key["kid"] == header["kid"]));
    let now = app.clock.now().secs();
    let expected = json!({
        "iss": app.issuer(), "aud": "https://files.example/store", "client_id": "shop", "url": url,
        "purpose": "download", "sub": "ada@example.org", "iat": now, "exp": now + 600, "jti": claims["jti"],
    });
    assert_eq!(claims, expected);
    let mut told = server.introspect(&value).await.expect_active();
    let told = told.as_object_mut().unwrap();
    assert_eq!((told.remove("active"), told.remove("token_type")), (Some(json!(true)), Some(json!("signed_url"))));
    assert_eq!(Value::Object(told.clone()), expected);
    // Not being single use, it is good again.
    server.introspect(&value).await.expect_active();
    // It is a token of no other kind (ASVS 9.2.2).
    signer.userinfo(&value).await.expect_error("invalid_token");
}

async fn a_reference_says_nothing_by_itself(app: TestApp) {
    let (signer, server) = files(&app).await;
    let week = (7 * 86_400).to_string();
    let reference = signature(&signer, &[("form", "reference"), ("expires_in", &week), ("subject", "ada")]).await;
    assert!(reference.starts_with("gr_url_") && reference.len() == 55, "{reference}");
    assert_eq!(server.introspect(&reference).await.expect_active()["sub"], "ada");
    let (start, last) = reference.split_at(54);
    server.introspect(&format!("{start}{}", if last == "0" { "1" } else { "0" })).await.expect_inactive();
    // A signature lives no longer than its key is published.
    let url = format!("{FILES}a");
    signed(&signer, &[("url", &url), ("expires_in", &week)]).await.expect_error("invalid_request");
}

async fn what_works_once_lets_one_in(app: TestApp) {
    let (signer, server) = files(&app).await;
    for form in ["signed", "reference"] {
        let once = signature(&signer, &[("form", form), ("single_use", "true")]).await;
        // Whoever had it signed looks, and spends nothing.
        assert_eq!(signer.introspect(&once).await.expect_active()["single_use"], true);
        let answers = at_once((0..6).map(|_| server.introspect(&once))).await;
        assert_eq!(answers.iter().filter(|answer| answer.json()["active"] == true).count(), 1, "{form}");
        signer.introspect(&once).await.expect_inactive();
    }
}

async fn a_client_signs_under_its_own_prefixes_alone(app: TestApp) {
    let (signer, _) = files(&app).await;
    for url in [
        "https://files.example/store/a",
        "https://files.example/store/",
        "https://files.example/store/a?b=c%2Fd",
        "http://localhost:8000/x",
    ] {
        signed(&signer, &[("url", url)]).await.expect_status(200);
    }
    for url in [
        "https://files.example/",
        "https://files.example/store",
        "https://files.example/storehouse/a",
        "https://files.example/store/../secret",
        "https://files.example/store/%2e%2e/secret",
        "https://files.example/store/..%2fsecret",
        "https://files.example/store/..%5csecret",
        "https://files.example/store/\\..\\secret",
        "https://files.example:443/store/a",
        "https://FILES.example/store/a",
        "https://files.example@eve.example/store/a",
        "https://files.example/store/a#b",
        "https://files.example/store/a?signature=x",
        "http://files.example/store/a",
        "/store/a",
        "javascript:alert(1)",
    ] {
        signed(&signer, &[("url", url)]).await.expect_error("invalid_request");
    }
    let plain = app.client("plain").create().await;
    signed(&plain, &[("url", "https://files.example/store/a")]).await.expect_error("unauthorized_client");
    let stranger = Party::existing(&app, "shop", "wrong");
    signed(&stranger, &[("url", "https://files.example/store/a")]).await.expect_error("invalid_client");
    assert_eq!(app.count("signed_urls").await, 4);
}

async fn a_signature_belongs_to_its_client_and_its_place(app: TestApp) {
    let (signer, server) = files(&app).await;
    let (other, web) = (app.resource_server().await, app.client("web").create().await);
    let own = signature(&signer, &[]).await;
    for stranger in [&other, &web] {
        stranger.introspect(&own).await.expect_inactive();
        stranger.revoke(&own).await.expect_error("invalid_request");
    }
    server.introspect(&own).await.expect_active();
    // Of no resource: every resource server may be behind it.
    let answer = signed(&signer, &[("url", "http://localhost:8000/x")]).await.json();
    let own = answer["signature"].as_str().unwrap();
    assert_eq!(other.introspect(own).await.expect_active()["aud"], app.issuer());
    web.introspect(own).await.expect_inactive();
}

async fn a_signature_ends_with_its_time_its_client_and_by_revocation(app: TestApp) {
    let (signer, server) = files(&app).await;
    for form in ["signed", "reference"] {
        let [revoked, expired] = [
            signature(&signer, &[("form", form)]).await,
            signature(&signer, &[("form", form), ("expires_in", "60")]).await,
        ];
        signer.revoke(&revoked).await.expect_status(200);
        server.introspect(&revoked).await.expect_inactive();
        signer.revoke(&revoked).await.expect_status(200);
        app.clock.advance(Duration::from_secs(59));
        server.introspect(&expired).await.expect_active();
        app.clock.advance(Duration::from_secs(1));
        server.introspect(&expired).await.expect_inactive();
    }
    let living = signature(&signer, &[]).await;
    app.clock.advance(Duration::from_secs(1));
    app.sweep().await;
    assert_eq!(app.count("signed_urls").await, 1);
    app.disable_client("shop").await;
    server.introspect(&living).await.expect_inactive();
}

async fn what_is_asked_for_wrongly_is_refused_with_a_reason(app: TestApp) {
    let (signer, _) = files(&app).await;
    let long = "x".repeat(256);
    let url = format!("{FILES}a");
    for (fields, why) in [
        (&[][..], "url is missing"),
        (&[("url", &*url), ("expires_in", "0")], "expires_in"),
        (&[("url", &*url), ("expires_in", "soon")], "expires_in"),
        (&[("url", &*url), ("form", "sealed")], "signed or reference"),
        (&[("url", &*url), ("single_use", "yes")], "true or false"),
        (&[("url", &*url), ("subject", &*long)], "subject has at most 255"),
        (&[("url", &*url), ("purpose", "a\nb")], "purpose has at most 64"),
    ] {
        let answer = signed(&signer, fields).await.expect_error("invalid_request");
        assert!(answer.body.contains(why), "{fields:?} {}", answer.body);
    }
    // What an administrator may register.
    for bad in [
        "https://files.example/store",
        "http://files.example/",
        "https://a@files.example/",
        "https://f.example/?a/",
        "*",
    ] {
        let mut metadata = ClientMetadata { client_name: "x".to_owned(), ..ClientMetadata::default() };
        metadata.signed_url_prefixes = vec![bad.to_owned()];
        assert!(metadata.validate().unwrap_err().contains("signed_url_prefixes"), "{bad}");
    }
}

async fn a_signature_is_spent_once(app: TestApp) {
    let (signer, _) = files(&app).await;
    let once = signature(&signer, &[("single_use", "true")]).await;
    let id = TokenId::parse(decode(&once).1["jti"].as_str().unwrap()).unwrap();
    let now = app.clock.now();
    let outcomes = raced(&app, async |store| store.spend_signed_url(id, now).await.unwrap()).await;
    assert_eq!(outcomes.iter().filter(|outcome| **outcome == Stored::Stored).count(), 1);
}
