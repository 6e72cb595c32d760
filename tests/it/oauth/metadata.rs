//! What the server says of itself (RFC 8414, OpenID Connect Discovery): each statement is tried.

use std::collections::BTreeSet;

use grantor::types::{Algorithm, AuthMethod};
use serde_json::{Map, Value, json};

use super::authorize::refused_at_the_client;
use crate::each_database;
use crate::support::assertion::Signer;
use crate::support::party::{SECRET, decode};
use crate::support::{Answer, Pkce, TestApp};

each_database!(
    both_documents_are_one_and_name_this_issuer,
    pages_about_the_server_are_named_where_there_are_any,
    every_endpoint_that_is_named_answers,
    every_grant_and_way_to_authenticate_is_as_it_says,
    every_choice_at_the_authorization_endpoint_is_as_it_says,
    every_scope_and_claim_is_as_it_says,
    an_issuer_with_a_path_has_everything_under_it,
    the_issuer_is_a_protected_resource_of_its_own,
);

const OPENID: &str = "/.well-known/openid-configuration";
const OAUTH: &str = "/.well-known/oauth-authorization-server";

/// The members of a list.
fn list(document: &Value, name: &str) -> Vec<String> {
    let values = document[name].as_array().unwrap_or_else(|| panic!("{name} is not a list"));
    values.iter().map(|value| value.as_str().expect("a name").to_owned()).collect()
}

async fn both_documents_are_one_and_name_this_issuer(app: TestApp) {
    let (openid, oauth) = (app.get(OPENID).await.expect_status(200), app.get(OAUTH).await.expect_status(200));
    assert_eq!(openid.body, oauth.body);
    assert_eq!(openid.header("content-type"), Some("application/json"));
    let document = openid.json();
    // RFC 8414 §3.3: "MUST be identical to the authorization server's issuer identifier value".
    assert_eq!(document["issuer"], app.issuer());
    // §2, and Discovery §3: REQUIRED
    for member in [
        "authorization_endpoint",
        "token_endpoint",
        "jwks_uri",
        "response_types_supported",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
    ] {
        assert!(document.get(member).is_some(), "{member}");
    }
    // Every member of it is looked at by a test of this file.
    let known = [
        "acr_values_supported",
        "authorization_encryption_alg_values_supported",
        "authorization_encryption_enc_values_supported",
        "authorization_endpoint",
        "authorization_response_iss_parameter_supported",
        "authorization_signing_alg_values_supported",
        "backchannel_logout_session_supported",
        "backchannel_logout_supported",
        "claim_types_supported",
        "claims_parameter_supported",
        "claims_supported",
        "code_challenge_methods_supported",
        "device_authorization_endpoint",
        "display_values_supported",
        "dpop_signing_alg_values_supported",
        "end_session_endpoint",
        "frontchannel_logout_session_supported",
        "frontchannel_logout_supported",
        "grant_types_supported",
        "id_token_encryption_alg_values_supported",
        "id_token_encryption_enc_values_supported",
        "id_token_signing_alg_values_supported",
        "introspection_encryption_alg_values_supported",
        "introspection_encryption_enc_values_supported",
        "introspection_endpoint",
        "introspection_endpoint_auth_methods_supported",
        "introspection_endpoint_auth_signing_alg_values_supported",
        "introspection_signing_alg_values_supported",
        "issuer",
        "jwks_uri",
        "prompt_values_supported",
        "pushed_authorization_request_endpoint",
        "request_object_signing_alg_values_supported",
        "request_parameter_supported",
        "request_uri_parameter_supported",
        "require_pushed_authorization_requests",
        "require_request_uri_registration",
        "response_modes_supported",
        "response_types_supported",
        "revocation_endpoint",
        "revocation_endpoint_auth_methods_supported",
        "revocation_endpoint_auth_signing_alg_values_supported",
        "scopes_supported",
        "subject_types_supported",
        "tls_client_certificate_bound_access_tokens",
        "token_endpoint",
        "token_endpoint_auth_methods_supported",
        "token_endpoint_auth_signing_alg_values_supported",
        "ui_locales_supported",
        "userinfo_encryption_alg_values_supported",
        "userinfo_encryption_enc_values_supported",
        "userinfo_endpoint",
        "userinfo_signing_alg_values_supported",
    ];
    assert_eq!(document.as_object().expect("an object").keys().collect::<Vec<_>>(), known);

    // Back-Channel Logout §2.1, Front-Channel Logout §3; `oauth/logout_*.rs` show that it is so.
    for member in known.iter().filter(|member| member.contains("channel_logout")) {
        assert_eq!(document[member], true, "{member}");
    }

    // A Host header of somebody's choosing changes none of it.
    let request = app.http.get(format!("{}{OPENID}", app.url)).header("host", "evil.example");
    assert_eq!(Answer::of(request.send().await.expect("the server answers")).await.body, openid.body);
}

