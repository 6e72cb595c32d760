//! What a token request and an introspection cost in process: no socket, no database.

mod support;

use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use grantor::app::{Ambient, App, data};
use grantor::config::Config;
use grantor::oauth::client_auth::{self, Presented};
use grantor::oauth::{Context, Keys, introspect, issue};
use grantor::types::{Params, Scope};
use support::{API, CLIENT, Home, basic, start};
use tokio::runtime::Runtime;

fn tokens(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let home = Home::new();
    let mut app = runtime.block_on(start(home.config.clone()));
    let cx = runtime.block_on(context(&app, &home.config));
    let client = |id: &str| {
        let id = id.parse().expect("a client id");
        runtime.block_on(cx.store.client(&id)).expect("the store answers").expect("the client is registered")
    };
    let (machine, api) = (client(CLIENT), client(API));
    let mint = || issue::for_client(&cx, &machine, Scope::from("notes:read")).expect("a token");

    criterion.bench_function("mint an access token", |b| b.iter(mint));

    let body = format!("token={}", mint().access_token);
    criterion.bench_function("verify and introspect an access token", |b| {
        b.to_async(&runtime).iter(async || {
            let params = Params::parse(black_box(body.as_bytes())).expect("a form");
            introspect::introspect(&cx, &api, &params).await.expect("an answer")
        });
    });

    let (header, body) = (basic(CLIENT), b"grant_type=client_credentials&scope=notes%3Aread");
    criterion.bench_function("parse and authenticate a token request", |b| {
        b.to_async(&runtime).iter(async || {
            let params = Params::parse(black_box(body)).expect("a form");
            let presented = Presented { authorization: Some(&header), params: &params };
            client_auth::authenticate(&cx, &presented).await.expect("the right secret")
        });
    });

    runtime.block_on(app.stop());
}

/// What a handler works with, at this instant and with the server's keys.
async fn context(app: &App, config: &Config) -> Context {
    let Ambient { clock, rng } = Ambient::system();
    let ring = data::key_ring(config, &*rng).expect("the key ring is there");
    let store = app.store().clone();
    let keys = Keys::open(&store, ring, &config.keys.algorithms, rng.clone(), clock.now()).await;
    let keys = keys.expect("the keys open");
    Context { config: Arc::new(config.clone()), store, keys: keys.snapshot(), rng, now: clock.now() }
}

criterion_group!(benches, tokens);
criterion_main!(benches);
