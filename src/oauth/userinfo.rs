//! UserInfo (OpenID Connect Core §5.3).

use serde_json::{Map, Value};

use super::error::{insufficient_scope, invalid_token};
use super::issue::access_token;
use super::scope::OPENID;
use super::{Context, Error, dpop};
use crate::types::SenderKey;

/// An access token as it is shown here.
pub struct Shown<'a> {
    pub token: &'a str,
    pub scheme: Scheme,
    /// The request, with its proof if it has one.
    pub request: dpop::Request<'a>,
}

/// How a token is shown, and with that what it is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Bearer,
    Dpop,
}

/// What the scopes of an access token let its bearer know of its user.
///
/// # Errors
/// Those of RFC 6750 §3.1 and RFC 9449 §7.1.
pub async fn userinfo(cx: &Context, shown: &Shown<'_>) -> Result<Map<String, Value>, Error> {
    let gone = || invalid_token("the access token is unknown, expired or revoked");
    let claims = access_token::verify(cx, shown.token).ok_or_else(gone)?;
    cx.store.ensure_fresh().await?;
    // RFC 9068 §4: "The resource server MUST validate that the aud claim contains [its] resource indicator value".
    if claims.aud != cx.issuer() || cx.store.is_dead(&claims.bearer(cx)) {
        return Err(gone().into());
    }
    check_sender(cx, shown, claims.cnf.as_ref()).await?;
    if !claims.scope.contains(OPENID) {
        return Err(insufficient_scope("UserInfo needs an access token with the scope openid").into());
    }
    let Some(id) = claims.user(cx) else { return Err(gone().into()) };
    let user = cx.store.user(id).await?.filter(|user| user.disabled_at.is_none()).ok_or_else(gone)?;

    let mut answer = user.claims_for(&claims.scope);
    // OpenID Connect Core §5.5
    answer.extend(user.claims_named(&claims.userinfo_claims));
    // OpenID Connect Core §5.3.2: "The sub Claim MUST always be returned".
    answer.insert("sub".to_owned(), claims.sub.clone().into());
    Ok(answer)
}

/// Whether whoever shows the token is the one to whom it is bound.
async fn check_sender(cx: &Context, shown: &Shown<'_>, bound_to: Option<&SenderKey>) -> Result<(), Error> {
    match (shown.scheme, bound_to) {
        (Scheme::Bearer, None) => Ok(()),
        (Scheme::Dpop, Some(bound @ SenderKey::Jwk(_))) => {
            let proved = dpop::prove(cx, shown.request, Some(shown.token)).await?;
            // RFC 9449 §4.3 (12): "the public key to which the access token is bound matches the public key from the
            // DPoP proof".
            if proved != *bound {
                return Err(
                    invalid_token("the access token is bound to another key than that of the DPoP proof").into()
                );
            }
            Ok(())
        }
        // RFC 9449 §7.2: "MUST NOT grant access" for what should have come with a proof.
        (Scheme::Bearer, Some(SenderKey::Jwk(_))) => {
            Err(invalid_token("the access token is bound to a key: send it as DPoP, with a proof").into())
        }
        (Scheme::Dpop, None) => Err(invalid_token("the access token is not bound to a key: send it as Bearer").into()),
        (_, Some(SenderKey::Certificate(_))) => {
            Err(invalid_token("the access token is bound to a client certificate").into())
        }
    }
}
