//! `TestApp`: the real router on a real socket, a clock that tests move, a fresh database.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use grantor::app::{Ambient, App};
use grantor::config::Config;
use grantor::crypto::{KeyRing, SystemRandom};
use grantor::store::{Store, Stored};
use grantor::types::{ClientMetadata, Clock, Memberships, SystemClock, Timestamp, User, UserId};
use secrecy::SecretString;
use serde_json::Value;
use tokio::sync::{OnceCell, oneshot};
use tokio::task::JoinHandle;

use super::keeper::Keeper;
use super::party::{Answer, Builder, Party};
use super::person::Person;
use super::postgres;
use super::process::free_port;

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Engine {
    Sqlite,
    Postgres,
}

/// Time stands still until a test moves it.
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_micros()).expect("a test's while"), Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.0.load(Ordering::SeqCst))
    }
}

/// The password of every user that tests make.
pub const PASSWORD: &str = "a lighthouse in the fog";

/// A running server.
pub struct TestApp {
    pub url: String,
    pub config: Config,
    pub store: Store,
    pub clock: Arc<TestClock>,
    pub http: reqwest::Client,
    /// Gone with the test.
    pub folder: Arc<Folder>,
    stop: Option<oneshot::Sender<()>>,
    server: Option<JoinHandle<anyhow::Result<()>>>,
}

/// A directory of one test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("grantor-test-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("the temporary directory is writable");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The key ring of all test servers, so that they can share a template's signing keys.
fn seal_keys() -> SecretString {
    static RING: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    RING.get_or_init(|| KeyRing::generate(&SystemRandom::new()).to_string()).as_str().into()
}

/// The configuration that tests begin with: the defaults, but for a cheap password hash, and no throttle on who comes from
/// this machine unless the test speaks of it.
pub fn config(toml: &str) -> Config {
    let mut config = Config::parse(toml).expect("the test's configuration is valid");
    if !toml.contains("[throttle]") {
        config.throttle.unlimited = vec!["127.0.0.1/32".parse().expect("a range")];
    }
    config.seal.keys = Some(seal_keys());
    config.password.memory_kib = 64;
    config.password.iterations = 1;
    config
}

async fn template(engine: Engine) -> String {
    static SQLITE: OnceCell<(String, Keeper)> = OnceCell::const_new();
    static POSTGRES: OnceCell<String> = OnceCell::const_new();
    match engine {
        Engine::Sqlite => {
            let make = async || {
                let folder = Folder::new();
                let file = folder.path("template.db").display().to_string();
                fill(&format!("sqlite:{file}")).await;
                // A static is never dropped, so the folder is given to somebody who outlives us.
                let keeper = Keeper::start("trap : HUP INT TERM; read -r _; rm -rf \"$FOLDER\"", |command| {
                    command.env("FOLDER", &folder.0);
                });
                std::mem::forget(folder);
                (file, keeper)
            };
            SQLITE.get_or_init(make).await.0.clone()
        }
        Engine::Postgres => {
            let make = async || {
                let url = postgres::create_database().await;
                fill(&url).await;
                url
            };
            POSTGRES.get_or_init(make).await.clone()
        }
    }
}

/// Migrates a database and makes its keys: RSA keys are slow to find.
async fn fill(url: &str) {
    let mut config = config("");
    config.database.url = Some(url.parse().expect("a database URL"));
    let mut app = App::start(config, Ambient::system()).await.expect("the template can be made");
    app.stop().await;
}

impl TestApp {
    /// A server with the default configuration.
    pub async fn spawn(engine: Engine) -> Self {
        Self::with(engine, "").await
    }

    /// A server with this configuration (TOML).
    pub async fn with(engine: Engine, toml: &str) -> Self {
        let folder = Folder::new();
        let template = template(engine).await;
        let database = match engine {
            Engine::Sqlite => {
                let file = folder.path("grantor.db");
                std::fs::copy(Path::new(&template), &file).expect("the template can be copied");
                format!("sqlite:{}", file.display())
            }
            Engine::Postgres => postgres::create_from_template(&template).await,
        };
        Self::on(&database, config(toml), folder).await
    }

