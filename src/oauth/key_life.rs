//! The life of a signing key (docs/architecture.md, "Keys"): `next`, published before anybody needs it; `active`;
//! `retired`, published until the last token that it signed has expired; gone, but for what verifies hints.
//!
//! The calendar and an administrator move a key on. Both do it here, each step in one transaction under the lock of the
//! keys, whose statements hold if somebody else was faster.

use std::sync::Arc;
use std::time::Duration;

use super::Keys;
use crate::config::{Config, ID_TOKEN_CEILING};
use crate::crypto::SigningKey;
use crate::crypto::random::Random;
use crate::store::Store;
use crate::types::{Algorithm, Fault, KeyLife, SealedKey, Stage, Timestamp};

/// Beyond the life of the last token: the clocks of the nodes, and of those who verify, differ.
const MARGIN: Duration = Duration::from_mins(10);

/// What a node needs, beyond the time for which it may not have read the feed, to have loaded a key.
const LOADING: Duration = Duration::from_secs(2);

/// Every algorithm that has a key on this server.
pub fn algorithms(config: &Config) -> impl Iterator<Item = Algorithm> {
    config.keys.algorithms.iter().copied().chain([Algorithm::Hs256])
}

/// Until when a key is at its stage, as far as that is known: what was retired may have to stay for longer, while a grant
/// or a session of its time lives.
pub fn until(config: &Config, key: &KeyLife, now: Timestamp) -> Option<Timestamp> {
    let after_retiring = |lifetime| key.retired_at.map(|retired_at| retired_at.plus(lifetime));
    match key.stage(now) {
        Stage::Next => Some(key.active_from),
        Stage::Active => key.retired_at.or_else(|| {
            let every = config.keys.rotate_every.filter(|_| algorithms(config).any(|known| known == key.algorithm))?;
            Some(key.active_from.plus(every))
        }),
        // Whatever lifetimes are configured now, they were others when it signed.
        Stage::Retired if key.algorithm.is_asymmetric() => after_retiring(ID_TOKEN_CEILING + MARGIN),
        Stage::Retired => after_retiring(config.refresh.absolute_lifetime + MARGIN),
        Stage::Gone => after_retiring(config.session.longest() + MARGIN),
    }
}

/// When a new key begins to sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// When the one before it has signed for as long as it should; at the earliest when everybody has had the time to
    /// fetch the new one.
    OnTime,
    /// When everybody has had the time to fetch it.
    Announced,
    /// When our own nodes know it, which takes some seconds.
    AtOnce,
}

/// What came of a rotation.
#[derive(Debug, PartialEq, Eq)]
pub enum Rotated {
    Made(KeyLife),
    /// It was there, and signs earlier now.
    BroughtForward(KeyLife),
    /// It was there, and its time stays what it was.
    Waiting(KeyLife),
}

/// What was revoked, as it stood, and what signs in its place, if that is another now.
#[derive(Debug)]
pub struct Revoked {
    pub key: KeyLife,
    pub successor: Option<KeyLife>,
}

/// Makes keys and ends them.
#[derive(Clone)]
pub struct Keeper {
    pub store: Store,
    pub keys: Arc<Keys>,
    pub config: Arc<Config>,
    pub rng: Arc<dyn Random>,
}

impl Keeper {
    /// The algorithms that it is time to make the next key of; looks at what this node has in memory alone.
    pub fn due(&self, now: Timestamp) -> Vec<Algorithm> {
        let keys = self.keys.snapshot();
        let newest = |algorithm: &Algorithm| newest(keys.lives().filter(|key| key.algorithm == *algorithm));
        algorithms(&self.config)
            .filter(|algorithm| newest(algorithm).is_some_and(|key| self.is_time_to_follow(key, now)))
            .collect()
    }

    /// The keys whose last token, grant or session must be over; looks at what this node has in memory alone.
    pub fn past(&self, now: Timestamp) -> Vec<KeyLife> {
        let is_over = |key: &&KeyLife| {
            matches!(key.stage(now), Stage::Retired | Stage::Gone)
                && until(&self.config, key, now).is_some_and(|until| until <= now)
        };
        self.keys.snapshot().lives().filter(is_over).cloned().collect()
    }

    /// Whether somebody must be made to sign after a key, so that everybody can know it by then.
    fn is_time_to_follow(&self, key: &KeyLife, now: Timestamp) -> bool {
        let notice = self.config.keys.publish_before;
        key.active_from <= now && self.signs_until(key).is_some_and(|end| end.minus(notice) <= now)
    }

    fn signs_until(&self, key: &KeyLife) -> Option<Timestamp> {
        self.config.keys.rotate_every.map(|every| key.active_from.plus(every))
    }

