//! SQLite, by prepared inserts, a transaction a table.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use crate::Sizes;
use crate::rows::{Rows, Value};

pub fn fill(path: &str, clients: &str, tables: impl IntoIterator<Item = Rows>) -> anyhow::Result<Sizes> {
    let mut connection = Connection::open(path)?;
    // Lost in a crash, it is filled again; and the indexes are written in no order of theirs, so in memory if they fit.
    connection.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -4000000")?;
    connection.execute_batch(clients)?;
    for Rows { table, columns, rows } in tables {
        let places: Vec<String> = (1..=columns.len()).map(|place| format!("?{place}")).collect();
        let insert = format!("INSERT INTO {table} ({}) VALUES ({})", columns.join(", "), places.join(", "));
        let transaction = connection.transaction()?;
        {
            let mut statement = transaction.prepare(&insert)?;
            for row in rows {
                statement.execute(params_from_iter(row))?;
            }
        }
        transaction.commit()?;
    }
    connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    let size = "SELECT COALESCE(SUM(pgsize), 0) FROM dbstat WHERE aggregate = 1 AND name IN
        (SELECT name FROM sqlite_schema WHERE tbl_name = 'grants' AND type = ?1)";
    let of = |kind| connection.query_row(size, [kind], |row| row.get(0));
    Ok(Sizes { table: of("table")?, indexes: of("index")? })
}

impl ToSql for Value {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Boolean(truth) => ValueRef::Integer(i64::from(*truth)),
            Self::Bytes(bytes) => ValueRef::Blob(bytes),
            Self::Null => ValueRef::Null,
        }))
    }
}
