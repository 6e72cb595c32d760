//! `grantor authorization-type …`: what clients may ask for in particular, in `authorization_details` (RFC 9396).

mod write;

use anyhow::{anyhow, bail};
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Admin, output};
use crate::config::Overrides;
use crate::store::Stored;
use crate::types::{AuthorizationType, Client, TypeName};

#[derive(Subcommand)]
pub enum Command {
    /// Register a type. A client may use it once its authorization_details_types name it.
    Create(write::Create),
    /// List all types.
    List {
        /// Print them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what is registered of a type.
    Show {
        name: TypeName,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Change what is registered of a type; what is not named stays as it is.
    Update(write::Update),
    /// Take a type away. No token says anything of it any more; those that are out are good until they expire.
    Delete { name: TypeName },
}

pub async fn run(command: Command, overrides: &Overrides) -> anyhow::Result<String> {
    let admin = &Admin::open(overrides).await?;
    let text = match command {
        Command::Create(create) => create.run(admin).await,
        Command::List { json } => list(admin, json).await,
        Command::Show { name, json } => show(&find(admin, &name).await?, json),
        Command::Update(update) => update.run(admin).await,
        Command::Delete { name } => delete(admin, &name).await,
    };
    admin.store.close().await;
    text
}

async fn find(admin: &Admin, name: &TypeName) -> anyhow::Result<AuthorizationType> {
    let types = admin.store.authorization_types().await?;
    types.get(name.as_str()).cloned().ok_or_else(|| anyhow!("no authorization details type has the name {name}"))
}

async fn list(admin: &Admin, as_json: bool) -> anyhow::Result<String> {
    let types = admin.store.authorization_types().await?;
    if as_json {
        return output::json(&types.iter().map(document).collect::<Vec<_>>());
    }
    if types.is_empty() {
        return Ok("No type is registered yet. Register one with grantor authorization-type create.\n".into());
    }
    let row = |one: &AuthorizationType| {
        [one.name.to_string(), resource(one), output::yes_or_no(one.each_time), one.description.as_str().to_owned()]
    };
    Ok(output::table(["NAME", "RESOURCE", "EACH TIME", "DESCRIPTION"], &types.iter().map(row).collect::<Vec<_>>()))
}

fn show(kind: &AuthorizationType, as_json: bool) -> anyhow::Result<String> {
    if as_json {
        return output::json(&document(kind));
    }
    Ok(output::fields(&[
        ("name", kind.name.to_string()),
        ("description", kind.description.as_str().to_owned()),
        ("resource", kind.resource.as_ref().map_or_else(|| "any".to_owned(), ToString::to_string)),
        ("asked", if kind.each_time { "at every request" } else { "until it is allowed" }.to_owned()),
        ("schema", serde_json::to_string_pretty(kind.schema.document())?),
        ("registered", output::instant(kind.created_at)),
        ("changed", output::instant(kind.updated_at)),
    ]))
}

fn document(kind: &AuthorizationType) -> Value {
    json!({
        "type": kind.name.as_str(),
        "description": kind.description.as_str(),
        "resource": kind.resource.as_ref().map(|uri| uri.as_str()),
        "each_time": kind.each_time,
        "schema": kind.schema.document(),
        "created_at": output::instant(kind.created_at),
        "updated_at": output::instant(kind.updated_at),
    })
}

fn resource(kind: &AuthorizationType) -> String {
    kind.resource.as_ref().map(ToString::to_string).unwrap_or_default()
}

async fn delete(admin: &Admin, name: &TypeName) -> anyhow::Result<String> {
    let mut tx = admin.store.begin().await?;
    if tx.delete_authorization_type(name.as_str(), admin.now()).await? == Stored::Conflict {
        bail!("no authorization details type has the name {name}");
    }
    tx.commit().await?;
    let clients = admin.store.clients().await?;
    let asks = |client: &&Client| client.metadata.authorization_details_types.iter().any(|own| own == name.as_str());
    let left: Vec<_> = clients.iter().filter(asks).map(|client| client.id.to_string()).collect();
    let left = if left.is_empty() {
        String::new()
    } else {
        format!("The authorization_details_types of these clients name it still: {}.\n", left.join(", "))
    };
    Ok(format!("Deleted {name}. Tokens that are out are good until they expire.\n{left}"))
}
