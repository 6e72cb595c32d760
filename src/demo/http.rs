//! `openidconnect` over our reqwest, writing down what goes by.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};

use super::{
    App,
    exchange::{Answer, Exchange, Redactor},
};

const MOST_BODY: usize = 1024 * 1024;

pub const NOTES: &str = "Notes";
pub const API: &str = "Notes API";
pub const GRANTOR: &str = "Grantor";
pub const BROWSER: &str = "Your browser";

#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    #[error("{}", root(.0))]
    Transport(#[from] reqwest::Error),
    #[error("the answer is longer than {MOST_BODY} bytes")]
    TooLong,
    #[error("the answer cannot be read: {0}")]
    Malformed(#[from] axum::http::Error),
}

/// The innermost cause is the one that helps ("connection refused").
fn root(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}

/// An HTTP client for one act.
pub struct Recorder {
    http: reqwest::Client,
    redactor: Arc<Redactor>,
    from: &'static str,
    to: &'static str,
    seen: Mutex<Vec<Exchange>>,
}

impl Recorder {
    pub fn new(app: &App, from: &'static str, to: &'static str) -> Self {
        Self { http: app.http.clone(), redactor: Arc::clone(&app.redactor), from, to, seen: Mutex::default() }
    }

    pub async fn send(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let sent = self.redactor.request(&request);
        let came = fetch(&self.http, request).await;
        let answer = match &came {
            Ok(response) => self.redactor.answer(response.status(), response.headers(), response.body()),
            Err(error) => Answer::Failed(self.redactor.scrub(&error.to_string())),
        };
        let exchange = Exchange { from: self.from, to: self.to, request: sent, answer };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(exchange);
        came
    }

    /// Puts what somebody else did after what was done here.
    pub fn append(&self, exchanges: Vec<Exchange>) {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).extend(exchanges);
    }

    pub fn take(&self) -> Vec<Exchange> {
        std::mem::take(&mut *self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<'c> AsyncHttpClient<'c> for Recorder {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(self.send(request))
    }
}

async fn fetch(http: &reqwest::Client, request: HttpRequest) -> Result<HttpResponse, HttpError> {
    let mut response = http.execute(request.try_into()?).await?;
    let mut builder = axum::http::Response::builder().status(response.status());
    for (name, value) in response.headers() {
        builder = builder.header(name, value);
    }
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > MOST_BODY {
            return Err(HttpError::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(builder.body(body)?)
}
