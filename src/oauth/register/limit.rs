//! How often one address may do what strangers may do: register, or name documents that are none.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::config::Registration;
use crate::types::Timestamp;

const WINDOW: Duration = Duration::from_hours(1);

/// More addresses than this are not remembered; it begins anew.
const MOST: usize = 10_000;

/// Counts in the memory of this node. Each address has a point in time that every attempt moves on by its share of an
/// hour; it must not lie more than an hour ahead.
#[derive(Default)]
pub struct Limiter(Mutex<HashMap<IpAddr, Timestamp>>);

impl Limiter {
    /// Counts one more.
    ///
    /// # Errors
    /// After which time to come again.
    pub fn admit(&self, config: &Registration, address: IpAddr, now: Timestamp) -> Result<(), Duration> {
        if is_exempt(config, address) {
            return Ok(());
        }
        let address = subscriber(address);
        let mut points = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if points.len() >= MOST {
            points.retain(|_, point| *point > now);
            if points.len() >= MOST {
                points.clear();
            }
        }
        let next = points.get(&address).copied().unwrap_or(now).max(now).plus(WINDOW / config.per_address);
        let latest = now.plus(WINDOW);
        if next > latest {
            return Err(next.since(latest));
        }
        points.insert(address, next);
        Ok(())
    }

    /// Takes one back that was admitted: it was no abuse.
    pub fn forgive(&self, config: &Registration, address: IpAddr) {
        if is_exempt(config, address) {
            return;
        }
        let mut points = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(point) = points.get_mut(&subscriber(address)) {
            *point = point.minus(WINDOW / config.per_address);
        }
    }
}

fn is_exempt(config: &Registration, address: IpAddr) -> bool {
    config.unlimited.iter().any(|network| network.contains(address))
}

/// One subscriber has a whole IPv6 network of addresses.
fn subscriber(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_number_an_hour_and_no_other_pays_for_it() {
        let config =
            Registration { per_address: 4, unlimited: vec!["10.0.0.0/8".parse().unwrap()], ..Default::default() };
        let (limiter, start) = (Limiter::default(), Timestamp::from_secs(1_000));
        let admit = |address: &str, now| limiter.admit(&config, address.parse().unwrap(), now);
        for _ in 0..4 {
            assert_eq!(admit("192.0.2.1", start), Ok(()));
        }
        let quarter = Duration::from_mins(15);
        assert_eq!(admit("192.0.2.1", start), Err(quarter));
        assert_eq!(admit("::ffff:192.0.2.1", start), Err(quarter));
        assert_eq!(admit("192.0.2.2", start), Ok(()));
        assert_eq!(admit("192.0.2.1", start.plus(quarter)), Ok(()));
        assert_eq!(admit("192.0.2.1", start.plus(quarter)), Err(quarter));

        // One network of IPv6 is one subscriber.
        for n in 1..=4 {
            assert_eq!(admit(&format!("2001:db8::{n}"), start), Ok(()));
        }
        assert!(admit("2001:db8::ffff:0:0:9", start).is_err());
        assert_eq!(admit("2001:db8:0:1::1", start), Ok(()));
        // What is forgiven does not count, as often as it may be.
        for _ in 0..50 {
            assert_eq!(admit("192.0.2.3", start), Ok(()));
            limiter.forgive(&config, "192.0.2.3".parse().unwrap());
        }
        assert_eq!(admit("192.0.2.1", start.plus(quarter)), Err(quarter), "that is another's");
        // Who is exempt is never counted.
        for _ in 0..50 {
            assert_eq!(admit("10.1.2.3", start), Ok(()));
        }
    }
}
