//! A relying party's own server: where logout tokens arrive, and how it answers them.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::routing::post;
use http::StatusCode;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{DecodingKey, Header, Validation};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::TestApp;
use super::app::eventually;
use super::party::decode;

/// For servers that may deliver to this machine, and do not wait long for it.
pub const NEARBY: &str = "[outgoing]\nallow = [\"127.0.0.1/32\"]\ntimeout = \"1s\"\n";

/// How it answers.
#[derive(Clone, Copy, Debug)]
pub enum Reply {
    Status(u16),
    /// Never.
    Stall,
}

/// Stops listening when it is dropped.
pub struct Receiver {
    pub port: u16,
    inner: Arc<Inner>,
    server: JoinHandle<()>,
}

struct Inner {
    reply: Mutex<Reply>,
    tokens: Mutex<Vec<String>>,
}

impl Receiver {
    pub async fn start(reply: Reply) -> Self {
        Self::start_at(0, reply).await
    }

    pub async fn start_at(port: u16, reply: Reply) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).await.expect("the port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let inner = Arc::new(Inner { reply: Mutex::new(reply), tokens: Mutex::default() });
        let routes = Router::new().route("/out", post(arrive)).with_state(inner.clone());
        let server = tokio::spawn(async move { axum::serve(listener, routes).await.expect("it serves") });
        Self { port, inner, server }
    }

    /// Where it is, with a query of its own.
    pub fn uri(&self) -> String {
        format!("http://127.0.0.1:{}/out?tenant=1", self.port)
    }

    pub fn answers(&self, reply: Reply) {
        *self.inner.reply.lock().expect("no test panicked with it") = reply;
    }

    /// What has arrived so far.
    pub fn tokens(&self) -> Vec<String> {
        self.inner.tokens.lock().expect("no test panicked with it").clone()
    }

    /// The sessions that ended, as far as it has heard.
    pub fn sessions(&self) -> Vec<String> {
        let sid = |token: &String| decode(token).1["sid"].as_str().expect("there is a sid").to_owned();
        self.tokens().iter().map(sid).collect()
    }

    /// Waits until so many have arrived.
    pub async fn hears(&self, count: usize) -> Vec<String> {
        eventually("the logout tokens arrive", async || self.tokens().len() >= count).await;
        let tokens = self.tokens();
        assert_eq!(tokens.len(), count);
        tokens
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn arrive(State(inner): State<Arc<Inner>>, uri: http::Uri, body: String) -> StatusCode {
    assert_eq!(uri.query(), Some("tenant=1"));
    let mut fields = form_urlencoded::parse(body.as_bytes()).into_owned();
    let (name, token) = fields.next().expect("the form has a field");
    assert!(name == "logout_token" && fields.next().is_none(), "{body}");
    inner.tokens.lock().expect("no test panicked with it").push(token);
    let reply = *inner.reply.lock().expect("no test panicked with it");
    match reply {
        Reply::Status(status) => StatusCode::from_u16(status).expect("a status"),
        Reply::Stall => std::future::pending().await,
    }
}

/// Header and claims of a logout token, checked by the published keys as Back-Channel Logout §2.6 says.
pub async fn verified(app: &TestApp, token: &str, client: &str) -> (Header, Value) {
    grantor::crypto::install();
    let keys: JwkSet = serde_json::from_str(&app.get("/oauth/jwks").await.body).expect("a JWK set");
    let header = jsonwebtoken::decode_header(token).expect("it has a header");
    let key = keys.find(header.kid.as_deref().expect("a kid")).expect("the key is published");
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&[client]);
    validation.set_issuer(&[app.issuer()]);
    validation.set_required_spec_claims(&["exp", "iss", "aud"]);
    let key = DecodingKey::from_jwk(key).expect("the key can be read");
    let claims = jsonwebtoken::decode::<Value>(token, &key, &validation).expect("the token is right").claims;
    (header, claims)
}
