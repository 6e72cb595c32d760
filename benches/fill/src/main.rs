//! Fills a database of Grantor's with as many grants as are asked for, and the users, sessions and consents that belong
//! to them. The schema must be there (`grantor migrate`), and the clients of `benches/register`.

mod postgres;
mod rows;
mod sqlite;

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use clap::Parser;
use rows::{CLIENT_PREFIX, CLIENTS, Size};
use serde_json::json;

#[derive(Parser)]
#[command(about)]
struct Args {
    /// postgres://… or sqlite:FILE
    #[arg(long)]
    database: String,
    #[arg(long)]
    grants: u64,
}

/// Bytes of the table of grants.
pub struct Sizes {
    pub table: i64,
    pub indexes: i64,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let Args { database, grants } = Args::parse();
    let started = Instant::now();
    let now = i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())?;
    let tables = Size::of(grants, now).tables();
    // What is registered of a client is a document that the server must be able to read, so it is copied.
    let clients = format!(
        "WITH RECURSIVE numbers (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n + 1 < {CLIENTS})
        INSERT INTO clients (id, secret_hash, metadata, created_at, updated_at)
        SELECT '{CLIENT_PREFIX}' || n, secret_hash, metadata, created_at, updated_at
        FROM clients, numbers WHERE id = 'bench-web'"
    );
    let sizes = match database.strip_prefix("sqlite:") {
        Some(path) => sqlite::fill(path, &clients, tables)?,
        None => postgres::fill(&database, &clients, tables).await?,
    };
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({ "grants": grants, "seconds": seconds, "table_bytes": sizes.table, "index_bytes": sizes.indexes })
    );
    Ok(())
}
