//! `[server]`: where it listens, and what it is called.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};

use super::duration;
use super::issuer::Issuer;
use super::section::{Found, Section};
use crate::types::Network;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// Address and port of the listener.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// The URL at which browsers and clients reach the server. After loading, always the one in force.
    pub issuer: Issuer,
    /// Allows an issuer that is public and not https: for trials, because passwords and tokens then travel in the clear.
    pub allow_insecure_issuer: bool,
    /// Where the embedded database and the generated seal live.
    pub data_dir: PathBuf,
    /// What the pages call the server.
    pub name: String,
    /// The addresses of proxies before this server, whose headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// The header in which they pass on the certificate that a client showed them (RFC 8705, RFC 9440).
    pub client_certificate_header: Option<String>,
    /// The longest request body; a longer one is answered with 413.
    pub max_body_bytes: usize,
    /// How long a request may take.
    #[serde(deserialize_with = "duration::deserialize")]
    pub request_timeout: Duration,
    /// How long a shutdown waits for requests in flight.
    #[serde(deserialize_with = "duration::deserialize")]
    pub shutdown_timeout: Duration,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: (Ipv4Addr::LOCALHOST, 8080).into(),
            issuer: Issuer::default(),
            allow_insecure_issuer: false,
            data_dir: "./data".into(),
            name: "Grantor".into(),
            trusted_proxies: Vec::new(),
            client_certificate_header: None,
            max_body_bytes: 64 * 1024,
            request_timeout: Duration::from_secs(30),
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}

impl Section for Server {
    fn check(&self, found: &mut Found) {
        // RFC 8414 §2: https. Loopback is where development happens, and never leaves the machine.
        if !(self.issuer.is_https() || self.issuer.is_loopback() || self.allow_insecure_issuer) {
            found.refuse(
                "issuer",
                "a public http issuer is refused unless it is loopback or explicitly allowed: use https, or for a trial set \
                 server.allow_insecure_issuer = true",
            );
        }
        if self.data_dir.as_os_str().is_empty() {
            found.refuse("data_dir", "must name a directory, such as \"./data\"");
        }
        if let Some(header) = &self.client_certificate_header {
            if header.parse::<http::HeaderName>().is_err() {
                found.refuse("client_certificate_header", "must be the name of a header, such as \"Client-Cert\"");
            }
            if self.trusted_proxies.is_empty() {
                let why = "needs server.trusted_proxies: anybody could send such a header";
                found.refuse("client_certificate_header", why);
            }
        }
        found.words("name", &self.name, 64);
        found.number("max_body_bytes", self.max_body_bytes, 1024..=16 * 1024 * 1024);
        found.duration("request_timeout", self.request_timeout, Duration::from_secs(1)..=Duration::from_mins(10));
        found.duration("shutdown_timeout", self.shutdown_timeout, Duration::ZERO..=Duration::from_mins(10));
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(|_| {
        D::Error::custom(format!(
            "{text:?} is not an IP address with a port, such as \"127.0.0.1:8080\" or \"[::]:8080\""
        ))
    })
}
