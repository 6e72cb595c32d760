//! FAPI 2.0: what a client is held to whose profile it is, and what it is refused.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantor::config::Config;
use grantor::crypto::{SigningKey, SystemRandom, random, sha256_base64url};
use grantor::oauth::profile;
use grantor::types::{Algorithm, AuthMethod, ClientMetadata, Clock as _, GrantType, PkcePolicy, Profile, Resource};
use serde_json::{Value, json};

use super::par::address;
use super::resources::{register, resource};
use crate::each_database;
use crate::support::app::PASSWORD;
use crate::support::assertion::Signer;
use crate::support::party::{Tokens, decode};
use crate::support::{Answer, Person, Pkce, TestApp};

each_database!(
    a_client_of_the_profile_pushes_binds_and_keeps_its_refresh_token,
    what_falls_short_of_the_profile_is_refused,
    what_a_client_of_the_profile_gets_is_never_signed_in_rs256,
    the_profile_of_the_server_holds_every_client,
    codes_of_the_profile_are_good_for_a_minute,
    a_client_that_cannot_keep_to_the_profile_is_not_let_in,
);

/// A client of the profile, the key that it authenticates with, and the key of its proofs.
pub struct Strong<'a> {
    pub app: &'a TestApp,
    pub signer: Signer,
    pub holder: SigningKey,
}

pub fn key(algorithm: Algorithm) -> SigningKey {
    let material = SigningKey::generate(algorithm, &SystemRandom::new()).expect("a key");
    SigningKey::parse("k".into(), algorithm, &material).expect("a key")
}

pub fn strong(client: &mut ClientMetadata) {
    client.profile = Some(Profile::Fapi2);
    client.id_token_signed_response_alg = Algorithm::Es256;
}

impl<'a> Strong<'a> {
    pub async fn register(app: &'a TestApp, change: impl FnOnce(&mut ClientMetadata)) -> Self {
        let signer = Signer::new("bank", Algorithm::Es256);
        app.client("bank").signing(&signer).with(strong).with(change).create().await;
        Self { app, signer, holder: key(Algorithm::Es256) }
    }

    pub fn proof(&self, path: &str) -> String {
        proof(self.app, &self.holder, path)
    }

    /// One for a token that is shown.
    pub fn proof_with(&self, path: &str, token: &str) -> String {
        signed_proof(self.app, &self.holder, path, Some(token))
    }

    /// What the client posts, with its assertion.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)], proof: Option<&str>) -> Answer {
        self.post_to(self.app, path, fields, proof).await
    }

    /// The same to a node.
    async fn post_to(&self, node: &TestApp, path: &str, fields: &[(&str, &str)], proof: Option<&str>) -> Answer {
        let assertion = self.signer.assertion(node);
        let fields = [&assertion.fields()[..], fields].concat();
        let mut request = node.http.post(format!("{}{path}", node.url)).form(&fields);
        if let Some(proof) = proof {
            request = request.header("dpop", proof);
        }
        Answer::of(request.send().await.expect("the server answers")).await
    }

    /// Pushes a request without the parameters that are named.
    async fn push(&self, pkce: &Pkce, without: &[&str]) -> Answer {
        let fields = [
            ("response_type", "code"),
            ("redirect_uri", "https://app.example/callback"),
            ("scope", "offline_access notes:read"),
            ("state", "a state"),
            ("code_challenge", &pkce.challenge),
            ("code_challenge_method", "S256"),
        ];
        let fields: Vec<_> = fields.into_iter().filter(|(name, _)| !without.contains(name)).collect();
        self.post("/oauth/par", &fields, None).await
    }

    pub async fn code(&self, person: &Person, pkce: &Pkce) -> String {
        let pushed = self.push(pkce, &[]).await.expect_status(201).json();
        let mut page =
            person.get(&address(&self.signer.id, pushed["request_uri"].as_str().expect("a reference"))).await;
        if page.asks_to_sign_in() {
            page = person.sign_in(&page, "ada", PASSWORD).await;
        }
        if page.asks_for_consent() {
            page = person.decide(&page, "allow").await;
        }
        // §5.3.2.2: "shall return an iss parameter".
        assert_eq!(page.param("iss").as_deref(), Some(self.app.issuer()));
        page.code()
    }

    pub async fn redeem(&self, code: &str, pkce: &Pkce, proof: Option<&str>) -> Answer {
        let fields = [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", "https://app.example/callback"),
            ("code_verifier", &pkce.verifier),
        ];
        self.post("/oauth/token", &fields, proof).await
    }

    pub async fn refresh(&self, tokens: &Tokens) -> Answer {
        self.refresh_at(self.app, tokens).await
    }

    pub async fn refresh_at(&self, node: &TestApp, tokens: &Tokens) -> Answer {
        let (fields, proof) =
            ([("grant_type", "refresh_token"), ("refresh_token", tokens.refresh_token())], self.proof("/oauth/token"));
        self.post_to(node, "/oauth/token", &fields, Some(&proof)).await
    }

    pub async fn revoke_at(&self, node: &TestApp, tokens: &Tokens) {
        let fields = [("token", tokens.refresh_token())];
        self.post_to(node, "/oauth/revoke", &fields, None).await.expect_status(200);
    }
}

