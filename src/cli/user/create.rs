//! `grantor user create`.

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Map;

use super::{Claims, document, password, taken};
use crate::account::names;
use crate::cli::{Admin, output};
use crate::crypto::random::uuid_v4;
use crate::store::Stored;
use crate::types::{Memberships, User, UserId};

#[derive(Args)]
pub struct Create {
    /// What the user signs in by. An e-mail address is taken as the user's e-mail address, too.
    #[arg(long)]
    username: String,
    /// The user's e-mail address, by which they can sign in as well.
    #[arg(long)]
    email: Option<String>,
    /// The address is known to be theirs.
    #[arg(long)]
    email_verified: bool,
    #[command(flatten)]
    claims: Claims,
    /// Read the password from standard input.
    #[arg(long)]
    password_stdin: bool,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

impl Create {
    pub async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        let email = names::settle(&self.username, self.email.as_deref())?;
        if self.email_verified && email.is_none() {
            bail!("there is no e-mail address that could be verified: give one with --email");
        }
        let mut claims = Map::new();
        self.claims.apply(&mut claims)?;
        let now = admin.now();
        let user = User {
            id: UserId::new(uuid_v4(&admin.rng)),
            username: self.username,
            email,
            email_verified: self.email_verified,
            claims,
            created_at: now,
            updated_at: now,
            disabled_at: None,
            memberships: Memberships::default(),
        };
        let hash = password::read_and_hash(admin, &user, self.password_stdin).await?;

        let mut tx = admin.store.begin().await?;
        if tx.insert_user(&user, Some(&hash)).await? == Stored::Conflict {
            drop(tx);
            bail!(taken(admin, &user).await?.context("a user of that name was created at the same time")?);
        }
        tx.commit().await?;
        if self.json {
            return output::json(&document(&user));
        }
        Ok(format!("Created {}.\n\n{}", user.username, output::fields(&[("id", user.id.to_string())])))
    }
}
