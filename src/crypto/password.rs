//! Passwords of users: argon2id (RFC 9106), on a few threads and never on more.
//!
//! Each hash is meant to cost time and memory, so a crowd at the sign-in page waits here and at last is turned
//! away; the token endpoint does not notice: whoever hashes yields the core that somebody else wants. Rules for
//! new passwords live with the accounts.

use std::sync::Arc;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, MIN_SALT_LEN, Version, password_hash};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{Semaphore, oneshot};

use super::Random;
use super::foreign::Foreign;
use super::threads::Threads;
use super::{hash, random};

const SALT_BYTES: usize = 16;
const HASH_BYTES: usize = 32;

/// What one hash costs (RFC 9106 §3.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Params {
    /// KiB of memory while it runs.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub iterations: u32,
    /// Lanes. They change the hash, and run one after the other here.
    pub parallelism: u32,
}

/// What became of a password that somebody typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Right,
    /// Right, but hashed at other costs than today's: hash it again while it is at hand.
    RightButOutdated,
    Wrong,
}

/// As many wait as may, or there is no memory for one more: answer 503 with `Retry-After`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many passwords are being checked at once")]
pub struct Busy;

/// How much there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// Passwords that are being hashed.
    pub working: usize,
    /// Passwords that wait for it.
    pub waiting: usize,
}

/// The pool. Cheap to clone; the clones share it.
#[derive(Clone, Debug)]
pub struct PasswordHashing {
    today: Costs,
    /// For those who wait or work.
    places: Arc<Semaphore>,
    threads: Threads<Memory>,
}

/// What a hash works in. A thread keeps it for its next: to get 19 MiB from the system takes 5 of the 26 ms of a hash.
type Memory = Vec<Block>;

impl PasswordHashing {
    /// So many `workers` at once, and so many waiting in a `queue` behind them.
    ///
    /// The error says which cost argon2 does not take.
    pub fn new(params: Params, workers: usize, queue: usize) -> Result<Self, String> {
        if workers == 0 {
            return Err("password hashing needs at least one worker".into());
        }
        let Params { memory_kib, iterations, parallelism } = params;
        let params = argon2::Params::new(memory_kib, iterations, parallelism, Some(HASH_BYTES))
            .map_err(|why| format!("password hashing: {why}"))?;
        let places = workers.saturating_add(queue).min(Semaphore::MAX_PERMITS);
        Ok(Self {
            today: Costs { algorithm: Algorithm::Argon2id, version: Version::V0x13, params },
            places: Arc::new(Semaphore::new(places)),
            threads: Threads::new(workers),
        })
    }

    /// How much there is to do at this moment.
    pub fn load(&self) -> Load {
        let (working, waiting) = self.threads.load();
        Load { working, waiting }
    }

    /// A hash to store, as a PHC string. The password is taken exactly as typed (ASVS 6.2.8).
    pub async fn hash(&self, password: SecretString, rng: &dyn Random) -> Result<String, Busy> {
        let salt: [u8; SALT_BYTES] = random::bytes(rng);
        let today = self.today.clone();
        self.run(move |memory| {
            let output = today.work(memory, &password, &salt)?;
            // The grammar has room for a salt and an output of these lengths.
            today.phc(&salt, &output).map_err(|_| Busy)
        })
        .await?
    }

    /// Whether `password` is what `stored` is the hash of.
    ///
    /// `None` (no such user, or one without a password) and a stored text that is no argon2 hash are `Wrong`, and
    /// only after the same work: how long it took tells nobody who has an account (ASVS 6.3.8). The work is today's; a
    /// hash at other costs takes its own time until its user signs in and it is made again.
    pub async fn verify(&self, stored: Option<String>, password: SecretString) -> Result<Verdict, Busy> {
        let today = self.today.clone();
        self.run(move |memory| {
            // One that another program made: right at most once, for then it is made anew.
            if let Some(foreign) = stored.as_deref().and_then(|text| Foreign::read(text).ok()) {
                return Ok(if foreign.matches(&password) { Verdict::RightButOutdated } else { Verdict::Wrong });
            }
            let Some(stored) = stored.as_deref().and_then(Stored::read) else {
                today.work(memory, &password, &[0; SALT_BYTES])?;
                return Ok(Verdict::Wrong);
            };
            let output = stored.costs.work(memory, &password, &stored.salt)?;
            Ok(match hash::equal(&output, stored.output.as_bytes()) {
                true if stored.costs == today => Verdict::Right,
                true => Verdict::RightButOutdated,
                false => Verdict::Wrong,
            })
        })
        .await?
    }

    /// Runs `work` once it is its turn. A caller who hangs up in the middle of it does not stop it.
    async fn run<T: Send + 'static>(&self, work: impl FnOnce(&mut Memory) -> T + Send + 'static) -> Result<T, Busy> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let Load { working, waiting } = self.load();
            tracing::warn!(working, waiting, "a password is not checked: too many wait already");
            return Err(Busy);
        };
        let Load { working, waiting } = self.load();
        tracing::debug!(working, waiting, "a password waits to be hashed");
        let (finish, finished) = oneshot::channel();
        let work = move |memory: &mut Memory| {
            // Whoever hung up while it waited wants nothing any more.
            let result = (!finish.is_closed()).then(|| work(memory));
            // The place is free before the caller knows.
            drop(place);
            let _ = result.map(|result| finish.send(result));
        };
        self.threads.run(Box::new(work)).map_err(|_| Busy)?;
        finished.await.map_err(|_| Busy)
    }
}

