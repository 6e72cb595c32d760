//! The signing keys of this node: loaded, unsealed and swapped here, and nowhere else.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use zeroize::Zeroizing;

use super::verified::Verified;
use crate::crypto::random::{self, Random};
use crate::crypto::{KeyRing, SigningKey, VerifyingKey};
use crate::store::Store;
use crate::types::{Algorithm, Fault, KeyLife, PublicKey, SealedKey, Timestamp};

/// A key and the times of its life.
struct Key {
    life: KeyLife,
    half: Half,
}

enum Half {
    Signing(Box<SigningKey>),
    /// All that is left of a key that is gone.
    Verifying(VerifyingKey),
}

impl Key {
    fn signing(&self) -> Option<&SigningKey> {
        match &self.half {
            Half::Signing(key) => Some(key),
            Half::Verifying(_) => None,
        }
    }

    fn verifying(&self) -> &VerifyingKey {
        match &self.half {
            Half::Signing(key) => key.verifying(),
            Half::Verifying(key) => key,
        }
    }

    fn may_sign(&self, algorithm: Algorithm, now: Timestamp) -> bool {
        let is_retired = self.life.retired_at.is_some_and(|retired_at| retired_at <= now);
        self.life.algorithm == algorithm && !is_retired
    }
}

/// One snapshot of the keys, for one request.
pub struct KeySet {
    keys: Vec<Key>,
    by_id: HashMap<String, usize>,
    jwks: Arc<str>,
    verified: Verified,
}

impl KeySet {
    fn new(mut keys: Vec<Key>) -> Self {
        // The newest active key of an algorithm signs.
        keys.sort_by_key(|key| std::cmp::Reverse(key.life.active_from));
        let by_id = keys.iter().enumerate().map(|(at, key)| (key.life.id.clone(), at)).collect();
        // RFC 7517 §5; symmetric keys have no public half and never stand in it. No token is good that was signed by a
        // key which is gone.
        let published: Vec<_> = keys.iter().filter_map(|key| key.signing()?.public_jwk()).collect();
        let jwks = serde_json::json!({ "keys": published }).to_string().into();
        Self { keys, by_id, jwks, verified: Verified::new() }
    }

    /// The key that signs now: the newest that is active. Where the clock is behind that of the node which made the
    /// first key, none is active yet; then it is the one that will be next.
    ///
    /// # Errors
    /// When there is none, which start-up rules out for every algorithm that can be configured.
    pub fn active(&self, algorithm: Algorithm, now: Timestamp) -> Result<&SigningKey, Fault> {
        let mut newest_first = self.keys.iter().filter(|key| key.may_sign(algorithm, now));
        let active = newest_first.clone().find(|key| key.life.active_from <= now);
        let key = active.or_else(|| newest_first.next_back());
        key.and_then(Key::signing).ok_or_else(|| Fault::because(format!("there is no active {algorithm} key")))
    }

    /// A key by its id, whatever its age, unless it is gone.
    pub fn signing(&self, kid: &str) -> Option<&SigningKey> {
        self.by_id.get(kid).and_then(|at| self.keys[*at].signing())
    }

    /// The verifying half of a key by its id.
    pub fn verifying(&self, kid: &str) -> Option<&VerifyingKey> {
        self.by_id.get(kid).map(|at| self.keys[*at].verifying())
    }

    /// Where each key stands in its life.
    pub fn lives(&self) -> impl Iterator<Item = &KeyLife> {
        self.keys.iter().map(|key| &key.life)
    }

    /// The access tokens that were verified with these keys.
    pub fn verified(&self) -> &Verified {
        &self.verified
    }

    /// The JWK Set document (RFC 7517 §5).
    pub fn jwks(&self) -> Arc<str> {
        self.jwks.clone()
    }
}

/// The keys as they are now; a request takes a snapshot.
pub struct Keys {
    current: ArcSwap<KeySet>,
    ring: Arc<KeyRing>,
}

impl Keys {
    /// Loads the keys, and makes those that are missing: one per algorithm, and one for refresh tokens.
    ///
    /// # Errors
    /// When a key cannot be opened with this ring: better no start than tokens that other nodes refuse.
    pub async fn open(
        store: &Store,
        ring: impl Into<Arc<KeyRing>>,
        algorithms: &[Algorithm],
        rng: Arc<dyn Random>,
        now: Timestamp,
    ) -> Result<Self, Fault> {
        let ring = ring.into();
        let in_use = |key: &SealedKey| key.retired_at.is_none_or(|retired_at| now < retired_at);
        let lacks = |keys: &[SealedKey], algorithm| !keys.iter().any(|key| key.algorithm == algorithm && in_use(key));
        let wanted = algorithms.iter().copied().chain([Algorithm::Hs256]);

        let sealed = store.keys().await?;
        let missing: Vec<_> = wanted.filter(|algorithm| lacks(&sealed, *algorithm)).collect();
        if !missing.is_empty() {
            // Before the transaction: to find an RSA key takes up to seconds, and the other nodes wait for the lock.
            let made = make(missing, rng.clone()).await?;
            let mut tx = store.begin().await?;
            tx.lock_keys().await?;
            let sealed = tx.keys().await?;
            // What another node has made in the meantime counts.
            for key in made.iter().filter(|key| lacks(&sealed, key.algorithm)) {
                tx.insert_key(&key.seal(&ring, &*rng, now)).await?;
            }
            tx.commit().await?;
        }
        let keys = Self { current: ArcSwap::from_pointee(KeySet::new(Vec::new())), ring };
        keys.reload(store).await?;
        Ok(keys)
    }

    pub fn snapshot(&self) -> Arc<KeySet> {
        self.current.load_full()
    }

