//! How often mail may be asked for: of one account or address, and from one place (ASVS 6.6.3).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::config::Config;
use crate::crypto::{Digest, sha256};
use crate::types::Timestamp;
use crate::types::network::subscriber;

const WINDOW: Duration = Duration::from_hours(1);

/// Within the window, to whatever was typed, and from one place.
const TO_ONE: u32 = 5;
const FROM_ONE: u32 = 30;

/// More than this is not remembered; it begins anew.
const MOST: usize = 20_000;

/// Counts in the memory of this node. What is counted has a point in time that every mail moves on by its share of the
/// window; it must not lie more than a window ahead.
#[derive(Default)]
pub struct MailLimit(Mutex<HashMap<Digest, Timestamp>>);

impl MailLimit {
    /// Counts one more mail to whoever `named` is, whether there is somebody or not: that must not show.
    ///
    /// # Errors
    /// After which time to come again.
    pub fn admit(&self, config: &Config, address: Option<IpAddr>, named: &str, now: Timestamp) -> Result<(), Duration> {
        // Behind a proxy everybody comes from one place.
        let is_proxy = |address: &IpAddr| config.server.trusted_proxies.iter().any(|proxy| proxy.contains(*address));
        let place = address.filter(|address| !is_proxy(address)).map(subscriber);
        let counted = [
            Some((sha256(format!("to {}", named.trim().to_lowercase()).as_bytes()), TO_ONE)),
            place.map(|place| (sha256(format!("from {place}").as_bytes()), FROM_ONE)),
        ];
        let mut points = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if points.len() >= MOST {
            points.retain(|_, point| *point > now);
            if points.len() >= MOST {
                points.clear();
            }
        }
        let latest = now.plus(WINDOW);
        let counted: Vec<(Digest, Timestamp)> = counted
            .into_iter()
            .flatten()
            .map(|(what, most)| (what, points.get(&what).copied().unwrap_or(now).max(now).plus(WINDOW / most)))
            .collect();
        // Both or neither: a refusal costs nothing.
        if let Some(wait) = counted.iter().filter(|(_, next)| *next > latest).map(|(_, next)| next.since(latest)).max()
        {
            return Err(wait);
        }
        points.extend(counted);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_and_one_place_have_their_number_an_hour() {
        let config = Config::parse("[server]\ntrusted_proxies = [\"10.0.0.2\"]\n").unwrap();
        let (limit, start) = (MailLimit::default(), Timestamp::from_secs(1_000));
        let admit = |address: &str, named: &str, now| limit.admit(&config, address.parse().ok(), named, now);
        for _ in 0..5 {
            assert_eq!(admit("192.0.2.1", "ada", start), Ok(()));
        }
        let share = Duration::from_mins(12);
        for named in ["ada", "ADA", " Ada "] {
            assert_eq!(admit("192.0.2.2", named, start), Err(share), "from wherever");
        }
        assert_eq!(admit("192.0.2.1", "ada", start.plus(share)), Ok(()));
        for n in 0..23 {
            assert_eq!(admit("192.0.2.1", &format!("nobody {n}"), start), Ok(()));
        }
        assert_eq!(admit("192.0.2.1", "grace", start), Err(Duration::from_mins(2)));
        assert_eq!(admit("192.0.2.2", "grace", start), Ok(()));
        // Everybody is behind the proxy.
        for n in 0..60 {
            assert_eq!(admit("10.0.0.2", &format!("somebody {n}"), start), Ok(()));
        }
    }
}
