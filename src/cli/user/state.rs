//! `grantor user disable`, `enable`, `delete`, `remove-second-factor`, `unlink`, `unlock` and `sign-out`. Nothing is asked, so that scripts can say it; what was done is told.

use crate::account::letters::{Factors, Letter};
use crate::account::throttle;
use crate::cli::Admin;
use crate::store::{Stored, Tx};
use crate::types::{Event, EventKind, Fault, Timestamp, UserId};

pub async fn disable(admin: &Admin, named: &str) -> anyhow::Result<String> {
    let user = admin.user(named).await?;
    let mut tx = admin.store.begin().await?;
    if tx.disable_user(user.id, admin.now()).await? == Stored::Conflict {
        return Ok(format!("{} is disabled already.\n", user.username));
    }
    tx.log(Event::new(user.id, EventKind::Disabled, admin.now()).by_admin()).await?;
    tx.commit().await?;
    Ok(format!("Disabled {}. Their sessions, grants and tokens are ended.\n", user.username))
}

pub async fn enable(admin: &Admin, named: &str) -> anyhow::Result<String> {
    let user = admin.user(named).await?;
    let mut tx = admin.store.begin().await?;
    if tx.enable_user(user.id, admin.now()).await? == Stored::Conflict {
        return Ok(format!("{} is enabled already.\n", user.username));
    }
    tx.log(Event::new(user.id, EventKind::Enabled, admin.now()).by_admin()).await?;
    tx.commit().await?;
    Ok(format!("Enabled {}. What was ended stays ended.\n", user.username))
}

pub async fn delete(admin: &Admin, named: &str) -> anyhow::Result<String> {
    let user = admin.user(named).await?;
    let mut tx = admin.store.begin().await?;
    if tx.delete_user(user.id, admin.now()).await? == Stored::Conflict {
        return Ok(format!("{} is deleted already.\n", user.username));
    }
    tx.commit().await?;
    Ok(format!("Deleted {} ({}), with all that was theirs. Their tokens are ended.\n", user.username, user.id))
}

/// ASVS 6.5.6: every factor can be removed by an administrator.
pub async fn remove_second_factor(admin: &Admin, named: &str) -> anyhow::Result<String> {
    let user = admin.user(named).await?;
    let writer = admin.writer().await?;
    let mut tx = admin.store.begin().await?;
    let removed = tx.delete_factors_of(user.id).await?;
    if removed > 0 {
        tx.log(Event::new(user.id, EventKind::FactorRemoved, admin.now()).by_admin()).await?;
    }
    // ASVS 6.3.7
    if let (Some(writer), 1..) = (writer, removed) {
        let letter =
            Letter::SecondFactor { account: user.username.clone(), what: Factors::AllRemoved, at: admin.now() };
        writer.tell(&mut tx, &user, letter, admin.now()).await?;
    }
    tx.commit().await?;
    if removed == 0 {
        return Ok(format!("{} has no second factor.\n", user.username));
    }
    Ok(format!(
        "Removed the second factor of {}: apps, passkeys and recovery codes. They sign in by password alone.\n",
        user.username
    ))
}

/// Takes away what links a user to their account at another provider.
pub async fn unlink(admin: &Admin, named: &str, provider: &str) -> anyhow::Result<String> {
    let user = admin.user(named).await?;
    let writer = admin.writer().await?;
    let mut tx = admin.store.begin().await?;
    let removed = tx.delete_identities_at(user.id, provider).await?;
    if removed > 0 {
        tx.log(Event::new(user.id, EventKind::IdentityUnlinked, admin.now()).about(provider).by_admin()).await?;
    }
    // ASVS 6.3.7
    if let (Some(writer), 1..) = (writer, removed) {
        writer.tell_of_identity(&mut tx, &user, (provider, false), admin.now()).await?;
    }
    tx.commit().await?;
    if removed == 0 {
        return Ok(format!("{} is not linked to {provider}.\n", user.username));
    }
    Ok(format!("Unlinked {} from {provider}. Who is signed in stays so: see grantor user sign-out.\n", user.username))
}

pub async fn unlock(admin: &Admin, named: &str) -> anyhow::Result<String> {
    let user = admin.user(named).await?;
    let mac = admin.mac().await?;
    let passkeys = admin.store.passkeys_of(user.id).await?;
    let mut tx = admin.store.begin().await?;
    let mut any = false;
    for key in throttle::keys_of(&mac, &user, &passkeys) {
        any |= tx.forget_attempts(&key).await?;
    }
    tx.commit().await?;
    let name = &user.username;
    if !any {
        return Ok(format!("Nobody has guessed at {name} lately.\n"));
    }
    Ok(format!("Forgot the wrong attempts at {name}. Whoever guessed from one address goes on waiting there.\n"))
}

/// ASVS 7.4.5: one user's sessions, or everybody's.
pub async fn sign_out(admin: &Admin, named: Option<&str>) -> anyhow::Result<String> {
    if let Some(named) = named {
        let user = admin.user(named).await?;
        let mut tx = admin.store.begin().await?;
        end_sessions(&mut tx, user.id, admin.now()).await?;
        tx.commit().await?;
        return Ok(format!("Signed {} out everywhere. Their grants and tokens are ended.\n", user.username));
    }
    let mut count = 0;
    loop {
        let users = admin.store.users_with_access(admin.now()).await?;
        if users.is_empty() {
            return Ok(format!("Signed everybody out: {count} users. Their grants and tokens are ended.\n"));
        }
        for user in users {
            let mut tx = admin.store.begin().await?;
            end_sessions(&mut tx, user, admin.now()).await?;
            tx.commit().await?;
            count += 1;
        }
    }
}

async fn end_sessions(tx: &mut Tx, user: UserId, now: Timestamp) -> Result<(), Fault> {
    tx.end_sessions_of(user, None, now).await?;
    tx.log(Event::new(user, EventKind::SignedOutElsewhere, now).by_admin()).await
}
