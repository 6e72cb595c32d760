//! `grantor client disable`, `enable` and `delete`. Nothing is asked, so that scripts can say it; what was done is told.

use crate::cli::Admin;
use crate::store::Stored;
use crate::types::ClientId;

pub async fn disable(admin: &Admin, id: &ClientId) -> anyhow::Result<String> {
    admin.client(id).await?;
    let mut tx = admin.store.begin().await?;
    if tx.disable_client(id, admin.now()).await? == Stored::Conflict {
        return Ok(format!("{id} is disabled already.\n"));
    }
    tx.commit().await?;
    Ok(format!("Disabled {id}. Its grants and tokens are ended.\n"))
}

pub async fn enable(admin: &Admin, id: &ClientId) -> anyhow::Result<String> {
    admin.client(id).await?;
    let mut tx = admin.store.begin().await?;
    if tx.enable_client(id, admin.now()).await? == Stored::Conflict {
        return Ok(format!("{id} is enabled already.\n"));
    }
    tx.commit().await?;
    Ok(format!("Enabled {id}. What was ended stays ended.\n"))
}

pub async fn delete(admin: &Admin, id: &ClientId) -> anyhow::Result<String> {
    let client = admin.client(id).await?;
    let mut tx = admin.store.begin().await?;
    if tx.delete_client(id, admin.now()).await? == Stored::Conflict {
        return Ok(format!("{id} is deleted already.\n"));
    }
    tx.commit().await?;
    let name = client.metadata.client_name;
    Ok(format!("Deleted {id} ({name}), with all that was granted to it. Its tokens are ended.\n"))
}
