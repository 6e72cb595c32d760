//! The wiring, all of it: configuration in, a running server out.

pub mod data;
pub mod secret;
mod tls;

use std::collections::HashMap;
use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioTimer;
use tokio::task::{Id, JoinSet};

use crate::account::password::PasswordRules;
use crate::account::{Accounts, throttle};
use crate::config::Config;
use crate::crypto::password::Params;
use crate::crypto::{Mac, PasswordHashing, Random, SystemRandom, random};
use crate::jobs;
use crate::jobs::outbox::{Logouts, Mails, Wishes};
use crate::oauth::register::Limiter;
use crate::oauth::{ClientDocuments, ClientKeys, Keeper, Keys, Registrar, Subjects, resource, subjects};
use crate::store::Store;
use crate::telemetry::RequestIds;
use crate::types::{Clock, SystemClock};
use crate::web::brand::BrandFiles;
use crate::web::{self, Services};

/// How long a client may take to send the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);

/// Time and randomness, from outside.
#[derive(Clone)]
pub struct Ambient {
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Random>,
}

impl Ambient {
    /// Those of the machine.
    pub fn system() -> Self {
        Self { clock: Arc::new(SystemClock), rng: Arc::new(SystemRandom::new()) }
    }
}

/// A server that is ready: database migrated, keys open, feed read, jobs running.
pub struct App {
    config: Arc<Config>,
    store: Store,
    router: Router,
    tls: Option<RustlsConfig>,
    jobs: Jobs,
}

impl App {
    /// Brings everything up.
    ///
    /// # Errors
    /// In words that say what to do.
    pub async fn start(config: Config, ambient: Ambient) -> anyhow::Result<Self> {
        let tls = tls::config(&config.tls)?.map(|tls| RustlsConfig::from_config(Arc::new(tls)));
        data::prepare(&config)?;
        let ring = Arc::new(data::key_ring(&config, &*ambient.rng)?);
        let store = data::open_store(&config, ambient.clock.clone()).await?;
        let now = ambient.clock.now();
        let shared = async |name| secret::open((&store, &ring), name, &*ambient.rng, now).await;
        let subjects = Arc::new(Subjects::new(&shared(subjects::SECRET).await?));
        let mac = Mac::new(&shared(throttle::SECRET).await?);
        let keys = Keys::open(&store, ring.clone(), &config.keys.algorithms, ambient.rng.clone(), now).await;
        let keys = Arc::new(keys.map_err(|fault| anyhow!("{fault}"))?);
        jobs::feed::catch_up(&store, &keys).await.map_err(|(what, fault)| anyhow!("{what}: {fault}"))?;

        let resources = store.resources().await.map_err(|fault| anyhow!("{fault}"))?;
        for (resource, algorithm) in resource::unsigned(&config, &resources) {
            tracing::warn!(
                resource = %resource.uri, %algorithm,
                "tokens for this resource cannot be relied upon: keys.algorithms has not what they are signed with"
            );
        }

        let outgoing = data::outgoing(&config)?;
        let (life, authorities) = (config.outgoing.cache_lifetime, data::authorities(&config)?);
        let client_keys = Arc::new(ClientKeys::new(outgoing.clone(), life, ring.clone(), authorities));

        let client_documents = Arc::new(ClientDocuments::new(outgoing.clone(), life));
        let statement_keys = data::statement_keys(&config)?;
        let registrar = Registrar { limiter: Limiter::default(), statement_keys, outgoing: outgoing.clone() };

        let mut jobs = Jobs::default();
        jobs.start(
            "following the change feed",
            jobs::feed::run(store.clone(), keys.clone(), config.feed.poll_interval),
        );
        let node = random::token(&*ambient.rng, 16);
        jobs.start("housekeeping", jobs::cleanup::run(store.clone(), ambient.clock.clone(), node.clone()));

        let config = Arc::new(config);
        let (rng, clock) = (ambient.rng.clone(), ambient.clock.clone());
        let keeper = Keeper { store: store.clone(), keys: keys.clone(), config: config.clone(), rng };
        jobs.start("rotating the signing keys", jobs::key_rotation::run(keeper, clock, node));
        let logouts = Logouts {
            config: config.clone(),
            store: store.clone(),
            keys: keys.clone(),
            rng: ambient.rng.clone(),
            clock: ambient.clock.clone(),
            client_keys: client_keys.clone(),
            client_documents: client_documents.clone(),
            subjects: subjects.clone(),
            outgoing,
        };
        jobs.start("telling of logouts", jobs::outbox::run(store.clone(), ambient.clock.clone(), logouts));
        let accounts = Accounts {
            config: config.clone(),
            store: store.clone(),
            hashing: password_hashing(&config)?,
            rules: Arc::new(PasswordRules::new(&config)?),
            ring: ring.clone(),
            mac,
            rng: ambient.rng.clone(),
        };
        if let Some(mailer) = data::mailer(&config)? {
            let clock = ambient.clock.clone();
            let wishes = Wishes { accounts: accounts.clone(), clock: clock.clone() };
            jobs.start("granting wishes", jobs::outbox::run(store.clone(), clock.clone(), wishes));
            let mails = Mails { config: config.clone(), ring, clock: clock.clone(), mailer };
            jobs.start("sending mail", jobs::outbox::run(store.clone(), clock, mails));
        }
        let brand = BrandFiles::read(&config.brand)?;
        let router = web::router(Services {
            config: config.clone(),
            brand,
            store: store.clone(),
            keys,
            client_keys,
            client_documents,
            subjects,
            registrar,
            accounts,
            request_ids: RequestIds::from(u64::from_ne_bytes(random::bytes(&*ambient.rng))),
            rng: ambient.rng,
            clock: ambient.clock,
        });
        Ok(Self { config, store, router, tls, jobs })
    }

