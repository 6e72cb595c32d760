//! Follows the change feed: by NOTIFY where the database has it, and by polling in any case.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::sleep;

use crate::oauth::Keys;
use crate::store::Store;
use crate::types::Fault;

/// Changes that follow each other this closely are read at once.
const BURST: Duration = Duration::from_millis(5);

/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_millis(500);

const FEED: &str = "the change feed cannot be read";
const KEYS: &str = "the signing keys have changed, and cannot be loaded: those that were stay in use";

/// Reads the feed for ever, at least every `poll`.
pub async fn run(store: Store, keys: Arc<Keys>, poll: Duration) {
    let (tell, told) = watch::channel(());
    // Whatever it takes to listen, the poll goes on.
    tokio::join!(listen(&store, &tell), follow(&store, &keys, told, poll));
}

/// Tells of every change by another process that is announced.
async fn listen(store: &Store, tell: &watch::Sender<()>) {
    loop {
        if let Err(fault) = hear(store, tell).await {
            tracing::debug!(%fault, "not told of changes; polling goes on");
        }
        sleep(RETRY).await;
    }
}

async fn hear(store: &Store, tell: &watch::Sender<()>) -> Result<(), Fault> {
    let mut listener = store.listener().await?;
    loop {
        // At the beginning too: what was committed before it was announced to nobody here.
        tell.send_replace(());
        listener.heard().await?;
    }
}

async fn follow(store: &Store, keys: &Keys, mut told: watch::Receiver<()>, poll: Duration) {
    let mut keys_changed = store.keys_changed();
    let mut trouble = None;
    loop {
        tokio::select! {
            () = sleep(if trouble.is_some() { poll.min(RETRY) } else { poll }) => {}
            _ = keys_changed.changed() => {}
            _ = told.changed() => sleep(BURST).await,
        }
        told.mark_unchanged();
        keys_changed.mark_unchanged();
        let followed = catch_up(store, keys).await;
        // Said once when it begins, and once when it is over.
        match (&followed, trouble) {
            (Err((what, fault)), before) if before != Some(*what) => tracing::warn!(%fault, "{what}"),
            (Ok(()), Some(_)) => tracing::info!("changes are followed again"),
            _ => {}
        }
        trouble = followed.err().map(|(what, _)| what);
    }
}

/// Reads what is new, and loads the keys if they have changed.
///
/// # Errors
/// When the database is away, or a key cannot be opened; with what that means.
pub async fn catch_up(store: &Store, keys: &Keys) -> Result<(), (&'static str, Fault)> {
    store.read_changes().await.map_err(|fault| (FEED, fault))?;
    if store.lacks_keys() {
        keys.reload(store).await.map_err(|fault| (KEYS, fault))?;
    }
    Ok(())
}
