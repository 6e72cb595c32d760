//! Which applications a browser is signed out of (OpenID Connect Front-Channel Logout 1.0).

use super::super::Context;
use crate::types::{Fault, SessionId};

/// The `frontchannel_logout_uri` of each relying party of a session that has one.
///
/// # Errors
/// When the database is away.
pub async fn uris(cx: &Context, session: SessionId) -> Result<Vec<String>, Fault> {
    let mut uris = Vec::new();
    for id in cx.store.relying_parties(session).await? {
        let client = cx.store.client(&id).await?.filter(|client| !client.is_disabled());
        uris.extend(client.and_then(|client| client.metadata.frontchannel_logout_uri.clone()));
    }
    Ok(uris)
}
