//! Follows the change feed: by NOTIFY where the database has it, and by polling in any case.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::oauth::Keys;
use crate::store::{Listener, Store};
use crate::types::Fault;

/// Reads the feed for ever, at least every `poll`.
pub async fn run(store: Store, keys: Arc<Keys>, poll: Duration) {
    let mut keys_changed = store.keys_changed();
    let mut listener: Option<Listener> = None;
    let mut away = false;
    loop {
        if listener.is_none() && !away {
            listener = store.listener().await.ok();
        }
        if let Err(fault) = wait(&mut listener, poll).await {
            tracing::debug!(%fault, "not told of changes any more; polling goes on");
            listener = None;
            sleep(poll).await;
        }
        let read = match store.read_changes().await {
            // The version is taken before the keys are read: what changes meanwhile is read the next time.
            Ok(()) if keys_changed.has_changed().unwrap_or(false) => {
                keys_changed.mark_unchanged();
                keys.reload(&store).await.inspect_err(|_| keys_changed.mark_changed())
            }
            read => read,
        };
        // Said once when it begins, and once when it is over.
        match (&read, away) {
            (Err(fault), false) => tracing::warn!(%fault, "the change feed cannot be read"),
            (Ok(()), true) => tracing::info!("the change feed is read again"),
            _ => {}
        }
        away = read.is_err();
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
        heard = listener.heard() => heard,
    }
}
