//! The store: PostgreSQL or SQLite behind one set of functions. It says what was there and what became of it; what
//! that means is decided above it.
//!
//! | file | what |
//! |---|---|
//! | `database` | the two databases behind one query text (`on!`, `row!`) |
//! | `migrate` | the schema |
//! | `writer` | what many callers write at once is one commit |
//! | `changes`, `live`, `cache`, `caches` | the change feed, what it kills, what it empties |
//! | `clients`, `users`, `groups`, `sessions`, `consents`, `grants` | the nouns of the protocol |
//! | `relying_parties`, `outbox` | who hears of the end of a session, and what waits to be sent |
//! | `browsers`, `pending`, `pushed`, `device` | cookies' records, what waits for a browser, what was pushed, devices |
//! | `events` | what happened to accounts |
//! | `api_tokens`, `signed_urls` | personal access tokens and API keys; addresses that clients had signed |
//! | `keys`, `secrets`, `replays` | sealed keys and secrets, what was used once |
//! | `links` | what a mailed link may do, once |
//! | `factors`, `sign_ins`, `attempts` | second factors, sign-ins that wait for one, and how often was guessed |
//! | `identities` | as whom other providers know people |
//! | `registration_tokens` | who may register clients |
//! | `resources`, `authorization_types` | where tokens may be used, what may be asked for in particular |
//! | `cleanup` | takes away what has expired |

mod api_tokens;
mod attempts;
mod authorization_types;
mod browsers;
mod cache;
mod caches;
mod changes;
mod cleanup;
mod clients;
mod consents;
mod database;
mod device;
mod events;
mod factors;
mod grants;
mod groups;
mod identities;
mod keys;
mod lines;
mod links;
mod live;
mod migrate;
mod outbox;
mod passkeys;
mod pending;
mod pushed;
mod registration_tokens;
mod relying_parties;
mod replays;
mod resources;
mod secrets;
mod sessions;
mod sign_ins;
mod signed_urls;
mod users;
mod writer;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use sqlx::{PgConnection, SqliteConnection};
use tokio::sync::{Mutex, watch};
use tokio::time::timeout;

pub use attempts::{Counted, Pace};
pub use browsers::BrowserRecord;
pub use changes::{Change, Listener};
pub use clients::{Origins, Stored};
pub use consents::Consent;
pub use database::Location;
pub use device::{Decision, DeviceRequest, NewDevice, Poll, Polled};
pub use grants::{Grant, NewGrant, Presented, Reason, Redeem, Redemption, RefreshTerms, RefusedCode, Rotation};
pub use links::{Link, Purpose};
pub use live::Bearer;
pub use outbox::{Content, Kind, Message, Sealed};
pub use pending::{PendingKind, PendingRequest};
pub use pushed::PushedRequest;
pub use registration_tokens::RegistrationToken;
pub use replays::Use;
pub use sessions::Ending;
pub use users::Credentials;

use crate::types::{Clock, Event, Fault, GrantId, Timestamp};
use cache::{Cache, Memory};
use caches::Caches;
use changes::{Entry, Reader};
use database::{Database, DbTransaction, Executor, On, TRANSACTION_LIMIT, Writing, on};
use live::Live;
use writer::Writers;

/// How a store is opened.
#[derive(Clone)]
pub struct Options {
    pub location: Location,
    pub max_connections: u32,
    /// How long a request waits for a connection before it is answered 503.
    pub acquire_timeout: Duration,
    /// The longest that any access token lives: how long a revocation must be remembered.
    pub token_ceiling: Duration,
    /// How long people see what happened to their accounts.
    pub events_kept: Duration,
    /// How long this node may vouch for tokens without having read the feed.
    pub max_staleness: Duration,
}

/// A handle on the database, and what this node knows of it. Cheap to clone.
#[derive(Clone)]
pub struct Store(Arc<Inner>);

struct Inner {
    db: Database,
    writers: Writers,
    options: Options,
    clock: Arc<dyn Clock>,
    live: Live,
    reader: Mutex<Reader>,
    failed_readings: AtomicU64,
    caches: Caches,
    keys_changed: watch::Sender<u64>,
    keys_loaded: watch::Sender<u64>,
    outbox_filled: watch::Sender<u64>,
}

impl Store {
    /// Connects, and brings the schema up to date.
    ///
    /// # Errors
    /// When the database cannot be reached or is not ours to migrate.
    pub async fn open(options: Options, clock: Arc<dyn Clock>) -> Result<Self, Fault> {
        let db = Database::connect(&options.location, options.max_connections, options.acquire_timeout).await?;
        migrate::run(&db, &options.location).await?;
        Ok(Self(Arc::new(Inner {
            writers: Writers::start(&db),
            db,
            options,
            clock,
            live: Live::new(),
            reader: Mutex::default(),
            failed_readings: AtomicU64::new(0),
            caches: Caches::new(),
            keys_changed: watch::Sender::new(0),
            keys_loaded: watch::Sender::new(0),
            outbox_filled: watch::Sender::new(0),
        })))
    }