pub fn proof(app: &TestApp, key: &SigningKey, path: &str) -> String {
    signed_proof(app, key, path, None)
}

fn signed_proof(app: &TestApp, key: &SigningKey, path: &str, token: Option<&str>) -> String {
    let jwk = key.public_jwk().expect("it has a public half");
    let header = json!({ "typ": "dpop+jwt", "alg": key.algorithm().as_str(), "jwk": jwk });
    let mut claims = json!({
        "jti": random::token(&SystemRandom::new(), 16),
        "htm": "POST",
        "htu": format!("{}{path}", app.issuer()),
        "iat": app.clock.now().secs(),
    });
    if let Some(token) = token {
        claims["ath"] = sha256_base64url(token.as_bytes()).into();
    }
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let message = format!("{}.{}", encode(&header), encode(&claims));
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()).expect("it signs")))
}

async fn a_client_of_the_profile_pushes_binds_and_keeps_its_refresh_token(app: TestApp) {
    app.user("ada").await;
    let bank = Strong::register(&app, |_| {}).await;
    let (person, pkce) = (app.person(), Pkce::new());
    let code = bank.code(&person, &pkce).await;
    let first = bank.redeem(&code, &pkce, Some(&bank.proof("/oauth/token"))).await.expect_tokens();
    assert_eq!(first.0["token_type"], "DPoP");
    assert!(decode(first.access_token()).1["cnf"]["jkt"].is_string());

    // §5.3.2.1: no rotation. It is the same token, as often as it is used, and no use of it is reuse.
    for _ in 0..3 {
        app.advance(60);
        let again = bank.refresh(&first).await.expect_tokens();
        assert_eq!(again.refresh_token(), first.refresh_token());
        app.introspect(again.access_token()).await.expect_active();
    }
    // Unused for longer than others' may be, and gone with its grant.
    app.clock.advance(app.config.refresh.idle_lifetime + Duration::from_secs(1));
    bank.refresh(&first).await.expect_tokens();
    app.clock.advance(app.config.refresh.absolute_lifetime);
    bank.refresh(&first).await.expect_error("invalid_grant");

    // Revoked, it is dead.
    let code = bank.code(&app.person(), &pkce).await;
    let other = bank.redeem(&code, &pkce, Some(&bank.proof("/oauth/token"))).await.expect_tokens();
    bank.post("/oauth/revoke", &[("token", other.refresh_token())], None).await.expect_status(200);
    bank.refresh(&other).await.expect_error("invalid_grant");
}

