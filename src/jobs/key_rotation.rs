//! Moves the signing keys through their lives when it is time to (`oauth::key_life`).

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::oauth::{Begin, Keeper, key_life::Rotated};
use crate::types::{Clock, Fault, Timestamp};

/// Whether it is time costs a look into memory.
const INTERVAL: Duration = Duration::from_secs(60);

/// Every so many rounds what is past is taken away: whether it must stay is asked of all grants or sessions that live.
const CLEARING: u32 = 60;

/// How long the node that does it may be silent before another takes over.
const LEASE: Duration = Duration::from_mins(5);

/// Rotates for ever, as the node called `node`.
pub async fn run(keeper: Keeper, clock: Arc<dyn Clock>, node: String) {
    for round in (0..CLEARING).cycle() {
        let mut done = rotate(&keeper, &node, clock.now()).await;
        if round == 0 {
            done = done.and(clear(&keeper, &node, clock.now()).await);
        }
        if let Err(fault) = done {
            tracing::warn!(%fault, "the signing keys could not be rotated; it is tried again");
        }
        sleep(INTERVAL).await;
    }
}

/// Makes the keys that it is time to make; on one node at a time.
///
/// # Errors
/// When the database is away, or no key can be made; what is done is done.
pub async fn rotate(keeper: &Keeper, node: &str, now: Timestamp) -> Result<(), Fault> {
    let due = keeper.due(now);
    if due.is_empty() || !is_elected(keeper, node, now).await? {
        return Ok(());
    }
    for algorithm in due {
        if let Rotated::Made(key) = keeper.rotate(algorithm, Begin::OnTime, now).await? {
            tracing::info!(target: "audit", event = "key_made", key = key.id, %algorithm);
        }
    }
    Ok(())
}

/// Takes away what is past; on one node at a time.
///
/// # Errors
/// When the database is away; what is done is done.
pub async fn clear(keeper: &Keeper, node: &str, now: Timestamp) -> Result<(), Fault> {
    let past = keeper.past(now);
    if past.is_empty() || !is_elected(keeper, node, now).await? {
        return Ok(());
    }
    for key in past {
        if keeper.clear(&key, now).await? {
            tracing::info!(target: "audit", event = "key_cleared", key = key.id, algorithm = %key.algorithm);
        }
    }
    Ok(())
}

async fn is_elected(keeper: &Keeper, node: &str, now: Timestamp) -> Result<bool, Fault> {
    keeper.store.hold_lease("key_rotation", node, now.plus(LEASE), now).await
}
