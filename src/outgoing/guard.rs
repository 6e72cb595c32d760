//! Which addresses may be reached: public ones, and those that the configuration names.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use super::OutgoingError;
use crate::types::Network;

/// How far a client reaches.
#[derive(Clone)]
pub struct Guard {
    allow: Arc<[Network]>,
    /// Public addresses too. In the clear nothing goes to them.
    public: bool,
}

impl Guard {
    pub fn new(allow: &[Network]) -> Self {
        Self { allow: allow.into(), public: true }
    }

    /// As far as it reaches in the clear.
    pub fn in_the_clear(&self) -> Self {
        Self { allow: self.allow.clone(), public: false }
    }

    pub fn lets(&self, address: IpAddr) -> bool {
        self.allow.iter().any(|network| network.contains(address)) || (self.public && is_public(address))
    }
}

/// The connection goes to an address that was checked, for nobody looks the name up again.
impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let guard = self.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let allowed: Vec<SocketAddr> = found.filter(|address| guard.lets(address.ip())).collect();
            if allowed.is_empty() {
                return Err(OutgoingError::Forbidden.into());
            }
            Ok(Box::new(allowed.into_iter()) as Addrs)
        })
    }
}

/// Whether an address is one of the public Internet (IANA's registries of special-purpose addresses).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    !matches!(
        address.octets(),
        // "This network", private, loopback, link-local with the metadata of clouds.
        [0 | 10 | 127, ..] | [169, 254, ..] | [172, 16..=31, ..] | [192, 168, ..]
        // Shared by a carrier's customers (RFC 6598).
        | [100, 64..=127, ..]
        // Protocol assignments, documentation, 6to4 relays, documentation, benchmarks, documentation.
        | [192, 0, 0 | 2, _] | [192, 88, 99, _] | [198, 18 | 19, ..] | [198, 51, 100, _] | [203, 0, 113, _]
        // Multicast, reserved, broadcast.
        | [224..=255, ..]
    )
}

/// Global unicast alone, so neither loopback, link-local, unique local, multicast, nor a form that has an IPv4 address
/// inside (mapped, compatible, NAT64); and of it not what is reserved, or carries IPv4 (Teredo, 6to4).
fn is_public_v6(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        [first, ..] => first >> 13 == 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for address in ["1.1.1.1", "8.8.8.8", "93.184.216.34", "172.32.0.1", "100.128.0.1", "198.20.0.1", "192.0.1.1"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in ["2606:4700::1111", "2a00:1450::1", "2001:4860::8888", "3ffe::1"] {
            assert!(is_public(address.parse().unwrap()), "{address}");
        }
        for address in [
            "0.0.0.0",
            "0.1.2.3",
            "10.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.250",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "64:ff9b::10.0.0.1",
            "64:ff9b::8.8.8.8",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
        ] {
            assert!(!is_public(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn a_range_that_is_named_is_reached_and_in_the_clear_nothing_else() {
        let secure = Guard::new(&["127.0.0.1/32".parse().unwrap()]);
        let plain = secure.in_the_clear();
        for (address, secured, clear) in [
            ("127.0.0.1", true, true),
            ("127.0.0.2", false, false),
            ("::1", false, false),
            ("8.8.8.8", true, false),
            ("169.254.169.254", false, false),
        ] {
            let address = address.parse().unwrap();
            assert_eq!((secure.lets(address), plain.lets(address)), (secured, clear), "{address}");
        }
    }
}
