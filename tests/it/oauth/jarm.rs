//! Authorization responses as signed JWTs (JARM).

use grantor::types::{Algorithm, Clock, ContentEncryption, KeyEncryption};
use serde_json::{Value, json};

use super::id_token::verified;
use super::par::push;
use super::registration::{OPEN, register, registered};
use crate::each_database;
use crate::support::jwe::{published, recipient};
use crate::support::party::decode;
use crate::support::{Page, Pkce, TestApp};

each_database!(
    a_code_comes_in_a_signed_jwt_and_in_nothing_else,
    an_error_comes_in_one_too,
    it_is_signed_with_the_algorithm_of_the_client,
    a_code_does_not_travel_in_a_fragment,
    a_client_is_held_to_the_response_modes_of_its_registration,
    a_signed_response_is_no_id_token,
    an_answer_is_encrypted_to_the_client_that_wants_it,
    an_answer_that_cannot_be_encrypted_is_not_given,
);

/// The JWT of an answer, however it travels: it is the only parameter (JARM §2.3).
fn response(page: &Page, mode: &str) -> String {
    if mode == "form_post.jwt" {
        let (action, fields) = page.posts();
        assert_eq!(action, "https://app.example/callback");
        assert_eq!(fields.len(), 1, "{fields:?}");
        return fields["response"].clone();
    }
    let url = url::Url::parse(&page.url).expect("a URL");
    let names: Vec<_> = url.query_pairs().map(|(name, _)| name.into_owned()).collect();
    assert!(page.url.starts_with("https://app.example/callback?") && url.fragment().is_none(), "{page:?}");
    assert_eq!(names, ["response"], "{page:?}");
    page.param("response").expect("there is one")
}

const MODES: [&str; 3] = ["jwt", "query.jwt", "form_post.jwt"];

async fn a_code_comes_in_a_signed_jwt_and_in_nothing_else(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let person = app.person();
    rp.sign_in_with(&person, "ada", &[]).await;
    for mode in MODES {
        let pkce = Pkce::new();
        let page = rp.authorize(&person, &pkce, &[("response_mode", mode), ("state", "a&b=\"c\" ")]).await;
        let jwt = response(&page, mode);
        // JARM §2.4
        let claims = verified(&app, &jwt, "web").await.expect("the signature, iss, aud and exp are right");
        let mut names: Vec<_> = claims.as_object().expect("claims").keys().map(String::as_str).collect();
        names.sort_unstable();
        // RFC 9207 §2.4: `iss` stands inside alone.
        assert_eq!(names, ["aud", "code", "exp", "iss", "state"]);
        assert_eq!((&claims["iss"], &claims["aud"]), (&json!(app.issuer()), &json!("web")));
        assert_eq!(claims["state"], "a&b=\"c\" ");
        // §2.1: ten minutes at most.
        assert_eq!(claims["exp"], app.clock.now().secs() + 300);
        assert_eq!(decode(&jwt).0["alg"], "RS256", "JARM §3: the default");
        rp.redeem(claims["code"].as_str().expect("a code"), &pkce).await.expect_tokens();
    }
}

async fn an_error_comes_in_one_too(app: TestApp) {
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    for mode in MODES {
        for (error, changes) in [
            ("login_required", ("prompt", "none")),
            ("invalid_scope", ("scope", "admin")),
            ("unsupported_response_type", ("response_type", "token")),
        ] {
            let page = rp.authorize(&person, &pkce, &[("response_mode", mode), changes]).await;
            let claims = verified(&app, &response(&page, mode), "web").await.expect("the signature is right");
            assert_eq!(claims["error"], error, "{mode}");
            assert!(claims["error_description"].as_str().is_some_and(|text| text.len() > 10));
            assert_eq!((&claims["state"], claims.get("code")), (&json!("a state"), None));
        }
        let page = rp.authorize(&person, &pkce, &[("response_mode", mode)]).await;
        let page = person.cancel(&page).await;
        let claims = verified(&app, &response(&page, mode), "web").await.expect("the signature is right");
        assert_eq!(claims["error"], "access_denied");
    }
}

async fn it_is_signed_with_the_algorithm_of_the_client(app: TestApp) {
    let es256 = |client: &mut grantor::types::ClientMetadata| {
        client.authorization_signed_response_alg = Some(Algorithm::Es256);
    };
    let rp = app.client("web").with(es256).create().await;
    let page = rp.authorize(&app.person(), &Pkce::new(), &[("response_mode", "jwt"), ("prompt", "none")]).await;
    let jwt = response(&page, "jwt");
    assert_eq!(decode(&jwt).0["alg"], "ES256");
    verified(&app, &jwt, "web").await.expect("the signature is right");
    let document = app.get("/.well-known/openid-configuration").await.json();
    assert_eq!(document["authorization_signing_alg_values_supported"], json!(["ES256", "RS256"]));

    // JARM §3: "The algorithm none is not allowed"; nor is a secret's.
    let mut metadata = app.store.client(&"web".parse().unwrap()).await.unwrap().expect("it is there").metadata.clone();
    assert!(metadata.set("authorization_signed_response_alg", Value::from("none")).is_err());
    metadata.authorization_signed_response_alg = Some(Algorithm::Hs256);
    assert!(metadata.validate().is_err());
}

async fn a_code_does_not_travel_in_a_fragment(app: TestApp) {
    let rp = app.client("web").create().await;
    for mode in ["fragment.jwt", "fragment", "JWT", "query.jwt ", "jwt query"] {
        let page = rp.authorize(&app.person(), &Pkce::new(), &[("response_mode", mode)]).await;
        super::authorize::refused_at_the_client(&app, &page, "invalid_request", mode);
    }
}

