//! `grantor authorization-type create` and `grantor authorization-type update`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, ValueEnum};

use super::{find, show};
use crate::cli::Admin;
use crate::store::Stored;
use crate::types::{AuthorizationType, ResourceUri, Schema, TypeName, Wording, json};

#[derive(Args)]
pub struct Create {
    /// What clients send as `type`: a word, or a URI.
    name: TypeName,
    /// The JSON Schema of its objects, `type` included.
    #[arg(long, value_name = "FILE")]
    schema: PathBuf,
    /// How people are told of one, with the names of members in braces: "Read {columns} of the table {table}".
    #[arg(long, value_name = "WORDS")]
    description: Wording,
    /// The registered resource to which it belongs: its objects stand in tokens for that alone.
    #[arg(long, value_name = "URI")]
    resource: Option<ResourceUri>,
    /// Ask people at every request, as about a payment. Without it, what they allowed once is not asked again.
    #[arg(long)]
    each_time: bool,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Update {
    name: TypeName,
    #[arg(long, value_name = "FILE")]
    schema: Option<PathBuf>,
    #[arg(long, value_name = "WORDS")]
    description: Option<Wording>,
    #[arg(long, value_name = "URI")]
    resource: Option<ResourceUri>,
    /// Whether people are asked at every request.
    #[arg(long, value_name = "BOOL")]
    each_time: Option<bool>,
    /// What to set back to nothing.
    #[arg(long, value_name = "SETTING", conflicts_with = "resource")]
    clear: Option<Clear>,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Clear {
    Resource,
}

impl Create {
    pub async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        let now = admin.now();
        let kind = AuthorizationType {
            name: self.name,
            schema: read(&self.schema)?,
            description: self.description,
            resource: self.resource,
            each_time: self.each_time,
            created_at: now,
            updated_at: now,
        };
        check(&kind, admin).await?;
        let mut tx = admin.store.begin().await?;
        if tx.insert_authorization_type(&kind).await? == Stored::Conflict {
            bail!("there is an authorization details type with the name {} already", kind.name);
        }
        tx.commit().await?;
        report(&kind, self.json)
    }
}

impl Update {
    pub async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        let mut kind = find(admin, &self.name).await?;
        if let Some(path) = &self.schema {
            kind.schema = read(path)?;
        }
        if let Some(description) = self.description {
            kind.description = description;
        }
        kind.each_time = self.each_time.unwrap_or(kind.each_time);
        match self.clear {
            Some(Clear::Resource) => kind.resource = None,
            None => kind.resource = self.resource.or(kind.resource),
        }
        check(&kind, admin).await?;
        let mut tx = admin.store.begin().await?;
        if tx.update_authorization_type(&kind, admin.now()).await? == Stored::Conflict {
            bail!(
                "the type {} was changed by somebody else at the same time: nothing was changed, try again",
                self.name
            );
        }
        tx.commit().await?;
        report(&find(admin, &self.name).await?, self.json)
    }
}

fn read(path: &Path) -> anyhow::Result<Schema> {
    let name = path.display();
    let text = fs::read(path).with_context(|| format!("the schema {name} cannot be read"))?;
    let document = json::strict(&text).map_err(|why| anyhow!("the schema {name} is not JSON: {why}"))?;
    Schema::compile(document).map_err(|why| anyhow!("the schema {name} is refused: {why}"))
}

async fn check(kind: &AuthorizationType, admin: &Admin) -> anyhow::Result<()> {
    kind.validate().map_err(|why| anyhow!("{why}"))?;
    match &kind.resource {
        Some(uri) if admin.store.resources().await?.get(uri.as_str()).is_none() => {
            bail!("no resource has the URI {uri}: register it first with grantor resource create")
        }
        _ => Ok(()),
    }
}

fn report(kind: &AuthorizationType, as_json: bool) -> anyhow::Result<String> {
    let mut text = show(kind, as_json)?;
    // RFC 9396 §5 has members refused that the type does not know.
    if !as_json && !kind.schema.says_what_else() {
        text += "\nIts schema says nothing of other members, so any may stand beside those that it names. To refuse them, as \
                 RFC 9396 has it, add \"additionalProperties\": false.\n";
    }
    Ok(text)
}
