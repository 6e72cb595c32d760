//! The wiring, all of it: configuration in, a running server out.

pub mod data;

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::TokioTimer;
use tokio::task::JoinSet;

use crate::account::Accounts;
use crate::config::Config;
use crate::crypto::password::Params;
use crate::crypto::{PasswordHashing, Random, SystemRandom, random};
use crate::jobs;
use crate::oauth::{ClientKeys, Keys};
use crate::store::Store;
use crate::telemetry::RequestIds;
use crate::types::{Clock, SystemClock};
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
    /// They end when this is dropped.
    jobs: JoinSet<()>,
}

impl App {
    /// Brings everything up.
    ///
    /// # Errors
    /// In words that say what to do.
    pub async fn start(config: Config, ambient: Ambient) -> anyhow::Result<Self> {
        data::prepare(&config)?;
        let ring = Arc::new(data::key_ring(&config, &*ambient.rng)?);
        let store = data::open_store(&config, ambient.clock.clone()).await?;
        let now = ambient.clock.now();
        let keys = Keys::open(&store, ring.clone(), &config.keys.algorithms, ambient.rng.clone(), now).await;
        let keys = Arc::new(keys.map_err(|fault| anyhow!("{fault}"))?);
        store.read_changes().await.map_err(|fault| anyhow!("{fault}"))?;

        let outgoing = data::outgoing(&config)?;
        let client_keys = Arc::new(ClientKeys::new(outgoing, config.outgoing.cache_lifetime, ring));

        let mut jobs = JoinSet::new();
        jobs.spawn(jobs::feed::run(store.clone(), keys.clone(), config.feed.poll_interval));
        let node = random::token(&*ambient.rng, 16);
        jobs.spawn(jobs::cleanup::run(store.clone(), ambient.clock.clone(), node));

        let config = Arc::new(config);
        let accounts = Accounts {
            config: config.clone(),
            store: store.clone(),
            hashing: password_hashing(&config)?,
            rng: ambient.rng.clone(),
        };
        let router = web::router(Services {
            config: config.clone(),
            store: store.clone(),
            keys,
            client_keys,
            accounts,
            request_ids: RequestIds::from(u64::from_ne_bytes(random::bytes(&*ambient.rng))),
            rng: ambient.rng,
            clock: ambient.clock,
        });
        Ok(Self { config, store, router, jobs })
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
    /// When the address is taken, or the certificate cannot be used.
    pub async fn serve(
        mut self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> anyhow::Result<()> {
        let handle = Handle::new();
        let stopping = handle.clone();
        let patience = self.config.server.shutdown_timeout;
        tokio::spawn(async move {
            shutdown.await;
            tracing::info!("stopping: requests in flight are finished first");
            stopping.graceful_shutdown(Some(patience));
        });
        listener.set_nonblocking(true)?;
        let service = self.router.clone().into_make_service_with_connect_info::<SocketAddr>();
        match self.config.tls.files() {
            None => {
                let mut server = axum_server::from_tcp(listener)?.handle(handle);
                server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
                server.serve(service).await?;
            }
            Some((cert, key)) => {
                let tls = RustlsConfig::from_pem_file(cert, key).await;
                let tls = tls.with_context(|| format!("tls.cert {} or tls.key {}", cert.display(), key.display()))?;
                let mut server = axum_server::from_tcp_rustls(listener, tls)?.handle(handle);
                server.http_builder().http1().timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
                server.serve(service).await?;
            }
        }
        self.stop().await;
        Ok(())
    }

    /// Ends the jobs and closes the database.
    pub async fn stop(&mut self) {
        self.jobs.shutdown().await;
        self.store.close().await;
    }
}

/// Listens, with an error that names the address.
///
/// # Errors
/// When the address is taken or not ours.
pub fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).with_context(|| format!("cannot listen on {address} (server.listen)"))
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
