//! FAPI 2.0: the ways into the profile: by a certificate, by request objects, signed responses, and by registering.

use grantor::types::{Algorithm, AuthMethod, Clock as _};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::client_tls::{certificates, secure, showing};
use super::fapi::{Strong, key, proof, strong};
use super::par::address;
use super::registration::{register, registered};
use crate::support::app::{PASSWORD, eventually};
use crate::support::assertion::Signer;
use crate::support::behind::at_once;
use crate::support::party::{SECRET, basic, decode};
use crate::support::{Answer, Engine, Person, Pkce, TestApp};
use crate::{each_database, each_engine};

each_engine!(a_client_of_mutual_tls_needs_no_proof_but_its_certificate);

each_database!(
    a_request_object_of_the_profile_lasts_an_hour_at_most,
    a_signed_response_of_the_profile_is_never_in_rs256,
    messages_are_signed_both_ways,
    who_registers_itself_is_held_to_the_profile_of_the_server,
    no_token_lives_on_that_was_fetched_while_its_grant_was_revoked,
);

async fn a_client_of_mutual_tls_needs_no_proof_but_its_certificate(engine: Engine) {
    let folder = certificates();
    let app = secure(engine, &folder).await;
    app.user("ada").await;
    super::client_tls::register(&app, "bank", AuthMethod::TlsClientAuth, |client| {
        strong(client);
        client.tls_client_auth_san_dns = Some("web.example".into());
    })
    .await;
    app.resource_server().await;
    let [bank, forged, none] = ["web", "forged", ""].map(|name| showing(&folder, (!name.is_empty()).then_some(name)));
    let post = async |http: &reqwest::Client, path: &str, fields: &[(&str, &str)]| {
        let fields = [&[("client_id", "bank")], fields].concat();
        Answer::of(http.post(format!("{}{path}", app.url)).form(&fields).send().await.unwrap()).await
    };

    let pkce = Pkce::new();
    let asked = [
        ("response_type", "code"),
        ("redirect_uri", "https://app.example/callback"),
        ("scope", "openid offline_access"),
        ("code_challenge", &pkce.challenge),
        ("code_challenge_method", "S256"),
    ];
    // §5.3.2.2: "shall reject pushed authorization requests without client authentication".
    for stranger in [&forged, &none] {
        post(stranger, "/oauth/par", &asked).await.expect_error("invalid_client").expect_status(401);
    }
    let pushed = post(&bank, "/oauth/par", &asked).await.expect_status(201).json();
    let person = Person::over(&app.url, none.clone());
    let page = person.get(&address("bank", pushed["request_uri"].as_str().unwrap())).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    let code = person.decide(&page, "allow").await.code();

    let redeem = [
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", "https://app.example/callback"),
        ("code_verifier", &pkce.verifier),
    ];
    // A code that was caught is worth nothing to whoever has another certificate.
    for stranger in [&forged, &none] {
        post(stranger, "/oauth/token", &redeem).await.expect_error("invalid_client").expect_status(401);
    }
    let tokens = post(&bank, "/oauth/token", &redeem).await.expect_tokens();
    // §5.3.2.1: sender-constrained, though the registration does not say how.
    let der = CertificateDer::from_pem_file(folder.path("web.crt")).unwrap();
    let bound_to = json!({ "x5t#S256": grantor::crypto::sha256_base64url(&der) });
    assert_eq!(decode(tokens.access_token()).1["cnf"], bound_to);
    assert_eq!(decode(tokens.id_token()).0["alg"], "ES256");
    let told = none.post(format!("{}/oauth/introspect", app.url)).header("authorization", basic("api", SECRET));
    let told = Answer::of(told.form(&[("token", tokens.access_token())]).send().await.unwrap()).await;
    assert_eq!(told.expect_active()["cnf"], bound_to);

    for (http, status) in [(&bank, 200), (&forged, 401), (&none, 401)] {
        let request = http.get(format!("{}/oauth/userinfo", app.url)).bearer_auth(tokens.access_token());
        Answer::of(request.send().await.unwrap()).await.expect_status(status);
    }
    // §5.3.2.1: no rotation.
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", tokens.refresh_token())];
    post(&forged, "/oauth/token", &refresh).await.expect_error("invalid_client");
    for _ in 0..2 {
        app.advance(60);
        let again = post(&bank, "/oauth/token", &refresh).await.expect_tokens();
        assert_eq!(again.refresh_token(), tokens.refresh_token());
        assert_eq!(decode(again.access_token()).1["cnf"], bound_to);
    }

    // RFC 9449 §5.2: registered for proofs it sends one, and its certificate is none.
    app.reregister("bank", |client| client.dpop_bound_access_tokens = true).await;
    post(&bank, "/oauth/token", &refresh).await.expect_error("invalid_request").expect_status(400);
    let holder = key(Algorithm::Es256);
    let fields = [&[("client_id", "bank")], &refresh[..]].concat();
    let request = bank.post(format!("{}/oauth/token", app.url)).form(&fields);
    let request = request.header("dpop", proof(&app, &holder, "/oauth/token"));
    let proved = Answer::of(request.send().await.unwrap()).await.expect_tokens();
    let cnf = &decode(proved.access_token()).1["cnf"];
    assert!(cnf["jkt"].is_string() && cnf["x5t#S256"].is_null(), "{cnf}");
}

