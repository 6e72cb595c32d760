//! `grantor user reset-password`. Whoever runs it starts it, and never chooses the password (ASVS 6.4.6).

use anyhow::bail;
use clap::Args;
use secrecy::ExposeSecret as _;

use super::Named;
use crate::account::links;
use crate::cli::Admin;
use crate::store::Purpose;

#[derive(Args)]
pub struct ResetPassword {
    #[command(flatten)]
    named: Named,
    /// Print the link, even where mail goes out. Whoever has it chooses the password.
    #[arg(long)]
    print: bool,
}

impl ResetPassword {
    pub async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        let user = admin.user(&self.named.user).await?;
        if user.disabled_at.is_some() {
            bail!("{} is disabled: let them back in first, with grantor user enable", user.username);
        }
        let to = user.email.as_ref().filter(|_| admin.config.mail.is_on() && !self.print);
        let accounts = admin.accounts().await?;
        let Some(secret) = accounts.start_reset(&user, to.is_some(), admin.now()).await? else {
            bail!("the user {} was deleted just now", user.username);
        };
        let minutes = links::lifetime(Purpose::ResetPassword).as_secs() / 60;
        Ok(match to {
            Some(to) => format!(
                "A link is on its way to {to}, once a server sends it. {} chooses a new password with it, within {minutes} minutes.\n",
                user.username
            ),
            None => format!(
                "{}\n\nWith it {} chooses a new password: once, within {minutes} minutes. Give it to nobody else.\n",
                links::address(&admin.config, Purpose::ResetPassword, secret.expose_secret()),
                user.username
            ),
        })
    }
}
