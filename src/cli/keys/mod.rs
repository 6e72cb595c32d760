//! `grantor keys …`: the signing keys. They rotate by themselves ([keys] in the configuration).

mod list;
mod revoke;
mod rotate;

use std::path::Path;
use std::sync::Arc;

use anyhow::{anyhow, bail};
use clap::Subcommand;

use super::Admin;
use crate::app::data;
use crate::config::Overrides;
use crate::crypto::SystemRandom;
use crate::oauth::{Keeper, Keys};

#[derive(Subcommand)]
pub enum Command {
    /// List the signing keys, and where each stands in its life.
    List {
        /// Print them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make the next key of each algorithm, which signs when everybody has had the time to fetch it.
    Rotate(rotate::Rotate),
    /// Take a key away at once, because somebody else may have it. Every token that it signed ends.
    Revoke(revoke::Revoke),
}

pub async fn run(command: Command, overrides: &Overrides) -> anyhow::Result<String> {
    let admin = Admin::open(overrides).await?;
    let store = admin.store.clone();
    let text = match command {
        Command::List { json } => list::run(&admin, json).await,
        Command::Rotate(rotate) => rotate.run(admin).await,
        Command::Revoke(revoke) => revoke.run(admin).await,
    };
    store.close().await;
    text
}

/// What makes keys, which needs the seal key of the servers.
async fn keeper(admin: Admin) -> anyhow::Result<Keeper> {
    let file = admin.config.seal_file();
    // Never another one beside it: the servers could not open what it seals.
    if admin.config.seal.keys.is_none() && !file.exists() && !admin.store.keys().await?.is_empty() {
        bail!("{}", no_seal_key(&file));
    }
    let rng = Arc::new(SystemRandom::new());
    let ring = data::key_ring(&admin.config, &*rng)?;
    let now = admin.now();
    let keys = Keys::open(&admin.store, ring, &admin.config.keys.algorithms, rng.clone(), now).await;
    let keys = keys.map_err(|fault| anyhow!("{fault}"))?;
    Ok(Keeper { store: admin.store, keys: Arc::new(keys), config: Arc::new(admin.config), rng })
}

fn no_seal_key(file: &Path) -> String {
    format!(
        "the key ring file {} is not there: a new key is sealed with what the servers have (name it with \
         --data-dir or --config, or set GRANTOR__SEAL__KEYS)",
        file.display()
    )
}