async fn a_request_object_of_the_profile_lasts_an_hour_at_most(app: TestApp) {
    app.user("ada").await;
    let bank = Strong::register(&app, |_| {}).await;
    let pkce = Pkce::new();
    let now = app.clock.now().secs();
    let object = |nbf: Option<i64>, exp: Option<i64>| {
        let mut header = bank.signer.header();
        header["typ"] = json!("oauth-authz-req+jwt");
        let mut claims = json!({
            "iss": "bank", "aud": app.issuer(), "client_id": "bank", "response_type": "code",
            "redirect_uri": "https://app.example/callback", "scope": "notes:read",
            "code_challenge": pkce.challenge, "code_challenge_method": "S256",
        });
        for (name, at) in [("nbf", nbf), ("exp", exp)] {
            if let Some(at) = at {
                claims[name] = json!(now + at);
            }
        }
        bank.signer.sign(&header, &claims.to_string())
    };
    let push = async |nbf, exp| bank.post("/oauth/par", &[("request", &object(nbf, exp))], None).await;
    for (fits, nbf, exp) in [
        (true, Some(0), Some(3_600)),
        (true, Some(-3_599), Some(1)),
        // Security Profile §5.3.2.1: 10 seconds in the future "shall" be accepted, 60 not.
        (true, Some(10), Some(300)),
        (false, Some(61), Some(300)),
        // Message Signing §5.3.1: both, an hour apart at most, and begun within the last hour.
        (false, None, Some(300)),
        (false, Some(0), None),
        (false, None, None),
        (false, Some(0), Some(3_601)),
        (false, Some(-3_601), Some(300)),
        (false, Some(-60), Some(0)),
    ] {
        let answer = push(nbf, exp).await;
        if fits {
            answer.expect_status(201);
        } else {
            answer.expect_error("invalid_request_object").expect_status(400);
        }
    }
    // What was signed counts, and leads to a code.
    let pushed = push(Some(0), Some(300)).await.json();
    let person = app.person();
    let page = person.get(&address("bank", pushed["request_uri"].as_str().unwrap())).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    let code = person.decide(&page, "allow").await.code();
    bank.redeem(&code, &pkce, Some(&bank.proof("/oauth/token"))).await.expect_tokens();
    // RFC 9101 asks for neither, so the profile does.
    app.reregister("bank", |client| client.profile = None).await;
    push(None, None).await.expect_status(201);
}

async fn a_signed_response_of_the_profile_is_never_in_rs256(app: TestApp) {
    let bank = Strong::register(&app, |_| {}).await;
    let signed_with = async || {
        let pkce = Pkce::new();
        let asked = [
            ("response_type", "code"),
            ("response_mode", "jwt"),
            ("redirect_uri", "https://app.example/callback"),
            ("scope", "openid"),
            ("code_challenge", &pkce.challenge),
            ("code_challenge_method", "S256"),
        ];
        let pushed = bank.post("/oauth/par", &asked, None).await.expect_status(201).json();
        let person = app.person();
        let page = person.get(&address("bank", pushed["request_uri"].as_str().unwrap())).await;
        let page = person.cancel(&page).await;
        let (header, claims) = decode(&page.param("response").expect("a signed response"));
        assert_eq!((&claims["error"], &claims["aud"]), (&json!("access_denied"), &json!("bank")));
        header["alg"].clone()
    };
    // §5.4.1, where JARM §3 has RS256.
    assert_eq!(signed_with().await, "ES256");
    app.reregister("bank", |client| client.profile = None).await;
    assert_eq!(signed_with().await, "RS256");
}