    /// Takes over what another node, or an administrator, made of the keys.
    ///
    /// # Errors
    /// As `open`; the keys stay what they were.
    pub async fn reload(&self, store: &Store) -> Result<(), Fault> {
        // Before they are read: what changes meanwhile is loaded the next time.
        let changes = *store.keys_changed().borrow();
        let mut keys = unseal(&store.keys().await?, &self.ring)?;
        keys.extend(public(store.public_keys().await?)?);
        self.current.store(Arc::new(KeySet::new(keys)));
        store.keys_are_loaded(changes);
        Ok(())
    }

    /// A new key, which is not stored yet.
    ///
    /// # Errors
    /// When none can be made.
    pub(super) async fn make(&self, algorithm: Algorithm, rng: &Arc<dyn Random>) -> Result<NewKey, Fault> {
        let mut made = make(vec![algorithm], rng.clone()).await?;
        made.pop().ok_or_else(|| Fault::because(format!("no {algorithm} key was made")))
    }

    /// Seals a new key for the store.
    pub(super) fn seal(&self, key: &NewKey, rng: &dyn Random, active_from: Timestamp, now: Timestamp) -> SealedKey {
        SealedKey { active_from, ..key.seal(&self.ring, rng, now) }
    }
}

/// What a sealed key is bound to, so that one cannot be put in the place of another.
fn seal_context(id: &str, algorithm: Algorithm) -> String {
    format!("signing_keys:{algorithm}:{id}")
}

/// A key that is not stored yet.
pub(super) struct NewKey {
    id: String,
    algorithm: Algorithm,
    material: Zeroizing<Vec<u8>>,
}

/// Makes keys on a thread where they keep nobody waiting.
async fn make(algorithms: Vec<Algorithm>, rng: Arc<dyn Random>) -> Result<Vec<NewKey>, Fault> {
    let make = move || algorithms.into_iter().map(|algorithm| NewKey::make(algorithm, &*rng)).collect();
    tokio::task::spawn_blocking(make).await.map_err(Fault::internal)?
}

impl NewKey {
    fn make(algorithm: Algorithm, rng: &dyn Random) -> Result<Self, Fault> {
        let material = SigningKey::generate(algorithm, rng).map_err(Fault::internal)?;
        let id = if algorithm.is_asymmetric() {
            SigningKey::kid_of(algorithm, &material).map_err(Fault::internal)?
        } else {
            random::token(rng, 16)
        };
        Ok(Self { id, algorithm, material })
    }

    fn seal(&self, ring: &KeyRing, rng: &dyn Random, now: Timestamp) -> SealedKey {
        let sealed = ring.seal(rng, &seal_context(&self.id, self.algorithm), &self.material);
        let (id, algorithm) = (self.id.clone(), self.algorithm);
        SealedKey { id, algorithm, sealed, created_at: now, active_from: now, retired_at: None }
    }
}

fn unseal(sealed: &[SealedKey], ring: &KeyRing) -> Result<Vec<Key>, Fault> {
    let open = |key: &SealedKey| {
        let material = ring.open(&seal_context(&key.id, key.algorithm), &key.sealed).map_err(|error| {
            Fault::internal(error).context(format!(
                "the signing key {} cannot be opened: this node's seal key is not the one it was sealed with \
                 (seal.keys or seal.file)",
                key.id
            ))
        })?;
        let signing = SigningKey::parse(key.id.clone(), key.algorithm, &material).map_err(Fault::internal)?;
        Ok(Key { life: key.into(), half: Half::Signing(Box::new(signing)) })
    };
    sealed.iter().map(open).collect()
}

fn public(keys: Vec<PublicKey>) -> Result<Vec<Key>, Fault> {
    let open = |PublicKey { life, jwk }: PublicKey| {
        let verifying = VerifyingKey::from_jwk(life.id.clone(), life.algorithm, &jwk).map_err(Fault::internal)?;
        Ok(Key { life, half: Half::Verifying(verifying) })
    };
    keys.into_iter().map(open).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SystemRandom;

    const ALGORITHM: Algorithm = Algorithm::Es256;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(seconds)
    }

    /// Keys by what they are called, from when on they sign, and until when.
    fn set(lives: &[(&str, i64, Option<i64>)]) -> KeySet {
        let material = SigningKey::generate(ALGORITHM, &SystemRandom::new()).unwrap();
        let key = |&(kid, active_from, retired_at): &(&str, i64, Option<i64>)| Key {
            life: KeyLife {
                id: kid.to_owned(),
                algorithm: ALGORITHM,
                created_at: at(0),
                active_from: at(active_from),
                retired_at: retired_at.map(at),
                gone: false,
            },
            half: Half::Signing(Box::new(SigningKey::parse(kid.to_owned(), ALGORITHM, &material).unwrap())),
        };
        KeySet::new(lives.iter().map(key).collect())
    }

    #[test]
    fn the_newest_active_key_signs() {
        let keys = set(&[("old", 0, Some(100)), ("new", 50, None), ("next", 200, None)]);
        for (now, kid) in [(0, "old"), (49, "old"), (50, "new"), (150, "new"), (200, "next"), (999, "next")] {
            assert_eq!(keys.active(ALGORITHM, at(now)).unwrap().kid(), kid, "{now}");
        }
        assert!(keys.active(Algorithm::Rs256, at(50)).is_err());
        assert!(set(&[("old", 0, Some(100))]).active(ALGORITHM, at(100)).is_err());
    }

    #[test]
    fn a_node_whose_clock_is_behind_signs_with_the_key_that_will_be_first() {
        let keys = set(&[("next", 200, None), ("first", 100, None), ("gone", 50, Some(90))]);
        assert_eq!(keys.active(ALGORITHM, at(99)).unwrap().kid(), "first");
    }
}
