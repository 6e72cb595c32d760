//! One schema, two databases: the migrations make the same tables of both.

use std::collections::BTreeMap;

use grantor::config::Config;
use sqlx::{Connection, PgConnection, SqliteConnection};

use crate::each_engine;
use crate::support::app::Folder;
use crate::support::behind::{at_once, start_inside};
use crate::support::{Engine, TestApp, postgres};

each_engine!(migrating_again_changes_nothing, nodes_that_start_at_once_migrate_once);

/// `table.column` with its type, whether it may be null, and whether it is part of the key.
type Columns = BTreeMap<String, (String, bool, bool)>;

/// The words of both databases for one thing.
fn common_type(name: &str) -> String {
    match name.to_lowercase().as_str() {
        // A whole number that SQLite counts by itself has to be called so.
        "integer" | "bigint" => "bigint".to_owned(),
        "bytea" | "blob" => "bytea".to_owned(),
        other => other.to_owned(),
    }
}

async fn of_sqlite(url: &str) -> Columns {
    let mut connection = SqliteConnection::connect(url).await.unwrap();
    let rows: Vec<(String, String, String, bool, i64)> = sqlx::query_as(
        "SELECT m.name, c.name, c.type, c.\"notnull\", c.pk FROM sqlite_master m, pragma_table_info(m.name) c
         WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%' AND m.name <> '_sqlx_migrations'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let column = |(table, name, kind, not_null, key): (String, String, String, bool, i64)| {
        // A primary key is never null, though SQLite does not say so of it.
        (format!("{table}.{name}"), (common_type(&kind), !not_null && key == 0, key > 0))
    };
    rows.into_iter().map(column).collect()
}

async fn of_postgres(url: &str) -> Columns {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let rows: Vec<(String, String, String, String, bool)> = sqlx::query_as(
        "SELECT c.table_name::text, c.column_name::text, c.data_type::text, c.is_nullable::text, EXISTS (
             SELECT 1 FROM information_schema.table_constraints t
             JOIN information_schema.key_column_usage k USING (constraint_name, table_name)
             WHERE t.constraint_type = 'PRIMARY KEY' AND t.table_name = c.table_name AND k.column_name = c.column_name)
         FROM information_schema.columns c WHERE c.table_schema = 'public' AND c.table_name <> '_sqlx_migrations'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    let column = |(table, name, kind, nullable, key): (String, String, String, String, bool)| {
        (format!("{table}.{name}"), (common_type(&kind), nullable == "YES", key))
    };
    rows.into_iter().map(column).collect()
}

/// Indexes by name: table, columns, and whether they are unique. Those that constraints make have names of the
/// database's own, and are told by their columns.
async fn indexes_of(app: &TestApp) -> Vec<String> {
    let mut found: Vec<String> = match app.engine() {
        Engine::Sqlite => {
            let mut connection = SqliteConnection::connect(&app.database_url()).await.unwrap();
            let rows: Vec<(String, String, bool)> = sqlx::query_as(
                "SELECT m.name, (SELECT group_concat(name, ',') FROM pragma_index_info(i.name)), i.\"unique\"
                 FROM sqlite_master m, pragma_index_list(m.name) i
                 WHERE m.type = 'table' AND m.name <> '_sqlx_migrations'",
            )
            .fetch_all(&mut connection)
            .await
            .unwrap();
            rows.into_iter().map(|(table, columns, unique)| format!("{table} ({columns}) {unique}")).collect()
        }
        Engine::Postgres => {
            let mut connection = PgConnection::connect(&app.database_url()).await.unwrap();
            let rows: Vec<(String, String, bool)> = sqlx::query_as(
                "SELECT t.relname::text, (SELECT string_agg(a.attname::text, ',' ORDER BY n) FROM unnest(i.indkey)
                     WITH ORDINALITY AS k (att, n) JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum = k.att),
                     i.indisunique
                 FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid JOIN pg_namespace s ON s.oid = t.relnamespace
                 WHERE s.nspname = 'public' AND t.relname NOT IN ('_sqlx_migrations')",
            )
            .fetch_all(&mut connection)
            .await
            .unwrap();
            rows.into_iter().map(|(table, columns, unique)| format!("{table} ({columns}) {unique}")).collect()
        }
    };
    // SQLite's INTEGER PRIMARY KEY is the table itself.
    found.retain(|index| index != "changes (seq) true");
    found.sort();
    found
}

#[tokio::test]
async fn both_databases_have_the_same_tables_columns_and_indexes() {
    let (sqlite, postgres) = tokio::join!(TestApp::spawn(Engine::Sqlite), TestApp::spawn(Engine::Postgres));
    let (here, there) = (of_sqlite(&sqlite.database_url()).await, of_postgres(&postgres.database_url()).await);
    assert!(here.len() > 50, "{here:?}");
    assert_eq!(here, there);
    for (column, (kind, _, _)) in &here {
        assert!(["text", "bigint", "boolean", "bytea"].contains(&&**kind), "{column} is {kind}");
    }
    assert_eq!(indexes_of(&sqlite).await, indexes_of(&postgres).await);
}

async fn migrating_again_changes_nothing(engine: Engine) {
    let app = TestApp::spawn(engine).await;
    app.user("ada").await;
    let before = app.count("_sqlx_migrations").await;
    for _ in 0..2 {
        app.other_store().await.close().await;
    }
    assert_eq!(app.count("_sqlx_migrations").await, before);
    assert!(app.store.user_by_login("ada").await.unwrap().is_some());
}

async fn nodes_that_start_at_once_migrate_once(engine: Engine) {
    let folder = Folder::new();
    let url = match engine {
        Engine::Sqlite => format!("sqlite:{}", folder.path("new.db").display()),
        Engine::Postgres => postgres::create_database().await,
    };
    // The same with the keys: one of each algorithm, and every node opens the same.
    let mut nodes = at_once((0..4).map(|_| start_inside(&url))).await;

    let store = nodes[0].store().clone();
    let mut algorithms: Vec<_> = store.keys().await.unwrap().into_iter().map(|key| key.algorithm).collect();
    algorithms.sort_unstable();
    let mut wanted = Config::parse("").unwrap().keys.algorithms.clone();
    wanted.push(grantor::types::Algorithm::Hs256);
    wanted.sort_unstable();
    assert_eq!(algorithms, wanted);
    for node in &mut nodes {
        node.stop().await;
    }
}
