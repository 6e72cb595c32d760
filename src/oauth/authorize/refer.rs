//! Step 1b: where the parameters are that count, if they are not those of the request itself.

use super::Refusal;
use crate::oauth::error::{invalid_request, invalid_request_uri};
use crate::oauth::{Context, par};
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
    let Some(reference) = params.get("request_uri").and_then(par::reference) else { return Ok(None) };
    // RFC 9101 §5: "MUST NOT be used with request".
    if params.get("request").is_some() {
        return Err(Refusal::Page(invalid_request("request and request_uri cannot stand in one request")));
    }
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
