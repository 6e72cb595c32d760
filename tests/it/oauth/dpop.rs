//! DPoP (RFC 9449): proofs of possession, and tokens that are good for their holder alone.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantor::crypto::{PublicKey, SigningKey, SystemRandom, random, sha256_base64url};
use grantor::types::{Algorithm, Clock, Profile};
use serde_json::{Value, json};

use super::par;
use crate::support::app::PASSWORD;
use crate::support::behind::at_once;
use crate::support::party::{Pkce, Tokens, basic, decode};
use crate::support::{Answer, Engine, Party, TestApp};
use crate::{each_database, each_engine};

each_database!(
    a_proof_binds_the_access_token_to_its_key,
    a_proof_that_is_not_right_in_everything_is_refused,
    a_proof_works_once_on_whichever_node,
    a_client_of_bound_tokens_must_send_a_proof,
    a_public_clients_refresh_tokens_are_bound_to_its_key,
    a_confidential_clients_refresh_tokens_are_bound_to_the_client_alone,
    a_code_is_bound_by_the_thumbprint_in_the_authorization_request,
    a_pushed_request_is_bound_to_the_key_of_its_proof,
    a_bound_token_is_shown_with_a_proof_and_in_no_other_way,
    a_client_of_the_strict_profile_shows_no_weak_proof_at_userinfo,
);
each_engine!(a_nonce_of_the_server_is_asked_for_and_taken_on_every_node);

/// Somebody with a key.
struct Holder(SigningKey);

impl Holder {
    fn new() -> Self {
        Self::with(Algorithm::Es256)
    }

    fn with(algorithm: Algorithm) -> Self {
        let material = SigningKey::generate(algorithm, &SystemRandom::new()).expect("a key");
        Self(SigningKey::parse("k".into(), algorithm, &material).expect("a key"))
    }

    fn jwk(&self) -> Value {
        self.0.public_jwk().expect("it has a public half")
    }

    fn thumbprint(&self) -> String {
        PublicKey::from_value(&self.jwk()).expect("a key").thumbprint()
    }

    fn header(&self) -> Value {
        json!({ "typ": "dpop+jwt", "alg": self.0.algorithm().as_str(), "jwk": self.jwk() })
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let message = format!("{}.{}", encode(header), encode(claims));
        format!("{message}.{}", URL_SAFE_NO_PAD.encode(self.0.sign(message.as_bytes()).expect("it signs")))
    }

    /// A proof for the token endpoint.
    fn proof(&self, app: &TestApp) -> String {
        self.sign(&self.header(), &for_tokens(app))
    }

    /// A proof for UserInfo.
    fn proof_with(&self, app: &TestApp, access_token: &str) -> String {
        let mut claims = for_tokens(app);
        claims["htm"] = "GET".into();
        claims["htu"] = format!("{}/oauth/userinfo", app.issuer()).into();
        claims["ath"] = sha256_base64url(access_token.as_bytes()).into();
        self.sign(&self.header(), &claims)
    }
}

/// The claims of a proof for the token endpoint (RFC 9449 §4.2).
fn for_tokens(app: &TestApp) -> Value {
    json!({
        "jti": random::token(&SystemRandom::new(), 16),
        "htm": "POST",
        "htu": format!("{}/oauth/token", app.issuer()),
        "iat": app.clock.now().secs(),
    })
}

async fn post(rp: &Party<'_>, fields: &[(&str, &str)], proofs: &[&str]) -> Answer {
    post_to(rp, "/oauth/token", fields, proofs).await
}

async fn post_to(rp: &Party<'_>, path: &str, fields: &[(&str, &str)], proofs: &[&str]) -> Answer {
    let mut fields = fields.to_vec();
    let mut request = rp.app.http.post(format!("{}{path}", rp.app.url));
    match &rp.secret {
        Some(secret) => request = request.header("authorization", basic(&rp.id, secret)),
        None => fields.push(("client_id", &rp.id)),
    }
    for proof in proofs {
        request = request.header("dpop", *proof);
    }
    Answer::of(request.form(&fields).send().await.expect("the server answers")).await
}

const FOR_ITSELF: &[(&str, &str)] = &[("grant_type", "client_credentials"), ("scope", "notes:read")];

