//! `grantor keys …`: the signing keys. They rotate by themselves ([keys] in the configuration).

mod list;
mod revoke;
mod rotate;

use std::sync::Arc;

use anyhow::anyhow;
use clap::Subcommand;

use super::Admin;
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
    // Whoever is in another directory than the server must not think that there are none.
    let admin = Admin::open_existing(overrides).await?;
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
    let rng = Arc::new(SystemRandom::new());
    let ring = admin.servers_key_ring().await?;
    let now = admin.now();
    let keys = Keys::open(&admin.store, ring, &admin.config.keys.algorithms, rng.clone(), now).await;
    let keys = keys.map_err(|fault| anyhow!("{fault}"))?;
    Ok(Keeper { store: admin.store, keys: Arc::new(keys), config: Arc::new(admin.config), rng })
}
