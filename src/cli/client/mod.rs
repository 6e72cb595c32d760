//! `grantor client …`: the applications that may ask for tokens, and the resource servers that may check them.

mod create;
mod secret;
mod settings;
mod show;
mod state;
mod update;
mod verify;

use clap::{Args, Subcommand};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use super::{Admin, output};
use crate::config::Overrides;
use crate::types::{AuthMethod, Client, ClientId, SecretForm};

#[derive(Subcommand)]
pub enum Command {
    /// Register a client. A secret that is made for it is shown this once.
    Create(Box<create::Create>),
    /// List all clients.
    List {
        /// Print them as JSON, under the names of RFC 7591.
        #[arg(long)]
        json: bool,
    },
    /// Show what is registered of a client.
    Show {
        id: ClientId,
        /// Print it as JSON, under the names of RFC 7591.
        #[arg(long)]
        json: bool,
    },
    /// Change what is registered of a client; what is not named stays as it is.
    Update(Box<update::Update>),
    /// Replace the secret of a client. The old one is refused from then on.
    RotateSecret(secret::RotateSecret),
    /// Answer for a client that registered itself: users are not warned of it any more, and it stays.
    Verify(verify::Verify),
    /// Refuse a client from now on, and end its grants and tokens.
    Disable(Named),
    /// Let a disabled client back in. What was ended stays ended.
    Enable(Named),
    /// Remove a client with all that was granted to it. Its tokens end.
    Delete(Named),
}

#[derive(Args)]
pub struct Named {
    id: ClientId,
}

pub async fn run(command: Command, overrides: &Overrides) -> anyhow::Result<String> {
    let admin = &Admin::open(overrides).await?;
    let text = match command {
        Command::Create(create) => create.run(admin).await,
        Command::List { json } => show::list(admin, json).await,
        Command::Show { id, json } => show::show(admin, &id, json).await,
        Command::Update(update) => update.run(admin).await,
        Command::RotateSecret(rotate) => rotate.run(admin).await,
        Command::Verify(verify) => verify.run(admin).await,
        Command::Disable(Named { id }) => state::disable(admin, &id).await,
        Command::Enable(Named { id }) => state::enable(admin, &id).await,
        Command::Delete(Named { id }) => state::delete(admin, &id).await,
    };
    admin.store.close().await;
    text
}

/// The client information response (RFC 7591 §3.2.1), with the secret if it was made just now.
fn document(client: &Client, made: Option<&SecretString>) -> anyhow::Result<Value> {
    let mut document = serde_json::to_value(&client.metadata)?;
    document["client_id"] = json!(client.id);
    document["client_id_issued_at"] = json!(client.created_at.secs());
    document["verified"] = json!(client.is_verified());
    if let Some(registration) = &client.registration {
        document["registered_by"] = json!(registration.by);
    }
    document["disabled"] = json!(client.is_disabled());
    if client.metadata.token_endpoint_auth_method.secret() != SecretForm::None {
        document["client_secret_expires_at"] = json!(0);
    }
    if let Some(secret) = made {
        document["client_secret"] = json!(secret.expose_secret());
    }
    Ok(document)
}

/// What was done to a client, and the secret if one was made.
fn report(done: &str, client: &Client, made: Option<&SecretString>) -> String {
    let id = ("client id", client.id.to_string());
    let Some(secret) = made else { return format!("{done}\n\n{}", output::fields(&[id])) };
    let fields = output::fields(&[id, ("client secret", secret.expose_secret().to_owned())]);
    format!("{done}\n\n{fields}\nThe secret is shown this once: it cannot be read from here again.\n")
}

/// Public, confidential, or a resource server.
fn kind(client: &Client) -> &'static str {
    match (client.metadata.token_endpoint_auth_method, client.metadata.resource_server) {
        (_, true) => "resource server",
        (AuthMethod::None, false) => "public",
        (_, false) => "confidential",
    }
}

fn joined(values: impl IntoIterator<Item = impl ToString>, separator: &str) -> String {
    values.into_iter().map(|value| value.to_string()).collect::<Vec<_>>().join(separator)
}
