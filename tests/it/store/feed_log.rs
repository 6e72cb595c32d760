//! What the log says when a node cannot follow the others.

use sqlx::{Connection as _, Executor as _, SqliteConnection};

use crate::support::app::Folder;
use crate::support::process::Process;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_cannot_be_loaded_are_not_called_a_feed_that_cannot_be_read() {
    let folder = Folder::new();
    let (process, _) = Process::serve(&folder, &[], &[]).await;
    let file = folder.path("data/grantor.db").display().to_string();
    let mut database = SqliteConnection::connect(&format!("sqlite:{file}")).await.unwrap();
    let changed = "INSERT INTO changes (kind, id, at, expires_at) VALUES ('keys_changed', '', 1, 9000000000000000)";
    // As if another node had sealed them with a key ring of its own.
    database.execute("ALTER TABLE signing_keys RENAME COLUMN sealed TO kept").await.unwrap();
    database.execute("ALTER TABLE signing_keys ADD COLUMN sealed BLOB NOT NULL DEFAULT x'00'").await.unwrap();
    database.execute(changed).await.unwrap();
    process.says("the signing keys have changed, and cannot be loaded").await;
    assert!(!process.err().contains("feed cannot be read"), "{}", process.err());

    database.execute("ALTER TABLE signing_keys DROP COLUMN sealed").await.unwrap();
    database.execute("ALTER TABLE signing_keys RENAME COLUMN kept TO sealed").await.unwrap();
    process.says("changes are followed again").await;
    process.terminate();
    assert_eq!(process.ended().await.0, 0);
}
