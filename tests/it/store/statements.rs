//! One text per query, two databases: every statement of the store is prepared on both, and both mean the same by it.

use std::collections::{BTreeMap, BTreeSet};
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

/// The same on SQLite, in a `write_here`, or before one.
const SQLITE_ALONE: [&str; 6] = ["INSERT_HERE", "REDEEM_HERE", "ROTATE_HERE", "MARK_HERE", ": FLUSHED", ": UNFLUSHED"];

/// Whether a statement, or its name, is in a list.
fn is_in(list: &[&str], name: &str, text: &str) -> bool {
    list.iter().any(|alone| *alone == text || name.ends_with(alone))
}

/// The files of the store, by their names, without their tests.
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
                let source = std::fs::read_to_string(&path).expect("a source file");
                let source = source.split("#[cfg(test)]").next().expect("it has a beginning");
                sources.push((name, source.to_owned()));
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
fn what_is_written_in_batches_on_sqlite_is_flushed_as_its_kind_wants_it() {
    // `here` puts it before the statement; one that has its own may only be lost.
    let sources: BTreeMap<String, String> = sources().into_iter().collect();
    for (key, text) in statements().into_iter().filter(|(key, _)| key.ends_with("_HERE")) {
        let (file, name) = key.split_once(": ").expect("a file and a name");
        let through = sources[file].contains(&format!("query_as(here::<Self>({name}))"))
            || sources[file].contains(&format!("query(here::<Self>({name}))"));
        assert!(through != text.contains("PRAGMA"), "{key}");
        assert!(!text.contains("PRAGMA") || text.starts_with("PRAGMA synchronous = NORMAL;"), "{key}");
    }
}

/// A statement in three parts, from the first column that it sets: what it sets, under which conditions, and what it gives.
/// Whatever the one or the other form calls a row or a parameter, it is called the same here.
fn transition(text: &str, parameters: &[&str]) -> [String; 3] {
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ").replace("grants.", "");
    for (n, parameter) in parameters.iter().enumerate().rev() {
        words = words.replace(&format!("${}", n + 1), &format!("job.{parameter}"));
    }
    let words = words
        .replace("IS NOT DISTINCT FROM", "=")
        .replace("WHERE id = free.id AND job.grant_id = free.id AND", "WHERE id = job.grant_id AND");
    let (_, rest) = words.split_once(" SET ").expect("an UPDATE");
    let (sets, _) = rest.split_once(" FROM ").filter(|(sets, _)| !sets.contains(" WHERE ")).unwrap_or((rest, ""));
    let sets = sets.split(" WHERE ").next().expect("it has a beginning");
    let (_, rest) = rest.split_once(" WHERE id = ").expect("conditions");
    let (conditions, gives) = rest.split_once(" RETURNING ").expect("a row");
    let mut sets: Vec<&str> = sets.split(", ").collect();
    sets.sort_unstable();
    [sets.join(", "), conditions.to_owned(), gives.to_owned()]
}

#[test]
fn a_batch_and_one_alone_are_written_under_the_same_conditions_on_both_databases() {
    let all = statements();
    for (file, name) in [("grants/redeem.rs", "REDEEM"), ("grants/rotate.rs", "ROTATE")] {
        let (many, alone, here) = (
            &all[&format!("{file}: {name}_MANY")],
            &all[&format!("{file}: {name}")],
            &all[&format!("{file}: {name}_HERE")],
        );
        // UNNEST names the parameters in their order.
        let (_, named) = many.split_once("AS job (").expect("the columns of the jobs");
        let (named, _) = named.split_once(')').expect("their end");
        let parameters: Vec<&str> = named.split(',').map(str::trim).collect();
        let [sets, conditions, gives] = transition(many, &[]);
        assert!(conditions.contains("revoked_at IS NULL") && conditions.contains("FROM consents"), "{conditions}");
        assert!(
            sets.contains("refresh_key = job.refresh_key") && gives.starts_with("id, client_id"),
            "{sets}; {gives}"
        );
        assert_eq!(transition(alone, &parameters), [sets.clone(), conditions.clone(), gives.clone()], "{name} alone");
        assert_eq!(transition(here, &[]), [sets, conditions, gives], "{name} on SQLite");
    }
}

#[test]
fn a_grant_that_waits_is_written_with_the_same_columns_by_each_statement() {
    let all = statements();
    let text = |name: &str| all[&format!("grants/create.rs: {name}")].split_whitespace().collect::<Vec<_>>().join(" ");
    let (many, alone, here) = (text("INSERT_MANY"), text("INSERT"), text("INSERT_HERE"));
    let between = |text: &str, from: &str, to: &str| {
        let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("no {from} in {text}"));
        rest.split_once(to).unwrap_or_else(|| panic!("no {to} in {rest}")).0.to_owned()
    };
    let columns = between(&many, "INSERT INTO grants (", ")");
    let values = between(&many, "SELECT ", " FROM UNNEST");
    assert_eq!(values.split(", ").count(), columns.split(", ").count());
    let named = between(&many, "AS new (", ")");
    let mut bound = between(&alone, "VALUES (", ")");
    for (n, name) in named.split(", ").enumerate().collect::<Vec<_>>().into_iter().rev() {
        bound = bound.replace(&format!("${}", n + 1), name);
    }
    assert_eq!((between(&alone, "INSERT INTO grants (", ")"), &bound), (columns.clone(), &values), "alone");
    let read = between(&here, "SELECT ", " FROM jsonb_each").replace("value ->> ", "").replace("unhex(", "");
    let read = read.replace(['\'', ')'], "");
    assert_eq!((between(&here, "INSERT INTO grants (", ")"), &read), (columns, &values), "on SQLite");
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

/// What stands between the quotation marks of a text.
fn quoted(text: &str) -> BTreeSet<String> {
    text.split('"').skip(1).step_by(2).map(str::to_owned).collect()
}

/// `benches/fill` is no part of the product, so nothing else compares it with the tables.
#[tokio::test]
async fn what_fills_a_database_for_measuring_knows_its_columns() {
    let app = TestApp::spawn(Engine::Sqlite).await;
    let mut connection = SqliteConnection::connect(&app.database_url()).await.unwrap();
    let rows = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/fill/src/rows.rs");
    let rows = std::fs::read_to_string(rows).expect("it is there");
    let mut tables = BTreeSet::new();
    for part in rows.split("let columns = &[").skip(1) {
        let (columns, rest) = part.split_once(']').expect("a list ends");
        let table = rest.split_once("table: \"").and_then(|(_, rest)| rest.split_once('"')).expect("a table").0;
        let columns = quoted(columns);
        let known = "SELECT name, \"notnull\" = 1 AND dflt_value IS NULL FROM pragma_table_info($1)";
        let known: Vec<(String, bool)> =
            sqlx::query_as(known).bind(table).fetch_all(&mut connection).await.expect("the columns of a table");
        for column in &columns {
            assert!(known.iter().any(|(name, _)| name == column), "{table} has no {column}");
        }
        for (needed, _) in known.iter().filter(|(_, needed)| *needed) {
            assert!(columns.contains(needed), "{table}: nobody gives it {needed}");
        }
        tables.insert(table);
    }
    assert_eq!(tables, BTreeSet::from(["consents", "grants", "sessions", "users"]));
}