async fn what_falls_short_of_the_profile_is_refused(app: TestApp) {
    app.user("ada").await;
    let bank = Strong::register(&app, |_| {}).await;
    let (person, pkce) = (app.person(), Pkce::new());
    // §5.3.2.2: not pushed.
    let query = format!(
        "/oauth/authorize?client_id=bank&response_type=code&redirect_uri=https%3A%2F%2Fapp.example%2Fcallback\
         &scope=notes%3Aread&code_challenge={}&code_challenge_method=S256",
        pkce.challenge
    );
    let page = person.get(&query).await;
    assert_eq!(page.param("error").as_deref(), Some("invalid_request"), "{page:?}");
    // §5.3.2.2: PKCE, and the redirect URI although there is but one.
    for (missing, error) in [
        ("code_challenge", "invalid_request"),
        ("code_challenge_method", "invalid_request"),
        ("redirect_uri", "invalid_request"),
        ("response_type", "invalid_request"),
    ] {
        bank.push(&pkce, &[missing]).await.expect_error(error);
    }
    // §5.3.2.1: no token that is not bound.
    let code = bank.code(&person, &pkce).await;
    bank.redeem(&code, &pkce, None).await.expect_error("invalid_request");
    // §5.4.1: neither a proof nor an assertion in RS256.
    let rsa = key(Algorithm::Rs256);
    let weak = proof(&app, &rsa, "/oauth/token");
    bank.redeem(&code, &pkce, Some(&weak)).await.expect_error("invalid_dpop_proof");
    bank.redeem(&code, &pkce, Some(&bank.proof("/oauth/token"))).await.expect_tokens();
    let rsa = Signer::new("rsa", Algorithm::Rs256);
    let rp = app.client("rsa").signing(&rsa).with(strong).create().await;
    let machine = async || {
        let fields = rsa.assertion(&app);
        let fields = [&fields.fields()[..], &[("grant_type", "client_credentials")]].concat();
        let request = app.http.post(format!("{}/oauth/token", app.url)).form(&fields);
        Answer::of(request.header("dpop", bank.proof("/oauth/token")).send().await.unwrap()).await
    };
    machine().await.expect_error("invalid_client");
    app.reregister(&rp.id, |client| client.profile = None).await;
    machine().await.expect_tokens();
}

async fn what_a_client_of_the_profile_gets_is_never_signed_in_rs256(app: TestApp) {
    let weak = Resource { access_token_signing_alg: Some(Algorithm::Rs256), ..resource(&app, "urn:example:weak", "") };
    register(&app, &weak).await;
    let bank = Strong::register(&app, |client| client.resource_server = true).await;
    let get = async || {
        let itself = [("grant_type", "client_credentials"), ("resource", "urn:example:weak")];
        let tokens = bank.post("/oauth/token", &itself, Some(&bank.proof("/oauth/token"))).await.expect_tokens();
        let assertion = bank.signer.assertion(&app);
        let fields = [&assertion.fields()[..], &[("token", tokens.access_token())]].concat();
        let request = app.http.post(format!("{}/oauth/introspect", app.url)).form(&fields);
        let told = request.header("accept", "application/token-introspection+jwt").send().await.unwrap();
        let told = Answer::of(told).await.expect_status(200);
        (decode(tokens.access_token()).0["alg"].clone(), decode(&told.body).0["alg"].clone())
    };
    // §5.4.1: neither where the resource would have it, nor where RFC 9701 §6 would.
    assert_eq!(get().await, (json!("ES256"), json!("ES256")));
    app.reregister("bank", |client| client.profile = None).await;
    assert_eq!(get().await, (json!("RS256"), json!("RS256")));
}

async fn the_profile_of_the_server_holds_every_client(app: TestApp) {
    let strict =
        app.another("[security]\nprofile = \"fapi2\"\n[client_authentication]\nendpoint_audience = true").await;
    let metadata = strict.get("/.well-known/openid-configuration").await.json();
    assert_eq!(metadata["require_pushed_authorization_requests"], true);
    assert_eq!(metadata["token_endpoint_auth_methods_supported"], json!(["private_key_jwt"]));
    let fit = json!(["PS256", "ES256", "EdDSA"]);
    for name in [
        "token_endpoint_auth_signing_alg_values_supported",
        "request_object_signing_alg_values_supported",
        "dpop_signing_alg_values_supported",
    ] {
        assert_eq!(metadata[name], fit, "{name}");
    }
    assert_eq!(metadata["id_token_signing_alg_values_supported"], json!(["ES256"]));

    let bank = Strong::register(&strict, |client| client.profile = None).await;
    let itself = [("grant_type", "client_credentials")];
    bank.post("/oauth/token", &itself, None).await.expect_error("invalid_request");
    bank.post("/oauth/token", &itself, Some(&bank.proof("/oauth/token"))).await.expect_tokens();
    // One that shares a secret is not let in.
    let web = strict.client("web").create().await;
    web.client_credentials("").await.expect_error("invalid_client");
    web.authorize(&strict.person(), &Pkce::new(), &[]).await.expect_error_page(400);
    // §5.3.2.1: the issuer as a string, whatever else is configured.
    for aud in [json!(format!("{}/oauth/token", strict.issuer())), json!([strict.issuer()])] {
        let assertion = bank.signer.assertion_with(&strict, &[("aud", aud)]);
        let fields = [&assertion.fields()[..], &itself].concat();
        strict.post("/oauth/token", &fields).await.expect_error("invalid_client");
    }
}

