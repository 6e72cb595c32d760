//! `grantor resource …`: the places where access tokens may be used besides the issuer (RFC 8707).

mod write;

use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Admin, output};
use crate::config::Overrides;
use crate::store::Stored;
use crate::types::{Algorithm, Resource, ResourceUri};

#[derive(Subcommand)]
pub enum Command {
    /// Register a resource.
    Create(write::Create),
    /// List all resources.
    List {
        /// Print them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what is registered of a resource.
    Show {
        uri: ResourceUri,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Change what is registered of a resource; what is not named stays as it is.
    Update(write::Update),
    /// Take a resource away. Tokens for it are issued no more; those that are out are good until they expire.
    Delete { uri: ResourceUri },
}

pub async fn run(command: Command, overrides: &Overrides) -> anyhow::Result<String> {
    let admin = &Admin::open(overrides).await?;
    let text = match command {
        Command::Create(create) => create.run(admin).await,
        Command::List { json } => list(admin, json).await,
        Command::Show { uri, json } => show(&find(admin, &uri).await?, json),
        Command::Update(update) => update.run(admin).await,
        Command::Delete { uri } => delete(admin, &uri).await,
    };
    admin.store.close().await;
    text
}

async fn find(admin: &Admin, uri: &ResourceUri) -> anyhow::Result<Resource> {
    let resources = admin.store.resources().await?;
    resources.get(uri.as_str()).cloned().ok_or_else(|| anyhow!("no resource has the URI {uri}"))
}

async fn list(admin: &Admin, as_json: bool) -> anyhow::Result<String> {
    let resources = admin.store.resources().await?;
    if as_json {
        return output::json(&resources.iter().map(document).collect::<Vec<_>>());
    }
    if resources.is_empty() {
        return Ok("No resource is registered yet. Register one with grantor resource create.\n".into());
    }
    let rows: Vec<_> =
        resources.iter().map(|one| [one.uri.to_string(), one.name.clone(), one.scope.to_string()]).collect();
    Ok(output::table(["URI", "NAME", "SCOPE"], &rows))
}

fn show(resource: &Resource, as_json: bool) -> anyhow::Result<String> {
    if as_json {
        return output::json(&document(resource));
    }
    let by_default = || "as the server and the client say".to_owned();
    let lifetime = |time: Duration| format!("{} at most", humantime::format_duration(time));
    Ok(output::fields(&[
        ("uri", resource.uri.to_string()),
        ("name", resource.name.clone()),
        ("scope", resource.scope.to_string()),
        ("access tokens live", resource.access_token_lifetime.map_or_else(by_default, lifetime)),
        ("signed by", resource.access_token_signing_alg.map_or_else(by_default, |alg: Algorithm| alg.to_string())),
        ("registered", output::instant(resource.created_at)),
        ("changed", output::instant(resource.updated_at)),
    ]))
}

fn document(resource: &Resource) -> Value {
    json!({
        "resource": resource.uri.as_str(),
        "resource_name": resource.name,
        "scope": resource.scope,
        "access_token_lifetime": resource.access_token_lifetime.map(|lifetime| lifetime.as_secs()),
        "access_token_signing_alg": resource.access_token_signing_alg,
        "created_at": output::instant(resource.created_at),
        "updated_at": output::instant(resource.updated_at),
    })
}

async fn delete(admin: &Admin, uri: &ResourceUri) -> anyhow::Result<String> {
    let mut tx = admin.store.begin().await?;
    if tx.delete_resource(uri.as_str(), admin.now()).await? == Stored::Conflict {
        bail!("no resource has the URI {uri}");
    }
    tx.commit().await?;
    Ok(format!("Deleted {uri}. Its tokens that are out are good until they expire.\n"))
}
