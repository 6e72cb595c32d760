//! How often somebody may guess (ASVS 6.1.1, 6.3.1).
//!
//! An attempt is counted before it is judged, against everything that it has in common with others: the account, the
//! address, both. One from a browser in which that person has signed in before counts for that browser alone, so strangers
//! who guess cannot lock its owner out. Who must wait costs no hash, and is told how long. Accounts that do not exist are
//! counted like those that do, by what was typed (ASVS 6.3.8). Mail that somebody asks for is counted in the same way, and
//! slowed down sooner (ASVS 6.6.3).

use std::net::IpAddr;
use std::time::Duration;

use super::Accounts;
use crate::crypto::{Digest, Mac, hash, random, sha256};
use crate::store::{Counted, Pace};
use crate::types::{Fault, Passkey, Timestamp, User, UserId};

/// The name of the secret that its hashes are made with.
pub const SECRET: &str = "attempts";

/// What is guessed.
#[derive(Clone, Copy)]
pub enum Guess<'a> {
    /// The password of whoever signs in by this name; `browser` is the id of one that has been theirs before.
    Password { login: &'a str, browser: Option<&'a str> },
    /// A code, or an answer of a passkey, of somebody who has given their password.
    Code(UserId),
    /// An answer of the passkey with this id, which may be nobody's.
    Passkey(&'a [u8]),
    /// Nothing: a mail is asked for, to whoever this is.
    Mail(&'a str),
    /// What another provider answers.
    Answer,
}

/// Mails to one person, and from one address, that are sent at once.
const FREE_MAILS: u32 = 5;
const FREE_MAILS_PER_ADDRESS: u32 = 30;

/// How long the next one waits then, and at most.
const FIRST_MAIL: Duration = Duration::from_mins(1);
const LONGEST_MAIL: Duration = Duration::from_hours(1);

/// An attempt that was let through, by what it was counted under.
pub struct Attempt(Vec<Counter>);

struct Counter {
    key: Digest,
    free: u32,
    /// Once somebody was right, what was wrong before is forgotten. Elsewhere only this attempt is taken back.
    is_own: bool,
}

/// Whether somebody may try.
pub enum Admission {
    Now(Attempt),
    Until(Timestamp),
}

impl Accounts {
    /// Counts an attempt, if it need not wait.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn admit(&self, guess: Guess<'_>, from: Option<IpAddr>, now: Timestamp) -> Result<Admission, Fault> {
        let settings = &self.config.throttle;
        let is_free = |address: IpAddr| settings.unlimited.iter().any(|range| range.contains(address));
        if !settings.enabled || from.is_some_and(is_free) {
            return Ok(Admission::Now(Attempt(Vec::new())));
        }
        let mut counters = self.counters(guess, from);
        // Everybody takes the rows in this order.
        counters.sort_unstable_by_key(|counter| counter.key);
        let mut tx = self.store.begin().await?;
        for counter in &counters {
            let (first_delay, longest_delay) = match guess {
                Guess::Mail(_) => (FIRST_MAIL, LONGEST_MAIL),
                Guess::Password { .. } | Guess::Code(_) | Guess::Passkey(_) | Guess::Answer => {
                    (settings.first_delay, settings.longest_delay)
                }
            };
            let pace = Pace {
                free: counter.free,
                first_delay,
                longest_delay,
                forget_after: settings.forget_after.max(longest_delay),
            };
            match tx.count_attempt(&counter.key, &pace, now).await? {
                Counted::Through(count) if count == i64::from(counter.free) => {
                    tracing::warn!(target: "audit", event = "throttled", what = guess.name(), peer = ?from);
                }
                Counted::Through(_) => {}
                // What was counted until here is taken back: who waits is not punished for asking.
                Counted::Until(at) => return Ok(Admission::Until(at)),
            }
        }
        tx.commit().await?;
        Ok(Admission::Now(Attempt(counters)))
    }

    /// It was right: what was wrong before is forgotten, and the rest counts as if it had not been.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn was_right(&self, attempt: Attempt) -> Result<(), Fault> {
        let mut tx = self.store.begin().await?;
        for counter in &attempt.0 {
            if counter.is_own {
                tx.forget_attempts(&counter.key).await?;
            } else {
                tx.forgive_attempt(&counter.key).await?;
            }
        }
        tx.commit().await
    }

    /// Nobody had the time to judge it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn was_not_judged(&self, attempt: Attempt) -> Result<(), Fault> {
        let mut tx = self.store.begin().await?;
        for counter in &attempt.0 {
            tx.forgive_attempt(&counter.key).await?;
        }
        tx.commit().await
    }

    /// What an attempt counts under.
    fn counters(&self, guess: Guess<'_>, from: Option<IpAddr>) -> Vec<Counter> {
        let settings = &self.config.throttle;
        let network = from.map(network).unwrap_or_default();
        let own = |parts: &[&str]| Counter { key: self.mac.of(parts), free: settings.free_attempts, is_own: true };
        let address = Counter {
            key: self.mac.of(&["address", &network]),
            free: settings.free_attempts_per_address,
            is_own: false,
        };
        match guess {
            Guess::Password { login, browser: Some(browser) } => {
                vec![own(&["browser", &folded(login), browser]), address]
            }
            Guess::Password { login, browser: None } => {
                let account =
                    Counter { key: account(&self.mac, login), free: settings.free_attempts_per_account, is_own: false };
                vec![own(&["pair", &folded(login), &network]), account, address]
            }
            Guess::Code(user) => {
                let code = Counter { key: code(&self.mac, user), free: settings.free_attempts, is_own: true };
                vec![code, address]
            }
            Guess::Passkey(id) => {
                vec![Counter { key: passkey(&self.mac, id), free: settings.free_attempts, is_own: true }, address]
            }
            Guess::Mail(to) => {
                let to = Counter { key: mail(&self.mac, to), free: FREE_MAILS, is_own: false };
                let key = self.mac.of(&["mail address", &network]);
                vec![to, Counter { key, free: FREE_MAILS_PER_ADDRESS, is_own: false }]
            }
            Guess::Answer => vec![address],
        }
    }
}

