//! `grantor mail …`: whether mail goes out.

use anyhow::{anyhow, bail};
use clap::Subcommand;

use crate::account::letters::{Envelope, Letter};
use crate::app::data;
use crate::config::{self, Config, Overrides};
use crate::crypto::{SystemRandom, random};
use crate::types::{Clock as _, SystemClock};

#[derive(Subcommand)]
pub enum Command {
    /// Send a message at once, as [mail] is configured here, and say what the server said.
    Test {
        /// To whom.
        address: String,
    },
}

pub async fn run(command: Command, overrides: &Overrides) -> anyhow::Result<String> {
    let Command::Test { address } = command;
    let config = Config::load(overrides, config::environment())?;
    let Some(mailer) = data::mailer(&config)? else {
        bail!("no mail goes out: set mail.transport, mail.host and mail.from")
    };
    let id = random::uuid_v4(&SystemRandom::new()).to_string();
    let envelope = Envelope { to: address, letter: Letter::Test };
    let words = envelope.letter.words(&config);
    let mail = envelope.written(&config, &id, &words)?;
    let said = mailer.send(mail, SystemClock.now()).await.map_err(|why| anyhow!("not sent: {why}"))?;
    Ok(format!("Sent to {}: {said}\n", envelope.to))
}
