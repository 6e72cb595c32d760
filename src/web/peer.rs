//! Who is at the other end: the address of the connection, and the certificate of the client, which is that of the
//! connection or what a proxy says of its own.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum_server::tls::TlsInfo;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;

use super::Shared;
use crate::config::Config;
use crate::crypto::PeerCertificate;
use crate::types::params;

pub struct Peer {
    /// That of a proxy, where there is one.
    pub address: Option<IpAddr>,
    /// What the client proved to hold by the handshake, if it showed any.
    pub certificate: Option<PeerCertificate>,
}

impl FromRequestParts<Shared> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, services: &Shared) -> Result<Self, Infallible> {
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
        Ok(Self { address, certificate: certificate(parts, address, &services.config) })
    }
}

fn certificate(parts: &Parts, address: Option<IpAddr>, config: &Config) -> Option<PeerCertificate> {
    if let Some(header) = &config.server.client_certificate_header {
        // Anybody may send a header, and only a proxy of ours takes that of a stranger away. Its own certificate, if it
        // has one, is not the client's.
        if address.is_some_and(|peer| config.server.trusted_proxies.iter().any(|range| range.contains(peer))) {
            let mut values = parts.headers.get_all(header.as_str()).iter();
            let (first, second) = (values.next()?, values.next());
            return first.to_str().ok().filter(|_| second.is_none()).and_then(read);
        }
    }
    let connection = parts.extensions.get::<Arc<TlsInfo>>()?;
    PeerCertificate::new(connection.peer_certificates.iter().cloned())
}

/// `:base64:` as `Client-Cert` has it (RFC 9440 §2.1), or PEM that is percent-encoded, as nginx writes it.
fn read(value: &str) -> Option<PeerCertificate> {
    if let Some(encoded) = value.strip_prefix(':').and_then(|value| value.strip_suffix(':')) {
        return PeerCertificate::new([STANDARD.decode(encoded).ok()?]);
    }
    // A plus sign is itself there, and no space.
    let pem = params::decode(value.replace('+', "%2B").as_bytes()).ok()?;
    PeerCertificate::from_pem(pem.as_bytes())
}
