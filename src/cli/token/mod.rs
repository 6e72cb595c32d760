//! `grantor token …`: API keys of clients, and people's personal access tokens.

mod create;

use anyhow::{anyhow, bail};
use clap::{Args, Subcommand};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};

use super::output::{self, instant};
use super::{Admin, input};
use crate::config::Overrides;
use crate::crypto::api_token;
use crate::store::Stored;
use crate::types::{ApiToken, ClientId, Event, EventKind, Holder, TokenId};

#[derive(Subcommand)]
pub enum Command {
    /// Make an API key for a client. It is shown this once.
    Create(create::Create),
    /// List API keys and personal access tokens.
    List(List),
    /// End an API key or a personal access token at once.
    Revoke {
        /// The id that `grantor token list` shows; `-` reads the token itself from standard input.
        id: String,
    },
}

#[derive(Args)]
pub struct List {
    /// Those of one client.
    #[arg(long, value_name = "ID")]
    client: Option<ClientId>,
    /// Those of one user, by user name, e-mail address or id.
    #[arg(long, value_name = "USER", conflicts_with = "client")]
    user: Option<String>,
    /// Print them as JSON.
    #[arg(long)]
    json: bool,
}

pub async fn run(command: Command, overrides: &Overrides) -> anyhow::Result<String> {
    let admin = &Admin::open(overrides).await?;
    let text = match command {
        Command::Create(create) => create.run(admin).await,
        Command::List(list) => list.run(admin).await,
        Command::Revoke { id } => revoke(admin, &id).await,
    };
    admin.store.close().await;
    text
}

impl List {
    async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        let holder = match (self.client, self.user) {
            (Some(client), _) => Some(Holder::Client(admin.client(&client).await?.id)),
            (None, Some(user)) => Some(Holder::User(admin.user(&user).await?.id)),
            (None, None) => None,
        };
        let tokens = admin.store.api_tokens(holder.as_ref()).await?;
        if self.json {
            return output::json(&tokens.iter().map(document).collect::<Vec<_>>());
        }
        if tokens.is_empty() {
            return Ok(
                "There is none. People make theirs on their account page; grantor token create makes one for a \
                       client.\n"
                    .into(),
            );
        }
        let rows: Vec<_> = tokens.iter().map(row).collect();
        Ok(output::table(["ID", "HOLDER", "NAME", "SCOPE", "EXPIRES", "LAST USED"], &rows))
    }
}

fn row(token: &ApiToken) -> [String; 6] {
    let holder = match &token.holder {
        Holder::User(id) => format!("user {id}"),
        Holder::Client(id) => format!("client {id}"),
    };
    [
        token.id.to_string(),
        holder,
        token.name.clone(),
        token.scope.to_string(),
        instant(token.expires_at),
        token.used_at.map_or_else(|| "never".to_owned(), instant),
    ]
}

fn document(token: &ApiToken) -> Value {
    json!({
        "id": token.id,
        "user": token.holder.user(),
        "client_id": token.holder.client(),
        "name": token.name,
        "scope": token.scope,
        "audience": token.audience,
        "created_at": instant(token.created_at),
        "expires_at": instant(token.expires_at),
        "used_at": token.used_at.map(instant),
    })
}

async fn revoke(admin: &Admin, id: &str) -> anyhow::Result<String> {
    let id = if id == "-" { shown(admin).await? } else { TokenId::parse(id).ok_or_else(|| missing(id))? };
    let known = admin.store.api_tokens(None).await?;
    let holder = known.into_iter().find(|token| token.id == id).map(|token| token.holder);
    let mut tx = admin.store.begin().await?;
    if tx.delete_api_token(id, None, admin.now()).await? == Stored::Conflict {
        bail!(missing(&id.to_string()));
    }
    if let Some(Holder::User(user)) = holder {
        tx.log(Event::new(user, EventKind::TokenEnded, admin.now()).by_admin()).await?;
    }
    tx.commit().await?;
    Ok(format!("Revoked {id}.\n"))
}

fn missing(id: &str) -> anyhow::Error {
    anyhow!("there is no token with the id {id}: grantor token list shows those that there are")
}

/// The token on standard input: whoever has found one that leaked has no id.
async fn shown(admin: &Admin) -> anyhow::Result<TokenId> {
    let text = input::secret()?;
    let Some(hash) = api_token::hash(text.expose_secret().trim()) else {
        bail!("what is on standard input is no token of this kind: one begins with gr_pat_ or gr_key_");
    };
    match admin.store.api_token(&hash).await? {
        Some(token) => Ok(token.id),
        None => bail!("this token is not good here any more, or its holder is disabled"),
    }
}
