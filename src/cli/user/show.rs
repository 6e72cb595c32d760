//! `grantor user list` and `grantor user show`.

use anyhow::anyhow;
use serde_json::{Value, json};

use super::document;
use crate::cli::Admin;
use crate::cli::output::{self, instant};
use crate::types::{ClientId, Identity, Subject, Timestamp, User};

pub async fn list(admin: &Admin, json: bool) -> anyhow::Result<String> {
    let users = admin.store.users().await?;
    if json {
        return output::json(&users.iter().map(document).collect::<Vec<_>>());
    }
    if users.is_empty() {
        return Ok("There is no user yet. Create one with grantor user create.\n".into());
    }
    let rows: Vec<_> = users.iter().map(row).collect();
    Ok(output::table(["ID", "USERNAME", "E-MAIL", "NAME", "DISABLED"], &rows))
}

fn row(user: &User) -> [String; 5] {
    [
        user.id.to_string(),
        user.username.clone(),
        user.email.clone().unwrap_or_default(),
        user.name().unwrap_or_default().to_owned(),
        user.disabled_at.map(instant).unwrap_or_default(),
    ]
}

pub async fn show(admin: &Admin, named: &str, client: Option<ClientId>, json: bool) -> anyhow::Result<String> {
    let (user, subject) = match client {
        None => (admin.user(named).await?, None),
        Some(id) => known_to(admin, named, &id).await.map(|(user, subject)| (user, Some(subject)))?,
    };
    let passkeys = admin.store.passkeys_of(user.id).await?.len();
    let identities = admin.store.identities_of(user.id).await?;
    if json {
        let mut document = document(&user);
        document["passkeys"] = passkeys.into();
        if !identities.is_empty() {
            document["identities"] = identities.iter().map(identity).collect();
        }
        if let Some(subject) = subject {
            document["sub"] = subject.to_string().into();
        }
        return output::json(&document);
    }
    let verified =
        |email: &String| format!("{email} ({})", if user.email_verified { "verified" } else { "not verified" });
    let mut text = output::fields(&[
        ("id", user.id.to_string()),
        ("sub", subject.map(|subject| subject.to_string()).unwrap_or_default()),
        ("username", user.username.clone()),
        ("e-mail", user.email.as_ref().map(verified).unwrap_or_default()),
        ("passkeys", passkeys.to_string()),
        ("groups", user.memberships.groups.join(", ")),
        ("roles by groups", user.memberships.roles.join(", ")),
        ("disabled", user.disabled_at.map_or_else(|| "no".into(), |at| format!("since {}", instant(at)))),
        ("created", instant(user.created_at)),
        ("changed", instant(user.updated_at)),
    ]);
    let claims = user.claims.iter().map(|(name, value)| (name.as_str(), plain(value)));
    let claims = output::fields(&claims.collect::<Vec<_>>());
    if !claims.is_empty() {
        text += &format!("\nclaims:\n{claims}");
    }
    if !identities.is_empty() {
        let row = |identity: &Identity| {
            let email = identity.email.clone().unwrap_or_default();
            let used = identity.used_at.map(instant).unwrap_or_default();
            [identity.provider.clone(), identity.subject.clone(), email, instant(identity.created_at), used]
        };
        let rows: Vec<_> = identities.iter().map(row).collect();
        let heads = ["PROVIDER", "SUBJECT", "E-MAIL THERE", "LINKED", "LAST USED"];
        text += &format!("\nidentities:\n{}", output::table(heads, &rows));
    }
    Ok(text)
}

/// A user whom a client knows, by one of their names or by the client's, and that.
async fn known_to(admin: &Admin, named: &str, client: &ClientId) -> anyhow::Result<(User, Subject)> {
    let (client, subjects) = (admin.client(client).await?.metadata, admin.subjects().await?);
    let meant = Subject::parse(named).and_then(|sub| subjects.user(sub, client.sector().as_deref()));
    let user = match meant {
        Some(id) => admin.store.user(id).await?,
        None => None,
    };
    let user = match user {
        Some(user) => user,
        None => admin.user(named).await?,
    };
    let known = subjects.of(&client, user.id).map_err(|why| anyhow!("{why}"))?;
    Ok((user, known.subject))
}

/// Times are seconds since the epoch.
fn identity(identity: &Identity) -> Value {
    json!({
        "provider": identity.provider,
        "sub": identity.subject,
        "email": identity.email,
        "linked_at": identity.created_at.secs(),
        "used_at": identity.used_at.map(Timestamp::secs),
    })
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