async fn pages_about_the_server_are_named_where_there_are_any(app: TestApp) {
    let page = |name: &str| format!("https://example.com/{name}");
    let (documentation, policy, terms) = (page("developers"), page("policy"), page("terms"));
    let about = format!("[about]\ndocumentation = {documentation:?}\npolicy = {policy:?}\nterms = {terms:?}");
    let document = app.another(&about).await.get(OAUTH).await.json();
    for (name, url) in [("service_documentation", documentation), ("op_policy_uri", policy), ("op_tos_uri", terms)] {
        assert_eq!(document[name], url);
        // The document of a server that has none is looked at as a whole above.
        assert_eq!(app.get(OAUTH).await.json().get(name), None);
    }
}

async fn every_endpoint_that_is_named_answers(app: TestApp) {
    let document = app.get(OPENID).await.json();
    for (name, url) in document.as_object().expect("an object") {
        if !(name.ends_with("_endpoint") || name == "jwks_uri") {
            continue;
        }
        let url = url.as_str().expect("a URL");
        assert!(url.starts_with(&format!("{}/", app.issuer())), "{name}: {url}");
        let by_post = [
            "token_endpoint",
            "introspection_endpoint",
            "revocation_endpoint",
            "device_authorization_endpoint",
            "pushed_authorization_request_endpoint",
        ];
        let by_post = by_post.contains(&name.as_str());
        let request = if by_post { app.http.post(url) } else { app.http.get(url) };
        let answer = Answer::of(request.send().await.expect("the server answers")).await;
        // Each knows what is missing; none is missing itself.
        let expected = match name.as_str() {
            "jwks_uri" => 200,
            "userinfo_endpoint" => 401,
            "end_session_endpoint" => 303,
            _ => 400,
        };
        assert_eq!(answer.status.as_u16(), expected, "{name}: {}", answer.body);
    }
}

async fn every_grant_and_way_to_authenticate_is_as_it_says(app: TestApp) {
    let document = app.get(OPENID).await.json();
    let rp = app.client("web").create().await;
    for grant in list(&document, "grant_types_supported") {
        let answer = rp.post("/oauth/token", &[("grant_type", &grant)]).await;
        assert!(!answer.body.contains("unsupported_grant_type"), "{grant}");
    }
    let known = ["authorization_code", "refresh_token", "client_credentials", crate::support::device::GRANT];
    assert_eq!(list(&document, "grant_types_supported"), known);

    app.client("spa").public().create().await;
    let (mac, signer) = (Signer::with_secret("mac"), Signer::new("signer", Algorithm::Es256));
    app.client("mac").signing(&mac).create().await;
    app.client("signer").signing(&signer).create().await;
    let algorithms = ["HS256", "ES256", "ES384", "RS256", "PS256", "EdDSA"];
    for endpoint in ["token", "introspection", "revocation"] {
        let supported = list(&document, &format!("{endpoint}_endpoint_auth_signing_alg_values_supported"));
        assert_eq!(supported, algorithms, "{endpoint}");
    }
    let token = rp.client_credentials("notes:read").await.expect_tokens();
    let refused = app.post("/oauth/token", &[("client_id", "web"), ("client_assertion", "x")]).await;
    refused.expect_error("invalid_client");
    for endpoint in ["token", "introspection", "revocation"] {
        let supported = list(&document, &format!("{endpoint}_endpoint_auth_methods_supported"));
        let url = document[format!("{endpoint}_endpoint")].as_str().expect("a URL");
        for method in AuthMethod::ALL {
            let fields = [("grant_type", "password"), ("token", token.access_token())];
            let (mac, signer) = (mac.assertion(&app), signer.assertion(&app));
            let request = app.http.post(url);
            let request = match method {
                AuthMethod::ClientSecretBasic => request.basic_auth("web", Some(SECRET)).form(&fields),
                AuthMethod::ClientSecretPost => {
                    request.form(&[fields[0], fields[1], ("client_id", "web"), ("client_secret", SECRET)])
                }
                AuthMethod::ClientSecretJwt => request.form(&[&fields[..], &mac.fields()].concat()),
                AuthMethod::PrivateKeyJwt => request.form(&[&fields[..], &signer.fields()].concat()),
                // Nobody asks for a certificate here.
                AuthMethod::TlsClientAuth | AuthMethod::SelfSignedTlsClientAuth => {
                    request.form(&[fields[0], fields[1], ("client_id", "web")])
                }
                AuthMethod::None => request.form(&[fields[0], fields[1], ("client_id", "spa")]),
            };
            let answer = Answer::of(request.send().await.expect("the server answers")).await;
            let is_in = answer.status.as_u16() != 401;
            assert_eq!(is_in, supported.contains(&method.as_str().to_owned()), "{endpoint} {method}: {}", answer.body);
        }
    }
}

