//! Housekeeping: ends what has expired, and takes away what nobody needs any more.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::store::{Ending, Store};
use crate::types::{Clock, Fault};

/// Tokens that follow a session which nobody used any more die at most this much later.
const INTERVAL: Duration = Duration::from_secs(20);

/// Between two batches, so that nobody waits long for this.
const PAUSE: Duration = Duration::from_millis(100);

/// Sweeps for ever.
pub async fn run(store: Store, clock: Arc<dyn Clock>) {
    loop {
        sleep(INTERVAL).await;
        if let Err(fault) = sweep(&store, &*clock).await {
            tracing::warn!(%fault, "housekeeping did not finish; the next round goes on");
        }
    }
}

/// One round.
///
/// # Errors
/// When the database is away; what is done is done.
pub async fn sweep(store: &Store, clock: &dyn Clock) -> Result<(), Fault> {
    loop {
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
    while store.delete_expired(clock.now()).await? {
        sleep(PAUSE).await;
    }
    Ok(())
}
