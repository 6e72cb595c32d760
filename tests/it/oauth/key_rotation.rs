//! Rotation of the signing keys by the calendar: each stage of a key's life, under load, on several nodes.

use std::collections::HashMap;
use std::time::Duration;

use grantor::jobs::key_rotation;
use grantor::oauth::key_life::{self, Begin, Rotated};
use grantor::types::{Algorithm, Clock as _, Stage, Timestamp};
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Validation};

use crate::each_database;
use crate::support::app::eventually;
use crate::support::behind::at_once;
use crate::support::party::SECRET;
use crate::support::signing_keys::{
    age, keeper, key_at, kid, life, lives, published, publishes, round, stage, takes_hint,
};
use crate::support::{Party, Pkce, TestApp, Tokens};

each_database!(
    a_key_is_published_then_signs_then_verifies_and_is_wiped,
    a_public_half_stays_until_the_sessions_of_its_time_have_ended,
    a_refresh_key_lives_as_long_as_the_longest_refresh_token,
    no_verification_fails_across_a_rotation_under_load,
    of_many_nodes_that_rotate_at_once_one_makes_a_key,
    a_server_that_starts_makes_up_for_what_was_missed,
    without_rotation_a_key_signs_for_ever,
);

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
const DAY: u64 = 86_400;

/// Sessions and refresh tokens that outlast what is waited for.
const LASTING: &str = "[session]\nidle_lifetime = \"14d\"\n";

async fn a_key_is_published_then_signs_then_verifies_and_is_wiped(app: TestApp) {
    let app = app.another(LASTING).await;
    app.user("ada").await;
    let rp = app.client("web").create().await;
    let old = lives(&app).await;
    assert_eq!(old.len(), 3);

    // A day before its ninety days are over, and not a second earlier.
    app.advance(89 * DAY - MINUTE - age(&app).await);
    round(&app).await;
    assert_eq!(lives(&app).await, old);
    app.advance(2 * MINUTE);
    round(&app).await;
    publishes(&app, 4).await;
    assert_eq!(lives(&app).await.len(), 6);
    let retires = old[0].active_from.plus(Duration::from_secs(90 * DAY));
    for key in &lives(&app).await {
        let is_old = old.iter().any(|known| known.id == key.id);
        assert_eq!(key.stage(app.clock.now()), if is_old { Stage::Active } else { Stage::Next });
        // What was made a minute late signs a minute late: a day's notice is never shortened.
        let (from, at) = (key.active_from, app.clock.now().plus(Duration::from_secs(DAY)));
        assert!(if is_old { key.retired_at == Some(at) } else { from == at && at >= retires }, "{key:?}");
    }
    // The secrets of refresh tokens are made and never published.
    let secret = key_at(&app, Algorithm::Hs256, Stage::Next).await;
    assert!(!published(&app).await.contains(&secret));
    round(&app).await;
    assert_eq!(lives(&app).await.len(), 6);

    // To the last moment the old keys sign, and from the first on the new ones do.
    app.advance(DAY - 1);
    let person = app.person();
    let before = rp.sign_in_with(&person, "ada", &[]).await;
    for token in [before.access_token(), before.id_token(), before.refresh_token()] {
        assert!(old.iter().any(|key| key.id == kid(token)));
    }
    app.advance(1);
    let after = rp.refresh(&before).await.expect_tokens();
    for token in [after.access_token(), after.id_token(), after.refresh_token()] {
        assert!(old.iter().all(|key| key.id != kid(token)));
    }
    app.introspect(before.access_token()).await.expect_active();
    app.introspect(after.access_token()).await.expect_active();

    // An ID token could have lived for a day; ten minutes are for clocks that differ.
    app.advance(DAY + 9 * MINUTE);
    round(&app).await;
    publishes(&app, 4).await;
    assert_eq!(stage(&app, &kid(before.id_token())).await, Some(Stage::Retired));
    app.advance(2 * MINUTE);
    round(&app).await;
    publishes(&app, 2).await;
    assert!(!published(&app).await.contains(&kid(before.id_token())));
    // Its private half is nowhere any more; and what it signed is still a hint.
    assert_eq!(app.count(&format!("signing_keys WHERE id = '{}'", kid(before.id_token()))).await, 0);
    assert_eq!(stage(&app, &kid(before.id_token())).await, Some(Stage::Gone));
    assert!(takes_hint(&app, &person, before.id_token()).await);
    assert!(takes_hint(&app, &person, after.id_token()).await);
    // So it is for a node that never had the private half.
    let node = app.second_node().await;
    let there = node.person();
    there.takes_cookies_of(&person);
    assert!(takes_hint(&node, &there, before.id_token()).await);
    // A refresh token has longer.
    assert_eq!(stage(&app, &kid(before.refresh_token())).await, Some(Stage::Retired));
}

