//! Who is at the other end: the address of the connection, and the certificate of the client, which is that of the
//! connection or what a proxy says of its own.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum_server::tls::TlsInfo;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::request::Parts;

use super::Shared;
use crate::config::Config;
use crate::crypto::PeerCertificate;
use crate::types::params;

pub struct Peer {
    /// That of the client: behind proxies that are trusted, what they say.
    pub address: Option<IpAddr>,
    /// What the client proved to hold by the handshake, if it showed any.
    pub certificate: Option<PeerCertificate>,
}

impl FromRequestParts<Shared> for Peer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, services: &Shared) -> Result<Self, Infallible> {
        let connection = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| address.ip());
        let address = connection.map(|peer| client_address(&parts.headers, peer, &services.config));
        Ok(Self { address, certificate: certificate(parts, connection, &services.config) })
    }
}

/// Where a request comes from. Each proxy writes behind the others whom it heard, so the list is read from its end: the
/// first address that is no proxy of ours. Anybody may have written what stands before it.
pub fn client_address(headers: &HeaderMap, peer: IpAddr, config: &Config) -> IpAddr {
    let is_ours = |address: IpAddr| config.server.trusted_proxies.iter().any(|range| range.contains(address));
    if !is_ours(peer) {
        return peer.to_canonical();
    }
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let hops = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
    let mut last = peer;
    for hop in hops {
        // What cannot be read was not written by a proxy of ours, nor is anything before it.
        let Some(address) = hop_address(hop.trim()) else { break };
        last = address;
        if !is_ours(address) {
            break;
        }
    }
    last.to_canonical()
}

/// An address, which some proxies write with its port.
fn hop_address(hop: &str) -> Option<IpAddr> {
    let bare = hop.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(hop);
    bare.parse().ok().or_else(|| hop.parse::<SocketAddr>().ok().map(|address| address.ip()))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn address(peer: &str, lines: &[&str]) -> String {
        let config = Config::parse("[server]\ntrusted_proxies = [\"10.0.0.0/8\", \"2001:db8::/32\"]\n").unwrap();
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        client_address(&headers, peer.parse().unwrap(), &config).to_string()
    }

    #[test]
    fn only_a_proxy_that_is_trusted_says_who_is_behind_it() {
        for (peer, lines, client) in [
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("2001:db8::1", &["2a00::1"], "2a00::1"),
            ("::ffff:10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            // What a client wrote itself stands before what the proxy wrote.
            ("10.0.0.1", &["1.2.3.4, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["1.2.3.4", "198.51.100.7"], "198.51.100.7"),
            // Through several of ours.
            ("10.0.0.1", &["198.51.100.7, 10.1.1.1,10.2.2.2"], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7", "10.1.1.1"], "198.51.100.7"),
            // Somebody who is inside.
            ("10.0.0.1", &["10.1.1.1"], "10.1.1.1"),
            // With ports, as some write it.
            ("10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("10.0.0.1", &["[2a00::1]:4711"], "2a00::1"),
            ("10.0.0.1", &["[2a00::1]"], "2a00::1"),
            // What nobody can read hides what is before it.
            ("10.0.0.1", &["198.51.100.7, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7, garbage, 10.1.1.1"], "10.1.1.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
        ] {
            assert_eq!(address(peer, lines), client, "{peer} {lines:?}");
        }
    }
}