    /// A server on a database of the test's own.
    pub async fn on(database: &str, mut config: Config, folder: Folder) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let path = config.server.issuer.path().to_owned();
        config.server.issuer = format!("http://localhost:{port}{path}").parse().expect("an issuer");
        config.server.data_dir = folder.path("data");
        config.database.url = Some(database.parse().expect("a database URL"));
        // Hundreds of tests share the machine: who does not test patience has it.
        if config.database.acquire_timeout == grantor::config::Database::default().acquire_timeout {
            config.database.acquire_timeout = Duration::from_secs(30);
        }
        let clock = Arc::new(TestClock(AtomicI64::new(SystemClock.now().micros())));
        Self::start(listener, config, clock, Arc::new(folder)).await
    }

    async fn start(listener: TcpListener, config: Config, clock: Arc<TestClock>, folder: Arc<Folder>) -> Self {
        let ambient = Ambient { clock: clock.clone(), rng: Arc::new(SystemRandom::new()) };
        let url = format!(
            "http://localhost:{}{}",
            listener.local_addr().expect("it is bound").port(),
            config.server.issuer.path()
        );
        let app = App::start(config.clone(), ambient).await.expect("the server starts");
        let store = app.store().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(app.serve(listener, async move {
            let _ = stopped.await;
        }));
        let http = http_client();
        Self { url, config, store, clock, http, folder, stop: Some(stop), server: Some(server) }
    }

    /// Another node on the same database: the same issuer and clock, an address of its own.
    pub async fn second_node(&self) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self::start(listener, self.config.clone(), self.clock.clone(), self.folder.clone()).await
    }

    /// The same deployment at an address where nobody listens yet, for an `Instance`.
    pub fn elsewhere(&self) -> Self {
        let url = format!("http://localhost:{}", free_port());
        let (config, store, clock) = (self.config.clone(), self.store.clone(), self.clock.clone());
        Self { url, config, store, clock, http: http_client(), folder: self.folder.clone(), stop: None, server: None }
    }

    /// The issuer, which for a second node is the first one's address.
    pub fn issuer(&self) -> &str {
        self.config.server.issuer.as_str()
    }

    /// Stops as on SIGTERM, and waits until it has stopped.
    pub async fn stop(&mut self) {
        drop(self.stop.take());
        if let Some(server) = self.server.take() {
            server.await.expect("the server does not panic").expect("the server stops in order");
        }
    }

    /// Begins to register a client; `create` does it.
    pub fn client(&self, id: &str) -> Builder<'_> {
        Builder::new(self, id)
    }

    /// Registers the resource server that `introspect` asks as.
    pub async fn resource_server(&self) -> Party<'_> {
        self.client("api").grants(&[]).redirect_uris(&[]).with(|client| client.resource_server = true).create().await
    }

    /// What a resource server is told of a token.
    pub async fn introspect(&self, token: &str) -> Answer {
        let known = self.store.client(&"api".parse().expect("an id")).await.expect("the store answers");
        let api = match known {
            Some(_) => Party::existing(self, "api", super::party::SECRET),
            None => self.resource_server().await,
        };
        api.introspect(token).await
    }

    /// Makes a user whose password is `PASSWORD`.
    pub async fn user(&self, username: &str) -> UserId {
        self.user_with(username, |_| {}).await
    }

    pub async fn user_with(&self, username: &str, change: impl FnOnce(&mut User)) -> UserId {
        let rng = SystemRandom::new();
        let now = self.clock.now();
        let mut user = User {
            id: UserId::new(grantor::crypto::random::uuid_v4(&rng)),
            username: username.to_owned(),
            email: Some(format!("{username}@example.org")),
            email_verified: true,
            claims: serde_json::Map::from_iter([("name".to_owned(), Value::from(format!("{username} Lovelace")))]),
            created_at: now,
            updated_at: now,
            disabled_at: None,
            memberships: Memberships::default(),
        };
        change(&mut user);
        let hashing = grantor::app::password_hashing(&self.config).expect("the hasher starts");
        let hash = hashing.hash(PASSWORD.into(), &rng).await.expect("the hasher has time");
        let mut tx = self.store.begin().await.expect("the store answers");
        tx.insert_user(&user, Some(&hash)).await.expect("the user is stored");
        tx.commit().await.expect("the user is stored");
        user.id
    }

    /// A person with a browser of their own.
    pub fn person(&self) -> Person {
        Person::new(&self.url)
    }

    /// `GET` of a path of ours.
    pub async fn get(&self, path: &str) -> Answer {
        Answer::of(self.http.get(format!("{}{path}", self.url)).send().await.expect("the server answers")).await
    }

    /// `POST` of a form to a path of ours.
    pub async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.http.post(format!("{}{path}", self.url)).form(fields);
        Answer::of(request.send().await.expect("the server answers")).await
    }

    /// `POST` of any body with any headers.
    pub async fn post_raw(&self, path: &str, headers: &[(&str, &str)], body: impl Into<reqwest::Body>) -> Answer {
        let mut request = self.http.post(format!("{}{path}", self.url)).body(body);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await.expect("the server answers")).await
    }

    /// Another server with this configuration (TOML), on a fresh database of the same kind.
    pub async fn another(&self, toml: &str) -> Self {
        let sqlite = matches!(self.config.database.url, Some(grantor::config::DatabaseUrl::Sqlite(_)));
        Self::with(if sqlite { Engine::Sqlite } else { Engine::Postgres }, toml).await
    }

    pub async fn disable_user(&self, id: UserId) {
        let mut tx = self.store.begin().await.expect("the store answers");
        tx.disable_user(id, self.clock.now()).await.expect("the user is disabled");
        tx.commit().await.expect("the user is disabled");
    }

    pub async fn disable_client(&self, id: &str) {
        let id = id.parse().expect("a client id");
        let mut tx = self.store.begin().await.expect("the store answers");
        tx.disable_client(&id, self.clock.now()).await.expect("the client is disabled");
        tx.commit().await.expect("the client is disabled");
    }

    /// Changes what is registered of a client.
    pub async fn reregister(&self, id: &str, change: impl FnOnce(&mut ClientMetadata)) {
        let id = id.parse().expect("a client id");
        let known = self.store.client(&id).await.expect("the store answers").expect("there is such a client");
        let mut client = (*known).clone();
        change(&mut client.metadata);
        self.clock.advance(Duration::from_micros(1));
        let now = self.clock.now();
        let stored = self.change(async |tx| tx.update_client(&client, now).await).await;
        assert_eq!(stored, Stored::Stored);
    }
}

/// A client that follows no redirect.
pub fn http_client() -> reqwest::Client {
    // Somebody else may have installed it before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    client.timeout(Duration::from_secs(60)).user_agent(USER_AGENT).build().expect("an HTTP client")
}

/// What every test browser says that it is.
const USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0";

/// Waits until something is so, for what another node learns within a second.
pub async fn eventually(what: &str, is_so: impl AsyncFnMut() -> bool) {
    assert!(within(5, is_so).await, "it did not come to pass within five seconds: {what}");
}

/// As `eventually`, for what waits for the disk and is promised to nobody.
pub async fn patiently(what: &str, is_so: impl AsyncFnMut() -> bool) {
    assert!(within(60, is_so).await, "it did not come to pass within a minute: {what}");
}

/// Whether it came to be so.
pub async fn within(seconds: usize, mut is_so: impl AsyncFnMut() -> bool) -> bool {
    for _ in 0..seconds * 20 {
        if is_so().await {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}
