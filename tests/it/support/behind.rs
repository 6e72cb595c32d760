//! What stands behind a server and no endpoint shows: its rows, its keys, and many requests at once.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use grantor::app::{App, data};
use grantor::crypto::{KeyRing, SigningKey};
use grantor::store::{Store, Tx};
use grantor::types::{Algorithm, Fault, SessionId};
use serde_json::Value;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, SqliteConnection};

use super::app::{Engine, TestApp};
use super::party::decode;

/// The cheapest wait for a connection that is allowed, for tests that take the database away.
pub const IMPATIENT: &str = "[database]\nacquire_timeout = \"200ms\"\n";

impl TestApp {
    pub fn engine(&self) -> Engine {
        if self.database_url().starts_with("sqlite:") { Engine::Sqlite } else { Engine::Postgres }
    }

    /// The URL of its database; those of tests have no password that printing would hide.
    pub fn database_url(&self) -> String {
        self.config.database.url.as_ref().expect("a test server has one").to_string()
    }

    /// Runs one statement behind the server's back; how many rows it touched.
    pub async fn sql(&self, statement: &str) -> u64 {
        let statement = AssertSqlSafe(statement.to_owned());
        let url = self.database_url();
        match self.engine() {
            Engine::Sqlite => {
                let mut connection = SqliteConnection::connect(&url).await.expect("the file opens");
                connection.execute(statement).await.expect("SQLite takes it").rows_affected()
            }
            Engine::Postgres => {
                let mut connection = PgConnection::connect(&url).await.expect("the cluster answers");
                connection.execute(statement).await.expect("PostgreSQL takes it").rows_affected()
            }
        }
    }

    /// What `SELECT COUNT(*) FROM` says of the rest of a query.
    pub async fn count(&self, rest: &str) -> i64 {
        let query = AssertSqlSafe(format!("SELECT COUNT(*) FROM {rest}"));
        let url = self.database_url();
        let (count,) = match self.engine() {
            Engine::Sqlite => {
                let mut connection = SqliteConnection::connect(&url).await.expect("the file opens");
                sqlx::query_as::<_, (i64,)>(query).fetch_one(&mut connection).await.expect("SQLite takes it")
            }
            Engine::Postgres => {
                let mut connection = PgConnection::connect(&url).await.expect("the cluster answers");
                sqlx::query_as::<_, (i64,)>(query).fetch_one(&mut connection).await.expect("PostgreSQL takes it")
            }
        };
        count
    }

    /// One transaction of the store.
    pub async fn change<T>(&self, change: impl AsyncFnOnce(&mut Tx) -> Result<T, Fault>) -> T {
        let mut tx = self.store.begin().await.expect("the store answers");
        let outcome = change(&mut tx).await.expect("the change is possible");
        tx.commit().await.expect("the change is stored");
        outcome
    }

    /// Another handle on the same database, as a command-line call beside the server has it.
    pub async fn other_store(&self) -> Store {
        data::open_store(&self.config, self.clock.clone()).await.expect("the database opens")
    }

    /// The server's own signing key of an algorithm: what a forger would give everything for.
    pub async fn signing_key(&self, algorithm: Algorithm) -> SigningKey {
        use secrecy::ExposeSecret;
        let ring = self.config.seal.keys.as_ref().expect("test servers have a key ring").expose_secret();
        let ring = KeyRing::parse(ring).expect("the ring is well-formed");
        let keys = self.store.keys().await.expect("the store answers");
        let key = keys.into_iter().find(|key| key.algorithm == algorithm).expect("there is such a key");
        let material = ring.open(&format!("signing_keys:{algorithm}:{}", key.id), &key.sealed).expect("it opens");
        SigningKey::parse(key.id, algorithm, &material).expect("it is a key")
    }

    /// One round of housekeeping.
    pub async fn sweep(&self) {
        grantor::jobs::cleanup::sweep(&self.store, &*self.clock, "this").await.expect("housekeeping finishes");
    }

    pub fn advance(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }

    /// The session that an ID token tells of.
    pub fn session_of(&self, id_token: &str) -> SessionId {
        let (_, claims) = decode(id_token);
        SessionId::parse(claims["sid"].as_str().expect("there is a sid")).expect("it is an id")
    }
}

/// A JWS of any header and any claims under a key, whatever they say.
pub fn signed(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encoded(header), encoded(claims));
    let signature = key.sign(message.as_bytes()).expect("the key signs");
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A part of a JWT.
pub fn encoded(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

/// Runs all of them at once, and gives what came of each.
pub async fn at_once<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<Pin<Box<F>>> = futures.into_iter().map(Box::pin).collect();
    let mut outcomes: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    poll_fn(|cx| {
        for (future, outcome) in running.iter_mut().zip(&mut outcomes) {
            if outcome.is_none()
                && let Poll::Ready(done) = future.as_mut().poll(cx)
            {
                *outcome = Some(done);
            }
        }
        if outcomes.iter().all(Option::is_some) { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    outcomes.into_iter().flatten().collect()
}

/// Starts a server's inside on a database, without a listener.
pub async fn start_inside(database: &str) -> App {
    let mut config = super::app::config("");
    config.database.url = Some(database.parse().expect("a database URL"));
    App::start(config, grantor::app::Ambient::system()).await.expect("the server starts")
}
