//! `grantor group …`: groups of people, and what belongs to them.

mod members;
mod write;

use anyhow::anyhow;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Admin, output};
use crate::config::Overrides;
use crate::types::{Group, GroupName};

#[derive(Subcommand)]
pub enum Command {
    /// Create a group.
    Create(write::Create),
    /// List all groups.
    List {
        /// Print them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show what is known of a group, and who is in it.
    Show {
        group: GroupName,
        /// Print it as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Change the description or the roles of a group; what is not named stays as it is.
    Update(write::Update),
    /// Remove a group; everybody leaves it.
    Delete { group: GroupName },
    /// Put people into a group: all of them, or none.
    Add(members::Members),
    /// Take people out of a group: all of them, or none. Their access tokens end, and the next ones say what is so then.
    Remove(members::Members),
}

pub async fn run(command: Command, overrides: &Overrides) -> anyhow::Result<String> {
    let admin = &Admin::open(overrides).await?;
    let text = match command {
        Command::Create(create) => create.run(admin).await,
        Command::List { json } => list(admin, json).await,
        Command::Show { group, json } => show(admin, &find(admin, &group).await?, json).await,
        Command::Update(update) => update.run(admin).await,
        Command::Delete { group } => members::delete(admin, &group).await,
        Command::Add(members) => members.add(admin).await,
        Command::Remove(members) => members.remove(admin).await,
    };
    admin.store.close().await;
    text
}

async fn find(admin: &Admin, name: &GroupName) -> anyhow::Result<Group> {
    admin.store.group(name).await?.ok_or_else(|| anyhow!("there is no group {name}: grantor group create makes one"))
}

async fn list(admin: &Admin, as_json: bool) -> anyhow::Result<String> {
    let groups = admin.store.groups().await?;
    if as_json {
        return output::json(&groups.iter().map(document).collect::<Vec<_>>());
    }
    if groups.is_empty() {
        return Ok("There is no group yet. Create one with grantor group create.\n".into());
    }
    let row =
        |group: &Group| [group.name.to_string(), group.roles.join(", "), group.description.clone().unwrap_or_default()];
    Ok(output::table(["NAME", "ROLES", "DESCRIPTION"], &groups.iter().map(row).collect::<Vec<_>>()))
}

async fn show(admin: &Admin, group: &Group, as_json: bool) -> anyhow::Result<String> {
    let members = admin.store.members(&group.name).await?;
    if as_json {
        let mut document = document(group);
        document["members"] = members.into();
        return output::json(&document);
    }
    Ok(output::fields(&[
        ("name", group.name.to_string()),
        ("description", group.description.clone().unwrap_or_default()),
        ("roles", group.roles.join(", ")),
        ("created", output::instant(group.created_at)),
        ("changed", output::instant(group.updated_at)),
        ("members", members.join(", ")),
    ]))
}

fn document(group: &Group) -> Value {
    json!({
        "name": group.name,
        "description": group.description,
        "roles": group.roles,
        "created_at": group.created_at.secs(),
        "updated_at": group.updated_at.secs(),
    })
}