async fn a_signed_response_is_no_id_token(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    rp.sign_in_with(&person, "ada", &[]).await;
    let jwt = response(&rp.authorize(&person, &pkce, &[("response_mode", "jwt")]).await, "jwt");
    let page = rp.authorize(&person, &pkce, &[("id_token_hint", &jwt)]).await;
    super::authorize::refused_at_the_client(&app, &page, "invalid_request", "a response as a hint");
    rp.userinfo(&jwt).await.expect_error("invalid_token");
    app.introspect(&jwt).await.expect_inactive();
}

async fn an_answer_is_encrypted_to_the_client_that_wants_it(app: TestApp) {
    app.user("ada").await;
    let (person, to) = (app.person(), recipient("p256"));
    let jwks = published(&[&to.public]);
    let rp = app.client("web").with(|client| {
        client.jwks = Some(jwks);
        client.protection.authorization_encrypted_response_alg = Some(KeyEncryption::EcdhEs);
        client.protection.authorization_encrypted_response_enc = Some(ContentEncryption::A256Gcm);
    });
    let rp = rp.create().await;
    let (_, signed) = to.read(&response(&rp.authorize(&person, &Pkce::new(), &SILENT).await, "jwt"));
    assert_eq!(verified(&app, &signed, "web").await.expect("it is ours")["error"], "login_required");
    rp.sign_in_with(&person, "ada", &[]).await;
    for mode in MODES {
        let pkce = Pkce::new();
        let page = rp.authorize(&person, &pkce, &[("response_mode", mode)]).await;
        // JARM §2.2: signed, and then encrypted.
        let (header, signed) = to.read(&response(&page, mode));
        assert_eq!(
            (&header["alg"], &header["enc"], &header["cty"]),
            (&json!("ECDH-ES"), &json!("A256GCM"), &json!("JWT"))
        );
        let claims = verified(&app, &signed, "web").await.expect("it is ours");
        assert_eq!(claims["state"], "a state");
        let tokens = rp.redeem(claims["code"].as_str().expect("a code"), &pkce).await.expect_tokens();
        // It is for these answers alone.
        verified(&app, tokens.id_token(), "web").await.expect("it is in clear");
    }
    // §3: who asks for no JWT gets none.
    rp.authorize(&person, &Pkce::new(), &[]).await.code();
}

const SILENT: [(&str, &str); 2] = [("response_mode", "jwt"), ("prompt", "none")];

async fn an_answer_that_cannot_be_encrypted_is_not_given(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    let rp = app.client("web").create().await;
    rp.sign_in_with(&person, "ada", &[]).await;
    app.reregister("web", |client| {
        client.jwks = Some(published(&[&recipient("rsa").public]));
        client.protection.authorization_encrypted_response_alg = Some(KeyEncryption::EcdhEs);
    })
    .await;
    // Not in clear, and not as an error that says why: the person is told.
    for changes in [&SILENT[..1], &SILENT] {
        let page = rp.authorize(&person, &Pkce::new(), changes).await;
        assert_eq!(page.status, 400, "{page:?}");
        assert!(page.url.starts_with(app.issuer()) && page.param("response").is_none(), "{page:?}");
    }
    push(&rp, &Pkce::new(), &SILENT[..1]).await.expect_error("invalid_request");
    rp.authorize(&person, &Pkce::new(), &[]).await.code();
}

/// FAPI 2.0 Message Signing §5.3.3.
async fn a_client_is_held_to_the_response_modes_of_its_registration(app: TestApp) {
    let held_to = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let modes = held_to(&["jwt"]);
    let rp = app.client("web").with(|client| client.response_modes = modes).create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let authorize = async |mode: &str| rp.authorize(&person, &pkce, &[("response_mode", mode)]).await;
    // It is one mode by two names.
    for good in ["jwt", "query.jwt"] {
        assert!(authorize(good).await.asks_to_sign_in(), "{good}");
    }
    // Left out it is query. The refusal is signed: the client takes nothing else.
    for bad in ["", "query", "form_post", "form_post.jwt", "fragment"] {
        let page = authorize(bad).await;
        let claims = verified(&app, &response(&page, "jwt"), "web").await.expect("the signature is right");
        assert_eq!((&claims["error"], &claims["state"]), (&json!("invalid_request"), &json!("a state")), "{bad}");
    }
    push(&rp, &pkce, &[("response_mode", "query")]).await.expect_error("invalid_request");
    push(&rp, &pkce, &[("response_mode", "jwt")]).await.expect_status(201);

    app.reregister("web", |client| client.response_modes = held_to(&["form_post", "form_post.jwt"])).await;
    for good in ["form_post", "form_post.jwt"] {
        assert!(authorize(good).await.asks_to_sign_in(), "{good}");
    }
    let (_, fields) = authorize("jwt").await.posts();
    assert_eq!(fields["error"], "invalid_request", "it goes by the first of them");

    let open = app.another(OPEN).await;
    let mut document = json!({ "redirect_uris": ["https://app.example/callback"], "response_modes": ["jwt"] });
    assert_eq!(registered(&open, &document).await["response_modes"], json!(["jwt"]));
    for bad in [json!(["fragment"]), json!(["jwt", "fragment.jwt"]), json!("jwt")] {
        document["response_modes"] = bad;
        register(&open, None, &document).await.expect_error("invalid_client_metadata");
    }
}