async fn codes_of_the_profile_are_good_for_a_minute(app: TestApp) {
    let slow = app.another("[authorization]\ncode_lifetime = \"10m\"\npushed_request_lifetime = \"10m\"").await;
    slow.user("ada").await;
    let bank = Strong::register(&slow, |_| {}).await;
    let pkce = Pkce::new();
    assert_eq!(bank.push(&pkce, &[]).await.expect_status(201).json()["expires_in"], 599);
    for (after, good) in [(59, true), (60, false)] {
        let code = bank.code(&slow.person(), &pkce).await;
        slow.advance(after);
        let answer = bank.redeem(&code, &pkce, Some(&bank.proof("/oauth/token"))).await;
        assert_eq!(answer.status == 200, good, "{after}: {}", answer.body);
    }
}

async fn a_client_that_cannot_keep_to_the_profile_is_not_let_in(app: TestApp) {
    let bank = Strong::register(&app, |_| {}).await;
    let itself = [("grant_type", "client_credentials")];
    bank.post("/oauth/token", &itself, Some(&bank.proof("/oauth/token"))).await.expect_tokens();
    app.reregister("bank", |client| client.pkce = Some(PkcePolicy::Optional)).await;
    let refused = bank.post("/oauth/token", &itself, Some(&bank.proof("/oauth/token"))).await;
    let refused = refused.expect_error("invalid_client");
    assert!(refused.body.contains("FAPI 2.0 section 5.3.2.2"), "{}", refused.body);
}

#[test]
fn a_registration_that_falls_short_is_refused_in_words() {
    let config = Config::default();
    let good = || {
        let mut client = ClientMetadata { client_name: "Bank".into(), ..ClientMetadata::default() };
        client.token_endpoint_auth_method = AuthMethod::PrivateKeyJwt;
        client.grant_types = vec![GrantType::AuthorizationCode];
        client.redirect_uris = vec!["https://app.example/callback".parse().unwrap()];
        strong(&mut client);
        client
    };
    assert_eq!(profile::check(&config, &good()), Ok(()));
    let refused = |change: fn(&mut ClientMetadata), word: &str| {
        let mut client = good();
        change(&mut client);
        let why = profile::check(&config, &client).unwrap_err();
        assert!(why.starts_with("FAPI 2.0 section ") && why.contains(word), "{word}: {why}");
        // Who is not held to it may.
        client.profile = None;
        assert_eq!(profile::check(&config, &client), Ok(()));
    };
    refused(|client| client.token_endpoint_auth_method = AuthMethod::None, "none");
    refused(|client| client.token_endpoint_auth_method = AuthMethod::ClientSecretBasic, "client_secret_basic");
    refused(|client| client.token_endpoint_auth_method = AuthMethod::ClientSecretJwt, "client_secret_jwt");
    refused(|client| client.pkce = Some(PkcePolicy::Optional), "PKCE");
    refused(|client| client.redirect_uris.push("com.example.app:/callback".parse().unwrap()), "com.example.app");
    refused(|client| client.id_token_signed_response_alg = Algorithm::Rs256, "id_token_signed_response_alg");
    refused(|client| client.token_endpoint_auth_signing_alg = Some(Algorithm::Rs256), "token_endpoint_auth");
    refused(|client| client.request_object_signing_alg = Some(Algorithm::Es384), "request_object_signing_alg");
    refused(|client| client.protection.userinfo_signed_response_alg = Some(Algorithm::Rs256), "userinfo_signed");
    let weak = |client: &mut ClientMetadata| {
        client.protection.introspection_signed_response_alg = Some(Algorithm::Rs256);
    };
    refused(weak, "introspection_signed");
    refused(|client| client.authorization_signed_response_alg = Some(Algorithm::Rs256), "authorization_signed");
    for fit in [AuthMethod::TlsClientAuth, AuthMethod::SelfSignedTlsClientAuth] {
        assert_eq!(profile::check(&config, &ClientMetadata { token_endpoint_auth_method: fit, ..good() }), Ok(()));
    }
    let config = Config::parse("[tokens]\naccess_token_algorithm = \"RS256\"").unwrap();
    assert!(profile::check(&config, &good()).unwrap_err().contains("access tokens are signed with RS256"));
}
