//! A whole token request over loopback: the real router on a real socket, a connection that is kept.

mod support;

use std::net::TcpListener;

use criterion::{Criterion, criterion_group, criterion_main};
use support::{API, CLIENT, Home, basic, start};
use tokio::runtime::Runtime;
use tokio::sync::oneshot;

fn client_credentials(criterion: &mut Criterion) {
    let runtime = Runtime::new().expect("a runtime");
    let home = Home::new();
    let app = runtime.block_on(start(home.config.clone()));
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let (stop, stopped) = oneshot::channel::<()>();
    let server = runtime.spawn(app.serve(listener, async {
        let _ = stopped.await;
    }));
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let http = reqwest::Client::new();

    let fields = [("grant_type", "client_credentials"), ("scope", "notes:read")];
    let (endpoint, header) = (format!("{url}/oauth/token"), basic(CLIENT));
    let token = async || {
        let request = http.post(&endpoint).header("authorization", &header).form(&fields);
        let answer = request.send().await.and_then(reqwest::Response::error_for_status).expect("tokens");
        answer.json::<serde_json::Value>().await.expect("JSON")
    };
    criterion.bench_function("client credentials over loopback", |b| b.to_async(&runtime).iter(token));

    let answer = runtime.block_on(token());
    let token = answer["access_token"].as_str().expect("an access token");
    let (endpoint, header) = (format!("{url}/oauth/introspect"), basic(API));
    criterion.bench_function("introspection over loopback", |b| {
        b.to_async(&runtime).iter(async || {
            let request = http.post(&endpoint).header("authorization", &header).form(&[("token", token)]);
            let answer = request.send().await.and_then(reqwest::Response::error_for_status).expect("an answer");
            let answer = answer.json::<serde_json::Value>().await.expect("JSON");
            assert_eq!(answer["active"], true);
        });
    });

    drop(http);
    let _ = stop.send(());
    runtime.block_on(server).expect("the server does not panic").expect("the server stops in order");
}

criterion_group!(benches, client_credentials);
criterion_main!(benches);
