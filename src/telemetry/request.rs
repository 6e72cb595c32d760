//! What every line of a request says of it: its number, and who is at the other end of the connection (ASVS 16.2.1).
//!
//! A task has it at hand, where a span would be made, kept and taken apart for each request, whether it logs or not.

use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

tokio::task_local! {
    static REQUEST: Request;
}

/// What ties an answer to its lines in the log: eleven characters of base64url.
#[derive(Clone, Copy)]
pub struct CorrelationId([u8; 11]);

impl CorrelationId {
    pub fn as_str(&self) -> &str {
        // base64url is text.
        str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl From<u64> for CorrelationId {
    fn from(number: u64) -> Self {
        let mut id = [b'A'; 11];
        // Eight bytes are eleven characters: it fits.
        let _ = URL_SAFE_NO_PAD.encode_slice(number.to_be_bytes(), &mut id);
        Self(id)
    }
}

impl fmt::Display for CorrelationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A request that is being answered.
#[derive(Clone, Copy)]
pub struct Request {
    pub id: CorrelationId,
    pub peer: Option<IpAddr>,
}

/// Does something as a part of answering a request.
pub async fn within<T>(request: Request, answering: impl Future<Output = T>) -> T {
    REQUEST.scope(request, answering).await
}

/// The number of the request that is being answered; empty outside of one.
pub fn correlation_id() -> String {
    current().map(|request| request.id.to_string()).unwrap_or_default()
}

pub(super) fn current() -> Option<Request> {
    REQUEST.try_with(|request| *request).ok()
}

/// Numbers requests. They need not be secret, only each its own, and tell nobody how many there were: so they are counted
/// from anywhere, and every number stands for another that looks like any.
pub struct RequestIds(AtomicU64);

impl RequestIds {
    /// `start` at random, or two nodes count alike.
    pub fn from(start: u64) -> Self {
        Self(AtomicU64::new(start))
    }

    pub fn next(&self) -> CorrelationId {
        scattered(self.0.fetch_add(1, Ordering::Relaxed)).into()
    }
}

/// One for each, and each for one: the mixer of SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
fn scattered(number: u64) -> u64 {
    let z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_request_has_a_number_of_its_own() {
        let ids = RequestIds::from(u64::MAX - 500);
        let numbers: HashSet<String> = (0..1_000).map(|_| ids.next().to_string()).collect();
        assert_eq!(numbers.len(), 1_000);
        assert!(numbers.iter().all(|number| number.len() == 11));
    }

    #[tokio::test]
    async fn a_request_is_known_while_it_is_answered() {
        assert_eq!(correlation_id(), "");
        let id = CorrelationId::from(7);
        assert_eq!(within(Request { id, peer: None }, async { correlation_id() }).await, id.to_string());
        assert_eq!(correlation_id(), "");
    }
}
