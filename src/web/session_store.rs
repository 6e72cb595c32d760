//! tower-sessions over our own store: cookies' values are kept as hashes alone (ASVS 7.2.3).

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;

use time::OffsetDateTime;
use tower_sessions::Session;
use tower_sessions::session::{self, Id, Record};
use tower_sessions::session_store::{Error, Result};

use crate::crypto::{Digest, sha256};
use crate::store::{BrowserRecord, Store};
use crate::types::{Clock, Fault, Timestamp};

tokio::task_local! {
    /// The write that is under way, with the record that it takes the place of.
    static WRITE: Cell<Option<Id>>;
}

/// Writes the record of a browser, at once. The cookie layer would do it behind the handler, where a database that is
/// away is an empty 500: outside of this its writes are none.
///
/// # Errors
/// When the record cannot be written.
pub async fn save(cookie: &Session) -> std::result::Result<(), session::Error> {
    WRITE.scope(Cell::new(None), cookie.save()).await
}

/// Writes the record under another id, and only then deletes the old one. tower-sessions deletes first: a browser whose
/// new record could not be written would be left with neither, and what waits for it would wait for nobody.
///
/// # Errors
/// When the record cannot be written; then the browser is what it was.
pub async fn save_anew(cookie: &Session, store: &Store, now: Timestamp) -> std::result::Result<(), session::Error> {
    let write = async {
        cookie.cycle_id().await?;
        cookie.save().await?;
        Ok::<_, session::Error>(WRITE.with(Cell::take))
    };
    if let Some(old) = WRITE.scope(Cell::new(None), write).await? {
        store.delete_browser(&hash(old), now).await.map_err(away)?;
    }
    Ok(())
}

#[derive(Clone)]
pub struct SessionStore {
    pub store: Store,
    pub clock: Arc<dyn Clock>,
}

impl fmt::Debug for SessionStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionStore")
    }
}

fn hash(id: Id) -> Digest {
    sha256(&id.0.to_be_bytes())
}

fn to_row(record: &Record) -> Result<BrowserRecord> {
    let micros = i64::try_from(record.expiry_date.unix_timestamp_nanos() / 1_000).unwrap_or(i64::MAX);
    Ok(BrowserRecord {
        id_hash: hash(record.id),
        data: serde_json::to_string(&record.data).map_err(|error| Error::Encode(error.to_string()))?,
        expires_at: Timestamp::from_micros(micros),
    })
}

fn away(fault: Fault) -> Error {
    Error::Backend(fault.to_string())
}

#[async_trait::async_trait]
impl tower_sessions::SessionStore for SessionStore {
    async fn create(&self, record: &mut Record) -> Result<()> {
        while !self.store.create_browser(&to_row(record)?).await.map_err(away)? {
            record.id = Id::default();
        }
        Ok(())
    }

    async fn save(&self, record: &Record) -> Result<()> {
        if WRITE.try_with(|_| ()).is_err() {
            return Ok(());
        }
        self.store.save_browser(&to_row(record)?).await.map_err(away)
    }

    async fn load(&self, id: &Id) -> Result<Option<Record>> {
        let row = self.store.browser(&hash(*id), self.clock.now()).await.map_err(away)?;
        row.map(|row| {
            let data = serde_json::from_str(&row.data).map_err(|error| Error::Decode(error.to_string()))?;
            let expiry_date = OffsetDateTime::from_unix_timestamp_nanos(i128::from(row.expires_at.micros()) * 1_000)
                .map_err(|error| Error::Decode(error.to_string()))?;
            Ok(Record { id: *id, data, expiry_date })
        })
        .transpose()
    }

    async fn delete(&self, id: &Id) -> Result<()> {
        if WRITE.try_with(|old| old.set(Some(*id))).is_ok() {
            return Ok(());
        }
        self.store.delete_browser(&hash(*id), self.clock.now()).await.map_err(away)
    }
}
