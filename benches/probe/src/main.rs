//! The practical limit: what axum and the same cryptography and the same durable write cost, without anything that makes
//! an authorization server of it. No middleware, no log, no limits, no checks but those that cost something.

mod engine;
mod grants;
mod postgres;
mod sqlite;
mod tokens;
mod web;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::RwLock;

use axum::serve::ListenerExt as _;
use clap::Parser;
use grants::{Grants, Hands};
use tokens::Mint;
use web::Probe;

#[derive(Parser)]
#[command(about)]
struct Args {
    #[arg(long, default_value = "127.0.0.1:8081")]
    listen: SocketAddr,
    /// postgres://… or sqlite:FILE
    #[arg(long)]
    database: String,
    /// Commit for each request by itself, over ten connections on PostgreSQL.
    #[arg(long)]
    alone: bool,
    /// Remember which tokens were verified.
    #[arg(long)]
    token_cache: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let hands = if args.alone { Hands { connections: 10, batch: 1 } } else { Hands { connections: 3, batch: 256 } };
    // Those of `benches/register`.
    let clients = ["bench-job", "bench-api", "bench-web"].map(|id| {
        let secret = format!("{id}-secret-0123456789-abcdef");
        (id, engine::sha256(secret.as_bytes()))
    });
    let probe = Probe {
        mint: Mint::new(format!("http://localhost:{}", args.listen.port()))?,
        grants: Grants::open(&args.database, hands).await?,
        clients: HashMap::from(clients),
        sessions: RwLock::default(),
        verified: args.token_cache.then(RwLock::default),
    };
    let listener = tokio::net::TcpListener::bind(args.listen).await?;
    let listener = listener.tap_io(|stream| {
        // A socket that cannot be told is slower, and serves all the same.
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, web::router(probe)).await?;
    Ok(())
}