/// What a hash depends on besides password and salt.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Costs {
    algorithm: Algorithm,
    version: Version,
    params: argon2::Params,
}

impl Costs {
    /// Does the work. Whatever the memory holds, each of its blocks is written before it is read.
    fn work(&self, memory: &mut Memory, password: &SecretString, salt: &[u8]) -> Result<Vec<u8>, Busy> {
        let blocks = self.params.block_count();
        if memory.len() < blocks {
            // What is too small is not copied.
            *memory = Memory::new();
            memory.try_reserve_exact(blocks).map_err(|_| Busy)?;
            memory.resize(blocks, Block::new());
        }
        let mut output = vec![0; self.params.output_len().unwrap_or(HASH_BYTES)];
        let argon2 = Argon2::new(self.algorithm, self.version, self.params.clone());
        let memory = &mut memory[..blocks];
        argon2
            .hash_password_into_with_memory(password.expose_secret().as_bytes(), salt, &mut output, memory)
            // Costs and lengths were proved before, so this does not happen.
            .map_err(|_| Busy)?;
        Ok(output)
    }

    fn phc(&self, salt: &[u8], output: &[u8]) -> password_hash::Result<String> {
        let hash = PasswordHash {
            algorithm: self.algorithm.ident(),
            version: Some(self.version.into()),
            params: ParamsString::try_from(&self.params)?,
            salt: Some(Salt::new(salt)?),
            hash: Some(Output::new(output)?),
        };
        Ok(hash.to_string())
    }
}

/// A hash as it was stored.
struct Stored {
    costs: Costs,
    salt: Salt,
    output: Output,
}