    /// Begins a transaction. While it is open, only functions of `Tx` are called.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn begin(&self) -> Result<Tx, Fault> {
        let started_at = self.now();
        Ok(Tx {
            db: self.0.db.begin().await?,
            store: self.clone(),
            started_at,
            changes: Vec::new(),
            came_late: false,
            fills_outbox: false,
            events: Vec::new(),
        })
    }

    /// Whether the database answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), Fault> {
        const PING: &str = "SELECT 1";
        on!(self.on(), db => sqlx::query(PING).execute(db).await.map(|_| ()))?;
        Ok(())
    }

    /// Closes every connection.
    pub async fn close(&self) {
        self.0.reader.lock().await.hang_up().await;
        self.0.db.close().await;
    }

    /// Whether a token was revoked, or something that it hangs on ended. Call `ensure_fresh` first.
    pub fn is_dead(&self, bearer: &Bearer<'_>) -> bool {
        self.0.live.is_dead(bearer)
    }

    /// Whether the feed says that a grant was revoked; the row has the last word.
    pub fn grant_is_dead(&self, id: GrantId) -> bool {
        self.0.live.grant_is_dead(id)
    }

    /// Counts the changes of the signing keys.
    pub fn keys_changed(&self) -> watch::Receiver<u64> {
        self.0.keys_changed.subscribe()
    }

    /// Whether this node has still to load them since they changed. Until it has, it follows no further: it goes stale.
    pub fn lacks_keys(&self) -> bool {
        *self.0.keys_changed.borrow() != *self.0.keys_loaded.borrow()
    }

    /// Those that were read when `count` changes were known are in use.
    pub fn keys_are_loaded(&self, count: u64) {
        self.0.keys_loaded.send_replace(count);
    }

    /// They are loaded within milliseconds, or cannot be.
    async fn wait_for_keys(&self) -> Result<(), Fault> {
        let mut loaded = self.0.keys_loaded.subscribe();
        let in_use = loaded.wait_for(|count| *count == *self.0.keys_changed.borrow());
        match timeout(self.acquire_timeout(), in_use).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Fault::unavailable(anyhow::anyhow!("the signing keys have changed, and are not loaded yet"))),
        }
    }

    /// For one statement that reads.
    fn on(&self) -> Executor<'_> {
        self.0.db.on()
    }

    /// For one statement that writes.
    async fn writing(&self) -> Result<Writing, Fault> {
        self.0.db.writing().await
    }

    fn database(&self) -> &Database {
        &self.0.db
    }

    fn writers(&self) -> &Writers {
        &self.0.writers
    }

    fn now(&self) -> Timestamp {
        self.0.clock.now()
    }

    fn live(&self) -> &Live {
        &self.0.live
    }

    fn reader(&self) -> &Mutex<Reader> {
        &self.0.reader
    }

    /// Counts the readings of the feed that came to nothing.
    fn failed_readings(&self) -> &AtomicU64 {
        &self.0.failed_readings
    }

    fn location(&self) -> &Location {
        &self.0.options.location
    }

    fn token_ceiling(&self) -> Duration {
        self.0.options.token_ceiling
    }

    fn acquire_timeout(&self) -> Duration {
        self.0.options.acquire_timeout
    }

    fn events_kept(&self) -> Duration {
        self.0.options.events_kept
    }

    fn max_staleness(&self) -> Duration {
        self.0.options.max_staleness
    }

    fn caches(&self) -> &Caches {
        &self.0.caches
    }

    /// What is remembered, on a node that has read the feed recently enough to believe it.
    fn remembered<M: Memory>(&self, cache: &Cache<M>, key: &M::Key) -> Option<M::Value> {
        if self.is_fresh() { cache.get(key) } else { None }
    }

    fn forget_caches(&self) {
        self.caches().forget_all();
        self.0.keys_changed.send_modify(|count| *count += 1);
    }

    /// Lets a change take effect in this process.
    fn apply(&self, entry: &Entry) {
        self.live().apply(entry);
        self.caches().apply(&entry.change);
        if entry.change == Change::KeysChanged {
            self.0.keys_changed.send_modify(|count| *count += 1);
        }
    }
}

/// A transaction, with the changes that its commit makes known. Dropped without `commit`, it never happened.
pub struct Tx {
    db: DbTransaction,
    store: Store,
    started_at: Timestamp,
    changes: Vec<Entry>,
    /// What it was to end had ended already.
    came_late: bool,
    fills_outbox: bool,
    /// What the server's log is told once it is true.
    events: Vec<Event>,
}

impl Tx {
    /// Makes it durable, then lets its changes take effect in this process, then returns.
    ///
    /// # Errors
    /// When the outcome is unknown: answer 503, do not try again inside.
    pub async fn commit(self) -> Result<(), Fault> {
        // The feed's readers count on it that a number taken in `changes` is committed soon or never.
        if self.store.now().since(self.started_at) > TRANSACTION_LIMIT {
            return Err(Fault::unavailable(anyhow::anyhow!("the transaction took too long")));
        }
        match self.db {
            On::Postgres(mut tx) => {
                if !self.changes.is_empty() {
                    const NOTIFY: &str = "SELECT pg_notify($1, '')";
                    sqlx::query(NOTIFY).bind(changes::CHANNEL).execute(&mut *tx).await?;
                }
                tx.commit().await?;
            }
            On::Sqlite(tx) => tx.commit().await?,
        }
        for entry in &self.changes {
            self.store.apply(entry);
        }
        self.events.iter().for_each(events::told);
        if self.fills_outbox {
            self.store.0.outbox_filled.send_modify(|count| *count += 1);
        }
        if self.came_late {
            self.store.read_changes().await?;
        }
        Ok(())
    }

    /// Whether a statement that ends something ended it, by the rows that it wrote.
    ///
    /// If not, it had ended before: perhaps through a commit of this very process, whose outcome nobody has learnt, so that
    /// its change was never applied here. The caller is told that it is over, so `commit` first reads what the feed says.
    fn has_ended(&mut self, rows: u64) -> bool {
        self.came_late |= rows == 0;
        rows > 0
    }

    fn on(&mut self) -> On<&mut PgConnection, &mut SqliteConnection> {
        match &mut self.db {
            On::Postgres(tx) => On::Postgres(&mut *tx),
            On::Sqlite(tx) => On::Sqlite(tx.connection()),
        }
    }

    fn remember(&mut self, entry: Entry) {
        self.changes.push(entry);
    }
}
