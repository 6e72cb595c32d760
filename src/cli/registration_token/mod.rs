//! `grantor registration-token …`: initial access tokens (RFC 7591 §3), with which clients may register themselves.

mod create;

use anyhow::bail;
use clap::Subcommand;
use serde_json::{Value, json};

use super::output::{self, instant, yes_or_no};
use super::{Admin, input};
use crate::config::Overrides;
use crate::store::{RegistrationToken, Stored};

#[derive(Subcommand)]
pub enum Command {
    /// Make a token. It is shown this once.
    Create(create::Create),
    /// List the tokens that were made and have not expired.
    List {
        /// Print them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Take a token away. What was registered with it stays.
    Revoke {
        /// The id that `grantor registration-token list` shows.
        id: String,
    },
}

pub async fn run(command: Command, overrides: &Overrides) -> anyhow::Result<String> {
    let admin = &Admin::open(overrides).await?;
    let text = match command {
        Command::Create(create) => create.run(admin).await,
        Command::List { json } => list(admin, json).await,
        Command::Revoke { id } => revoke(admin, &id).await,
    };
    admin.store.close().await;
    text
}

async fn list(admin: &Admin, as_json: bool) -> anyhow::Result<String> {
    let tokens = admin.store.registration_tokens().await?;
    if as_json {
        return output::json(&tokens.iter().map(document).collect::<Vec<_>>());
    }
    if tokens.is_empty() {
        return Ok("There is no registration token. Make one with grantor registration-token create.\n".into());
    }
    let rows: Vec<_> = tokens.iter().map(row).collect();
    Ok(output::table(["ID", "USES LEFT", "VERIFIES", "MADE", "EXPIRES"], &rows))
}

fn row(token: &RegistrationToken) -> [String; 5] {
    [
        token.id.clone(),
        token.uses_left.to_string(),
        yes_or_no(token.verifies),
        instant(token.created_at),
        instant(token.expires_at),
    ]
}

fn document(token: &RegistrationToken) -> Value {
    json!({
        "id": token.id,
        "uses_left": token.uses_left,
        "verifies": token.verifies,
        "created_at": instant(token.created_at),
        "expires_at": instant(token.expires_at),
    })
}

async fn revoke(admin: &Admin, id: &str) -> anyhow::Result<String> {
    let mut tx = admin.store.begin().await?;
    if tx.delete_registration_token(id).await? == Stored::Conflict {
        bail!("no registration token has the id {id}");
    }
    tx.commit().await?;
    Ok(format!("Revoked {id}. What was registered with it stays.\n"))
}
