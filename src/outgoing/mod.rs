//! What leaves this server: mail (`mail`), and here the one HTTP client for addresses that others name: keys and documents
//! of clients, notices to them, and other providers.
//!
//! Whoever registers a URL must not make this server speak to its own network (server-side request forgery), to a
//! server that never ends, or to one that is asked too often:
//! - https; http to addresses alone that `outgoing.allow` names;
//! - the address is checked, not the name, and the connection goes to the address that was checked (`guard`);
//! - no redirect is followed, no proxy of the environment is used, no cookie goes out, and no credential but to the
//!   providers by which people sign in, which the configuration names;
//! - time and size are bounded, and so is how many fetch at once;
//! - what was fetched is remembered for a while, and not fetched again as often as strangers like (`documents`).

mod documents;
mod guard;
pub mod mail;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use reqwest::{Client, ClientBuilder, RequestBuilder, Response, redirect};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use tokio::sync::Semaphore;
use url::{Host, Url};

pub use documents::{Documents, Kind};
use guard::Guard;

use crate::types::Network;

/// How many may be under way at once.
const MOST_AT_ONCE: usize = 64;

/// A URL that is longer is nobody's address.
const LONGEST_URL: usize = 2_048;

/// Room for a document's first part.
const FIRST: usize = 4 * 1024;

/// How the client is made.
#[derive(Clone, Debug)]
pub struct Options {
    /// What may be reached although it is not public.
    pub allow: Vec<Network>,
    /// Certificates, as PEM, of authorities that are trusted beside those of the web.
    pub extra_ca: Option<Vec<u8>>,
    /// From the lookup of the name to the last byte.
    pub timeout: Duration,
    pub max_bytes: usize,
}

/// Why there is no answer: words for a log. Whoever caused the request is told no more than that it failed, or they
/// could look around in our network.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OutgoingError {
    #[error("the URL is not one that is fetched: {0}")]
    Url(&'static str),
    #[error("the address is not a public one, and outgoing.allow does not name it")]
    Forbidden,
    #[error("no answer: {0}")]
    Unreachable(String),
    #[error("no answer within the time that is allowed")]
    TooSlow,
    #[error("the answer is larger than what is read")]
    TooLarge,
    #[error("the answer has the status {0}")]
    Status(StatusCode),
    #[error("the document is not what it should be: {0}")]
    Document(String),
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

/// The guarded client. Cheap to clone.
#[derive(Clone)]
pub struct Outgoing(Arc<Inner>);

struct Inner {
    https: Client,
    http: Client,
    https_guard: Guard,
    http_guard: Guard,
    timeout: Duration,
    max_bytes: usize,
    turns: Semaphore,
}

impl Outgoing {
    /// Makes the client; nothing is connected yet.
    ///
    /// # Errors
    /// In words, when the extra authorities are not PEM certificates.
    pub fn new(options: &Options) -> Result<Self, String> {
        let tls = tls(options.extra_ca.as_deref())?;
        let client = |guard: &Guard, https_only| {
            let builder = ClientBuilder::new()
                .tls_backend_preconfigured(tls.clone())
                .https_only(https_only)
                .dns_resolver(guard.clone())
                .redirect(redirect::Policy::none())
                .no_proxy()
                .referer(false)
                .pool_max_idle_per_host(2)
                .timeout(options.timeout)
                .user_agent(concat!("Grantor/", env!("CARGO_PKG_VERSION")));
            builder.build().map_err(|why| innermost(&why))
        };
        let https_guard = Guard::new(&options.allow);
        let http_guard = https_guard.in_the_clear();
        Ok(Self(Arc::new(Inner {
            https: client(&https_guard, true)?,
            http: client(&http_guard, false)?,
            https_guard,
            http_guard,
            timeout: options.timeout,
            max_bytes: options.max_bytes,
            turns: Semaphore::new(MOST_AT_ONCE),
        })))
    }

    /// The body of a document, if it is there: status 200, and of one of these media types when any are named.
    ///
    /// # Errors
    /// When the URL is refused, or there is no such answer.
    pub async fn document(&self, url: &str, media_types: &[&str]) -> Result<Vec<u8>, OutgoingError> {
        let exact: Vec<&str> = media_types.iter().copied().filter(|known| !known.contains('*')).collect();
        let accept = if exact.is_empty() { "*/*".to_owned() } else { exact.join(", ") };
        let answer = self.send(url, |client, url| client.get(url).header(ACCEPT, accept)).await?;
        // RFC 9110 §15: a redirect is an answer like any other that is not the document.
        if answer.status != StatusCode::OK {
            return Err(OutgoingError::Status(answer.status));
        }
        let media_type = answer.content_type.as_deref().and_then(|value| value.split(';').next()).unwrap_or_default();
        if !media_types.is_empty() && !media_types.iter().any(|known| is_of(media_type.trim(), known)) {
            return Err(OutgoingError::Document(format!("its type is not {}", media_types.join(" or "))));
        }
        Ok(answer.body)
    }

    /// Posts a form, whatever the answer is.
    ///
    /// # Errors
    /// When the URL is refused, or there is no answer.
    pub async fn post_form(&self, url: &str, fields: &[(&str, &str)]) -> Result<Answer, OutgoingError> {
        self.send(url, |client, url| client.post(url).form(fields)).await
    }

    /// Posts a form to a provider that the configuration names, with a secret of ours among the headers, whatever the
    /// answer is.
    ///
    /// # Errors
    /// As `post_form`.
    pub async fn post_form_with(
        &self,
        url: &str,
        fields: &[(&str, &str)],
        headers: HeaderMap,
    ) -> Result<Answer, OutgoingError> {
        self.send(url, |client, url| client.post(url).headers(headers).form(fields)).await
    }

    /// Gets what such a provider shows to whoever has a token of its own, whatever the answer is.
    ///
    /// # Errors
    /// As `post_form`.
    pub async fn get_with(&self, url: &str, headers: HeaderMap) -> Result<Answer, OutgoingError> {
        self.send(url, |client, url| client.get(url).headers(headers)).await
    }

    async fn send(
        &self,
        url: &str,
        request: impl FnOnce(&Client, Url) -> RequestBuilder,
    ) -> Result<Answer, OutgoingError> {
        let inner = &*self.0;
        let (client, url) = inner.check(url)?;
        let answered = async {
            // The semaphore is never closed.
            let _turn = inner.turns.acquire().await.map_err(|_| OutgoingError::TooSlow)?;
            read(request(client, url).send().await.map_err(failed)?, inner.max_bytes).await
        };
        tokio::time::timeout(inner.timeout, answered).await.map_err(|_| OutgoingError::TooSlow)?
    }
}

impl Inner {
    /// The client for a URL, and the URL parsed: what is not refused here, the resolver looks at.
    fn check(&self, url: &str) -> Result<(&Client, Url), OutgoingError> {
        if url.len() > LONGEST_URL {
            return Err(OutgoingError::Url("it is too long"));
        }
        let url = Url::parse(url).map_err(|_| OutgoingError::Url("it is not an absolute URL"))?;
        let (client, guard) = match url.scheme() {
            "https" => (&self.https, &self.https_guard),
            "http" => (&self.http, &self.http_guard),
            _ => return Err(OutgoingError::Url("it is not https")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(OutgoingError::Url("it has a user name or a password"));
        }
        // An address needs no lookup, so no resolver sees it.
        let address = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) => None,
            None => return Err(OutgoingError::Url("it has no host")),
        };
        if address.is_some_and(|address| !guard.lets(address)) {
            return Err(OutgoingError::Forbidden);
        }
        Ok((client, url))
    }
}

