//! PostgreSQL, by COPY. The indexes stay in place: built anew, they would be smaller than any that has grown.

use std::pin::pin;

use anyhow::Context as _;
use bytes::{BufMut as _, Bytes, BytesMut};
use futures_util::SinkExt as _;
use tokio_postgres::{Client, NoTls};

use crate::Sizes;
use crate::rows::{Rows, Value};

/// Bytes that are sent at once.
const PIECE: usize = 64 * 1024;

pub async fn fill(url: &str, clients: &str, tables: impl IntoIterator<Item = Rows>) -> anyhow::Result<Sizes> {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.context("--database")?;
    tokio::spawn(connection);
    // Lost in a crash, it is filled again.
    client.batch_execute("SET synchronous_commit = off").await?;
    client.batch_execute(clients).await?;
    for rows in tables {
        let table = rows.table;
        copy(&client, rows).await?;
        client.batch_execute(&format!("VACUUM (ANALYZE) {table}")).await?;
    }
    let sizes = "SELECT pg_table_size('grants'), pg_indexes_size('grants')";
    let row = client.query_one(sizes, &[]).await?;
    Ok(Sizes { table: row.get(0), indexes: row.get(1) })
}

async fn copy(client: &Client, Rows { table, columns, rows }: Rows) -> anyhow::Result<()> {
    let sink = client.copy_in::<_, Bytes>(&format!("COPY {table} ({}) FROM STDIN", columns.join(", "))).await?;
    let mut sink = pin!(sink);
    let mut piece = BytesMut::with_capacity(PIECE + 4_096);
    for row in rows {
        for (at, value) in row.iter().enumerate() {
            if at > 0 {
                piece.put_u8(b'\t');
            }
            write(value, &mut piece);
        }
        piece.put_u8(b'\n');
        if piece.len() >= PIECE {
            sink.send(piece.split().freeze()).await?;
        }
    }
    sink.send(piece.freeze()).await?;
    sink.finish().await?;
    Ok(())
}

/// In COPY's text format. No text of ours has a tab, a newline or a backslash.
fn write(value: &Value, to: &mut BytesMut) {
    match value {
        Value::Text(text) => to.put_slice(text.as_bytes()),
        Value::Integer(number) => to.put_slice(number.to_string().as_bytes()),
        Value::Boolean(truth) => to.put_u8(if *truth { b't' } else { b'f' }),
        Value::Bytes(bytes) => {
            to.put_slice(b"\\\\x");
            for byte in bytes {
                to.put_slice(format!("{byte:02x}").as_bytes());
            }
        }
        Value::Null => to.put_slice(b"\\N"),
    }
}
