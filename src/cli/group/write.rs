//! `grantor group create` and `grantor group update`.

use anyhow::bail;
use clap::Args;

use super::{find, show};
use crate::cli::{Admin, input};
use crate::store::Stored;
use crate::types::{Group, GroupName};

#[derive(Args)]
pub struct Create {
    /// What stands in tokens: it cannot be changed later.
    group: GroupName,
    /// What it is for.
    #[arg(long, value_parser = input::words)]
    description: Option<String>,
    /// A role of everybody who is in it; may be repeated.
    #[arg(long = "role", value_name = "ROLE", value_parser = input::words)]
    roles: Vec<String>,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
pub struct Update {
    group: GroupName,
    /// What it is for.
    #[arg(long, value_parser = input::words)]
    description: Option<String>,
    /// One more role; may be repeated.
    #[arg(long = "role", value_name = "ROLE", value_parser = input::words)]
    roles: Vec<String>,
    /// A role to take away; may be repeated.
    #[arg(long, value_name = "ROLE")]
    remove_role: Vec<String>,
    /// Print it as JSON.
    #[arg(long)]
    json: bool,
}

impl Create {
    pub async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        let now = admin.now();
        let (name, description) = (self.group, self.description);
        let mut group = Group { name, description, roles: Vec::new(), created_at: now, updated_at: now };
        add_roles(&mut group, self.roles);
        let mut tx = admin.store.begin().await?;
        if tx.insert_group(&group).await? == Stored::Conflict {
            bail!("there is a group {} already", group.name);
        }
        tx.commit().await?;
        show(admin, &group, self.json).await
    }
}

impl Update {
    pub async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        let mut group = find(admin, &self.group).await?;
        group.description = self.description.or(group.description);
        group.roles.retain(|role| !self.remove_role.contains(role));
        add_roles(&mut group, self.roles);
        let mut tx = admin.store.begin().await?;
        if tx.update_group(&group, admin.now()).await? == Stored::Conflict {
            bail!("the group {} was changed at the same time: nothing was changed, try again", self.group);
        }
        tx.commit().await?;
        show(admin, &find(admin, &self.group).await?, self.json).await
    }
}

fn add_roles(group: &mut Group, roles: Vec<String>) {
    for role in roles {
        if !group.roles.contains(&role) {
            group.roles.push(role);
        }
    }
}
