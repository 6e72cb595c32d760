//! Step 1b: where the parameters are that count, if they are not those of the request itself.

use super::{Refusal, object};
use crate::oauth::error::{invalid_request, invalid_request_uri};
use crate::oauth::{Context, Error, par, profile};
use crate::types::{Client, Hint, Params};

/// What a request refers to.
pub struct Referred {
    pub params: Params,
    /// What its `id_token_hint` proved.
    pub(super) hint: Option<Hint>,
    /// The pushed request that it is: the hash of its reference.
    pub(super) pushed: Option<[u8; 32]>,
}

/// What the request refers to; `None` when it stands for itself.
pub(super) async fn follow(cx: &Context, client: &Client, params: &Params) -> Result<Option<Referred>, Refusal> {
    let Some(uri) = params.get("request_uri") else { return open(cx, client, params).await };
    // RFC 9101 §5: "MUST NOT" both.
    if params.get("request").is_some() {
        return Err(Refusal::Page(invalid_request("request and request_uri cannot stand in one request")));
    }
    let Some(reference) = par::reference(uri) else { return fetch(cx, client, uri).await };
    // RFC 9126 §4; another client's is as good as none (§7.1), and so is one that was used (§7.3).
    let unknown = "this request_uri is unknown, has expired or was used; go back to the application and start again";
    let pushed = match reference {
        Some(hash) => cx.store.pushed(hash, &client.id, cx.now).await.map_err(Refusal::Fault)?,
        None => None,
    };
    let pushed = pushed.ok_or_else(|| Refusal::Page(invalid_request_uri(unknown)))?;
    // RFC 9101 §6.3: what stands beside it does not count.
    Ok(Some(Referred { params: pushed.params, hint: pushed.hint, pushed: Some(pushed.id_hash) }))
}

/// What the request object says that the client keeps at a `request_uri` (RFC 9101 §5.2, OpenID Connect Core §6.2); `None`
/// when that is not one to be fetched.
async fn fetch(cx: &Context, client: &Client, uri: &str) -> Result<Option<Referred>, Refusal> {
    // RFC 9101 §10.4.1: nobody has us fetch what its client did not register. Nor what would be refused (RFC 9126 §5, §6).
    if profile::must_push(&cx.config, &client.metadata) || !client.has_request_uri(uri) {
        return Ok(None);
    }
    match cx.client_documents.request_object(uri, cx.now).await {
        Ok(object) => opened(cx, client, object.trim_ascii()).await,
        // Why is in our log alone: it could tell of our network.
        Err(_) => Err(Refusal::Page(invalid_request_uri("the request object at request_uri cannot be fetched"))),
    }
}

/// What the request object of a request says; `None` when there is none.
pub(super) async fn open(cx: &Context, client: &Client, params: &Params) -> Result<Option<Referred>, Refusal> {
    let Some(object) = params.get("request") else { return Ok(None) };
    opened(cx, client, object).await
}

async fn opened(cx: &Context, client: &Client, object: &str) -> Result<Option<Referred>, Refusal> {
    match object::open(cx, client, object).await {
        // RFC 9101 §6.3: "MUST only use the parameters in the Request Object".
        Ok(params) => Ok(Some(Referred { params, hint: None, pushed: None })),
        // Where an answer would go, nobody has proved.
        Err(Error::Refused(error)) => Err(Refusal::Page(error)),
        Err(Error::Fault(fault)) => Err(Refusal::Fault(fault)),
    }
}