async fn redeem(rp: &Party<'_>, code: &str, pkce: &Pkce, proofs: &[&str]) -> Answer {
    let fields = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", &rp.redirect_uri),
        ("code_verifier", &pkce.verifier),
    ];
    post(rp, &fields, proofs).await
}

async fn refresh(rp: &Party<'_>, tokens: &Tokens, proofs: &[&str]) -> Answer {
    post(rp, &[("grant_type", "refresh_token"), ("refresh_token", tokens.refresh_token())], proofs).await
}

/// Signs in, and redeems with a proof of this key.
async fn bound_tokens(rp: &Party<'_>, holder: &Holder) -> Tokens {
    let pkce = Pkce::new();
    let code = rp.code(&rp.app.person(), "ada", &pkce, &[]).await;
    redeem(rp, &code, &pkce, &[&holder.proof(rp.app)]).await.expect_tokens()
}

async fn userinfo(app: &TestApp, scheme: &str, token: &str, proofs: &[&str]) -> Answer {
    let mut request =
        app.http.get(format!("{}/oauth/userinfo", app.url)).header("authorization", format!("{scheme} {token}"));
    for proof in proofs {
        request = request.header("dpop", *proof);
    }
    Answer::of(request.send().await.expect("the server answers")).await
}

fn challenges(answer: &Answer) -> Vec<String> {
    answer.headers.get_all("www-authenticate").iter().map(|value| value.to_str().expect("text").to_owned()).collect()
}

async fn a_proof_binds_the_access_token_to_its_key(app: TestApp) {
    let rp = app.client("machine").create().await;
    for algorithm in [Algorithm::Es256, Algorithm::Es384, Algorithm::EdDsa, Algorithm::Ps256] {
        let holder = Holder::with(algorithm);
        let tokens = post(&rp, FOR_ITSELF, &[&holder.proof(&app)]).await.expect_tokens();
        assert_eq!(tokens.0["token_type"], "DPoP", "RFC 9449 §5");
        let cnf = json!({ "jkt": holder.thumbprint() });
        assert_eq!(decode(tokens.access_token()).1["cnf"], cnf, "RFC 9449 §6.1");
        // RFC 9449 §6.2; introspection itself takes no proof.
        let told = app.introspect(tokens.access_token()).await.expect_active();
        assert_eq!((&told["token_type"], &told["cnf"]), (&json!("DPoP"), &cnf));
    }
    let tokens = post(&rp, FOR_ITSELF, &[]).await.expect_tokens();
    assert_eq!((&tokens.0["token_type"], &decode(tokens.access_token()).1["cnf"]), (&json!("Bearer"), &Value::Null));
    let told = app.introspect(tokens.access_token()).await.expect_active();
    assert_eq!((&told["token_type"], &told["cnf"]), (&json!("Bearer"), &Value::Null));
}