    pub fn store(&self) -> &Store {
        &self.store
    }

    pub fn router(&self) -> Router {
        self.router.clone()
    }

    /// Serves until `shutdown` is ready, then finishes the requests in flight.
    ///
    /// # Errors
    /// When a job has ended: what it did, nobody does any more.
    pub async fn serve(mut self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> anyhow::Result<()> {
        let handle = Handle::new();
        let serving = accept(self.tls.clone(), self.router.clone(), listener, handle.clone());
        let stopping = async {
            let why = tokio::select! {
                () = shutdown => Ok(()),
                Some(job) = self.jobs.ended() => {
                    Err(anyhow!("{job} has ended, which it never should: start the server again"))
                }
            };
            tracing::info!("stopping: requests in flight are finished first");
            handle.graceful_shutdown(Some(self.config.server.shutdown_timeout));
            Ok(why)
        };
        let ((), why) = tokio::try_join!(serving, stopping)?;
        self.stop().await;
        tracing::info!("stopped");
        why
    }

    /// Ends the jobs and closes the database.
    pub async fn stop(&mut self) {
        self.jobs.running.shutdown().await;
        self.store.close().await;
    }
}

/// What goes on beside the requests, by name. All of it ends when this is dropped.
#[derive(Default)]
struct Jobs {
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Jobs {
    fn start(&mut self, name: &'static str, job: impl Future<Output = ()> + Send + 'static) {
        self.names.insert(self.running.spawn(job).id(), name);
    }

    /// The first that ends, in whatever way.
    async fn ended(&mut self) -> Option<&'static str> {
        let id = self.running.join_next_with_id().await?.map_or_else(|error| error.id(), |(id, ())| id);
        Some(self.names.remove(&id).unwrap_or("a job"))
    }
}

/// Answers requests until `handle` says that it is enough.
async fn accept(
    tls: Option<RustlsConfig>,
    router: Router,
    listener: TcpListener,
    handle: Handle<SocketAddr>,
) -> anyhow::Result<()> {
    listener.set_nonblocking(true)?;
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    match tls {
        None => {
            let mut server = axum_server::from_tcp(listener)?.handle(handle);
            server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
            server.serve(service).await?;
        }
        Some(tls) => {
            let mut server = axum_server::from_tcp_rustls(listener, tls)?.handle(handle);
            server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
            server.serve(service).await?;
        }
    }
    Ok(())
}

/// Listens, with an error that names the address.
///
/// # Errors
/// When the address is taken or not ours.
pub fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("cannot listen on {address}"))
}

/// The hasher, as configured.
///
/// # Errors
/// When argon2 refuses the parameters.
pub fn password_hashing(config: &Config) -> anyhow::Result<PasswordHashing> {
    let password = &config.password;
    let params =
        Params { memory_kib: password.memory_kib, iterations: password.iterations, parallelism: password.parallelism };
    PasswordHashing::new(params, password.workers, password.queue).map_err(|why| anyhow!("[password]: {why}"))
}