async fn a_public_half_stays_until_the_sessions_of_its_time_have_ended(app: TestApp) {
    let app = app.another(LASTING).await;
    app.user("ada").await;
    let rp = app.client("web").create().await;
    app.advance(89 * DAY);
    round(&app).await;
    app.advance(DAY - 1);
    let hint = rp.sign_in("ada").await.id_token().to_owned();
    app.advance(DAY + 11 * MINUTE);
    round(&app).await;
    assert_eq!(stage(&app, &kid(&hint)).await, Some(Stage::Gone));

    app.advance(13 * DAY - 11 * MINUTE);
    round(&app).await;
    assert_eq!(stage(&app, &kid(&hint)).await, Some(Stage::Gone));
    // Past what is configured; but the session was begun under another configuration, or has not been ended yet.
    app.advance(11 * MINUTE);
    round(&app).await;
    assert_eq!(stage(&app, &kid(&hint)).await, Some(Stage::Gone));
    app.sweep().await;
    assert_eq!(app.count("sessions WHERE ended_at IS NULL").await, 0);
    round(&app).await;
    assert_eq!(stage(&app, &kid(&hint)).await, None);
    eventually("the server knows nothing of it either", async || {
        let page = rp.authorize(&app.person(), &Pkce::new(), &[("id_token_hint", &hint)]).await;
        page.param("error").as_deref() == Some("invalid_request") || page.url.contains("error")
    })
    .await;
}

async fn a_refresh_key_lives_as_long_as_the_longest_refresh_token(app: TestApp) {
    app.user("ada").await;
    let year = Duration::from_secs(365 * DAY);
    let rp = app.client("web").with(|client| {
        client.refresh_token_idle_lifetime = Some(year);
        client.refresh_token_absolute_lifetime = Some(year);
    });
    let rp = rp.create().await;
    let tokens = rp.sign_in("ada").await;
    let old = kid(tokens.refresh_token());
    let keeper = keeper(&app).await;
    let now = app.clock.now();
    assert!(matches!(keeper.rotate(Algorithm::Hs256, Begin::AtOnce, now).await.unwrap(), Rotated::Made(_)));
    // Heard of together with one that can be seen.
    keeper.rotate(Algorithm::Es256, Begin::AtOnce, now).await.unwrap();
    publishes(&app, 3).await;
    let clear = async || {
        keeper.keys.reload(&keeper.store).await.unwrap();
        key_rotation::clear(&keeper, "a node", app.clock.now()).await.unwrap();
    };
    // The server's refresh tokens are over, this client's are not.
    app.advance(91 * DAY);
    clear().await;
    assert!(keeper.past(app.clock.now()).iter().any(|key| key.id == old));
    assert_eq!(stage(&app, &old).await, Some(Stage::Retired));
    let renewed = rp.refresh(&tokens).await.expect_tokens();
    assert_ne!(kid(renewed.refresh_token()), old);
    // While its grant lives, the key still tells a thief from nonsense (RFC 9700 §4.14.2).
    clear().await;
    app.advance(MINUTE);
    rp.refresh(&tokens).await.expect_error("invalid_grant");
    assert_eq!(app.count("grants WHERE revoked_because = 'refresh_reuse'").await, 1);
    clear().await;
    assert_eq!(stage(&app, &old).await, None);
    rp.refresh(&tokens).await.expect_error("invalid_grant");
    rp.refresh(&renewed).await.expect_error("invalid_grant");
}

/// A relying party that fetches the keys when its copy has grown old, and never because it does not know one.
struct Verifier {
    keys: JwkSet,
    fetched_at: Timestamp,
    verified: HashMap<String, usize>,
}

impl Verifier {
    const KEEPS: Duration = Duration::from_secs(11 * HOUR);

    async fn new(app: &TestApp) -> Self {
        grantor::crypto::install();
        let keys = serde_json::from_str(&app.get("/oauth/jwks").await.body).expect("a JWK set");
        Self { keys, fetched_at: app.clock.now(), verified: HashMap::new() }
    }