impl Stored {
    /// `None` unless all of it can be worked with, so that only the password decides how that ends.
    fn read(text: &str) -> Option<Self> {
        let hash = PasswordHash::new(text).ok()?;
        let costs = Costs {
            algorithm: Algorithm::try_from(hash.algorithm.as_str()).ok()?,
            version: hash.version.map(Version::try_from).transpose().ok()?.unwrap_or_default(),
            params: argon2::Params::try_from(&hash).ok()?,
        };
        let salt = hash.salt.filter(|salt| salt.len() >= MIN_SALT_LEN)?;
        Some(Self { costs, salt, output: hash.hash? })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::crypto::SystemRandom;

    const CHEAP: Params = Params { memory_kib: 64, iterations: 1, parallelism: 1 };

    fn hashing(params: Params) -> PasswordHashing {
        PasswordHashing::new(params, 2, 8).unwrap()
    }

    async fn verdict(hashing: &PasswordHashing, stored: &str, password: &str) -> Verdict {
        hashing.verify(Some(stored.to_owned()), password.into()).await.unwrap()
    }

    #[tokio::test]
    async fn the_right_password_is_right_and_any_other_wrong() {
        let hashing = hashing(CHEAP);
        let stored = hashing.hash("correct horse".into(), &SystemRandom::new()).await.unwrap();
        assert!(stored.starts_with("$argon2id$v=19$m=64,t=1,p=1$"), "{stored}");
        assert_eq!(verdict(&hashing, &stored, "correct horse").await, Verdict::Right);
        // Exactly as typed: no trimming, no folding, no truncation (ASVS 6.2.8).
        for other in ["", "correct horse ", " correct horse", "Correct horse", "correct hors", "correct horse\0"] {
            assert_eq!(verdict(&hashing, &stored, other).await, Verdict::Wrong, "{other:?}");
        }
    }

    #[tokio::test]
    async fn one_password_is_never_hashed_alike() {
        let hashing = hashing(CHEAP);
        let rng = SystemRandom::new();
        let one = hashing.hash("same".into(), &rng).await.unwrap();
        assert_ne!(one, hashing.hash("same".into(), &rng).await.unwrap());
    }

    #[tokio::test]
    async fn a_hash_at_other_costs_is_right_but_outdated() {
        let rng = SystemRandom::new();
        for other in
            [Params { memory_kib: 128, ..CHEAP }, Params { iterations: 2, ..CHEAP }, Params { parallelism: 2, ..CHEAP }]
        {
            let stored = hashing(other).hash("pw".into(), &rng).await.unwrap();
            let today = hashing(CHEAP);
            assert_eq!(verdict(&today, &stored, "pw").await, Verdict::RightButOutdated);
            assert_eq!(verdict(&today, &stored, "px").await, Verdict::Wrong);
        }
    }

    #[tokio::test]
    async fn an_argon2i_hash_from_elsewhere_is_right_but_outdated() {
        // The reference implementation: echo -n password | argon2 somesalt -t 2 -m 16 -p 1 -i
        let stored = "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$wWKIMhR9lyDFvRz9YTZweHKfbftvj+qf+YFY4NeBbtA";
        assert_eq!(verdict(&hashing(CHEAP), stored, "password").await, Verdict::RightButOutdated);
    }

    #[tokio::test]
    async fn a_stored_text_that_is_no_hash_is_wrong() {
        let hashing = hashing(CHEAP);
        for stored in [
            "",
            "plain",
            "$argon2id$v=19$m=64,t=1,p=1",
            "$argon2id$v=19$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=19$m=64,t=1,p=1$AAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$argon2id$v=9$m=64,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
            "$scrypt$ln=1,r=8,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        ] {
            assert!(Stored::read(stored).is_none(), "{stored}");
            assert_eq!(verdict(&hashing, stored, "plain").await, Verdict::Wrong, "{stored}");
        }
    }

    #[tokio::test]
    async fn nobodys_password_is_wrong_after_the_same_work() {
        for stored in [None, Some("no hash".to_owned())] {
            let hashing = PasswordHashing::new(CHEAP, 1, 1).unwrap();
            assert_eq!(hashing.verify(stored, "pw".into()).await, Ok(Verdict::Wrong));
            // The thread that did it still has the memory that it wrote.
            let written = hashing.run(|memory| memory.iter().filter(|block| block.as_ref() != [0; 128]).count());
            assert_eq!(written.await, Ok(CHEAP.memory_kib as usize));
        }
    }

    #[tokio::test]
    async fn what_another_hash_left_in_the_memory_changes_nothing() {
        let hashing = PasswordHashing::new(CHEAP, 1, 8).unwrap();
        let larger = PasswordHashing::new(Params { memory_kib: 256, ..CHEAP }, 1, 8).unwrap();
        let rng = SystemRandom::new();
        let (small, large) =
            (hashing.hash("pw".into(), &rng).await.unwrap(), larger.hash("pw".into(), &rng).await.unwrap());
        for _ in 0..3 {
            assert_eq!(verdict(&hashing, &large, "pw").await, Verdict::RightButOutdated);
            assert_eq!(verdict(&hashing, &small, "px").await, Verdict::Wrong);
            assert_eq!(verdict(&hashing, &small, "pw").await, Verdict::Right);
        }
    }

    #[tokio::test]
    async fn who_finds_the_queue_full_is_turned_away_at_once() {
        let hashing = PasswordHashing::new(CHEAP, 1, 1).unwrap();
        let (finish, wait) = mpsc::channel::<()>();
        let working = tokio::spawn({
            let hashing = hashing.clone();
            async move { hashing.run(move |_| wait.recv().is_ok()).await }
        });
        let waiting = tokio::spawn({
            let hashing = hashing.clone();
            async move { hashing.verify(None, "pw".into()).await }
        });
        while hashing.places.available_permits() > 0 {
            tokio::task::yield_now().await;
        }

        while hashing.load().working == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(hashing.load(), Load { working: 1, waiting: 1 });
        assert_eq!(hashing.verify(None, "pw".into()).await, Err(Busy));

        finish.send(()).unwrap();
        assert_eq!(working.await.unwrap(), Ok(true));
        assert_eq!(waiting.await.unwrap(), Ok(Verdict::Wrong));
        assert_eq!(hashing.verify(None, "pw".into()).await, Ok(Verdict::Wrong));
    }

    #[tokio::test]
    async fn a_caller_who_hangs_up_keeps_the_place_until_the_work_is_done() {
        let hashing = PasswordHashing::new(CHEAP, 1, 0).unwrap();
        let (finish, wait) = mpsc::channel::<()>();
        let (started, starts) = mpsc::channel::<()>();
        let gone = tokio::spawn({
            let hashing = hashing.clone();
            async move {
                let work = move |_: &mut Memory| {
                    started.send(()).unwrap();
                    wait.recv().is_ok()
                };
                hashing.run(work).await
            }
        });
        while starts.try_recv().is_err() {
            tokio::task::yield_now().await;
        }
        gone.abort();
        let _ = gone.await;
        assert_eq!(hashing.verify(None, "pw".into()).await, Err(Busy));
        finish.send(()).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn whoever_hashes_lets_others_go_first() {
        let hashing = PasswordHashing::new(CHEAP, 1, 0).unwrap();
        let niceness = || rustix::process::getpriority_process(None).unwrap();
        let before = niceness();
        assert_eq!(hashing.run(move |_| niceness()).await, Ok(before + crate::crypto::threads::NICE));
        assert_eq!(niceness(), before, "and only that thread");
        while hashing.load() != (Load { working: 0, waiting: 0 }) {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn costs_that_argon2_does_not_take_are_refused() {
        for params in
            [Params { memory_kib: 7, ..CHEAP }, Params { iterations: 0, ..CHEAP }, Params { parallelism: 0, ..CHEAP }]
        {
            assert!(PasswordHashing::new(params, 1, 1).is_err(), "{params:?}");
        }
        assert!(PasswordHashing::new(CHEAP, 0, 1).is_err());
    }
}
