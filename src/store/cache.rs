//! A bounded cache that the change feed empties.

use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// Values read from the store. What was read before a change is never put in after it.
pub(super) struct Cache<K: Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static> {
    values: moka::sync::Cache<K, V>,
    /// Counts the changes.
    epoch: AtomicU64,
    filling: Mutex<()>,
}

/// When a reader went to the database.
pub(super) struct Epoch(u64);

impl<K: Hash + Eq + Send + Sync + 'static, V: Clone + Send + Sync + 'static> Cache<K, V> {
    pub(super) fn new(capacity: u64) -> Self {
        Self { values: moka::sync::Cache::new(capacity), epoch: AtomicU64::new(0), filling: Mutex::new(()) }
    }

    pub(super) fn get(&self, key: &K) -> Option<V> {
        self.values.get(key)
    }

    /// To be taken before the database is read.
    pub(super) fn epoch(&self) -> Epoch {
        Epoch(self.epoch.load(Ordering::Acquire))
    }

    /// Keeps a value, unless something changed since `epoch` was taken.
    pub(super) fn fill(&self, epoch: &Epoch, key: K, value: V) {
        let _one_at_a_time = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        if self.epoch.load(Ordering::Acquire) == epoch.0 {
            self.values.insert(key, value);
        }
    }

    pub(super) fn forget_all(&self) {
        let _one_at_a_time = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.values.invalidate_all();
    }

    pub(super) fn forget(&self, key: &K) {
        let _one_at_a_time = self.filling.lock().unwrap_or_else(PoisonError::into_inner);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.values.invalidate(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_change_is_not_kept_after_it() {
        let cache = Cache::new(10);
        let before = cache.epoch();
        cache.forget(&"web");
        cache.fill(&before, "web", 1);
        assert_eq!(cache.get(&"web"), None);

        let after = cache.epoch();
        cache.fill(&after, "web", 2);
        assert_eq!(cache.get(&"web"), Some(2));
    }
}
