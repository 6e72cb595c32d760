//! `grantor serve`.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use crate::config::Overrides;

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
    let _overrides = Overrides { listen, issuer, tls_cert, tls_key, ..overrides };
    anyhow::bail!("not yet")
}