async fn a_proof_that_is_not_right_in_everything_is_refused(app: TestApp) {
    let rp = app.client("machine").create().await;
    let (holder, other) = (Holder::new(), Holder::new());
    let now = app.clock.now().secs();
    let token = format!("{}/oauth/token", app.issuer());

    // RFC 9449 §4.3 (9), (11): what is meant is the same, and clocks differ a little.
    for (member, value) in [
        ("htu", json!(format!("{token}?x=1#y"))),
        ("htu", json!(token.replace("http://", "HTTP://"))),
        ("iat", json!(now - 60)),
        ("iat", json!(now + 30)),
        ("more", json!(["x"])),
    ] {
        let mut claims = for_tokens(&app);
        claims[member] = value.clone();
        let answer = post(&rp, FOR_ITSELF, &[&holder.sign(&holder.header(), &claims)]).await;
        assert_eq!(answer.status.as_u16(), 200, "{member} {value}: {}", answer.body);
    }

    let refused = async |proofs: &[&str], why: &str| {
        let answer = post(&rp, FOR_ITSELF, proofs).await.expect_error("invalid_dpop_proof");
        assert_eq!(answer.status.as_u16(), 400, "{why}");
    };
    // (3), (8), (9), (11)
    for (member, values) in [
        ("htm", vec![json!("GET"), json!("post"), json!(""), Value::Null, json!(["POST"])]),
        (
            "htu",
            vec![
                json!(format!("{token}/")),
                json!(format!("{}/oauth/par", app.issuer())),
                json!(token.replace("http://", "https://")),
                json!("https://evil.example/oauth/token"),
                json!("/oauth/token"),
                json!(""),
                Value::Null,
            ],
        ),
        ("iat", vec![json!(now - 61), json!(now + 31), json!(i64::MAX), json!(i64::MIN), json!("now"), Value::Null]),
        ("jti", vec![json!(""), json!("x".repeat(257)), json!(7), Value::Null]),
    ] {
        for value in values {
            let mut claims = for_tokens(&app);
            claims[member] = value.clone();
            if value.is_null() {
                claims.as_object_mut().expect("an object").remove(member);
            }
            refused(&[&holder.sign(&holder.header(), &claims)], &format!("{member} {value}")).await;
        }
    }
    // (4), (5), (7)
    let mut private = holder.jwk();
    private["d"] = "AQ".into();
    for (member, value) in [
        ("typ", json!("JWT")),
        ("typ", Value::Null),
        ("alg", json!("none")),
        ("alg", json!("HS256")),
        ("alg", json!("ES384")),
        ("jwk", Value::Null),
        ("jwk", json!({ "kty": "oct", "k": "c2VjcmV0" })),
        ("jwk", private),
        // (6)
        ("jwk", other.jwk()),
        ("crit", json!(["exp"])),
    ] {
        let mut header = holder.header();
        header[member] = value.clone();
        if value.is_null() {
            header.as_object_mut().expect("an object").remove(member);
        }
        refused(&[&holder.sign(&header, &for_tokens(&app))], &format!("{member} {value}")).await;
    }
    // (1), (2)
    refused(&[&holder.proof(&app), &holder.proof(&app)], "two of them").await;
    for text in ["", "x", "a.b.c", &holder.proof(&app).replace('.', "")] {
        refused(&[text], text).await;
    }
}

async fn a_proof_works_once_on_whichever_node(app: TestApp) {
    let node = app.second_node().await;
    let (here, there) =
        (app.client("machine").create().await, Party::existing(&node, "machine", crate::support::party::SECRET));
    let holder = Holder::new();
    let proof = holder.proof(&app);
    let answers = at_once((0..12).map(|n| {
        let rp = if n % 2 == 0 { &here } else { &there };
        let proof = &proof;
        async move { post(rp, FOR_ITSELF, &[proof]).await }
    }))
    .await;
    // RFC 9449 §11.1
    let (good, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|answer| answer.status.is_success());
    assert_eq!((good.len(), refused.len()), (1, 11));
    for answer in refused {
        answer.expect_error("invalid_dpop_proof");
    }
    // The same jti of another key is another proof.
    let claims = for_tokens(&app);
    for holder in [Holder::new(), Holder::new()] {
        post(&here, FOR_ITSELF, &[&holder.sign(&holder.header(), &claims)]).await.expect_tokens();
    }
}

async fn a_client_of_bound_tokens_must_send_a_proof(app: TestApp) {
    let rp = app.client("machine").with(|client| client.dpop_bound_access_tokens = true).create().await;
    // RFC 9449 §5.2
    post(&rp, FOR_ITSELF, &[]).await.expect_error("invalid_request");
    post(&rp, FOR_ITSELF, &[&Holder::new().proof(&app)]).await.expect_tokens();
}

async fn a_public_clients_refresh_tokens_are_bound_to_its_key(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("spa").public().create().await;
    let (holder, thief) = (Holder::new(), Holder::new());
    let first = bound_tokens(&rp, &holder).await;
    assert_eq!(decode(first.refresh_token()).1["cnf"], json!({ "jkt": holder.thumbprint() }));

    // RFC 9449 §5: stolen, it is worth nothing, and its holder does not even notice.
    refresh(&rp, &first, &[]).await.expect_error("invalid_grant");
    refresh(&rp, &first, &[&thief.proof(&app)]).await.expect_error("invalid_grant");
    let second = refresh(&rp, &first, &[&holder.proof(&app)]).await.expect_tokens();
    assert_eq!(decode(second.access_token()).1["cnf"], json!({ "jkt": holder.thumbprint() }));
    // A retry is the same successor still, for the same key.
    let again = refresh(&rp, &first, &[&holder.proof(&app)]).await.expect_tokens();
    assert_eq!(again.refresh_token(), second.refresh_token());
    refresh(&rp, &second, &[&thief.proof(&app)]).await.expect_error("invalid_grant");
    refresh(&rp, &second, &[&holder.proof(&app)]).await.expect_tokens();
}

