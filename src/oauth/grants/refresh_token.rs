//! The refresh token grant (RFC 6749 §6, OAuth 2.1 §4.3).
//!
//! One statement decides: the row's generation moves on, or the token was used before.

use secrecy::{ExposeSecret, SecretString};

use crate::oauth::error::{OAuthError, invalid_grant, invalid_request, invalid_scope};
use crate::oauth::issue::{self, Access, refresh_token};
use crate::oauth::scope::still_registered;
use crate::oauth::token::{Asked, TokenResponse};
use crate::oauth::{Context, Error, details, engine, profile, resource};
use crate::store::{Presented, Reason, Rotation};
use crate::types::{Client, Params, Scope};

/// What the client sent.
pub struct Request {
    refresh_token: SecretString,
    /// For this access token alone; the grant keeps what was granted.
    scope: Option<Scope>,
}

impl Request {
    /// # Errors
    /// `invalid_request` without a token, `invalid_scope` for a malformed scope.
    pub fn parse(params: &Params) -> Result<Self, OAuthError> {
        let token = params.get("refresh_token").ok_or_else(|| invalid_request("refresh_token is missing"))?;
        Ok(Self { refresh_token: token.into(), scope: params.get("scope").map(engine::scope).transpose()? })
    }
}

const UNKNOWN: &str = "the refresh token is unknown, expired or revoked";

/// Exchanges a refresh token for new tokens.
///
/// # Errors
/// `invalid_grant`, `invalid_scope`, `invalid_target`, `invalid_authorization_details`.
pub async fn exchange(
    cx: &Context,
    client: &Client,
    request: Request,
    asked: Asked<'_>,
) -> Result<TokenResponse, Error> {
    let sender = asked.sender;
    // Signature, expiry, type and client first: a token that we did not sign for this client costs no database call.
    let claims = refresh_token::verify(cx, request.refresh_token.expose_secret())
        .filter(|claims| claims.client_id == client.id && !claims.is_expired(cx.now))
        .ok_or_else(|| invalid_grant(UNKNOWN))?;

    // RFC 9449 §5: "the refresh token MUST be bound to the respective public key" of a public client.
    if claims.cnf.as_ref().is_some_and(|bound| sender != Some(bound)) {
        return Err(
            invalid_grant("the refresh token is bound to a key, and the request does not prove to have it").into()
        );
    }

    // RFC 6749 §6: "MUST NOT include any scope not originally granted".
    let scope = request.scope.unwrap_or_else(|| claims.scope.clone());
    if !scope.is_within(&claims.scope) {
        return Err(invalid_scope("the scope asks for more than was granted").into());
    }
    // Before the token is spent.
    let places = resource::narrowed(cx, asked.resources, (&claims.scope, &claims.resources)).await?;
    let particular = asked.details.len();
    let details = details::narrowed(asked.details, &claims.details)?;
    let access = resource::aim(cx, client, &places, (still_registered(client, &scope), details)).await?;
    details::whole(particular, &access)?;
    if cx.store.grant_is_dead(claims.grant) {
        return Err(invalid_grant(UNKNOWN).into());
    }

    let presented = Presented { grant: claims.grant, generation: claims.generation, client: &client.id };
    let terms = issue::refresh_terms(cx, client)?;
    let outcome = if profile::rotates(&cx.config, &client.metadata) {
        cx.store.rotate(&presented, &terms, cx.now).await?
    } else {
        cx.store.keep(&presented, &terms, cx.now).await?
    };
    match outcome {
        // The same token again, signed with a key that has been revoked since.
        Rotation::Repeated(grant) | Rotation::Kept(grant) if cx.keys.signing(&grant.refresh_key).is_none() => {
            Err(invalid_grant(UNKNOWN).into())
        }
        Rotation::Rotated(grant) | Rotation::Repeated(grant) | Rotation::Kept(grant) => {
            Ok(issue::for_grant(cx, client, &grant, Access { sender, ..access }).await?)
        }
        Rotation::Reused => {
            tracing::warn!(target: "audit", event = "refresh_token_reused", client = %client.id, grant = %claims.grant);
            // RFC 9700 §4.14.2: one of the two holders is a thief, and we cannot tell which.
            cx.store.revoke_grant(claims.grant, Reason::RefreshReuse, cx.now).await?;
            Err(invalid_grant("this refresh token was used before, so its grant is revoked").into())
        }
        Rotation::Unknown => Err(invalid_grant(UNKNOWN).into()),
    }
}