    /// Takes away what nobody needs any more of a key that is past: the private half first, and then the rest. `false`
    /// if it must stay, or somebody else did it.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn clear(&self, key: &KeyLife, now: Timestamp) -> Result<bool, Fault> {
        let keys = self.keys.snapshot();
        let published = keys.signing(&key.id).and_then(SigningKey::public_jwk);
        let mut tx = self.store.begin().await?;
        let cleared = match published {
            Some(jwk) => tx.wipe_key(key, &jwk.to_string(), now).await?,
            None if key.gone => tx.forget_public_key(&key.id, now).await?,
            None => tx.forget_refresh_key(&key.id, now).await?,
        };
        tx.commit().await?;
        Ok(cleared)
    }

    /// Makes the key that comes next, unless there is one.
    ///
    /// Safe to race: of any number of nodes that rotate at once, one makes it, and the others find it.
    ///
    /// # Errors
    /// When the database is away, or no key can be made.
    pub async fn rotate(&self, algorithm: Algorithm, begin: Begin, now: Timestamp) -> Result<Rotated, Fault> {
        // Before the transaction: to find an RSA key takes a while, and the other nodes wait for the lock.
        let new = self.keys.make(algorithm, &self.rng).await?;
        let known_everywhere = self.config.feed.max_staleness + LOADING;
        let mut tx = self.store.begin().await?;
        tx.lock_keys().await?;
        let keys: Vec<KeyLife> = of_algorithm(&tx.keys().await?, algorithm).collect();
        let newest = newest(keys.iter());
        if let Some(next) = newest.filter(|key| now < key.active_from) {
            let earliest = next.created_at.plus(known_everywhere).max(now);
            if begin != Begin::AtOnce || next.active_from <= earliest {
                return Ok(Rotated::Waiting(next.clone()));
            }
            tx.bring_key_forward(next, earliest, now).await?;
            tx.commit().await?;
            return Ok(Rotated::BroughtForward(KeyLife { active_from: earliest, ..next.clone() }));
        }
        let announced = now.plus(self.config.keys.publish_before);
        let active_from = match begin {
            Begin::OnTime => match newest {
                // Somebody else was faster, and this node has not heard of it.
                Some(key) if !self.is_time_to_follow(key, now) => return Ok(Rotated::Waiting(key.clone())),
                newest => newest.and_then(|key| self.signs_until(key)).map_or(announced, |end| end.max(announced)),
            },
            Begin::Announced => announced,
            Begin::AtOnce => now.plus(known_everywhere),
        };
        if let Some(current) = newest {
            tx.retire_key(&current.id, active_from, now).await?;
        }
        let sealed = self.keys.seal(&new, &*self.rng, active_from, now);
        tx.insert_key(&sealed).await?;
        tx.commit().await?;
        Ok(Rotated::Made(KeyLife::from(&sealed)))
    }

    /// Takes a key away at once, and with it whatever it signed. If nothing else would sign in its place, what comes next
    /// does from now on, or a new one. `None` if there is no such key.
    ///
    /// # Errors
    /// When the database is away, or no key can be made.
    pub async fn revoke(&self, id: &str, now: Timestamp) -> Result<Option<Revoked>, Fault> {
        let Some(key) = self.find(id).await? else { return Ok(None) };
        let is_needed = algorithms(&self.config).any(|algorithm| algorithm == key.algorithm);
        let new = if is_needed { Some(self.keys.make(key.algorithm, &self.rng).await?) } else { None };
        let mut tx = self.store.begin().await?;
        tx.lock_keys().await?;
        if !tx.delete_key(id, now).await? {
            return Ok(None);
        }
        let left: Vec<KeyLife> = of_algorithm(&tx.keys().await?, key.algorithm).collect();
        let next = left.iter().find(|key| key.stage(now) == Stage::Next);
        let successor = if left.iter().any(|key| key.stage(now) == Stage::Active) {
            if next.is_none() {
                tx.keep_key(key.algorithm, now).await?;
            }
            None
        } else if let Some(next) = next {
            tx.bring_key_forward(next, now, now).await?;
            Some(KeyLife { active_from: now, ..next.clone() })
        } else if let Some(new) = new {
            let sealed = self.keys.seal(&new, &*self.rng, now, now);
            tx.insert_key(&sealed).await?;
            Some(KeyLife::from(&sealed))
        } else {
            None
        };
        tx.commit().await?;
        Ok(Some(Revoked { key, successor }))
    }

    async fn find(&self, id: &str) -> Result<Option<KeyLife>, Fault> {
        Ok(lives(&self.store).await?.into_iter().find(|key| key.id == id))
    }
}

/// All keys that there are, the newest of each algorithm first.
///
/// # Errors
/// When the database is away.
pub async fn lives(store: &Store) -> Result<Vec<KeyLife>, Fault> {
    let mut lives: Vec<KeyLife> = store.keys().await?.iter().map(KeyLife::from).collect();
    for public in store.public_keys().await? {
        // One that went in between is in both.
        lives.retain(|key| key.id != public.life.id);
        lives.push(public.life);
    }
    lives.sort_by_key(|key| (key.algorithm, std::cmp::Reverse(key.active_from)));
    Ok(lives)
}

fn of_algorithm(keys: &[SealedKey], algorithm: Algorithm) -> impl Iterator<Item = KeyLife> {
    keys.iter().filter(move |key| key.algorithm == algorithm).map(KeyLife::from)
}

/// Of the keys of one algorithm, that which has no successor yet.
fn newest<'a>(keys: impl Iterator<Item = &'a KeyLife>) -> Option<&'a KeyLife> {
    keys.filter(|key| key.retired_at.is_none()).max_by_key(|key| key.active_from)
}
