//! The device code grant (RFC 8628 §3.4).
//!
//! A device asks until its person has decided. What they allowed is redeemed like an authorization code: one statement
//! decides, once.

use std::time::Duration;

use crate::oauth::device::DeviceCode;
use crate::oauth::error::{
    OAuthError, access_denied, authorization_pending, expired_token, invalid_grant, invalid_request, slow_down,
};
use crate::oauth::token::{Asked, TokenResponse};
use crate::oauth::{Context, Error, issue, resource};
use crate::store::{Poll, Polled, Redeem, Redemption};
use crate::types::{Client, Params};

/// What the client sent.
pub struct Request {
    code: DeviceCode,
}

impl Request {
    /// # Errors
    /// `invalid_request` without a code; `invalid_grant` for what cannot be one.
    pub fn parse(params: &Params) -> Result<Self, OAuthError> {
        let code = params.get("device_code").ok_or_else(|| invalid_request("device_code is missing"))?;
        Ok(Self { code: DeviceCode::parse(code).ok_or_else(|| invalid_grant(UNKNOWN))? })
    }
}

const UNKNOWN: &str = "the device code is unknown, or was not issued to this client";

/// RFC 8628 §3.5: "the interval MUST be increased by 5 seconds".
const STEP: Duration = Duration::from_secs(5);

/// Exchanges a device code for tokens, once its person has allowed it.
///
/// # Errors
/// Those of RFC 8628 §3.5, and `invalid_grant`.
pub async fn exchange(
    cx: &Context,
    client: &Client,
    request: &Request,
    asked: Asked<'_>,
) -> Result<TokenResponse, Error> {
    let (id, code_hash) = (request.code.id, request.code.hash());
    let poll = Poll { id, code_hash, client: &client.id, step: STEP };
    match cx.store.poll_device(&poll, cx.now).await? {
        Polled::Allowed => {}
        Polled::Waiting => return Err(authorization_pending("nobody has decided yet; ask again").into()),
        Polled::TooSoon => {
            return Err(slow_down("the device asks too often; wait 5 seconds longer from now on").into());
        }
        Polled::Denied => return Err(access_denied("the user did not allow it").into()),
        Polled::Expired => return Err(expired().into()),
        Polled::Unknown => return Err(invalid_grant(UNKNOWN).into()),
    }
    resource::check(cx, client, &asked, (id, &code_hash)).await?;
    let redeem = Redeem {
        grant: id,
        code_hash,
        client: &client.id,
        code_challenge: "",
        redirect_uri: None,
        sender_key: asked.sender,
        binds_refresh: client.is_public(),
    };
    match cx.store.redeem(&redeem, &issue::refresh_terms(cx, client)?, cx.now).await? {
        Redemption::Redeemed(grant) => {
            let access = resource::of_grant(cx, client, asked, (&grant.scope, &grant.terms)).await?;
            Ok(issue::for_grant(cx, client, &grant, access).await?)
        }
        // A device that lost the answer asks again: that is no theft, so nothing is revoked.
        Redemption::Refused(code) if code.redeemed_at.is_some() => {
            Err(invalid_grant("the device code was used before; begin again").into())
        }
        Redemption::Refused(code) if code.expires_at <= cx.now => Err(expired().into()),
        Redemption::Refused(_) => {
            let why = "the device code is no longer valid: its user signed out, withdrew consent or was disabled";
            Err(invalid_grant(why).into())
        }
        Redemption::Unknown => Err(invalid_grant(UNKNOWN).into()),
    }
}

fn expired() -> OAuthError {
    expired_token("the device code has expired; ask for another at the device authorization endpoint")
}