    async fn verify(&mut self, app: &TestApp, token: &str, audience: &str) {
        if app.clock.now().since(self.fetched_at) >= Self::KEEPS {
            self.keys = Self::new(app).await.keys;
            self.fetched_at = app.clock.now();
        }
        let header = jsonwebtoken::decode_header(token).expect("a header");
        let kid = header.kid.expect("a kid");
        let key = self.keys.find(&kid).unwrap_or_else(|| panic!("{kid} was not published early enough"));
        let mut validation = Validation::new(header.alg);
        validation.set_audience(&[audience]);
        validation.set_issuer(&[app.issuer()]);
        let key = DecodingKey::from_jwk(key).expect("a key");
        jsonwebtoken::decode::<serde_json::Value>(token, &key, &validation).expect("the signature is right");
        *self.verified.entry(kid).or_default() += 1;
    }
}

/// Some people with their tokens, at two nodes.
struct Load<'a> {
    nodes: [&'a TestApp; 2],
    parties: [Party<'a>; 2],
    tokens: Vec<Tokens>,
    verifier: Verifier,
}

impl Load<'_> {
    /// Refreshes, mints and introspects at both nodes at once, while `meanwhile` happens; verifies all that came of it.
    async fn go_on(&mut self, meanwhile: impl Future<Output = ()>) {
        let (nodes, parties, tokens) = (self.nodes, &self.parties, &self.tokens);
        let one = async |n: usize| {
            let there = n % 2;
            // What was issued before is good at the other node.
            nodes[1 - there].introspect(tokens[n].access_token()).await.expect_active();
            let new = parties[there].refresh(&tokens[n]).await.expect_tokens();
            nodes[1 - there].introspect(new.access_token()).await.expect_active();
            let machine = parties[there].client_credentials("notes:read").await.expect_tokens();
            nodes[1 - there].introspect(machine.access_token()).await.expect_active();
            new
        };
        let (renewed, ()) = tokio::join!(at_once((0..tokens.len()).map(one)), meanwhile);
        self.tokens = renewed;
        for tokens in &self.tokens {
            self.verifier.verify(nodes[0], tokens.id_token(), "web").await;
            self.verifier.verify(nodes[1], tokens.access_token(), nodes[0].issuer()).await;
        }
    }
}

async fn no_verification_fails_across_a_rotation_under_load(app: TestApp) {
    let app = app.another(&format!("{LASTING}[keys]\nrotate_every = \"2d\"\npublish_before = \"12h\"")).await;
    let node = app.second_node().await;
    app.resource_server().await;
    app.client("web").create().await;
    let party = |app| Party::existing(app, "web", SECRET);
    let (parties, nodes) = ([party(&app), party(&node)], [&app, &node]);
    let mut tokens = Vec::new();
    for name in ["ada", "bob", "cyd", "dan", "eve", "fay"] {
        app.user(name).await;
        tokens.push(parties[0].sign_in(name).await);
    }
    let first = published(&app).await;
    let mut load = Load { nodes, parties, tokens, verifier: Verifier::new(&app).await };
    let steps = [
        // To the moment when the next keys are made; the verifier has just fetched those that were.
        (2 * DAY - 12 * HOUR - 2 * MINUTE - age(&app).await, 4),
        // To the moment when they begin to sign,
        (12 * HOUR - 4 * MINUTE, 4),
        // to that when the old ones are wiped,
        (DAY + 8 * MINUTE, 2),
        // and to the next rotation.
        (12 * HOUR - 14 * MINUTE, 4),
    ];
    for (jump, published_then) in steps {
        app.advance(jump);
        // What was out before has expired.
        for (n, tokens) in load.tokens.iter_mut().enumerate() {
            *tokens = load.parties[n % 2].refresh(tokens).await.expect_tokens();
        }
        for _ in 0..4 {
            let rotate = async {
                at_once(nodes.map(round)).await;
                app.advance(MINUTE);
            };
            load.go_on(rotate).await;
        }
        // Only in a test does half a day pass before a node has heard of something.
        publishes(&app, published_then).await;
        publishes(&node, published_then).await;
    }
    let verified = load.verifier.verified;
    assert_eq!(verified.len(), 4, "{verified:?}");
    assert_eq!(first.iter().filter(|kid| verified.contains_key(*kid)).count(), 2);
}

