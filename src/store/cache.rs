//! What was read from the database, kept in memory until the change feed says that it is another now.
//!
//! Two kinds of memory behind one rule. `Snapshot` is for what nearly every request reads and hardly anybody changes:
//! readers take no lock, and a change copies the whole map. `Bounded` is for what there is much of: a fixed number, of
//! which those stay that are asked for.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwap;

/// Values read from the store. What was read before a change is never put in after it.
pub(super) struct Cache<M> {
    values: M,
    /// Counts the changes.
    epoch: AtomicU64,
    filling: Mutex<()>,
}

/// When a reader went to the database.
pub(super) struct Epoch(u64);

/// How values are kept.
pub(super) trait Memory {
    type Key;
    type Value;

    fn get(&self, key: &Self::Key) -> Option<Self::Value>;
    fn insert(&self, key: Self::Key, value: Self::Value);
    fn remove(&self, key: &Self::Key);
    fn clear(&self);
}

impl<M: Memory> Cache<M> {
    pub(super) fn new(values: M) -> Self {
        Self { values, epoch: AtomicU64::new(0), filling: Mutex::new(()) }
    }

    pub(super) fn get(&self, key: &M::Key) -> Option<M::Value> {
        self.values.get(key)
    }

    /// To be taken before the database is read.
    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// Keeps a value, unless something changed since `epoch` was taken.
    pub(super) fn fill(&self, epoch: &Epoch, key: M::Key, value: M::Value) {
        let _one_at_a_time = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        if self.epoch.load(Ordering::Acquire) == epoch.0 {
            self.values.insert(key, value);
        }
    }

    /// Changes the value that is there, whatever the caller may have read before; what was forgotten stays so.
    pub(super) fn change(&self, key: M::Key, change: impl FnOnce(&mut M::Value)) {
        let _one_at_a_time = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(mut value) = self.values.get(&key) {
            change(&mut value);
            self.values.insert(key, value);
        }
    }

    pub(super) fn forget_all(&self) {
        let _one_at_a_time = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.values.clear();
    }

    pub(super) fn forget(&self, key: &M::Key) {
        let _one_at_a_time = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.values.remove(key);
    }
}

/// A map that is read without a lock, and copied to be changed.
pub(super) struct Snapshot<K, V>(ArcSwap<HashMap<K, V>>);

impl<K, V> Snapshot<K, V> {
    pub(super) fn new() -> Self {
        Self(ArcSwap::default())
    }
}

/// A `Snapshot` of more would take too long to copy; it begins anew.
const MOST: usize = 10_000;

impl<K: Clone + Eq + Hash, V: Clone> Memory for Snapshot<K, V> {
    type Key = K;
    type Value = V;

    fn get(&self, key: &K) -> Option<V> {
        self.0.load().get(key).cloned()
    }

    fn insert(&self, key: K, value: V) {
        let mut map = if self.0.load().len() < MOST { HashMap::clone(&self.0.load()) } else { HashMap::new() };
        map.insert(key, value);
        self.0.store(map.into());
    }

    fn remove(&self, key: &K) {
        let mut map = HashMap::clone(&self.0.load());
        map.remove(key);
        self.0.store(map.into());
    }

    fn clear(&self) {
        self.0.store(HashMap::new().into());
    }
}

/// So many values at most.
pub(super) struct Bounded<K, V>(moka::sync::Cache<K, V>);

impl<K: Eq + Hash + Send + Sync + 'static, V: Clone + Send + Sync + 'static> Bounded<K, V> {
    pub(super) fn new(most: u64) -> Self {
        Self(moka::sync::Cache::new(most))
    }
}

impl<K: Eq + Hash + Send + Sync + 'static, V: Clone + Send + Sync + 'static> Memory for Bounded<K, V> {
    type Key = K;
    type Value = V;

    fn get(&self, key: &K) -> Option<V> {
        self.0.get(key)
    }

    fn insert(&self, key: K, value: V) {
        self.0.insert(key, value);
    }

    fn remove(&self, key: &K) {
        self.0.invalidate(key);
    }

    fn clear(&self) {
        self.0.invalidate_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeps_only_what_was_read_after_the_last_change<M: Memory<Key = &'static str, Value = u8>>(values: M) {
        let cache = Cache::new(values);
        let before = cache.epoch();
        cache.forget(&"web");
        cache.fill(&before, "web", 1);
        assert_eq!(cache.get(&"web"), None);

        let after = cache.epoch();
        cache.fill(&after, "web", 2);
        cache.fill(&after, "api", 3);
        assert_eq!((cache.get(&"web"), cache.get(&"api")), (Some(2), Some(3)));

        cache.forget(&"web");
        cache.change("web", |value| *value = 4);
        cache.change("api", |value| *value += 2);
        assert_eq!((cache.get(&"web"), cache.get(&"api")), (None, Some(5)));
        cache.forget_all();
        assert_eq!(cache.get(&"api"), None);
    }

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        keeps_only_what_was_read_after_the_last_change(Snapshot::new());
        keeps_only_what_was_read_after_the_last_change(Bounded::new(10));
    }

    #[test]
    fn a_snapshot_has_an_end() {
        let snapshot = Snapshot::new();
        for n in 0..=MOST {
            snapshot.insert(n, n);
        }
        assert_eq!((snapshot.get(&0), snapshot.get(&MOST)), (None, Some(MOST)));
    }
}
