//! `grantor user …`: the people who sign in.

mod create;
mod import;
mod invite;
mod password;
mod reset_password;
mod show;
mod state;
mod update;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{Admin, input};
use crate::config::Overrides;
use crate::types::{ClientId, User, claim_value};

#[derive(Subcommand)]
pub enum Command {
    /// Create a user.
    Create(create::Create),
    /// Take over users from Django, or from a table, with their passwords as hashes.
    Import(import::Import),
    /// Send or print a link with which somebody makes an account for themselves.
    Invite(invite::Invite),
    /// List all users.
    List {
        /// Print them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what is known of a user.
    Show {
        #[command(flatten)]
        named: Named,
        /// Show, too, the sub by which this client knows them. USER can be that sub.
        #[arg(long, value_name = "ID")]
        client: Option<ClientId>,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Change the names and claims of a user; what is not named stays as it is.
    Update(update::Update),
    /// Set another password. Ends the user's sessions.
    SetPassword(password::SetPassword),
    /// Send or print a link with which a user chooses a new password.
    ResetPassword(reset_password::ResetPassword),
    /// Take away a user's second factors: their authenticator apps, passkeys and recovery codes. For whoever has lost them
    /// all. Make sure that it is them.
    RemoveSecondFactor(Named),
    /// Let another provider sign a user in no more. Nobody is asked whether they have another way in.
    Unlink {
        #[command(flatten)]
        named: Named,
        /// The name of the provider in the configuration.
        provider: String,
    },
    /// End all sessions and grants of a user, or of everybody. They can sign in again.
    SignOut {
        #[arg(required_unless_present = "everybody", conflicts_with = "everybody")]
        user: Option<String>,
        /// Of all users.
        #[arg(long)]
        everybody: bool,
    },
    /// Forget that somebody guessed at a user's password or codes, so that they need not wait.
    Unlock(Named),
    /// Refuse a user from now on, and end their sessions, grants and tokens.
    Disable(Named),
    /// Let a disabled user back in. What was ended stays ended.
    Enable(Named),
    /// Remove a user with all that is theirs. Their tokens end.
    Delete(Named),
}

#[derive(Args)]
pub struct Named {
    /// The username, e-mail address or id.
    user: String,
}

/// What can be known of a user beside their names.
#[derive(Args)]
pub struct Claims {
    /// The full name.
    #[arg(long, value_parser = input::words)]
    name: Option<String>,
    /// A claim, as in given_name=Ada, or its value as JSON, as in groups='["staff"]'; null takes it away. May be repeated.
    #[arg(long = "claim", value_name = "NAME=VALUE", value_parser = input::claim)]
    claims: Vec<(String, Value)>,
}

impl Claims {
    fn apply(&self, claims: &mut Map<String, Value>) -> anyhow::Result<()> {
        let number = claims.get("phone_number").cloned();
        claims.extend(self.name.clone().map(|name| ("name".to_owned(), name.into())));
        claims.extend(self.claims.iter().cloned());
        claims.retain(|_, value| !value.is_null());
        // Another number is another promise.
        let said = self.claims.iter().any(|(name, _)| name == "phone_number_verified");
        if claims.get("phone_number") != number.as_ref() && !said {
            claims.remove("phone_number_verified");
        }
        claim_value::check_together(claims).map_err(|why| anyhow!("{why}"))
    }
}

pub async fn run(command: Command, overrides: &Overrides) -> anyhow::Result<String> {
    let admin = &Admin::open(overrides).await?;
    let text = match command {
        Command::Create(create) => create.run(admin).await,
        Command::Import(import) => import.run(admin).await,
        Command::Invite(invite) => invite.run(admin).await,
        Command::List { json } => show::list(admin, json).await,
        Command::Show { named, client, json } => show::show(admin, &named.user, client, json).await,
        Command::Update(update) => update.run(admin).await,
        Command::SetPassword(set) => set.run(admin).await,
        Command::ResetPassword(reset) => reset.run(admin).await,
        Command::RemoveSecondFactor(Named { user }) => state::remove_second_factor(admin, &user).await,
        Command::Unlink { named, provider } => state::unlink(admin, &named.user, &provider).await,
        Command::SignOut { user, .. } => state::sign_out(admin, user.as_deref()).await,
        Command::Unlock(Named { user }) => state::unlock(admin, &user).await,
        Command::Disable(Named { user }) => state::disable(admin, &user).await,
        Command::Enable(Named { user }) => state::enable(admin, &user).await,
        Command::Delete(Named { user }) => state::delete(admin, &user).await,
    };
    admin.store.close().await;
    text
}

/// A user as programs read them. Times are seconds since the epoch, as in tokens.
fn document(user: &User) -> Value {
    json!({
        "id": user.id,
        "username": user.username,
        "email": user.email,
        "email_verified": user.email_verified,
        "claims": user.claims,
        "groups": user.memberships.groups,
        "created_at": user.created_at.secs(),
        "updated_at": user.updated_at.secs(),
        "disabled": user.disabled_at.is_some(),
    })
}

/// Which of a user's names is another's already.
async fn taken(admin: &Admin, user: &User) -> anyhow::Result<Option<String>> {
    let others = async |login: &str| -> anyhow::Result<bool> {
        Ok(admin.store.user_by_login(login).await?.is_some_and(|other| other.id != user.id))
    };
    if others(&user.username).await? {
        return Ok(Some(format!("the username {} is another user's already", user.username)));
    }
    match &user.email {
        Some(email) if others(email).await? => {
            Ok(Some(format!("the e-mail address {email} is another user's already")))
        }
        _ => Ok(None),
    }
}
