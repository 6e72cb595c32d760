//! `grantor demo`.

use std::net::SocketAddr;

use clap::Args;

use crate::config::Overrides;

#[derive(Args)]
pub struct DemoArgs {
    /// Address and port of the server. [default: 127.0.0.1:8080]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// Address and port of the example application.
    #[arg(long, value_name = "ADDR")]
    pub app_listen: Option<SocketAddr>,
}

pub async fn run(_args: DemoArgs, _overrides: Overrides) -> anyhow::Result<()> {
    anyhow::bail!("not yet")
}
