//! Brings the schema up to date, from files that are part of the binary.

use std::borrow::Cow;
use std::fs::File;
use std::path::PathBuf;

use rust_embed::RustEmbed;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr};

use super::database::{Database, Location};
use crate::types::Fault;

#[derive(RustEmbed)]
#[folder = "migrations/"]
struct Files;

/// Applies what is missing. Two nodes that start at once wait for each other.
pub(super) async fn run(db: &Database, location: &Location) -> Result<(), Fault> {
    let migrator = Migrator::with_migrations(migrations(matches!(location, Location::Sqlite(_)))?);
    // PostgreSQL has advisory locks, which sqlx takes; SQLite gets a lock on a file beside the database.
    let lock = match location {
        Location::Postgres(_) => None,
        Location::Sqlite(path) => Some(lock_file(path.with_extension("lock")).await?),
    };
    let outcome = db.migrate(&migrator).await;
    drop(lock);
    outcome.map_err(|error| Fault::internal(error).context("the schema could not be brought up to date"))
}

async fn lock_file(path: PathBuf) -> Result<File, Fault> {
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::create(path)?;
        file.lock()?;
        Ok::<_, std::io::Error>(file)
    });
    locked.await.map_err(Fault::internal)?.map_err(Fault::internal)
}

/// The numbered files, where `sqlite/` has its own one in place of the common one.
fn migrations(sqlite: bool) -> Result<Vec<Migration>, Fault> {
    let mut migrations = Vec::new();
    for path in Files::iter().filter(|path| !path.contains('/')) {
        let own = format!("sqlite/{path}");
        let file = if sqlite { Files::get(&own) } else { None }.or_else(|| Files::get(&path));
        let text = file.and_then(|file| String::from_utf8(file.data.into_owned()).ok());
        let (version, description) = path.trim_end_matches(".sql").split_once('_').unwrap_or_default();
        let (Some(text), Ok(version)) = (text, version.parse()) else {
            return Err(Fault::because(format!("migration {path} is not NUMBER_name.sql in UTF-8")));
        };
        let description = Cow::Owned(description.replace('_', " "));
        // Part of the binary, and no input of anybody's.
        let sql = AssertSqlSafe(text).into_sql_str();
        migrations.push(Migration::new(version, description, MigrationType::Simple, sql, false));
    }
    migrations.sort_by_key(|migration| migration.version);
    Ok(migrations)
}