/// FAPI 2.0 Message Signing §5.3, from the request to UserInfo.
async fn messages_are_signed_both_ways(app: TestApp) {
    app.user("ada").await;
    let bank = Strong::register(&app, |client| {
        client.require_signed_request_object = true;
        client.protection.userinfo_signed_response_alg = Some(Algorithm::Es256);
    });
    let bank = bank.await;
    let (person, pkce) = (app.person(), Pkce::new());
    let asked = json!({
        "response_type": "code", "response_mode": "jwt", "redirect_uri": "https://app.example/callback",
        "scope": "openid", "state": "a state", "code_challenge": pkce.challenge, "code_challenge_method": "S256",
    });
    let plain: Vec<_> =
        asked.as_object().unwrap().iter().map(|(name, value)| (&**name, value.as_str().unwrap())).collect();
    bank.post("/oauth/par", &plain, None).await.expect_error("invalid_request");

    let object = |alg: &str| {
        let mut claims = asked.clone();
        let now = app.clock.now().secs();
        for (name, value) in [("iss", json!("bank")), ("client_id", json!("bank")), ("aud", json!(app.issuer()))] {
            claims[name] = value;
        }
        claims["nbf"] = json!(now);
        claims["exp"] = json!(now + 300);
        let mut header = bank.signer.header();
        header["typ"] = json!("oauth-authz-req+jwt");
        header["alg"] = json!(alg);
        bank.signer.sign(&header, &claims.to_string())
    };
    // §5.4.1 of the Security Profile: not even where the key would do.
    for alg in ["RS256", "none"] {
        bank.post("/oauth/par", &[("request", &object(alg))], None).await.expect_error("invalid_request_object");
    }
    let pushed = bank.post("/oauth/par", &[("request", &object("ES256"))], None).await.expect_status(201).json();
    let page = person.get(&address("bank", pushed["request_uri"].as_str().unwrap())).await;
    let page = person.sign_in(&page, "ada", PASSWORD).await;
    let page = person.decide(&page, "allow").await;
    // JARM §2.1: in the JWT, and nowhere else.
    assert_eq!((page.param("code"), page.param("state")), (None, None));
    let (header, answer) = decode(&page.param("response").expect("a signed response"));
    assert_eq!(
        (&header["alg"], &answer["iss"], &answer["state"]),
        (&json!("ES256"), &json!(app.issuer()), &json!("a state"))
    );

    let code = answer["code"].as_str().unwrap();
    let tokens = bank.redeem(code, &pkce, Some(&bank.proof("/oauth/token"))).await.expect_tokens();
    let token = tokens.access_token();
    let userinfo = async |scheme: &str, proof: Option<String>| {
        let request = app.http.post(format!("{}/oauth/userinfo", app.url));
        let request = request.header("authorization", format!("{scheme} {token}"));
        let request = proof.into_iter().fold(request, |request, proof| request.header("dpop", proof));
        Answer::of(request.send().await.unwrap()).await
    };
    userinfo("Bearer", None).await.expect_error("invalid_token").expect_status(401);
    let told = userinfo("DPoP", Some(bank.proof_with("/oauth/userinfo", token))).await.expect_status(200);
    let (header, claims) = decode(&told.body);
    assert_eq!((&header["alg"], &claims["aud"]), (&json!("ES256"), &json!("bank")));
}

