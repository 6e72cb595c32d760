//! What a database holds, read past the store: for tests of what must not be in it, or must not have changed.

use grantor::config::DatabaseUrl;
use secrecy::ExposeSecret as _;
use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};

use super::TestApp;

/// Every row of every table, as text.
pub async fn rows(app: &TestApp) -> Vec<String> {
    let mut rows = match app.config.database.url.as_ref().expect("tests name their database") {
        DatabaseUrl::Sqlite(file) => sqlite(&format!("sqlite:{}", file.display())).await,
        DatabaseUrl::Postgres(url) => postgres(url.expose_secret()).await,
    }
    .expect("the database can be read");
    rows.sort();
    rows
}

async fn sqlite(url: &str) -> sqlx::Result<Vec<String>> {
    let mut db = SqliteConnection::connect(url).await?;
    let tables: Vec<(String, String)> = sqlx::query_as(
        "SELECT m.name, group_concat('quote(' || c.name || ')', '||''|''||') FROM sqlite_schema m, pragma_table_info(m.name) c
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite%' GROUP BY m.name",
    )
    .fetch_all(&mut db)
    .await?;
    let mut all = Vec::new();
    for (table, columns) in tables {
        let select = format!("SELECT '{table} ' || {columns} FROM {table}");
        all.extend(sqlx::query_scalar::<_, String>(AssertSqlSafe(select)).fetch_all(&mut db).await?);
    }
    db.close().await?;
    Ok(all)
}

async fn postgres(url: &str) -> sqlx::Result<Vec<String>> {
    let mut db = PgConnection::connect(url).await?;
    let tables: Vec<String> = sqlx::query_scalar("SELECT tablename::text FROM pg_tables WHERE schemaname = 'public'")
        .fetch_all(&mut db)
        .await?;
    let mut all = Vec::new();
    for table in tables {
        let select = format!("SELECT '{table} ' || t::text FROM {table} t");
        all.extend(sqlx::query_scalar::<_, String>(AssertSqlSafe(select)).fetch_all(&mut db).await?);
    }
    db.close().await?;
    Ok(all)
}
