//! `grantor serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::anyhow;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use crate::app::{self, Ambient, App};
use crate::config::{self, Config, Overrides};
use crate::telemetry;

#[derive(Args)]
pub struct ServeArgs {
    /// Address and port of the listener. [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// The URL at which browsers and clients reach the server. [default: http://localhost:8080]
    #[arg(long, value_name = "URL")]
    pub issuer: Option<String>,
    /// PEM file with the certificate and its chain, to serve https.
    #[arg(long, value_name = "FILE")]
    pub tls_cert: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    #[arg(long, value_name = "FILE")]
    pub tls_key: Option<PathBuf>,
}

pub async fn run(args: ServeArgs, overrides: Overrides) -> anyhow::Result<()> {
    let ServeArgs { listen, issuer, tls_cert, tls_key } = args;
    let overrides = Overrides { listen, issuer, tls_cert, tls_key, ..overrides };
    let config = Config::load(&overrides, config::environment())?;
    let _logging = telemetry::init(&config.log)?;

    let (issuer, database) = (config.server.issuer.clone(), config.database_url());
    let listener = app::listen(config.server.listen)
        .map_err(|why| anyhow!("{why:#}; --listen or server.listen names another address"))?;
    let address = listener.local_addr()?;
    let app = App::start(config, Ambient::system()).await?;
    tracing::info!(%issuer, %address, %database, "ready");
    app.serve(listener, stopped()?).await
}

/// Until somebody asks the process to stop: SIGTERM, or Ctrl-C.
pub(super) fn stopped() -> anyhow::Result<impl Future<Output = ()> + Send + 'static> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}
