//! Logout tokens (OpenID Connect Back-Channel Logout 1.0).

use std::time::Duration;

use serde::Serialize;
use serde_json::Map;

use super::super::{Context, encryption};
use crate::crypto::{TokenType, jwt, random};
use crate::types::{Client, ClientId, Fault, SessionId, Subject, UserId};

/// Back-Channel Logout §2.4 and §4.1: short, and at most two minutes is recommended. Each attempt has a token of its own.
const LIFETIME: Duration = Duration::from_secs(120);

/// Back-Channel Logout §2.4. There is no `nonce`, so that it cannot be taken for an ID token.
#[derive(Serialize)]
struct LogoutClaims<'a> {
    iss: &'a str,
    sub: Subject,
    aud: &'a ClientId,
    iat: i64,
    exp: i64,
    jti: String,
    sid: SessionId,
    events: Events,
}

#[derive(Serialize)]
struct Events {
    #[serde(rename = "http://schemas.openid.net/event/backchannel-logout")]
    logout: Nothing,
}

#[derive(Serialize)]
struct Nothing {}

/// Says to a client that a session of a user has ended.
///
/// # Errors
/// When signing fails, or the client's key cannot be had.
pub async fn token(cx: &Context, client: &Client, session: SessionId, user: UserId) -> Result<String, Fault> {
    let claims = LogoutClaims {
        iss: cx.issuer(),
        sub: cx.subjects.of(&client.metadata, user)?.subject,
        aud: &client.id,
        iat: cx.now.secs(),
        exp: cx.now.plus(LIFETIME).secs(),
        jti: random::token(&*cx.rng, 16),
        sid: session,
        events: Events { logout: Nothing {} },
    };
    // Back-Channel Logout §2.6: the relying party verifies it as it does its ID tokens.
    let key = cx.keys.active(client.metadata.id_token_signed_response_alg, cx.now)?;
    let token = jwt::sign(key, TokenType::LogoutToken, &claims).map_err(Fault::internal)?;
    // Back-Channel Logout §2.4: encrypted as ID tokens are, and "it SHOULD replicate the iss Claim in the JWT Header".
    let header = Map::from_iter([("iss".to_owned(), cx.issuer().into())]);
    Ok(encryption::nested(cx, (client, client.metadata.protection.of_id_tokens()), header, token).await?)
}
