//! The signing keys behind a server: where each stands in its life, and what moves it on.

use std::sync::Arc;

use grantor::crypto::{KeyRing, SystemRandom};
use grantor::jobs::key_rotation;
use grantor::oauth::{Keeper, Keys, key_life};
use grantor::types::{Algorithm, Clock as _, KeyLife, Stage};
use secrecy::ExposeSecret as _;

use super::app::{TestApp, patiently};
use super::party::{Party, Pkce, SECRET, decode};
use super::person::Person;

/// What another node on the database of a server has to rotate keys with.
pub async fn keeper(app: &TestApp) -> Keeper {
    let rng = Arc::new(SystemRandom::new());
    let ring = KeyRing::parse(app.config.seal.keys.as_ref().unwrap().expose_secret()).unwrap();
    let store = app.other_store().await;
    let keys = Keys::open(&store, ring, &app.config.keys.algorithms, rng.clone(), app.clock.now()).await.unwrap();
    Keeper { store, keys: Arc::new(keys), config: Arc::new(app.config.clone()), rng }
}

/// What the job does on some node when it is time.
pub async fn round(app: &TestApp) {
    let keeper = keeper(app).await;
    key_rotation::rotate(&keeper, "a node", app.clock.now()).await.unwrap();
    key_rotation::clear(&keeper, "a node", app.clock.now()).await.unwrap();
    keeper.store.close().await;
}

pub async fn lives(app: &TestApp) -> Vec<KeyLife> {
    key_life::lives(&app.store).await.unwrap()
}

/// How long, in whole seconds, the keys have signed that every server of these tests begins with.
pub async fn age(app: &TestApp) -> u64 {
    app.clock.now().since(lives(app).await[0].active_from).as_secs()
}

pub async fn life(app: &TestApp, kid: &str) -> Option<KeyLife> {
    lives(app).await.into_iter().find(|key| key.id == kid)
}

pub async fn stage(app: &TestApp, kid: &str) -> Option<Stage> {
    life(app, kid).await.map(|key| key.stage(app.clock.now()))
}

/// The key of an algorithm at a stage.
pub async fn key_at(app: &TestApp, algorithm: Algorithm, stage: Stage) -> String {
    let now = app.clock.now();
    let found = lives(app).await.into_iter().find(|key| key.algorithm == algorithm && key.stage(now) == stage);
    found.unwrap_or_else(|| panic!("no {algorithm} key is {stage:?}")).id
}

pub fn kid(token: &str) -> String {
    decode(token).0["kid"].as_str().expect("a kid").to_owned()
}

pub async fn published(app: &TestApp) -> Vec<String> {
    let document = app.get("/oauth/jwks").await.expect_status(200).json();
    let keys = document["keys"].as_array().expect("keys");
    keys.iter().map(|key| key["kid"].as_str().expect("a kid").to_owned()).collect()
}

/// Waits until a node publishes so many keys. That it takes a second at the most is shown by `cli/keys.rs`.
pub async fn publishes(app: &TestApp, count: usize) {
    patiently("the node has heard of it", async || published(app).await.len() == count).await;
}

/// Whether a node lets somebody in without a page, by the hint alone of who they are.
pub async fn takes_hint(app: &TestApp, person: &Person, hint: &str) -> bool {
    let silently = [("prompt", "none"), ("id_token_hint", hint)];
    let page = Party::existing(app, "web", SECRET).authorize(person, &Pkce::new(), &silently).await;
    page.param("code").is_some()
}
