//! What the benchmarks stand on: a server with its own database, a client, a resource server.
//!
//! Each benchmark is a program of its own, and uses a part of this.
#![allow(dead_code)]

pub mod operations;

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use grantor::app::{Ambient, App};
use grantor::config::{Config, Overrides};
use grantor::crypto::sha256;
use grantor::store::Store;
use grantor::types::{Client, Timestamp};

pub const CLIENT: &str = "machine";
pub const API: &str = "api";
const SECRET: &str = "correct-horse-battery-staple-0123456789";

/// Where the server keeps its data; gone with this.
pub struct Home {
    pub config: Config,
    folder: PathBuf,
}

impl Home {
    pub fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("grantor-bench-{}", std::process::id()));
        let overrides = Overrides { data_dir: Some(folder.clone()), ..Overrides::default() };
        let config = Config::load(&overrides, std::iter::empty()).expect("the defaults are valid");
        Self { config, folder }
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// A server that is ready, with its feed and housekeeping running, and the two clients.
pub async fn start(config: Config) -> App {
    let app = App::start(config, Ambient::system()).await.expect("the server starts");
    register_both(app.store(), Ambient::system().clock.now()).await;
    app
}

async fn register_both(store: &Store, now: Timestamp) {
    register(store, CLIENT, serde_json::json!({ "grant_types": ["client_credentials"] }), now).await;
    register(store, API, serde_json::json!({ "grant_types": [], "resource_server": true }), now).await;
}

async fn register(store: &Store, id: &str, mut metadata: serde_json::Value, now: Timestamp) {
    metadata["client_name"] = id.into();
    metadata["token_endpoint_auth_method"] = "client_secret_basic".into();
    metadata["scope"] = "notes:read notes:write".into();
    let client = Client {
        id: id.parse().expect("a client id"),
        secret_hash: Some(sha256(SECRET.as_bytes())),
        secret_sealed: None,
        metadata: serde_json::from_value(metadata).expect("client metadata"),
        created_at: now,
        updated_at: now,
        disabled_at: None,
        registration: None,
    };
    let mut tx = store.begin().await.expect("the store answers");
    tx.insert_client(&client).await.expect("the client is stored");
    tx.commit().await.expect("the client is stored");
}

/// The `Authorization` header of one of the two clients.
pub fn basic(id: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{SECRET}")))
}
