//! `grantor user invite`.

use anyhow::{anyhow, bail};
use clap::Args;
use secrecy::ExposeSecret as _;

use crate::account::{links, registration};
use crate::cli::Admin;
use crate::config::sign_up::Who;
use crate::store::Purpose;

#[derive(Args)]
pub struct Invite {
    /// The address that the account will have, and its user name.
    email: String,
    /// Print the link, even where mail goes out. Whoever has it makes the account.
    #[arg(long)]
    print: bool,
}

impl Invite {
    pub async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        if admin.config.sign_up.mode == Who::Off {
            bail!("nobody makes an account for themselves: set sign_up.mode to \"invitation\" or \"open\"");
        }
        let email =
            registration::address(&self.email).ok_or_else(|| anyhow!("{:?} is not an e-mail address", self.email))?;
        let by_mail = admin.config.mail.is_on() && !self.print;
        let Some(secret) = admin.accounts().await?.invite(&email, by_mail, admin.now()).await? else {
            bail!("{email} is a user's already");
        };
        let days = links::INVITATION.as_secs() / 86_400;
        if by_mail {
            return Ok(format!(
                "An invitation is on its way to {email}, once a server sends it. It holds for {days} days.\n"
            ));
        }
        let address = links::address(&admin.config, Purpose::SignUp, secret.expose_secret());
        Ok(format!(
            "{address}\n\nWith it {email} makes an account: once, within {days} days. Give it to nobody else.\n"
        ))
    }
}
