//! Step 1: the client.

use std::net::IpAddr;
use std::sync::Arc;

use super::Refusal;
use crate::oauth::error::{invalid_client, invalid_request, unauthorized_client};
use crate::oauth::{Context, Error, client_documents, profile};
use crate::types::{Client, ClientId, Params};

/// Finds the client of the request. An unknown one is told to nobody but the person (RFC 6749 §4.1.2.1).
pub(super) async fn identify(cx: &Context, params: &Params, from: Option<IpAddr>) -> Result<Arc<Client>, Refusal> {
    let id = params.get("client_id").ok_or_else(|| Refusal::Page(invalid_request("client_id is missing")))?;
    let unknown = || Refusal::Page(invalid_client("no application is registered under this client_id"));
    let id = ClientId::parse(id).ok_or_else(unknown)?;
    // Client ID Metadata Document §5.1: a request whose document cannot be had is not answered.
    let client = match client_documents::current(cx, &id, from).await {
        Err(Error::Refused(why)) => return Err(Refusal::Page(why)),
        Err(Error::Fault(fault)) => return Err(Refusal::Fault(fault)),
        Ok(client) => client,
    };
    let client = client.filter(|client| !client.is_disabled()).ok_or_else(unknown)?;
    profile::check(&cx.config, &client.metadata).map_err(|why| Refusal::Page(unauthorized_client(why)))?;
    Ok(client)
}
