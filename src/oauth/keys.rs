//! The signing keys of this node: loaded, unsealed and swapped here, and nowhere else.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

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
    fn is_active(&self, now: Timestamp) -> bool {
        self.active_from <= now && self.retired_at.is_none_or(|retired_at| now < retired_at)
    }
}

/// One snapshot of the keys, for one request.
pub struct KeySet {
    keys: Vec<Key>,
    by_id: HashMap<String, usize>,
    jwks: Arc<str>,
}

impl KeySet {
    fn new(mut keys: Vec<Key>) -> Self {
        // The newest active key of an algorithm signs.
        keys.sort_by_key(|key| std::cmp::Reverse(key.active_from));
        let by_id = keys.iter().enumerate().map(|(at, key)| (key.signing.kid().to_owned(), at)).collect();
        // RFC 7517 §5; symmetric keys have no public half and never stand in it.
        let published: Vec<_> = keys.iter().filter_map(|key| key.signing.public_jwk()).collect();
        let jwks = serde_json::json!({ "keys": published }).to_string().into();
        Self { keys, by_id, jwks }
    }

    /// The key that signs now.
    ///
    /// # Errors
    /// When there is none, which start-up rules out for every algorithm that can be configured.
    pub fn active(&self, algorithm: Algorithm, now: Timestamp) -> Result<&SigningKey, Fault> {
        let key = self.keys.iter().find(|key| key.signing.algorithm() == algorithm && key.is_active(now));
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

    /// The JWK Set document (RFC 7517 §5).
    pub fn jwks(&self) -> Arc<str> {
        self.jwks.clone()
    }

    /// The asymmetric algorithms that this node signs with.
    pub fn algorithms(&self) -> Vec<Algorithm> {
        let mut algorithms: Vec<_> = self.keys.iter().map(|key| key.signing.algorithm()).collect();
        algorithms.retain(|algorithm| algorithm.is_asymmetric());
        algorithms.sort_unstable();
        algorithms.dedup();
        algorithms
    }
}

/// The keys as they are now; a request takes a snapshot.
pub struct Keys {
    current: ArcSwap<KeySet>,
    ring: KeyRing,
}

impl Keys {
    /// Loads the keys, and makes those that are missing: one per algorithm, and one for refresh tokens.
    ///
    /// # Errors
    /// When a key cannot be opened with this ring: better no start than tokens that other nodes refuse.
    pub async fn open(
        store: &Store,
        ring: KeyRing,
        algorithms: &[Algorithm],
        rng: &dyn Random,
        now: Timestamp,
    ) -> Result<Self, Fault> {
        let mut wanted: Vec<_> = algorithms.to_vec();
        wanted.push(Algorithm::Hs256);
        let complete = |keys: &[SealedKey]| wanted.iter().all(|alg| keys.iter().any(|key| key.algorithm == *alg));

        let mut sealed = store.keys().await?;
        if !complete(&sealed) {
            let mut tx = store.begin().await?;
            tx.lock_keys().await?;
            sealed = tx.keys().await?;
            let missing: Vec<_> =
                wanted.iter().filter(|alg| !sealed.iter().any(|key| key.algorithm == **alg)).collect();
            for algorithm in missing {
                let key = new_key(*algorithm, &ring, rng, now)?;
                tx.insert_key(&key).await?;
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

fn new_key(algorithm: Algorithm, ring: &KeyRing, rng: &dyn Random, now: Timestamp) -> Result<SealedKey, Fault> {
    let material = SigningKey::generate(algorithm, rng).map_err(Fault::internal)?;
    let id = if algorithm.is_asymmetric() {
        SigningKey::kid_of(algorithm, &material).map_err(Fault::internal)?
    } else {
        random::token(rng, 16)
    };
    let sealed = ring.seal(rng, &seal_context(&id, algorithm), &material);
    Ok(SealedKey { id, algorithm, sealed, created_at: now, active_from: now, retired_at: None })
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