async fn of_many_nodes_that_rotate_at_once_one_makes_a_key(app: TestApp) {
    app.advance(89 * DAY);
    let now = app.clock.now();
    let mut keepers = Vec::new();
    for _ in 0..4 {
        keepers.push(keeper(&app).await);
    }
    // All believe that it is time, and none asks whose turn it is.
    assert!(keepers.iter().all(|keeper| keeper.due(now).len() == 3));
    let rotated = at_once(keepers.iter().map(|keeper| keeper.rotate(Algorithm::Es256, Begin::OnTime, now))).await;
    let (mut made, mut waiting) = (Vec::new(), Vec::new());
    for rotated in rotated {
        match rotated.unwrap() {
            Rotated::Made(key) => made.push(key.id),
            Rotated::Waiting(key) => waiting.push(key.id),
            Rotated::BroughtForward(key) => panic!("nobody asked for {key:?}"),
        }
    }
    assert_eq!((made.len(), waiting.len()), (1, 3));
    assert!(waiting.iter().all(|id| *id == made[0]));
    assert_eq!(app.count("signing_keys WHERE algorithm = 'ES256'").await, 2);

    // The same when it signs already, and a node has not heard of anything.
    app.advance(DAY + MINUTE);
    let now = app.clock.now();
    assert!(keepers[0].due(now).contains(&Algorithm::Es256));
    assert!(matches!(keepers[0].rotate(Algorithm::Es256, Begin::OnTime, now).await.unwrap(), Rotated::Waiting(_)));
    assert_eq!(app.count("signing_keys WHERE algorithm = 'ES256'").await, 2);

    // One wipes, and one at a time has the office.
    app.advance(DAY + HOUR);
    let now = app.clock.now();
    for keeper in &keepers {
        keeper.keys.reload(&keeper.store).await.unwrap();
    }
    let past = keepers[0].past(now);
    assert_eq!(past.len(), 1);
    let cleared = at_once(keepers.iter().map(|keeper| keeper.clear(&past[0], now))).await;
    assert_eq!(cleared.into_iter().filter(|cleared| *cleared.as_ref().unwrap()).count(), 1);
    assert_eq!(app.count("public_keys").await, 1);
    key_rotation::rotate(&keepers[0], "one", now).await.unwrap();
    assert_eq!(app.count("signing_keys WHERE algorithm = 'RS256'").await, 2);
    app.sql("DELETE FROM signing_keys WHERE algorithm = 'RS256' AND retired_at IS NULL").await;
    app.sql("UPDATE signing_keys SET retired_at = NULL WHERE algorithm = 'RS256'").await;
    keepers[1].keys.reload(&keepers[1].store).await.unwrap();
    key_rotation::rotate(&keepers[1], "other", now).await.unwrap();
    assert_eq!(app.count("signing_keys WHERE algorithm = 'RS256'").await, 1);
}

async fn a_server_that_starts_makes_up_for_what_was_missed(app: TestApp) {
    app.client("web").create().await;
    // It was switched off when it would have been time.
    app.advance(400 * DAY);
    let _node = app.second_node().await;
    publishes(&app, 4).await;
    // A day's notice is given all the same.
    let old = kid(Party::existing(&app, "web", SECRET).client_credentials("").await.expect_tokens().access_token());
    assert_eq!(stage(&app, &old).await, Some(Stage::Active));
    let next = life(&app, &key_at(&app, Algorithm::Es256, Stage::Next).await).await.unwrap();
    assert_eq!(next.active_from, app.clock.now().plus(Duration::from_secs(DAY)));
}

async fn without_rotation_a_key_signs_for_ever(app: TestApp) {
    let app = app.another("[keys]\nrotate_every = \"off\"").await;
    let before = lives(&app).await;
    app.advance(3_000 * DAY);
    round(&app).await;
    assert_eq!(lives(&app).await, before);
    assert!(before.iter().all(|key| key_life::until(&app.config, key, app.clock.now()).is_none()));
    // An administrator can still do it.
    let keeper = keeper(&app).await;
    let rotated = keeper.rotate(Algorithm::Rs256, Begin::Announced, app.clock.now()).await.unwrap();
    let Rotated::Made(next) = rotated else { panic!("{rotated:?}") };
    assert_eq!(next.active_from, app.clock.now().plus(Duration::from_secs(DAY)));
}
