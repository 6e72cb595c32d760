//! What is driven: addresses, clients and a user. The defaults are those that `benches/register` gives to Grantor, and
//! that the probe knows by itself; a peer brings a file of its own.

use std::path::Path;

use anyhow::Context as _;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Target {
    pub url: String,
    pub paths: Paths,
    /// Gets tokens for itself.
    pub job: Job,
    /// Asks about tokens.
    pub api: Client,
    /// Signs people in.
    pub web: Web,
    pub user: User,
    /// The cookie of somebody who has signed in and consented, where no form does it.
    pub cookie: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Paths {
    pub token: String,
    pub introspect: String,
    pub authorize: String,
    pub jwks: String,
    /// A page with a form that signs somebody in and does nothing else.
    pub sign_in: String,
}

#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Client {
    pub id: String,
    pub secret: String,
}

#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Job {
    pub id: String,
    pub secret: String,
    /// What it asks for, as a form.
    pub asks: String,
}

#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Web {
    pub id: String,
    pub secret: String,
    pub redirect_uri: String,
    pub scope: String,
    /// What else its authorization requests say, from an "&" on.
    pub also: String,
}

#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct User {
    pub name: String,
    pub password: String,
}

impl Default for Target {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1:8080".into(),
            paths: Paths::default(),
            job: Job::default(),
            api: Client::default(),
            web: Web::default(),
            user: User::default(),
            cookie: None,
        }
    }
}

impl Default for Paths {
    fn default() -> Self {
        Self {
            token: "/oauth/token".into(),
            introspect: "/oauth/introspect".into(),
            authorize: "/oauth/authorize".into(),
            jwks: "/oauth/jwks".into(),
            sign_in: "/sign-in".into(),
        }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self { id: "bench-api".into(), secret: "bench-api-secret-0123456789-abcdef".into() }
    }
}

impl Default for Job {
    fn default() -> Self {
        Self {
            id: "bench-job".into(),
            secret: "bench-job-secret-0123456789-abcdef".into(),
            asks: "grant_type=client_credentials&scope=notes%3Aread".into(),
        }
    }
}

impl Default for Web {
    fn default() -> Self {
        Self {
            id: "bench-web".into(),
            secret: "bench-web-secret-0123456789-abcdef".into(),
            redirect_uri: "https://app.example.com/callback".into(),
            scope: "openid offline_access notes:read".into(),
            also: String::new(),
        }
    }
}

impl Default for User {
    fn default() -> Self {
        Self { name: "bench-user".into(), password: "a lamp for every harbour".into() }
    }
}

impl Target {
    pub fn load(file: Option<&Path>) -> anyhow::Result<Self> {
        let Some(file) = file else { return Ok(Self::default()) };
        let text = std::fs::read_to_string(file).with_context(|| file.display().to_string())?;
        serde_json::from_str(&text).with_context(|| file.display().to_string())
    }
}

/// HTTP Basic, its two halves form-encoded (RFC 6749 §2.3.1).
pub fn basic(id: &str, secret: &str) -> String {
    let half = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    format!("Basic {}", STANDARD.encode(format!("{}:{}", half(id), half(secret))))
}