/// Whether a media type is the one that is known; `*` in that stands for anything, as in `application/*+json`.
fn is_of(media_type: &str, known: &str) -> bool {
    let media_type = media_type.to_ascii_lowercase();
    match known.split_once('*') {
        Some((before, after)) => {
            media_type.len() > before.len() + after.len()
                && media_type.starts_with(before)
                && media_type.ends_with(after)
        }
        None => media_type == known,
    }
}

/// The authorities of the web, as Mozilla lists them, and those that the configuration adds.
fn tls(extra_ca: Option<&[u8]>) -> Result<ClientConfig, String> {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    if let Some(pem) = extra_ca {
        let mut count = 0;
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|why| format!("not a file of PEM certificates: {why}"))?;
            roots.add(certificate).map_err(|why| format!("not the certificate of an authority: {why}"))?;
            count += 1;
        }
        if count == 0 {
            return Err("there is no PEM certificate in it".to_owned());
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    Ok(builder.map_err(|why| why.to_string())?.with_root_certificates(roots).with_no_client_auth())
}

/// Reads no more of the body than is wanted, whatever was announced.
async fn read(mut response: Response, max_bytes: usize) -> Result<Answer, OutgoingError> {
    let status = response.status();
    let content_type = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let mut body = Vec::with_capacity(FIRST.min(max_bytes));
    while let Some(chunk) = response.chunk().await.map_err(failed)? {
        if body.len() + chunk.len() > max_bytes {
            return Err(OutgoingError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, content_type, body })
}

fn failed(error: reqwest::Error) -> OutgoingError {
    let mut cause: Option<&dyn std::error::Error> = Some(&error);
    while let Some(inner) = cause {
        if let Some(ours) = inner.downcast_ref::<OutgoingError>() {
            return ours.clone();
        }
        cause = inner.source();
    }
    if error.is_timeout() { OutgoingError::TooSlow } else { OutgoingError::Unreachable(innermost(&error)) }
}

/// The innermost cause is the one that helps ("connection refused"). It holds no URL, so nothing of a query.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
