//! `grantor migrate`.

use super::Admin;
use crate::config::Overrides;

pub async fn run(overrides: &Overrides) -> anyhow::Result<String> {
    // To open the database is to migrate it.
    let admin = Admin::open_or_make(overrides).await?;
    admin.store.close().await;
    Ok(format!("The schema of {} is up to date.\n", admin.config.database_url()))
}
