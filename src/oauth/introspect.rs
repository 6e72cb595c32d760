//! Token introspection (RFC 7662), and its answers in a JWT (RFC 9701).

use std::sync::Arc;

use serde::Serialize;
use serde_json::Map;

use super::api_token::{self, ApiTokenClaims};
use super::error::invalid_request;
use super::issue::access_token::{self, AccessClaims};
use super::issue::{self, refresh_token};
use super::signed_url::{self, UrlClaims};
use super::{Context, Error, details, encryption, profile};
use crate::crypto::{TokenType, jwt};
use crate::types::{Audience, AuthorizationDetails, Client, ClientId, Fault, Params, SenderKey, SignedUrl};

/// What is said of a token (RFC 7662 §2.2).
#[derive(Serialize)]
#[serde(untagged)]
pub enum Introspection {
    Access(Box<ActiveAccess>),
    ApiToken(Box<ActiveApiToken>),
    Url(Box<ActiveUrl>),
    Refresh(Box<ActiveRefresh>),
    Inactive { active: False },
}

/// Inactive is this, and nothing else (RFC 7662 §2.2).
pub const INACTIVE: Introspection = Introspection::Inactive { active: False };

#[derive(Serialize)]
pub struct ActiveAccess {
    active: True,
    token_type: &'static str,
    #[serde(flatten)]
    claims: Arc<AccessClaims>,
}

#[derive(Serialize)]
pub struct ActiveApiToken {
    active: True,
    token_type: &'static str,
    #[serde(flatten)]
    claims: ApiTokenClaims,
}

#[derive(Serialize)]
pub struct ActiveUrl {
    active: True,
    token_type: &'static str,
    #[serde(flatten)]
    claims: UrlClaims,
}

#[derive(Serialize)]
pub struct ActiveRefresh {
    active: True,
    token_type: &'static str,
    iss: String,
    client_id: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    scope: String,
    sub: String,
    #[serde(skip_serializing_if = "AuthorizationDetails::is_empty")]
    authorization_details: AuthorizationDetails,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<SenderKey>,
    iat: i64,
    exp: i64,
}

/// Serialises as `true`.
pub struct True;

/// Serialises as `false`.
pub struct False;

impl Serialize for True {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(true)
    }
}

impl Serialize for False {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bool(false)
    }
}

/// Whether a token is meant for this resource server: for a resource of its own, or for the issuer alone, which stands
/// for all that have none.
fn is_for(cx: &Context, caller: &Client, audience: &Audience) -> bool {
    caller.metadata.resource_server
        && (audience.is_only(cx.issuer()) || caller.metadata.resources.iter().any(|own| audience.contains(own)))
}

/// Tells an authenticated client of a token: a resource server of the access tokens that are meant for it, any other
/// client of its own tokens. ID tokens are not for introspection.
///
/// # Errors
/// `invalid_request` without a token; a fault when this node may not vouch for tokens.
pub async fn introspect(cx: &Context, caller: &Client, params: &Params) -> Result<Introspection, Error> {
    // `token_type_hint` is a hint only (RFC 7662 §2.1): the token says itself what it is.
    let token = params.get("token").ok_or_else(|| invalid_request("token is missing"))?;

    if let Some(mut claims) = access_token::verify(cx, token) {
        let may_see = claims.client_id == caller.id || is_for(cx, caller, &claims.aud);
        cx.store.ensure_fresh().await?;
        if !may_see {
            tracing::debug!(client = %caller.id, aud = ?claims.aud, "inactive: the token is not meant for its reader");
            return Ok(INACTIVE);
        }
        if cx.store.is_dead(&claims.bearer(cx)) {
            tracing::debug!(client = %caller.id, "inactive: the token was revoked, or what it hangs on");
            return Ok(INACTIVE);
        }
        // RFC 9396 §9.2: "potentially filtered". One of several places that the token is for learns of no other.
        if claims.client_id != caller.id && !claims.authorization_details.is_empty() {
            let told = &mut Arc::make_mut(&mut claims).authorization_details;
            details::told_to(cx, told, &caller.metadata.resources).await?;
        }
        // RFC 9449 §6.2
        let token_type = issue::token_type(claims.cnf.as_ref());
        return Ok(Introspection::Access(Box::new(ActiveAccess { active: True, token_type, claims })));
    }

    if let Some(claims) = refresh_token::verify(cx, token) {
        // A resource server has no business with refresh tokens, unless it holds its own.
        if claims.client_id != caller.id || claims.is_expired(cx.now) {
            return Ok(INACTIVE);
        }
        let Some(grant) = cx.store.living_grant(claims.grant, cx.now).await? else { return Ok(INACTIVE) };
        if grant.generation != claims.generation {
            return Ok(INACTIVE);
        }
        return Ok(Introspection::Refresh(Box::new(ActiveRefresh {
            active: True,
            token_type: "refresh_token",
            iss: claims.iss,
            client_id: claims.client_id.into(),
            scope: claims.scope.into(),
            // Its own, so it is the caller who knows the user by this.
            sub: cx.subjects.of(&caller.metadata, grant.user)?.subject.to_string(),
            authorization_details: claims.details,
            cnf: claims.cnf,
            iat: claims.iat,
            exp: claims.exp,
        })));
    }
    if let Some(url) = signed_url::find(cx, token).await? {
        return of_signed_url(cx, caller, &url).await;
    }
    of_api_token(cx, caller, token).await
}

