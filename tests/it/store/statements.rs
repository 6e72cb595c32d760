//! One text per query, two databases: every statement of the store is prepared on both, and both mean the same by it.

use std::collections::BTreeMap;
use std::path::Path;

use sqlx::{
    AssertSqlSafe, Column, Connection, Either, Executor, PgConnection, SqlSafeStr, SqliteConnection, Statement,
};

use crate::support::{Engine, TestApp};

/// What PostgreSQL alone can do: its place in the source is behind `On::Postgres`, or in a `write_many`.
const POSTGRES_ALONE: [&str; 7] = [
    "SELECT pg_notify($1, '')",
    "SELECT pg_advisory_xact_lock(7142530011)",
    "LATE",
    "INSERT_MANY",
    "REDEEM_MANY",
    "ROTATE_MANY",
    "MARK_MANY",
];

/// The same on SQLite, in a `write_here`.
const SQLITE_ALONE: [&str; 4] = ["INSERT_HERE", "REDEEM_HERE", "ROTATE_HERE", "MARK_HERE"];

/// Whether a statement, or its name, is in a list.
fn is_in(list: &[&str], name: &str, text: &str) -> bool {
    list.iter().any(|alone| *alone == text || name.ends_with(alone))
}

/// The files of the store, by their names.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/store");
    let mut folders = vec![root.clone()];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("the store has a folder") {
            let path = entry.expect("its entries can be read").path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(&root).expect("it is in there").to_string_lossy().into_owned();
                sources.push((name, std::fs::read_to_string(&path).expect("a source file")));
            }
        }
    }
    sources
}

/// How a statement begins.
const VERBS: [&str; 6] = ["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "WITH ", "PRAGMA "];

/// Every `const NAME: &str = "…"` of the store that begins like a statement, under `file: NAME`.
fn statements() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (file, source) in sources() {
        for part in source.split("const ").skip(1) {
            let Some((name, rest)) = part.split_once(": &str =") else { continue };
            let Some(text) = rest.trim_start().strip_prefix('"') else { continue };
            let text = text.split('"').next().expect("a literal ends");
            if VERBS.iter().any(|verb| text.starts_with(verb)) {
                // Several functions of a file may have a SELECT of their own.
                let mut key = format!("{file}: {name}");
                while found.contains_key(&key) {
                    key.push('\'');
                }
                found.insert(key, text.to_owned());
            }
        }
    }
    found
}

#[test]
fn every_statement_of_the_store_is_found() {
    let found = statements();
    let mut queries = 0;
    for (_, source) in sources() {
        // A statement outside of a constant would be one that nobody prepares.
        for verb in VERBS {
            for (at, _) in source.match_indices(&format!("\"{verb}")) {
                let before = source[..at].trim_end();
                assert!(before.ends_with('='), "{verb} outside of a constant: {}", &source[at..at + 60]);
                queries += 1;
            }
        }
    }
    assert_eq!(found.len(), queries);
    assert!(queries > 50, "{queries}");
    for alone in POSTGRES_ALONE.iter().chain(&SQLITE_ALONE) {
        assert!(
            found.iter().any(|(name, text)| is_in(&[alone], name, text)),
            "{alone} is gone: strike it from the list"
        );
    }
}

#[test]
fn no_statement_asks_for_whatever_columns_there_are_or_for_the_databases_time() {
    for (name, text) in statements() {
        let text = text.to_lowercase();
        // A migration beside a running node adds columns.
        assert!(!text.contains("returning *") && !text.contains("select *"), "{name}");
        for ambient in ["now()", "current_timestamp", "datetime(", "random()", "localtime"] {
            assert!(!text.contains(ambient), "{name}: time and chance are arguments");
        }
        // Each placeholder from $1 on: a number that is left out is a bind that one database takes, the other not.
        let highest = (1..30).filter(|n| text.contains(&format!("${n}"))).max().unwrap_or(0);
        for n in 1..=highest {
            assert!(text.contains(&format!("${n}")), "{name} has no ${n}");
        }
    }
}

/// How many parameters a statement takes, and the names of the columns that it gives.
#[derive(Debug, PartialEq)]
struct Shape {
    parameters: usize,
    columns: Vec<String>,
}

fn shape<S: Statement>(
    statement: &S,
    of: impl Fn(Either<&[<S::Database as sqlx::Database>::TypeInfo], usize>) -> usize,
) -> Shape {
    Shape {
        parameters: statement.parameters().map_or(0, of),
        columns: statement.columns().iter().map(|column| column.name().to_lowercase()).collect(),
    }
}

#[tokio::test]
async fn every_statement_is_the_same_on_both_databases() {
    let (sqlite, postgres) = tokio::join!(TestApp::spawn(Engine::Sqlite), TestApp::spawn(Engine::Postgres));
    let mut on_sqlite = SqliteConnection::connect(&sqlite.database_url()).await.unwrap();
    let mut on_postgres = PgConnection::connect(&postgres.database_url()).await.unwrap();
    for (name, text) in statements() {
        // SQLite prepares one statement at a time.
        let last = text.rsplit(';').next().expect("there is one").trim_start().to_owned();
        let sql = || AssertSqlSafe(last.clone()).into_sql_str();
        if is_in(&SQLITE_ALONE, &name, &text) {
            on_sqlite.prepare(sql()).await.unwrap_or_else(|why| panic!("SQLite, {name}: {why}\n{text}"));
            on_postgres.prepare(sql()).await.expect_err("then it need not be listed");
            continue;
        }
        let there = on_postgres.prepare(sql()).await.unwrap_or_else(|why| panic!("PostgreSQL, {name}: {why}\n{text}"));
        let there = shape(&there, |parameters| parameters.either(<[_]>::len, |count| count));
        if is_in(&POSTGRES_ALONE, &name, &text) {
            on_sqlite.prepare(sql()).await.expect_err("then it need not be listed");
            continue;
        }
        let here = on_sqlite.prepare(sql()).await.unwrap_or_else(|why| panic!("SQLite, {name}: {why}\n{text}"));
        let here = shape(&here, |parameters| parameters.either(<[_]>::len, |count| count));
        // What an expression is called is each database's own affair; nobody reads it by that name.
        let unnamed = text.starts_with("SELECT 1") || text.contains("COALESCE(MAX");
        assert_eq!(here.parameters, there.parameters, "{name}\n{text}");
        assert_eq!(here.columns.len(), there.columns.len(), "{name}\n{text}");
        assert!(unnamed || here.columns == there.columns, "{name}: {here:?} {there:?}");
    }
}
