//! Follows the change feed: by NOTIFY where the database has it, and by polling in any case.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::oauth::Keys;
use crate::store::{Listener, Store};
use crate::types::Fault;

/// Changes that follow each other this closely are read at once.
const BURST: Duration = Duration::from_millis(5);

const FEED: &str = "the change feed cannot be read";
const KEYS: &str = "the signing keys have changed, and cannot be loaded: those that were stay in use";

/// Reads the feed for ever, at least every `poll`.
pub async fn run(store: Store, keys: Arc<Keys>, poll: Duration) {
    let mut keys_changed = store.keys_changed();
    let mut listener: Option<Listener> = None;
    let mut trouble = None;
    loop {
        if listener.is_none() && trouble != Some(FEED) {
            listener = store.listener().await.ok();
        }
        if let Err(fault) = wait(&mut listener, poll).await {
            tracing::debug!(%fault, "not told of changes any more; polling goes on");
            listener = None;
            sleep(poll).await;
        }
        let followed = match store.read_changes().await {
            Err(fault) => Err((FEED, fault)),
            // The version is taken before the keys are read: what changes meanwhile is read the next time.
            Ok(()) if keys_changed.has_changed().unwrap_or(false) => {
                keys_changed.mark_unchanged();
                let reloaded = keys.reload(&store).await.inspect_err(|_| keys_changed.mark_changed());
                reloaded.map_err(|fault| (KEYS, fault))
            }
            Ok(()) => Ok(()),
        };
        // Said once when it begins, and once when it is over.
        match (&followed, trouble) {
            (Err((what, fault)), before) if before != Some(*what) => tracing::warn!(%fault, "{what}"),
            (Ok(()), Some(_)) => tracing::info!("changes are followed again"),
            _ => {}
        }
        trouble = followed.err().map(|(what, _)| what);
    }
}

/// Until somebody says that something changed, or it is time to look.
async fn wait(listener: &mut Option<Listener>, poll: Duration) -> Result<(), Fault> {
    let Some(listener) = listener else {
        sleep(poll).await;
        return Ok(());
    };
    tokio::select! {
        () = sleep(poll) => Ok(()),
        heard = listener.heard() => {
            heard?;
            let more = async {
                loop {
                    listener.heard().await?;
                }
            };
            timeout(BURST, more).await.unwrap_or(Ok(()))
        }
    }
}
