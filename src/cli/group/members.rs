//! `grantor group add`, `remove` and `delete`: who is in a group.

use anyhow::bail;
use clap::Args;

use super::find;
use crate::cli::Admin;
use crate::store::Stored;
use crate::types::{GroupName, User};

#[derive(Args)]
pub struct Members {
    group: GroupName,
    /// Their usernames, e-mail addresses or ids.
    #[arg(required = true)]
    users: Vec<String>,
}

impl Members {
    pub async fn add(self, admin: &Admin) -> anyhow::Result<String> {
        let people = self.people(admin).await?;
        let mut tx = admin.store.begin().await?;
        let mut new = Vec::new();
        for user in people.iter().filter(|user| !is_in(user, &self.group)) {
            if tx.join_group(&self.group, user.id, admin.now()).await? == Stored::Conflict {
                bail!("{} or the group was changed at the same time: nothing was changed, try again", user.username);
            }
            new.push(user.username.clone());
        }
        tx.commit().await?;
        Ok(match new.len() {
            0 => format!("In {} already: nothing was changed.\n", self.group),
            _ => format!("Put into {}: {}.\n", self.group, new.join(", ")),
        })
    }

    pub async fn remove(self, admin: &Admin) -> anyhow::Result<String> {
        let people = self.people(admin).await?;
        let mut tx = admin.store.begin().await?;
        let mut gone = Vec::new();
        for user in people.iter().filter(|user| is_in(user, &self.group)) {
            if tx.leave_group(&self.group, user.id, admin.now()).await? == Stored::Conflict {
                bail!("{} was changed at the same time: nothing was changed, try again", user.username);
            }
            gone.push(user);
        }
        tx.commit().await?;
        let ids: Vec<_> = gone.iter().map(|user| user.id).collect();
        admin.store.end_tokens_of(&ids).await?;
        let names: Vec<_> = gone.iter().map(|user| user.username.as_str()).collect();
        Ok(match names.len() {
            0 => format!("Not in {}: nothing was changed.\n", self.group),
            _ => format!("Taken out of {}: {}. Their access tokens are ended.\n", self.group, names.join(", ")),
        })
    }

    /// Each of them once.
    async fn people(&self, admin: &Admin) -> anyhow::Result<Vec<User>> {
        find(admin, &self.group).await?;
        let mut people: Vec<User> = Vec::new();
        for named in &self.users {
            let user = admin.user(named).await?;
            if !people.iter().any(|known| known.id == user.id) {
                people.push(user);
            }
        }
        // Two commands at once take the same rows in the same order.
        people.sort_by_key(|user| user.id.to_string());
        Ok(people)
    }
}

fn is_in(user: &User, group: &GroupName) -> bool {
    user.memberships.groups.iter().any(|own| own == group.as_str())
}

pub async fn delete(admin: &Admin, name: &GroupName) -> anyhow::Result<String> {
    let mut tx = admin.store.begin().await?;
    let Some(people) = tx.delete_group(name, admin.now()).await? else {
        bail!("there is no group {name}");
    };
    tx.commit().await?;
    admin.store.end_tokens_of(&people).await?;
    Ok(match people.len() {
        0 => format!("Deleted {name}. Nobody was in it.\n"),
        1 => format!("Deleted {name}. One user was in it; their access tokens are ended.\n"),
        many => format!("Deleted {name}. {many} users were in it; their access tokens are ended.\n"),
    })
}
