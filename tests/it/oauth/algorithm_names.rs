//! What clients call the algorithm that they sign with (RFC 8037 §3.1, RFC 9864 §2.2).

use grantor::crypto::{SystemRandom, random};
use grantor::types::{Algorithm, AuthMethod, Clock as _};
use serde_json::{Value, json};

use super::fapi::key;
use crate::each_database;
use crate::support::behind::signed;
use crate::support::party::{SECRET, basic};
use crate::support::{Answer, Pkce, TestApp};

each_database!(what_is_signed_may_call_its_algorithm_ed25519);

const FOR_ITSELF: (&str, &str) = ("grant_type", "client_credentials");

/// An assertion, a proof and a request object, each by a key whose owner says what it is for.
async fn what_is_signed_may_call_its_algorithm_ed25519(app: TestApp) {
    for (at, (algorithm, of_the_key, said, taken)) in [
        (Algorithm::EdDsa, "EdDSA", "EdDSA", true),
        (Algorithm::EdDsa, "EdDSA", "Ed25519", true),
        (Algorithm::EdDsa, "Ed25519", "EdDSA", true),
        (Algorithm::EdDsa, "Ed25519", "Ed25519", true),
        (Algorithm::EdDsa, "Ed448", "Ed25519", false),
        (Algorithm::EdDsa, "EdDSA", "Ed448", false),
        (Algorithm::EdDsa, "EdDSA", "ed25519", false),
        // The key is of another kind, whatever is said of it.
        (Algorithm::Es256, "ES256", "Ed25519", false),
        (Algorithm::Es256, "Ed25519", "Ed25519", false),
    ]
    .into_iter()
    .enumerate()
    {
        let own = key(algorithm);
        let mut jwk = own.public_jwk().expect("it has a public half");
        jwk["alg"] = json!(of_the_key);
        let jwks = json!({ "keys": [jwk] });
        let header = |typ: &str| json!({ "alg": said, "typ": typ });
        let now = app.clock.now().secs();
        let jti = || random::token(&SystemRandom::new(), 16);
        let judge = |answer: Answer, error: &str| {
            if taken {
                assert!(answer.status.is_success(), "{of_the_key}, {said}: {}", answer.body);
            } else {
                answer.expect_error(error);
            }
        };

        let id = format!("signs{at}");
        let builder = app.client(&id).with(|client| {
            client.token_endpoint_auth_method = AuthMethod::PrivateKeyJwt;
            client.jwks = Some(jwks.clone());
        });
        builder.create().await;
        let claims = json!({ "iss": id, "sub": id, "aud": app.issuer(), "jti": jti(), "exp": now + 60 });
        let assertion = signed(&own, &header("client-authentication+jwt"), &claims);
        let kind = ("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        let answer = app.post("/oauth/token", &[FOR_ITSELF, kind, ("client_assertion", &assertion)]).await;
        judge(answer, "invalid_client");

        let web = app.client(&format!("web{at}")).with(|client| client.jwks = Some(jwks.clone())).create().await;
        let mut with_key = header("dpop+jwt");
        with_key["jwk"] = jwks["keys"][0].clone();
        let htu = format!("{}/oauth/token", app.issuer());
        let proof = signed(&own, &with_key, &json!({ "jti": jti(), "htm": "POST", "htu": htu, "iat": now }));
        let request = app.http.post(format!("{}/oauth/token", app.url)).header("authorization", basic(&web.id, SECRET));
        let answer = request.header("dpop", proof).form(&[FOR_ITSELF]).send().await.expect("the server answers");
        judge(Answer::of(answer).await, "invalid_dpop_proof");

        let asked = web.request(&Pkce::new());
        let mut claims: Value = asked.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
        claims["iss"] = json!(web.id);
        claims["aud"] = json!(app.issuer());
        claims["exp"] = json!(now + 60);
        let object = signed(&own, &header("oauth-authz-req+jwt"), &claims);
        judge(web.post("/oauth/par", &[("request", &object)]).await, "invalid_request_object");
    }
}