async fn every_choice_at_the_authorization_endpoint_is_as_it_says(app: TestApp) {
    app.user("ada").await;
    let document = app.get(OPENID).await.json();
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    rp.sign_in_with(&person, "ada", &[]).await;

    assert_eq!(list(&document, "response_types_supported"), ["code"]);
    assert!(rp.authorize(&person, &pkce, &[("response_type", "code")]).await.param("code").is_some());
    assert_eq!(
        list(&document, "response_modes_supported"),
        ["query", "form_post", "query.jwt", "form_post.jwt", "jwt"]
    );
    for mode in list(&document, "response_modes_supported") {
        let page = rp.authorize(&person, &pkce, &[("response_mode", &mode)]).await;
        let member = if mode.ends_with("jwt") { "response" } else { "code" };
        assert!(page.param(member).is_some() || page.posts().1.contains_key(member), "{mode}");
    }
    assert_eq!(list(&document, "code_challenge_methods_supported"), ["S256"]);
    assert_eq!(list(&document, "prompt_values_supported"), ["none", "login", "consent", "select_account"]);
    for prompt in list(&document, "prompt_values_supported") {
        let page = rp.authorize(&person, &pkce, &[("prompt", &prompt)]).await;
        let expected = match prompt.as_str() {
            "none" => page.param("code").is_some(),
            "login" => page.asks_to_sign_in(),
            "consent" => page.asks_for_consent(),
            _ => page.asks_for_account(),
        };
        assert!(expected, "{prompt}: {page:?}");
    }
    // The sign-in page says which language it is in, whichever is asked for.
    let page = rp.authorize(&app.person(), &pkce, &[("ui_locales", "de fr")]).await;
    let locales = list(&document, "ui_locales_supported");
    assert!(locales.iter().all(|locale| page.body.contains(&format!("<html lang=\"{locale}\">"))), "{}", page.body);
    // RFC 9207 §3
    assert_eq!(document["authorization_response_iss_parameter_supported"], true);
    assert_eq!(rp.authorize(&person, &pkce, &[]).await.param("iss").as_deref(), Some(app.issuer()));

    // Request objects are tried in `jar` and `request_uri`, pushed requests in `par`.
    assert_eq!(document["request_parameter_supported"], true);
    assert_eq!(document["request_uri_parameter_supported"], true);
    assert_eq!(document["require_request_uri_registration"], true);
    let elsewhere = [("request_uri", "https://app.example/request")];
    let page = rp.authorize(&person, &pkce, &elsewhere).await;
    refused_at_the_client(&app, &page, "invalid_request_uri", "a request that is not registered");
    // OpenID Connect Core §5.5
    assert_eq!(document["claims_parameter_supported"], true);
    assert_eq!(list(&document, "claim_types_supported"), ["normal"]);
    let wanted = [("claims", r#"{"id_token":{"name":{"essential":true}}}"#)];
    let page = person.decide(&rp.authorize(&person, &pkce, &wanted).await, "allow").await;
    let tokens = rp.redeem(&page.code(), &pkce).await.expect_tokens();
    assert_eq!(decode(tokens.id_token()).1["name"], "ada Lovelace");
    // One kind of page, in one language (Discovery §3); whoever wants another is shown it all the same.
    assert_eq!(list(&document, "display_values_supported"), ["page"]);
    assert_eq!(list(&document, "ui_locales_supported"), ["en"]);
    assert!(rp.authorize(&app.person(), &pkce, &[]).await.body.contains("<html lang=\"en\""));

    // One person is the same to every client that does not ask for it otherwise (`oauth/pairwise.rs`).
    assert_eq!(list(&document, "subject_types_supported"), ["public", "pairwise"]);
    let other = app.client("other").create().await.sign_in_with(&person, "ada", &[]).await;
    assert_eq!(decode(other.id_token()).1["sub"], decode(tokens.id_token()).1["sub"]);
    let acr = decode(tokens.id_token()).1["acr"].as_str().expect("an acr").to_owned();
    assert_eq!((list(&document, "acr_values_supported"), acr.as_str()), (vec!["1".to_owned(), "2".to_owned()], "1"));
    person.sets_up_an_app(&app).await;
    let page = rp.authorize(&person, &pkce, &[("acr_values", "2")]).await;
    assert!(page.url.contains("/sign-in/second"), "{page:?}");

    let algorithms = list(&document, "id_token_signing_alg_values_supported");
    assert!(algorithms.contains(&"RS256".to_owned()), "Discovery §3: MUST be included");
    for name in algorithms {
        let algorithm: Algorithm = name.parse().expect("an algorithm");
        let rp = app.client(&format!("alg-{name}")).with(|client| client.id_token_signed_response_alg = algorithm);
        let rp = rp.with(|client| client.protection.userinfo_signed_response_alg = Some(algorithm)).create().await;
        let tokens = rp.sign_in_with(&person, "ada", &[]).await;
        assert_eq!(decode(tokens.id_token()).0["alg"], name);
        assert_eq!(decode(&rp.userinfo(tokens.access_token()).await.body).0["alg"], name);
    }
    assert_eq!(document["userinfo_signing_alg_values_supported"], document["id_token_signing_alg_values_supported"]);
    assert_eq!(
        document["introspection_signing_alg_values_supported"],
        document["id_token_signing_alg_values_supported"]
    );

    // `oauth/encryption.rs` and `oauth/introspection_jwt.rs` show each of them.
    for what in ["id_token", "userinfo", "authorization", "introspection"] {
        let known = |member: &str| list(&document, &format!("{what}_encryption_{member}_values_supported"));
        assert_eq!(known("alg"), ["RSA-OAEP-256", "ECDH-ES", "ECDH-ES+A256KW"]);
        assert_eq!(known("enc"), ["A128CBC-HS256", "A256GCM"]);
    }
}

async fn every_scope_and_claim_is_as_it_says(app: TestApp) {
    let app = app.another("[scopes.\"notes:read\"]\ntitle = \"Read your notes\"").await;
    let document = app.get(OPENID).await.json();
    let supported: BTreeSet<String> = list(&document, "claims_supported").into_iter().collect();
    // A person of whom everything is known.
    let everything: Map<String, Value> = supported
        .iter()
        .filter(|name| grantor::types::user::is_settable_claim(name))
        .map(|name| {
            let is_right = grantor::types::user::RIGHTS.contains(&name.as_str());
            (name.clone(), if is_right { json!(["something"]) } else { json!("something") })
        })
        .collect();
    app.user_with("ada", |user| user.claims = everything).await;
    let scopes = list(&document, "scopes_supported");
    let rp = app.client("web").scope(&scopes.join(" ")).create().await;
    assert!(scopes.contains(&"openid".to_owned()), "Discovery §3: MUST support openid");
    assert!(scopes.contains(&"notes:read".to_owned()), "{scopes:?}");
    let tokens = rp.sign_in_with(&app.person(), "ada", &[("scope", &scopes.join(" "))]).await;
    let granted: BTreeSet<_> = tokens.scope().split(' ').map(str::to_owned).collect();
    assert_eq!(granted, scopes.into_iter().collect());

    let claims = decode(tokens.id_token()).1;
    let userinfo = rp.userinfo(tokens.access_token()).await.expect_status(200).json();
    let told: BTreeSet<String> = [&claims, &userinfo]
        .into_iter()
        .flat_map(|claims| claims.as_object().expect("claims").keys().cloned())
        .collect();
    assert_eq!(told, supported);
    // OpenID Connect Core §5.6: each is asserted by us, and none refers to somebody else's word.
    assert_eq!(list(&document, "claim_types_supported"), ["normal"]);
    for reference in ["_claim_names", "_claim_sources"] {
        assert_eq!((claims.get(reference), userinfo.get(reference)), (None, None));
    }
}

async fn an_issuer_with_a_path_has_everything_under_it(app: TestApp) {
    let app = app.another("[server]\nissuer = \"http://localhost:1/auth/one\"").await;
    assert!(app.issuer().ends_with("/auth/one"));
    let origin = app.issuer().strip_suffix("/auth/one").expect("it has the path");
    let fetch = async |url: String| Answer::of(app.http.get(url).send().await.expect("the server answers")).await;

    // Discovery §4.1 appends, RFC 8414 §3.1 inserts; whoever looks either way finds the same.
    let document = app.get(OPENID).await.expect_status(200);
    for url in
        [format!("{}{OAUTH}", app.issuer()), format!("{origin}{OAUTH}/auth/one"), format!("{origin}{OPENID}/auth/one")]
    {
        assert_eq!(fetch(url).await.expect_status(200).body, document.body);
    }
    let document = document.json();
    assert_eq!(document["issuer"], app.issuer());
    for (name, url) in document.as_object().expect("an object") {
        if name.ends_with("_endpoint") || name == "jwks_uri" {
            assert!(url.as_str().is_some_and(|url| url.starts_with(&format!("{}/oauth/", app.issuer()))), "{name}");
        }
    }
    // Nothing of this issuer is outside its path.
    for path in [OPENID, OAUTH, "/oauth/jwks", "/oauth/authorize", "/sign-in"] {
        fetch(format!("{origin}{path}")).await.expect_status(404);
    }
    fetch(format!("{origin}{OAUTH}/auth")).await.expect_status(404);

    // And the whole flow works there, on pages that stay under the path.
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (person, pkce) = (app.person(), Pkce::new());
    let page = rp.authorize(&person, &pkce, &[]).await;
    assert!(page.asks_to_sign_in() && page.url.starts_with(&format!("{}/sign-in?", app.issuer())), "{page:?}");
    assert!(page.body.contains("action=\"/auth/one/sign-in\""), "{}", page.body);
    let tokens = rp.sign_in_with(&person, "ada", &[]).await;
    assert_eq!(decode(tokens.id_token()).1["iss"], app.issuer());
    rp.userinfo(tokens.access_token()).await.expect_status(200);
    rp.refresh(&tokens).await.expect_tokens();
    app.introspect(tokens.access_token()).await.expect_active();
}

async fn the_issuer_is_a_protected_resource_of_its_own(app: TestApp) {
    let answer = app.get("/.well-known/oauth-protected-resource").await.expect_status(200);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let document = answer.json();
    // RFC 9728 §3.3, and §2: where its tokens come from.
    assert_eq!(
        (&document["resource"], &document["authorization_servers"]),
        (&json!(app.issuer()), &json!([app.issuer()]))
    );
    let metadata = app.get(OAUTH).await.json();
    assert_eq!(document["dpop_signing_alg_values_supported"], metadata["dpop_signing_alg_values_supported"]);
    assert_eq!(document["resource_signing_alg_values_supported"], metadata["userinfo_signing_alg_values_supported"]);

    // It can be asked for by that name, and what comes opens it in each way that is named.
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let tokens = rp.sign_in_with(&app.person(), "ada", &[("resource", app.issuer())]).await;
    assert_eq!(decode(tokens.access_token()).1["aud"], app.issuer());
    assert_eq!(list(&document, "bearer_methods_supported"), ["header", "body"]);
    rp.userinfo(tokens.access_token()).await.expect_status(200);
    let body = format!("access_token={}", tokens.access_token());
    let form = [("content-type", "application/x-www-form-urlencoded")];
    app.post_raw("/oauth/userinfo", &form, body).await.expect_status(200);
    let scopes = list(&document, "scopes_supported");
    assert!(
        scopes.contains(&"openid".to_owned())
            && scopes.iter().all(|own| list(&metadata, "scopes_supported").contains(own))
    );
}
