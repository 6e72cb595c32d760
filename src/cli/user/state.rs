//! `grantor user disable`, `enable` and `delete`. Nothing is asked, so that scripts can say it; what was done is told.

use crate::cli::Admin;
use crate::store::Stored;

pub async fn disable(admin: &Admin, named: &str) -> anyhow::Result<String> {
    let user = admin.user(named).await?;
    let mut tx = admin.store.begin().await?;
    if tx.disable_user(user.id, admin.now()).await? == Stored::Conflict {
        return Ok(format!("{} is disabled already.\n", user.username));
    }
    tx.commit().await?;
    Ok(format!("Disabled {}. Their sessions, grants and tokens are ended.\n", user.username))
}

pub async fn enable(admin: &Admin, named: &str) -> anyhow::Result<String> {
    let user = admin.user(named).await?;
    let mut tx = admin.store.begin().await?;
    if tx.enable_user(user.id, admin.now()).await? == Stored::Conflict {
        return Ok(format!("{} is enabled already.\n", user.username));
    }
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
