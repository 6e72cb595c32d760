//! `grantor user update`.

use anyhow::bail;
use clap::Args;

use super::{Claims, Named, document, taken};
use crate::account::names;
use crate::cli::{Admin, output};
use crate::store::Stored;
use crate::types::{Event, EventKind, Timestamp, User};

#[derive(Args)]
pub struct Update {
    #[command(flatten)]
    named: Named,
    /// Another username.
    #[arg(long)]
    username: Option<String>,
    /// Another e-mail address. It counts as not verified, unless that is said, too.
    #[arg(long)]
    email: Option<String>,
    /// Forget the e-mail address.
    #[arg(long, conflicts_with_all = ["email", "email_verified"])]
    no_email: bool,
    /// The address is known to be theirs.
    #[arg(long)]
    email_verified: bool,
    /// The address is not known to be theirs.
    #[arg(long, conflicts_with = "email_verified")]
    no_email_verified: bool,
    #[command(flatten)]
    claims: Claims,
    /// Forget a claim, as in given_name; may be repeated.
    #[arg(long, value_name = "NAME")]
    remove_claim: Vec<String>,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

impl Update {
    pub async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        let before = admin.user(&self.named.user).await?;
        let mut user = before.clone();
        self.change(&mut user)?;
        let changed = document(&user) != document(&before);
        if changed {
            user.updated_at = Self::write(admin, &user).await?;
        }
        Ok(match (self.json, changed) {
            (true, _) => output::json(&document(&user))?,
            (false, true) => format!("Changed {}.\n", user.username),
            (false, false) => format!("{} is so already: nothing was changed.\n", user.username),
        })
    }

    async fn write(admin: &Admin, user: &User) -> anyhow::Result<Timestamp> {
        let now = admin.now();
        let mut tx = admin.store.begin().await?;
        if tx.update_user(user, now).await? == Stored::Conflict {
            drop(tx);
            match taken(admin, user).await? {
                Some(why) => bail!(why),
                None => bail!("{} was changed at the same time: nothing was changed, try again", user.username),
            }
        }
        tx.log(Event::new(user.id, EventKind::ProfileChanged, now).by_admin()).await?;
        tx.commit().await?;
        Ok(now)
    }

    fn change(&self, user: &mut User) -> anyhow::Result<()> {
        let email = match (&self.email, self.no_email) {
            (Some(email), _) => Some(email.as_str()),
            (None, true) => None,
            (None, false) => user.email.as_deref(),
        };
        let username = self.username.as_deref().unwrap_or(&user.username);
        let email = names::settle(username, email)?;
        let same = |other: &str| user.email.as_deref().is_some_and(|own| own.to_lowercase() == other.to_lowercase());
        let still_verified = user.email_verified && email.as_deref().is_some_and(same) && !self.no_email_verified;
        if self.email_verified && email.is_none() {
            bail!("there is no e-mail address that could be verified: give one with --email");
        }
        user.email_verified = self.email_verified || still_verified;
        user.username = username.to_owned();
        user.email = email;
        user.claims.retain(|name, _| !self.remove_claim.contains(name));
        if self.remove_claim.iter().any(|name| name == "phone_number") {
            user.claims.remove("phone_number_verified");
        }
        self.claims.apply(&mut user.claims)
    }
}
