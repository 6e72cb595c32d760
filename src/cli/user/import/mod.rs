//! `grantor user import`: people who come from elsewhere, with their passwords as hashes.

mod csv;
mod django;

use std::collections::HashSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde_json::{Map, Value};

use crate::account::names;
use crate::cli::Admin;
use crate::crypto::{foreign, random};
use crate::store::Stored;
use crate::types::{Memberships, Timestamp, User, UserId, claim_value};

#[derive(Args)]
pub struct Import {
    /// What the file is.
    #[arg(long, value_enum)]
    from: Format,
    file: PathBuf,
    /// Which Django model the users are.
    #[arg(long, value_name = "MODEL", default_value = "auth.user")]
    model: String,
    /// Say what would be imported, and change nothing.
    #[arg(long)]
    dry_run: bool,
    /// Import the others when some cannot be.
    #[arg(long)]
    skip_refused: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// What `manage.py dumpdata auth` writes.
    DjangoJson,
    /// A table with a header.
    Csv,
}

/// Somebody, as a file tells of them.
#[derive(Default)]
struct Person {
    /// Where in the file, for whoever has to mend it.
    place: String,
    username: String,
    email: Option<String>,
    email_verified: bool,
    claims: Map<String, Value>,
    /// Empty, or what begins with an exclamation mark (Django), is none.
    password: String,
    is_disabled: bool,
}

/// What one transaction takes: a second or so on any database.
const BATCH: usize = 500;

/// Lines that are told one by one.
const MOST_TOLD: usize = 20;

impl Import {
    pub async fn run(self, admin: &Admin) -> anyhow::Result<String> {
        let name = self.file.display();
        let text = fs::read(&self.file).with_context(|| format!("the file {name} cannot be read"))?;
        let people = match self.from {
            Format::DjangoJson => django::read(&text, &self.model),
            Format::Csv => csv::read(&text),
        }
        .with_context(|| format!("the file {name} cannot be imported"))?;
        let (mut refused, mut known, mut taken) = (Vec::new(), 0, HashSet::new());
        let mut new = Vec::new();
        for person in people {
            let place = person.place.clone();
            match settle(person, admin, &mut taken) {
                Ok((user, _)) if is_there(admin, &user).await? => known += 1,
                Ok(both) => new.push(both),
                Err(why) => refused.push(format!("{place}: {why}")),
            }
        }
        if !refused.is_empty() && !self.skip_refused {
            let told = told(&refused);
            bail!("nobody was imported, because some cannot be (--skip-refused imports the others):\n{told}");
        }
        let mut text = String::new();
        if !refused.is_empty() {
            text += &format!("Left out:\n{}\n", told(&refused));
        }
        if !self.dry_run {
            for batch in new.chunks(BATCH) {
                store(admin, batch).await?;
            }
        }
        let verb = if self.dry_run { "Would import" } else { "Imported" };
        let people = match new.len() {
            1 => "1 user".to_owned(),
            many => format!("{many} users"),
        };
        text += &format!("{verb} {people}");
        if known > 0 {
            text += &format!("; {known} are here already, and were left as they are");
        }
        Ok(text + ".\n")
    }
}

/// Writes some of them, all or none.
async fn store(admin: &Admin, batch: &[(User, Option<String>)]) -> anyhow::Result<()> {
    let mut tx = admin.store.begin().await?;
    for (user, hash) in batch {
        if tx.insert_user(user, hash.as_deref()).await? == Stored::Conflict {
            bail!("{} was created at the same time: run it again, it goes on where it stopped", user.username);
        }
    }
    tx.commit().await?;
    Ok(())
}

/// The user that somebody becomes, and the hash of their password.
fn settle(person: Person, admin: &Admin, taken: &mut HashSet<String>) -> Result<(User, Option<String>), String> {
    // A Django without usernames has users who sign in by their address.
    let username = if person.username.is_empty() { person.email.clone().unwrap_or_default() } else { person.username };
    let email = names::settle(&username, person.email.as_deref()).map_err(|why| why.to_string())?;
    for name in [Some(&username), email.as_ref().filter(|email| **email != username)].into_iter().flatten() {
        if !taken.insert(name.to_lowercase()) {
            return Err(format!("{name} stands in the file before"));
        }
    }
    let hash = match person.password.as_str() {
        "" => None,
        unusable if unusable.starts_with('!') => None,
        hash => Some(foreign::import(hash)?),
    };
    claim_value::check_together(&person.claims).map_err(|why| why.to_string())?;
    let now: Timestamp = admin.now();
    let user = User {
        id: UserId::new(random::uuid_v4(&admin.rng)),
        username,
        email_verified: person.email_verified && email.is_some(),
        email,
        claims: person.claims,
        created_at: now,
        updated_at: now,
        disabled_at: person.is_disabled.then_some(now),
        memberships: Memberships::default(),
    };
    Ok((user, hash))
}

async fn is_there(admin: &Admin, user: &User) -> anyhow::Result<bool> {
    for login in std::iter::once(&user.username).chain(&user.email) {
        if admin.store.user_by_login(login).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn told(refused: &[String]) -> String {
    let mut lines: Vec<String> = refused.iter().take(MOST_TOLD).map(|line| format!("  {line}")).collect();
    if refused.len() > MOST_TOLD {
        lines.push(format!("  … and {} more", refused.len() - MOST_TOLD));
    }
    lines.join("\n")
}

/// A list of groups, as a claim.
fn groups(names: impl IntoIterator<Item = String>) -> Option<(String, Value)> {
    let names: Vec<Value> = names.into_iter().filter(|name| !name.is_empty()).map(Value::from).collect();
    (!names.is_empty()).then(|| ("groups".to_owned(), Value::Array(names)))
}

/// The parts of a name, and the whole of it.
fn full_name(claims: &mut Map<String, Value>, given: &str, family: &str) {
    for (claim, part) in [("given_name", given), ("family_name", family)] {
        if !part.is_empty() {
            claims.insert(claim.to_owned(), part.into());
        }
    }
    let whole = format!("{given} {family}");
    if !whole.trim().is_empty() && !claims.contains_key("name") {
        claims.insert("name".to_owned(), whole.trim().into());
    }
}
