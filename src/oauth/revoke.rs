//! Token revocation (RFC 7009): durable in the store before it is answered.

use super::error::{OAuthError, invalid_request};
use super::issue::{access_token, refresh_token};
use super::{Context, Error, api_token, signed_url};
use crate::store::{Reason, Stored};
use crate::types::{Client, Params};

/// Revokes a token of the client's own: an access token or an API key alone, or with a refresh token its whole grant.
///
/// A token that is unknown, expired or already dead is a success (RFC 7009 §2.2).
///
/// # Errors
/// `invalid_request` without a token, or for another client's.
pub async fn revoke(cx: &Context, client: &Client, params: &Params) -> Result<(), Error> {
    // A wrong `token_type_hint` does no harm (RFC 7009 §2.1): the token says itself what it is.
    let token = params.get("token").ok_or_else(|| invalid_request("token is missing"))?;

    if let Some(claims) = access_token::verify(cx, token) {
        if claims.client_id != client.id {
            return Err(not_yours().into());
        }
        // What is dead stays dead; nothing happens, and nothing is recorded.
        if cx.store.is_dead(&claims.bearer(cx)) {
            return Ok(());
        }
        cx.store.revoke_token(claims.jti, cx.now).await?;
        tracing::info!(target: "audit", event = "token_revoked", client = %client.id, token = %claims.jti);
    } else if let Some(claims) = refresh_token::verify(cx, token) {
        if claims.client_id != client.id {
            return Err(not_yours().into());
        }
        if cx.store.grant_is_dead(claims.grant) {
            return Ok(());
        }
        // RFC 7009 §2.1: the access tokens "based on the same authorization grant" go with it.
        cx.store.revoke_grant(claims.grant, Reason::ByClient, cx.now).await?;
        tracing::info!(target: "audit", event = "grant_revoked", client = %client.id, grant = %claims.grant);
    } else if let Some(url) = signed_url::find(cx, token).await? {
        if url.client != client.id {
            return Err(not_yours().into());
        }
        signed_url::revoke(cx, &url).await?;
    } else if let Some((_, key)) = api_token::find(cx, token).await? {
        if key.holder.client() != Some(&client.id) {
            return Err(not_yours().into());
        }
        let mut tx = cx.store.begin().await?;
        let ended = tx.delete_api_token(key.id, Some(&key.holder), cx.now).await? == Stored::Stored;
        tx.commit().await?;
        if ended {
            tracing::info!(target: "audit", event = "api_token_ended", by = "client", client = %client.id, token = %key.id);
        }
    }
    Ok(())
}

/// RFC 7009 §2.1: "the request is refused and the client is informed of the error".
fn not_yours() -> OAuthError {
    invalid_request("the token was issued to another client, which alone may revoke it")
}
