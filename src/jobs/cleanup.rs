//! Housekeeping: ends what has expired, and takes away what nobody needs any more.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::store::{Ending, Store};
use crate::types::{Clock, Fault, SessionId, Timestamp};

/// Tokens that follow a session which nobody used any more die at most this much later.
const INTERVAL: Duration = Duration::from_secs(20);

/// Between two batches, at least and at most.
const PAUSE: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(5);

/// After a batch it rests so many times as long as that took: whoever is served meanwhile hardly notices.
const REST: u32 = 12;

/// How long the node that does it may be silent before another takes over.
const LEASE: Duration = Duration::from_secs(60);

/// Sweeps for ever, as the node called `node`.
pub async fn run(store: Store, clock: Arc<dyn Clock>, node: String) {
    loop {
        sleep(INTERVAL).await;
        if let Err(fault) = sweep(&store, &*clock, &node).await {
            tracing::warn!(%fault, "housekeeping did not finish; the next round goes on");
        }
    }
}

/// One round; on every node but one at a time, of its own memory alone.
///
/// # Errors
/// When the database is away; what is done is done.
pub async fn sweep(store: &Store, clock: &dyn Clock, node: &str) -> Result<(), Fault> {
    store.forget_expired(clock.now());
    let mut lease = Lease { store, clock, node, renew_at: None };
    while lease.is_held().await? {
        let began = clock.now();
        let mut ended = false;
        for session in store.expired_sessions(clock.now()).await? {
            match end_expired(store, session, clock.now()).await {
                Ok(has_ended) => ended |= has_ended,
                Err(fault) => tracing::warn!(%session, %fault, "a session that has expired could not be ended"),
            }
        }
        if !ended {
            break;
        }
        rest(clock, began).await;
    }
    let mut grants = Some(Timestamp::from_micros(0));
    while let Some(from) = grants
        && lease.is_held().await?
    {
        let began = clock.now();
        grants = store.delete_expired_grants(from, began).await?;
        rest(clock, began).await;
    }
    while lease.is_held().await? {
        let began = clock.now();
        // Both, in any case.
        let (more, unused) = (store.delete_expired(began).await?, store.delete_unused_clients(began).await?);
        if !more && !unused {
            break;
        }
        rest(clock, began).await;
    }
    Ok(())
}

async fn rest(clock: &dyn Clock, began: Timestamp) {
    sleep((clock.now().since(began) * REST).clamp(*PAUSE.start(), *PAUSE.end())).await;
}

async fn end_expired(store: &Store, session: SessionId, now: Timestamp) -> Result<bool, Fault> {
    let mut tx = store.begin().await?;
    let ended = tx.end_session(session, Ending::Expiry, now).await?;
    tx.commit().await?;
    Ok(ended)
}

/// The right to sweep.
struct Lease<'a> {
    store: &'a Store,
    clock: &'a dyn Clock,
    node: &'a str,
    /// Half of it has passed by then; `None` when it is not known to be ours.
    renew_at: Option<Timestamp>,
}

impl Lease<'_> {
    async fn is_held(&mut self) -> Result<bool, Fault> {
        let now = self.clock.now();
        if self.renew_at.is_none_or(|renew_at| renew_at <= now) {
            let held = self.store.hold_lease("housekeeping", self.node, now.plus(LEASE), now).await?;
            self.renew_at = held.then(|| now.plus(LEASE / 2));
        }
        Ok(self.renew_at.is_some())
    }
}
