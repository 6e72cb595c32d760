//! Housekeeping: ends what has expired, and takes away what nobody needs any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::store::{Ending, Store};
use crate::types::{Clock, Fault, Timestamp};

/// Tokens that follow a session which nobody used any more die at most this much later.
const INTERVAL: Duration = Duration::from_secs(20);

/// Between two batches, so that nobody waits long for this.
const PAUSE: Duration = Duration::from_millis(100);

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
    while is_elected(store, clock, node).await? {
        let expired = store.expired_sessions(clock.now()).await?;
        if expired.is_empty() {
            break;
        }
        for session in expired {
            let mut tx = store.begin().await?;
            tx.end_session(session, Ending::SignOut, clock.now()).await?;
            tx.commit().await?;
        }
        sleep(PAUSE).await;
    }
    let mut grants = Some(Timestamp::from_micros(0));
    while let Some(from) = grants
        && is_elected(store, clock, node).await?
    {
        grants = store.delete_expired_grants(from, clock.now()).await?;
        sleep(PAUSE).await;
    }
    while is_elected(store, clock, node).await? && store.delete_expired(clock.now()).await? {
        sleep(PAUSE).await;
    }
    Ok(())
}

async fn is_elected(store: &Store, clock: &dyn Clock, node: &str) -> Result<bool, Fault> {
    let now = clock.now();
    store.hold_lease("housekeeping", node, now.plus(LEASE), now).await
}
