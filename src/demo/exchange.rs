//! A request and its answer as they are shown: whole, but for secrets and for the length of tokens.

use axum::http::{HeaderMap, StatusCode, header};
use base64::{Engine, prelude::BASE64_STANDARD};
use openidconnect::HttpRequest;
use secrecy::{ExposeSecret, SecretString};

use super::{
    Demo, explain,
    json::{self, Piece},
};

pub const REDACTED: &str = "[redacted]";
const MOST_TEXT: usize = 2_000;

#[derive(Clone)]
pub struct Exchange {
    pub from: &'static str,
    pub to: &'static str,
    pub request: Sent,
    pub answer: Answer,
}

#[derive(Clone)]
pub struct Sent {
    pub method: String,
    /// Without its query.
    pub url: String,
    pub query: Vec<Param>,
    pub headers: Vec<(String, String)>,
    pub form: Vec<Param>,
}

#[derive(Clone)]
pub struct Param {
    pub name: String,
    pub value: String,
    pub words: &'static str,
}

#[derive(Clone)]
pub enum Answer {
    Came {
        status: StatusCode,
        headers: Vec<(String, String)>,
        body: Body,
    },
    /// The browser carried the request away; what became of it is the next exchange.
    Left(&'static str),
    Failed(String),
}

#[derive(Clone)]
pub enum Body {
    Empty,
    Json(Vec<Piece>),
    Text(String),
}

/// Knows what must not be shown.
pub struct Redactor {
    secrets: Vec<SecretString>,
}

impl Redactor {
    pub fn new(demo: &Demo) -> Self {
        Self { secrets: vec![demo.client_secret.clone(), demo.api_client_secret.clone()] }
    }

    /// The last line of defence: no text leaves here with a client secret in it.
    pub fn scrub(&self, text: &str) -> String {
        self.secrets
            .iter()
            .map(ExposeSecret::expose_secret)
            .filter(|secret| !secret.is_empty())
            .fold(text.to_owned(), |text, secret| text.replace(secret, REDACTED))
    }

    pub fn request(&self, request: &HttpRequest) -> Sent {
        let mut sent = self.navigation(&request.uri().to_string());
        let form = request
            .headers()
            .get(header::CONTENT_TYPE)
            .is_some_and(|kind| kind.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
        sent.method = request.method().to_string();
        sent.headers = self.headers(request.headers(), &["authorization", "accept", "content-type", "x-request-id"]);
        sent.form = if form { self.params(request.body()) } else { Vec::new() };
        sent
    }

    /// A request that the browser carries: its address is all that we know of it.
    pub fn navigation(&self, url: &str) -> Sent {
        let (url, query) = url.split_once('?').unwrap_or((url, ""));
        Sent {
            method: "GET".to_owned(),
            url: self.scrub(url),
            query: self.params(query.as_bytes()),
            headers: Vec::new(),
            form: Vec::new(),
        }
    }

    pub fn answer(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Answer {
        let shown = ["content-type", "cache-control", "www-authenticate", "retry-after"];
        let body = match json::pretty(body, |text| shorten(&self.scrub(text))) {
            _ if body.is_empty() => Body::Empty,
            Some(pieces) => Body::Json(pieces),
            None => {
                let text: String = String::from_utf8_lossy(body).chars().take(MOST_TEXT).collect();
                Body::Text(self.scrub(&text))
            }
        };
        Answer::Came { status, headers: self.headers(headers, &shown), body }
    }

    fn params(&self, encoded: &[u8]) -> Vec<Param> {
        form_urlencoded::parse(encoded)
            .map(|(name, value)| {
                let value = if matches!(&*name, "client_secret" | "password" | "client_assertion") {
                    REDACTED.to_owned()
                } else {
                    shorten(&self.scrub(&value))
                };
                Param { words: explain::param(&name), name: name.into_owned(), value }
            })
            .collect()
    }

    fn headers(&self, headers: &HeaderMap, shown: &[&str]) -> Vec<(String, String)> {
        shown
            .iter()
            .flat_map(|name| headers.get_all(*name).iter().map(move |value| (*name, value)))
            .map(|(name, value)| {
                let value = value.to_str().unwrap_or("(not text)");
                let value = if name == "authorization" { authorization(value) } else { value.to_owned() };
                (title_case(name), self.scrub(&value))
            })
            .collect()
    }
}

/// `Basic` is shown as what stands in it, without the secret.
fn authorization(value: &str) -> String {
    if let Some(token) = value.strip_prefix("Bearer ") {
        return format!("Bearer {}", shorten(token));
    }
    let named = value
        .strip_prefix("Basic ")
        .and_then(|encoded| BASE64_STANDARD.decode(encoded).ok())
        .and_then(|pair| String::from_utf8(pair).ok())
        .and_then(|pair| pair.split_once(':').map(|(id, _)| id.to_owned()));
    match named {
        Some(id) => format!("Basic base64({id}:{REDACTED})"),
        None => REDACTED.to_owned(),
    }
}

/// Tokens are shown whole elsewhere; here their ends tell them apart.
pub fn shorten(text: &str) -> String {
    let jwt = text.len() > 80 && text.starts_with("eyJ") && text.is_ascii() && text.matches('.').count() == 2;
    if jwt { format!("{}…{}", &text[..20], &text[text.len() - 8..]) } else { text.to_owned() }
}

/// `www-authenticate` -> `WWW-Authenticate`, as people know it.
fn title_case(name: &str) -> String {
    let words = name.split('-').map(|word| {
        if word == "www" {
            return "WWW".to_owned();
        }
        let mut letters = word.chars();
        letters.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + letters.as_str())
    });
    words.collect::<Vec<_>>().join("-")
}