async fn a_confidential_clients_refresh_tokens_are_bound_to_the_client_alone(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (holder, next) = (Holder::new(), Holder::new());
    let first = bound_tokens(&rp, &holder).await;
    assert_eq!(decode(first.refresh_token()).1["cnf"], Value::Null);
    // RFC 9449 §5: it may change its key.
    let second = refresh(&rp, &first, &[&next.proof(&app)]).await.expect_tokens();
    assert_eq!(decode(second.access_token()).1["cnf"], json!({ "jkt": next.thumbprint() }));
    let third = refresh(&rp, &second, &[]).await.expect_tokens();
    assert_eq!(third.0["token_type"], "Bearer");
}

async fn a_code_is_bound_by_the_thumbprint_in_the_authorization_request(app: TestApp) {
    app.user("ada").await;
    let person = app.person();
    for (id, public) in [("spa", true), ("web", false)] {
        let builder = app.client(id);
        let rp = if public { builder.public() } else { builder }.create().await;
        let (holder, thief) = (Holder::new(), Holder::new());
        let pkce = Pkce::new();
        let code = rp.code(&person, "ada", &pkce, &[("dpop_jkt", &holder.thumbprint())]).await;
        // RFC 9449 §10
        redeem(&rp, &code, &pkce, &[]).await.expect_error("invalid_grant");
        redeem(&rp, &code, &pkce, &[&thief.proof(&app)]).await.expect_error("invalid_grant");
        let tokens = redeem(&rp, &code, &pkce, &[&holder.proof(&app)]).await.expect_tokens();
        assert_eq!(decode(tokens.access_token()).1["cnf"], json!({ "jkt": holder.thumbprint() }));

        let page = rp.authorize(&person, &pkce, &[("dpop_jkt", "a thumbprint")]).await;
        page.expect_redirect_error("invalid_request");
    }
}

async fn a_client_of_the_strict_profile_shows_no_weak_proof_at_userinfo(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let weak = Holder::with(Algorithm::Rs256);
    let tokens = bound_tokens(&rp, &weak).await;
    let token = tokens.access_token();
    userinfo(&app, "DPoP", token, &[&weak.proof_with(&app, token)]).await.expect_status(200);
    // FAPI 2.0 §5.4.1
    app.reregister("web", |client| client.profile = Some(Profile::Fapi2)).await;
    let answer = userinfo(&app, "DPoP", token, &[&weak.proof_with(&app, token)]).await;
    answer.expect_error("invalid_dpop_proof").expect_status(401);
}

async fn a_bound_token_is_shown_with_a_proof_and_in_no_other_way(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (holder, thief) = (Holder::new(), Holder::new());
    let tokens = bound_tokens(&rp, &holder).await;
    let token = tokens.access_token();

    let answer = userinfo(&app, "DPoP", token, &[&holder.proof_with(&app, token)]).await;
    assert!(answer.expect_status(200).json()["sub"].is_string());

    // RFC 9449 §7.2
    let answer = userinfo(&app, "Bearer", token, &[]).await.expect_error("invalid_token").expect_status(401);
    assert!(challenges(&answer).iter().any(|challenge| challenge.starts_with("DPoP algs=\"ES256 ")), "{answer:?}");
    let answer = userinfo(&app, "Bearer", token, &[&holder.proof_with(&app, token)]).await;
    answer.expect_error("invalid_token").expect_status(401);

    // RFC 9449 §4.3 (12), §7.1
    let used = holder.proof_with(&app, token);
    userinfo(&app, "DPoP", token, &[&used]).await.expect_status(200);
    let for_another = holder.proof_with(&app, "another token");
    let of_the_token_endpoint = holder.proof(&app);
    for (proofs, error) in [
        (vec![], "invalid_dpop_proof"),
        (vec![used.as_str()], "invalid_dpop_proof"),
        (vec![for_another.as_str()], "invalid_dpop_proof"),
        (vec![of_the_token_endpoint.as_str()], "invalid_dpop_proof"),
        (vec![thief.proof_with(&app, token).as_str()], "invalid_token"),
    ] {
        let answer = userinfo(&app, "DPoP", token, &proofs).await.expect_error(error).expect_status(401);
        let challenge = challenges(&answer).concat();
        assert!(
            challenge.starts_with("DPoP algs=") && challenge.contains(&format!("error=\"{error}\"")),
            "{challenge}"
        );
    }
    // What is not bound is not shown as if it were.
    let free = rp.sign_in("ada").await;
    let proof = holder.proof_with(&app, free.access_token());
    userinfo(&app, "DPoP", free.access_token(), &[&proof]).await.expect_error("invalid_token");
    userinfo(&app, "Bearer", free.access_token(), &[]).await.expect_status(200);
}