/// The same of a signed address. The server behind it, which lets its bearer in, spends what works once; the client that
/// had it signed only looks.
async fn of_signed_url(cx: &Context, caller: &Client, url: &SignedUrl) -> Result<Introspection, Error> {
    let is_server = is_for(cx, caller, &url.audience);
    if url.client != caller.id && !is_server {
        return Ok(INACTIVE);
    }
    if is_server && !signed_url::admit(cx, url).await? {
        return Ok(INACTIVE);
    }
    let claims = UrlClaims::of(cx, url);
    Ok(Introspection::Url(Box::new(ActiveUrl { active: True, token_type: "signed_url", claims })))
}

/// The same of a personal access token, or an API key.
async fn of_api_token(cx: &Context, caller: &Client, token: &str) -> Result<Introspection, Error> {
    let Some((hash, token)) = api_token::find(cx, token).await? else {
        tracing::debug!(client = %caller.id, "inactive: expired, or no token of this server");
        return Ok(INACTIVE);
    };
    if token.holder.client() != Some(&caller.id) && !is_for(cx, caller, &token.audience) {
        tracing::debug!(client = %caller.id, aud = ?token.audience, "inactive: the token is not meant for its reader");
        return Ok(INACTIVE);
    }
    let Some(claims) = api_token::claims(cx, &token).await? else { return Ok(INACTIVE) };
    cx.store.use_api_token(hash, &token, cx.now);
    Ok(Introspection::ApiToken(Box::new(ActiveApiToken { active: True, token_type: issue::token_type(None), claims })))
}

/// The claims of an answer in a JWT (RFC 9701 §5). `sub` and `exp` of the token stand inside: outside they would make an
/// access token or an ID token of it.
#[derive(Serialize)]
struct Response<'a> {
    iss: &'a str,
    aud: &'a ClientId,
    iat: i64,
    token_introspection: &'a Introspection,
}

/// An answer that its caller can show to others: signed, and encrypted where the caller is registered so (RFC 9701 §5).
///
/// # Errors
/// `invalid_request` when none of its keys is for that; a fault that passes when they cannot be fetched.
pub async fn signed(cx: &Context, caller: &Client, told: &Introspection) -> Result<String, Error> {
    let protection = &caller.metadata.protection;
    let response = Response { iss: cx.issuer(), aud: &caller.id, iat: cx.now.secs(), token_introspection: told };
    let key = cx.keys.active(profile::introspection_algorithm(&cx.config, &caller.metadata), cx.now)?;
    let signed = jwt::sign(key, TokenType::Introspection, &response).map_err(Fault::internal)?;
    Ok(encryption::nested(cx, (caller, protection.of_introspection()), Map::new(), signed).await?)
}