/// What attempts at an account from everywhere are counted under.
fn account(mac: &Mac, login: &str) -> Digest {
    mac.of(&["account", &folded(login)])
}

fn code(mac: &Mac, user: UserId) -> Digest {
    mac.of(&["code", &user.to_string()])
}

fn passkey(mac: &Mac, id: &[u8]) -> Digest {
    mac.of(&["passkey", &hex(&sha256(id))])
}

fn mail(mac: &Mac, to: &str) -> Digest {
    mac.of(&["mail", &folded(to)])
}

/// Everything under which attempts at a user from everywhere are counted.
pub fn keys_of(mac: &Mac, user: &User, passkeys: &[Passkey]) -> Vec<Digest> {
    let logins = || std::iter::once(user.username.as_str()).chain(user.email.as_deref());
    let mails = logins().map(|login| mail(mac, login)).chain([mail(mac, &user.id.to_string())]);
    let passkeys = passkeys.iter().map(|own| passkey(mac, &own.credential_id));
    logins().map(|login| account(mac, login)).chain([code(mac, user.id)]).chain(mails).chain(passkeys).collect()
}

impl Guess<'_> {
    fn name(&self) -> &'static str {
        match self {
            Self::Password { .. } => "password",
            Self::Code(_) => "code",
            Self::Passkey(_) => "passkey",
            Self::Mail(_) => "mail",
            Self::Answer => "answer",
        }
    }
}

/// Names are compared without their case.
fn folded(login: &str) -> String {
    login.to_lowercase()
}

/// Whoever has one address of IPv6 has 2^64 of them.
fn network(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{a:x}:{b:x}:{c:x}:{d:x}::/64")
        }
    }
}

/// A browser, and who has signed in there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownBrowser {
    id: String,
    users: Vec<UserId>,
}

/// So many people are remembered in one browser.
const MOST_USERS: usize = 5;

impl Accounts {
    /// Reads what `remember` wrote; whatever is not ours says nothing.
    pub fn known_browser(&self, written: Option<&str>) -> KnownBrowser {
        written.and_then(|written| self.read_browser(written)).unwrap_or_default()
    }

    /// What a browser keeps once somebody has signed in there. It is signed, and names nobody to whom it does not belong.
    pub fn remember(&self, browser: &KnownBrowser, user: UserId) -> String {
        let id = if browser.id.is_empty() { random::token(&*self.rng, 16) } else { browser.id.clone() };
        let others = browser.users.iter().filter(|other| **other != user);
        let users: Vec<String> =
            std::iter::once(&user).chain(others).take(MOST_USERS).map(ToString::to_string).collect();
        let text = format!("{id}.{}", users.join("."));
        let mark = hex(&self.mac.of(&["known browser", &text]));
        format!("{text}.{mark}")
    }

    fn read_browser(&self, written: &str) -> Option<KnownBrowser> {
        let (text, mark) = written.rsplit_once('.')?;
        let ours = hex(&self.mac.of(&["known browser", text]));
        if !hash::equal(ours.as_bytes(), mark.as_bytes()) {
            return None;
        }
        let mut parts = text.split('.');
        let id = parts.next()?.to_owned();
        Some(KnownBrowser { id, users: parts.filter_map(UserId::parse).collect() })
    }
}

impl KnownBrowser {
    /// Its id, if this person has signed in there.
    pub fn of(&self, user: Option<UserId>) -> Option<&str> {
        user.filter(|user| self.users.contains(user)).map(|_| self.id.as_str())
    }
}

fn hex(digest: &Digest) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_one_person_can_choose_among_are_one() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
