//! The signing keys: what is published of them, which of them sign, and how the first ones are made.

use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};

use grantor::crypto::{KeyRing, Random, SystemRandom};
use grantor::oauth::Keys;
use grantor::types::{Algorithm, Clock as _};
use secrecy::ExposeSecret as _;

use crate::each_database;
use crate::support::party::{Party, SECRET, decode};
use crate::support::{Pkce, TestApp};

each_database!(
    an_algorithm_that_is_configured_no_more_is_not_offered_and_its_tokens_stay_good,
    a_node_whose_clock_is_behind_signs_all_the_same,
    a_key_that_is_missing_is_made_where_nobody_waits_for_it,
);

async fn an_algorithm_that_is_configured_no_more_is_not_offered_and_its_tokens_stay_good(app: TestApp) {
    let mut app = app.another("[keys]\nalgorithms = [\"ES256\", \"RS256\", \"EdDSA\"]").await;
    app.user("ada").await;
    let rp = app.client("web").with(|client| client.id_token_signed_response_alg = Algorithm::EdDsa).create().await;
    let person = app.person();
    let hint = rp.sign_in_with(&person, "ada", &[]).await.id_token().to_owned();
    assert_eq!(decode(&hint).0["alg"], "EdDSA");

    app.config.keys.algorithms.retain(|algorithm| *algorithm != Algorithm::EdDsa);
    let node = app.second_node().await;
    let metadata = node.get("/.well-known/openid-configuration").await.json();
    assert_eq!(metadata["id_token_signing_alg_values_supported"], serde_json::json!(["ES256", "RS256"]));
    let kid = &decode(&hint).0["kid"];
    let published = node.get("/oauth/jwks").await.json();
    assert!(published["keys"].as_array().unwrap().iter().any(|key| key["kid"] == *kid), "{published}");
    let there = node.person();
    there.takes_cookies_of(&person);
    let silently = [("prompt", "none"), ("id_token_hint", hint.as_str())];
    let page = Party::existing(&node, "web", SECRET).authorize(&there, &Pkce::new(), &silently).await;
    assert!(page.param("code").is_some(), "{page:?}");
}

async fn a_node_whose_clock_is_behind_signs_all_the_same(app: TestApp) {
    app.client("web").create().await;
    // As a node made them whose clock is an hour ahead.
    app.sql("UPDATE signing_keys SET active_from = active_from + 3600000000").await;
    let node = app.second_node().await;
    Party::existing(&node, "web", SECRET).client_credentials("notes:read").await.expect_tokens();
}

/// Remembers who asked for as much as a secret. Nobody is asked for an RSA key, which is made in the same place.
struct Watched(SystemRandom, Mutex<Vec<ThreadId>>);

impl Random for Watched {
    fn fill(&self, bytes: &mut [u8]) {
        if bytes.len() >= 32 {
            self.1.lock().unwrap().push(thread::current().id());
        }
        self.0.fill(bytes);
    }
}

async fn a_key_that_is_missing_is_made_where_nobody_waits_for_it(app: TestApp) {
    app.sql("DELETE FROM signing_keys WHERE algorithm IN ('RS256', 'HS256')").await;
    let ring = KeyRing::parse(app.config.seal.keys.as_ref().unwrap().expose_secret()).unwrap();
    let store = app.other_store().await;
    let rng = Arc::new(Watched(SystemRandom::new(), Mutex::default()));
    let algorithms = &app.config.keys.algorithms;
    let keys = Keys::open(&store, ring, algorithms, rng.clone(), app.clock.now()).await.unwrap();
    assert!(keys.snapshot().active(Algorithm::Rs256, app.clock.now()).is_ok());
    let seekers = rng.1.lock().unwrap().clone();
    assert!(!seekers.is_empty() && !seekers.contains(&thread::current().id()));
}
