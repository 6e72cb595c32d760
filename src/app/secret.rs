//! Secrets that all nodes share.

use anyhow::{Context as _, anyhow};
use zeroize::Zeroizing;

use crate::crypto::{KeyRing, Random, random};
use crate::store::Store;
use crate::types::{Fault, Timestamp};

/// One by its name, which never changes, sealed in the database: made if nobody has made it.
///
/// # Errors
/// When it cannot be opened with this ring, or the database is away.
pub async fn open(
    (store, ring): (&Store, &KeyRing),
    name: &str,
    rng: &dyn Random,
    now: Timestamp,
) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let told = |fault: Fault| anyhow!("{fault}");
    let sealed = match store.secret(name).await.map_err(told)? {
        Some(sealed) => sealed,
        None => {
            store.keep_secret(name, &ring.seal(rng, name, &random::bytes::<32>(rng)), now).await.map_err(told)?;
            store.secret(name).await.map_err(told)?.context("a secret was kept and is not there")?
        }
    };
    ring.open(name, &sealed).map_err(|why| {
        anyhow!(
            "the secret {name} cannot be opened: this node's seal key is not the one it was sealed with (seal.keys or \
             seal.file): {why}"
        )
    })
}
