//! The signing keys of this node: loaded, unsealed and swapped here, and nowhere else.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use zeroize::Zeroizing;

use super::verified::Verified;
use crate::crypto::random::{self, Random};
use crate::crypto::{KeyRing, SigningKey, VerifyingKey};
use crate::store::Store;
use crate::types::{Algorithm, Fault, SealedKey, Timestamp};

/// A key and the times of its life.
struct Key {
    signing: SigningKey,
    active_from: Timestamp,
    retired_at: Option<Timestamp>,
}

impl Key {
    fn is_retired(&self, now: Timestamp) -> bool {
        self.retired_at.is_some_and(|retired_at| retired_at <= now)
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
        keys.sort_by_key(|key| std::cmp::Reverse(key.active_from));
        let by_id = keys.iter().enumerate().map(|(at, key)| (key.signing.kid().to_owned(), at)).collect();
        // RFC 7517 §5; symmetric keys have no public half and never stand in it.
        let published: Vec<_> = keys.iter().filter_map(|key| key.signing.public_jwk()).collect();
        let jwks = serde_json::json!({ "keys": published }).to_string().into();
        Self { keys, by_id, jwks, verified: Verified::new() }
    }

    /// The key that signs now: the newest that is active. Where the clock is behind that of the node which made the
    /// first key, none is active yet; then it is the one that will be next.
    ///
    /// # Errors
    /// When there is none, which start-up rules out for every algorithm that can be configured.
    pub fn active(&self, algorithm: Algorithm, now: Timestamp) -> Result<&SigningKey, Fault> {
        let in_use = |key: &&Key| key.signing.algorithm() == algorithm && !key.is_retired(now);
        let mut newest_first = self.keys.iter().filter(in_use);
        let active = newest_first.clone().find(|key| key.active_from <= now);
        let key = active.or_else(|| newest_first.next_back());
        key.map(|key| &key.signing).ok_or_else(|| Fault::because(format!("there is no active {algorithm} key")))
    }

    /// A key by its id, whatever its age.
    pub fn signing(&self, kid: &str) -> Option<&SigningKey> {
        self.by_id.get(kid).map(|at| &self.keys[*at].signing)
    }

    /// The verifying half of a key by its id.
    pub fn verifying(&self, kid: &str) -> Option<&VerifyingKey> {
        self.signing(kid).map(SigningKey::verifying)
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

        let mut sealed = store.keys().await?;
        let missing: Vec<_> = wanted.filter(|algorithm| lacks(&sealed, *algorithm)).collect();
        if !missing.is_empty() {
            // Before the transaction: to find an RSA key takes up to seconds, and the other nodes wait for the lock.
            let made = make(missing, rng.clone()).await?;
            let mut tx = store.begin().await?;
            tx.lock_keys().await?;
            sealed = tx.keys().await?;
            // What another node has made in the meantime counts.
            for key in made.iter().filter(|key| lacks(&sealed, key.algorithm)) {
                tx.insert_key(&key.seal(&ring, &*rng, now)).await?;
            }
            // In the order in which every node reads them, so that all publish one and the same document.
            sealed = tx.keys().await?;
            tx.commit().await?;
        }
        let keys = unseal(&sealed, &ring)?;
        Ok(Self { current: ArcSwap::from_pointee(keys), ring })
    }

    pub fn snapshot(&self) -> Arc<KeySet> {
        self.current.load_full()
    }

    /// Takes over what another node, or an administrator, made of the keys.
    ///
    /// # Errors
    /// As `open`; the keys stay what they were.
    pub async fn reload(&self, store: &Store) -> Result<(), Fault> {
        let keys = unseal(&store.keys().await?, &self.ring)?;
        self.current.store(Arc::new(keys));
        Ok(())
    }
}

/// What a sealed key is bound to, so that one cannot be put in the place of another.
fn seal_context(id: &str, algorithm: Algorithm) -> String {
    format!("signing_keys:{algorithm}:{id}")
}

/// A key that is not stored yet.
struct NewKey {
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

fn unseal(sealed: &[SealedKey], ring: &KeyRing) -> Result<KeySet, Fault> {
    let keys = sealed.iter().map(|key| {
        let material = ring.open(&seal_context(&key.id, key.algorithm), &key.sealed).map_err(|error| {
            Fault::internal(error).context(format!(
                "the signing key {} cannot be opened: this node's seal key is not the one it was sealed with \
                 (seal.keys or seal.file)",
                key.id
            ))
        })?;
        let signing = SigningKey::parse(key.id.clone(), key.algorithm, &material).map_err(Fault::internal)?;
        Ok::<_, Fault>(Key { signing, active_from: key.active_from, retired_at: key.retired_at })
    });
    Ok(KeySet::new(keys.collect::<Result<_, _>>()?))
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
            signing: SigningKey::parse(kid.to_owned(), ALGORITHM, &material).unwrap(),
            active_from: at(active_from),
            retired_at: retired_at.map(at),
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
