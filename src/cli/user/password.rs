//! `grantor user set-password`, and how passwords are read and hashed.

use anyhow::{anyhow, bail};
use clap::Args;

use super::Named;
use crate::account::letters::Letter;
use crate::account::names;
use crate::account::password::PasswordRules;
use crate::app;
use crate::cli::{Admin, Usage, input};
use crate::store::Stored;
use crate::types::{Event, EventKind, User};

#[derive(Args)]
pub struct SetPassword {
    #[command(flatten)]
    named: Named,
    /// Read the password from standard input.
    #[arg(long)]
    password_stdin: bool,
}

impl SetPassword {
    pub async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        let user = admin.user(&self.named.user).await?;
        let hash = read_and_hash(admin, &user, self.password_stdin).await?;
        let writer = admin.writer().await?;
        let mut tx = admin.store.begin().await?;
        if tx.set_password(user.id, &hash, admin.now()).await? == Stored::Conflict {
            bail!("the user {} was deleted just now", user.username);
        }
        tx.log(Event::new(user.id, EventKind::PasswordChanged, admin.now()).by_admin()).await?;
        // ASVS 6.3.7
        if let Some(writer) = writer {
            let letter = Letter::PasswordChanged { account: user.username.clone(), at: admin.now() };
            writer.tell(&mut tx, &user, letter, admin.now()).await?;
        }
        tx.commit().await?;
        Ok(format!("{} has another password. Their sessions are ended.\n", user.username))
    }
}

/// The hash of the password on standard input, if it is one that this user may have.
pub async fn read_and_hash(admin: &Admin, user: &User, from_stdin: bool) -> anyhow::Result<String> {
    if !from_stdin {
        let hint = "a password is needed: pipe it in and say --password-stdin, so that it stands in no history";
        return Err(Usage(hint.into()).into());
    }
    let password = input::secret()?;
    PasswordRules::new(&admin.config)?.check(&password, &names::context_of(user))?;
    let hashing = app::password_hashing(&admin.config)?;
    hashing.hash(password, &admin.rng).await.map_err(|_| anyhow!("there is no memory to hash a password in"))
}