async fn who_registers_itself_is_held_to_the_profile_of_the_server(app: TestApp) {
    let strict = app.another("[security]\nprofile = \"fapi2\"\n[registration]\nmode = \"open\"\n").await;
    strict.user("ada").await;
    let mut signer = Signer::new("", Algorithm::Es256);
    let good = json!({
        "redirect_uris": ["https://app.example/callback"],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "private_key_jwt",
        "id_token_signed_response_alg": "ES256",
        "jwks": signer.jwks(),
    });
    let with = |name: &str, value: Value| {
        let mut document = good.clone();
        document[name] = value;
        document
    };
    for (name, value) in [
        ("token_endpoint_auth_method", json!("none")),
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        // RFC 7591 §2: left out it is client_secret_basic, and OpenID Connect Registration §2: RS256.
        ("token_endpoint_auth_method", Value::Null),
        ("id_token_signed_response_alg", Value::Null),
        ("request_object_signing_alg", json!("RS256")),
        ("redirect_uris", json!(["com.example.app:/callback"])),
    ] {
        let refused = register(&strict, None, &with(name, value)).await;
        let refused = refused.expect_error("invalid_client_metadata").expect_status(400);
        assert!(refused.body.contains("FAPI 2.0 section 5."), "{name}: {}", refused.body);
    }
    // Of what a client offers, that is taken which fits (Relying Party Metadata Choices §2).
    let mut offer = good.clone();
    offer["token_endpoint_auth_methods_supported"] = json!(["none", "client_secret_post", "private_key_jwt"]);
    offer["id_token_signing_alg_values_supported"] = json!(["RS256", "ES256"]);
    for said in ["token_endpoint_auth_method", "id_token_signed_response_alg"] {
        offer[said] = Value::Null;
    }
    let chosen = registered(&strict, &offer).await;
    assert_eq!(
        (&chosen["token_endpoint_auth_method"], &chosen["id_token_signed_response_alg"]),
        (&json!("private_key_jwt"), &json!("ES256"))
    );

    let client = registered(&strict, &good).await;
    let id = client["client_id"].as_str().expect("an id").to_owned();
    signer.id.clone_from(&id);
    let party = Strong { app: &strict, signer, holder: key(Algorithm::Es256) };
    let (person, pkce) = (strict.person(), Pkce::new());
    let query = format!(
        "/oauth/authorize?client_id={id}&response_type=code&scope=openid\
         &redirect_uri=https%3A%2F%2Fapp.example%2Fcallback"
    );
    let unpushed = person.get(&query).await;
    assert_eq!(unpushed.param("error").as_deref(), Some("invalid_request"), "{unpushed:?}");
    let code = party.code(&person, &pkce).await;
    party.redeem(&code, &pkce, None).await.expect_error("invalid_request");
    let tokens = party.redeem(&code, &pkce, Some(&party.proof("/oauth/token"))).await.expect_tokens();
    assert!(decode(tokens.access_token()).1["cnf"]["jkt"].is_string());
    assert_eq!(party.refresh(&tokens).await.expect_tokens().refresh_token(), tokens.refresh_token());

    // RFC 7592 §2.2: nor does it get out of it later.
    let manage = async |document: Value| {
        let uri = client["registration_client_uri"].as_str().expect("an address");
        let token = client["registration_access_token"].as_str().expect("a token");
        Answer::of(strict.http.put(uri).bearer_auth(token).json(&document).send().await.unwrap()).await
    };
    let mut weaker = with("token_endpoint_auth_method", json!("none"));
    weaker["client_id"] = json!(id);
    manage(weaker).await.expect_error("invalid_client_metadata");
    manage(with("client_id", json!(id))).await.expect_status(200);
}

/// A refresh token that is not replaced is read and not written, so nothing makes its users wait for a revocation.
async fn no_token_lives_on_that_was_fetched_while_its_grant_was_revoked(app: TestApp) {
    let other = app.second_node().await;
    app.user("ada").await;
    let bank = Strong::register(&app, |_| {}).await;
    let person = app.person();
    for round in 0..4 {
        let pkce = Pkce::new();
        let code = bank.code(&person, &pkce).await;
        let tokens = bank.redeem(&code, &pkce, Some(&bank.proof("/oauth/token"))).await.expect_tokens();
        let use_it = async |n: usize| {
            let node = if n.is_multiple_of(2) { &app } else { &other };
            if n == 4 + round {
                bank.revoke_at(node, &tokens).await;
                return None;
            }
            Some(bank.refresh_at(node, &tokens).await)
        };
        for answer in at_once((0..16).map(&use_it)).await.into_iter().flatten() {
            if answer.status != 200 {
                answer.expect_error("invalid_grant").expect_status(400);
                continue;
            }
            let fetched = answer.expect_tokens();
            for node in [&app, &other] {
                let is_dead = async || node.introspect(fetched.access_token()).await.json()["active"] == false;
                eventually("the token is dead", is_dead).await;
            }
        }
        for node in [&app, &other] {
            bank.refresh_at(node, &tokens).await.expect_error("invalid_grant");
        }
    }
}