async fn a_nonce_of_the_server_is_asked_for_and_taken_on_every_node(engine: Engine) {
    let app = TestApp::with(engine, "[dpop]\nrequire_nonce = true\nnonce_lifetime = \"2m\"").await;
    let node = app.second_node().await;
    let rp = app.client("machine").create().await;
    let there = rp.at(&node);
    let holder = Holder::new();
    let with = |nonce: &str| {
        let mut claims = for_tokens(&app);
        claims["nonce"] = nonce.into();
        holder.sign(&holder.header(), &claims)
    };
    // RFC 9449 §8
    let answer = post(&rp, FOR_ITSELF, &[&holder.proof(&app)]).await.expect_error("use_dpop_nonce").expect_status(400);
    let nonce = answer.header("dpop-nonce").expect("it is told").to_owned();
    for rp in [&rp, &there] {
        let answer = post(rp, FOR_ITSELF, &[&with(&nonce)]).await.expect_status(200);
        assert!(answer.header("dpop-nonce").is_some(), "RFC 9449 §8.2");
    }
    let altered = if nonce.starts_with('B') { nonce.replacen('B', "C", 1) } else { format!("B{}", &nonce[1..]) };
    for other in ["", "x", &nonce[1..], &format!("{nonce}A"), &altered, &"A".repeat(nonce.len())] {
        post(&rp, FOR_ITSELF, &[&with(other)]).await.expect_error("use_dpop_nonce");
    }
    app.clock.advance(Duration::from_secs(121));
    let answer = post(&rp, FOR_ITSELF, &[&with(&nonce)]).await.expect_error("use_dpop_nonce");
    assert_ne!(answer.header("dpop-nonce"), Some(&*nonce));
    // Whoever proves nothing is not troubled.
    assert_eq!(post(&rp, FOR_ITSELF, &[]).await.expect_status(200).header("dpop-nonce"), None);
}

async fn a_pushed_request_is_bound_to_the_key_of_its_proof(app: TestApp) {
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let (holder, thief, person) = (Holder::new(), Holder::new(), app.person());
    let proof = |holder: &Holder| {
        let mut claims = for_tokens(&app);
        claims["htu"] = format!("{}/oauth/par", app.issuer()).into();
        holder.sign(&holder.header(), &claims)
    };
    let pkce = Pkce::new();
    let push = async |jkt: Option<String>, proof: String| {
        let mut fields = rp.request(&pkce);
        fields.extend(jkt.map(|jkt| ("dpop_jkt".to_owned(), jkt)));
        let fields: Vec<_> = fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        post_to(&rp, "/oauth/par", &fields, &[&proof]).await
    };

    // RFC 9449 §10.1: by the proof alone, or beside the thumbprint that says the same.
    for jkt in [None, Some(holder.thumbprint())] {
        let answer = push(jkt, proof(&holder)).await.expect_status(201);
        let request_uri = answer.json()["request_uri"].as_str().expect("a request_uri").to_owned();
        let mut page = person.get(&par::address("web", &request_uri)).await;
        if page.asks_to_sign_in() {
            page = person.sign_in(&page, "ada", PASSWORD).await;
            page = person.decide(&page, "allow").await;
        }
        let code = page.code();
        redeem(&rp, &code, &pkce, &[]).await.expect_error("invalid_grant");
        redeem(&rp, &code, &pkce, &[&thief.proof(&app)]).await.expect_error("invalid_grant");
        let tokens = redeem(&rp, &code, &pkce, &[&holder.proof(&app)]).await.expect_tokens();
        assert_eq!(decode(tokens.access_token()).1["cnf"], json!({ "jkt": holder.thumbprint() }));
    }
    push(Some(thief.thumbprint()), proof(&holder)).await.expect_error("invalid_dpop_proof");
    // One for the token endpoint.
    push(None, holder.proof(&app)).await.expect_error("invalid_dpop_proof");
}
