//! Documents of others, remembered: for as long as they are believed, and so that nobody makes us ask too often.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::{Outgoing, OutgoingError};
use crate::types::Timestamp;

/// The most documents that are remembered; the least used go first.
const MOST: u64 = 1_000;

/// How long after a failure it is tried again.
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// How long after a document was fetched because it seemed too old, it can seem so again.
const BETWEEN_REFETCHES: Duration = Duration::from_secs(60);

/// Documents of one kind, by their URLs.
pub struct Documents<T> {
    outgoing: Outgoing,
    slots: Cache<String, Arc<Mutex<Slot<T>>>>,
    kind: Kind<T>,
}

/// What a document must be.
pub struct Kind<T> {
    /// None is any.
    pub media_types: &'static [&'static str],
    /// How long it is believed.
    pub life: Duration,
    /// Reads it; the error is words for a log.
    pub read: fn(&[u8]) -> Result<T, String>,
}

struct Slot<T> {
    last: Option<(Timestamp, Result<Arc<T>, OutgoingError>)>,
    refetched_at: Option<Timestamp>,
}

impl<T: Send + Sync + 'static> Documents<T> {
    pub fn new(outgoing: Outgoing, kind: Kind<T>) -> Self {
        Self { outgoing, slots: Cache::new(MOST), kind }
    }

    /// The document at a URL: what is remembered, or else what is fetched.
    ///
    /// # Errors
    /// When it cannot be fetched, or could not be a moment ago.
    pub async fn get(&self, url: &str, now: Timestamp) -> Result<Arc<T>, OutgoingError> {
        let slot = self.slot(url).await;
        match &slot.last {
            Some((at, Ok(document))) if now.since(*at) < self.kind.life => Ok(document.clone()),
            Some((at, Err(error))) if now.since(*at) < AFTER_FAILURE => Err(error.clone()),
            _ => self.fetch(slot, url, now).await,
        }
    }

    /// Whether `get` fetches nothing. Who comes while somebody else fetches it waits for that.
    pub fn remembers(&self, url: &str, now: Timestamp) -> bool {
        let Some(slot) = self.slots.get(url) else { return false };
        slot.try_lock().map_or(true, |slot| match &slot.last {
            Some((at, Ok(_))) => now.since(*at) < self.kind.life,
            Some((at, Err(_))) => now.since(*at) < AFTER_FAILURE,
            None => false,
        })
    }

    /// The document, fetched again because it lacks something, unless that was done a moment ago.
    ///
    /// # Errors
    /// As `get`; what is remembered is believed for as long as before.
    pub async fn newer(&self, url: &str, than: &Arc<T>, now: Timestamp) -> Result<Arc<T>, OutgoingError> {
        let mut slot = self.slot(url).await;
        let lately = slot.refetched_at.is_some_and(|at| now.since(at) < BETWEEN_REFETCHES);
        match &slot.last {
            Some((_, Ok(document))) if lately || !Arc::ptr_eq(document, than) => return Ok(document.clone()),
            Some((at, Err(error))) if now.since(*at) < AFTER_FAILURE => return Err(error.clone()),
            _ => slot.refetched_at = Some(now),
        }
        self.fetch(slot, url, now).await
    }

    /// Has the document fetched again by whoever asks next.
    pub fn forget(&self, url: &str) {
        self.slots.invalidate(url);
    }

    /// Whoever comes for the same document while it is being fetched waits here.
    async fn slot(&self, url: &str) -> OwnedMutexGuard<Slot<T>> {
        let empty = || Arc::new(Mutex::new(Slot { last: None, refetched_at: None }));
        self.slots.get_with_by_ref(url, empty).lock_owned().await
    }

    /// In a task of its own, which goes on when whoever asked hangs up: otherwise a stranger could ask without end, and
    /// never let it be finished.
    async fn fetch(
        &self,
        mut slot: OwnedMutexGuard<Slot<T>>,
        url: &str,
        now: Timestamp,
    ) -> Result<Arc<T>, OutgoingError> {
        let (outgoing, url) = (self.outgoing.clone(), url.to_owned());
        let Kind { media_types, life, read } = self.kind;
        let fetched = tokio::spawn(async move {
            let document = outgoing.document(&url, media_types).await;
            let document = document.and_then(|body| read(&body).map_err(OutgoingError::Document)).map(Arc::new);
            if let Err(why) = &document {
                tracing::warn!(url, %why, "a document cannot be fetched");
            }
            let still_good = matches!(&slot.last, Some((at, Ok(_))) if now.since(*at) < life);
            if document.is_ok() || !still_good {
                slot.last = Some((now, document.clone()));
            }
            document
        });
        fetched.await.unwrap_or_else(|why| Err(OutgoingError::Unreachable(why.to_string())))
    }
}
