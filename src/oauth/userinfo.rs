//! UserInfo (OpenID Connect Core §5.3).

use serde_json::{Map, Value};

use super::error::{insufficient_scope, invalid_token};
use super::issue::access_token;
use super::scope::{OPENID, seen_by};
use super::sender::{self, Scheme, Sender};
use super::{Context, Error, encryption};
use crate::crypto::{TokenType, jwt};
use crate::types::{Client, Fault};

/// What is known of a user, as the client wants it.
pub enum UserInfo {
    Plain(Map<String, Value>),
    /// Signed, encrypted, or both.
    Jwt(String),
}

/// An access token as it is shown here.
pub struct Shown<'a> {
    pub token: &'a str,
    pub scheme: Scheme,
    pub sender: Sender<'a>,
}

/// What the scopes of an access token let its bearer know of its user.
///
/// # Errors
/// Those of RFC 6750 §3.1, RFC 9449 §7.1 and RFC 8705 §3.
pub async fn userinfo(cx: &Context, shown: &Shown<'_>) -> Result<UserInfo, Error> {
    let gone = || invalid_token("the access token is unknown, expired or revoked");
    let claims = access_token::verify(cx, shown.token).ok_or_else(gone)?;
    cx.store.ensure_fresh().await?;
    // RFC 9068 §4: "The resource server MUST validate that the aud claim contains [its] resource indicator value".
    if !claims.aud.contains(cx.issuer()) || cx.store.is_dead(&claims.bearer(cx)) {
        return Err(gone().into());
    }
    let client = cx.store.client(&claims.client_id).await?.ok_or_else(gone)?;
    sender::check(cx, &client, shown.sender, (shown.token, shown.scheme), claims.cnf.as_ref()).await?;
    if !claims.scope.contains(OPENID) {
        return Err(insufficient_scope("UserInfo needs an access token with the scope openid").into());
    }
    let Some(id) = claims.user(cx) else { return Err(gone().into()) };
    let user = cx.store.user(id).await?.filter(|user| user.disabled_at.is_none()).ok_or_else(gone)?;
    let user = seen_by(cx, [claims.client_id.as_str()], user);

    let mut answer = user.claims_for(&claims.scope);
    // OpenID Connect Core §5.5
    answer.extend(user.claims_named(&claims.userinfo_claims));
    // OpenID Connect Core §5.3.2: "The sub Claim MUST always be returned".
    answer.insert("sub".to_owned(), claims.sub.clone().into());
    protected(cx, &client, answer).await
}

/// OpenID Connect Core §5.3.2: signed and then encrypted, as the client is registered.
async fn protected(cx: &Context, client: &Client, mut claims: Map<String, Value>) -> Result<UserInfo, Error> {
    let protection = &client.metadata.protection;
    let encryption = protection.of_userinfo();
    let Some(algorithm) = protection.userinfo_signed_response_alg else {
        return Ok(match encryption {
            None => UserInfo::Plain(claims),
            Some(how) => {
                let plain = Value::Object(claims).to_string();
                UserInfo::Jwt(encryption::encrypt(cx, (client, how), Map::new(), plain.as_bytes()).await?)
            }
        });
    };
    // §5.3.2: "If signed, the UserInfo Response MUST contain the Claims iss (issuer) and aud (audience) as members."
    claims.insert("iss".to_owned(), cx.issuer().into());
    claims.insert("aud".to_owned(), client.id.as_str().into());
    let key = cx.keys.active(algorithm, cx.now)?;
    let signed = jwt::sign(key, TokenType::UserInfo, &claims).map_err(Fault::internal)?;
    Ok(UserInfo::Jwt(encryption::nested(cx, (client, encryption), Map::new(), signed).await?))
}
