//! The authorization code grant (OAuth 2.1 §4.1.3, RFC 7636).
//!
//! One statement decides: the code is redeemed, once, by the right client with the right verifier, or not at all.

use crate::crypto::hash;
use crate::oauth::authorize::Code;
use crate::oauth::error::{OAuthError, invalid_grant, invalid_request};
use crate::oauth::issue;
use crate::oauth::token::{Asked, TokenResponse};
use crate::oauth::{Context, Error, engine, resource};
use crate::store::{Reason, Redeem, Redemption, RefusedCode};
use crate::types::{Client, CodeVerifier, Params, SenderKey};

/// What the client sent.
pub struct Request {
    code: Code,
    verifier: Option<CodeVerifier>,
    redirect_uri: Option<String>,
}

impl Request {
    /// # Errors
    /// `invalid_request` without a code; `invalid_grant` for what cannot be a code or a verifier.
    pub fn parse(params: &Params) -> Result<Self, OAuthError> {
        let code = params.get("code").ok_or_else(|| invalid_request("code is missing"))?;
        let code = Code::parse(code).ok_or_else(|| invalid_grant(UNKNOWN))?;
        let verifier = params.get("code_verifier").map(|text| {
            // RFC 7636 §4.1
            CodeVerifier::parse(text)
                .ok_or_else(|| invalid_grant("code_verifier must be 43 to 128 unreserved characters"))
        });
        Ok(Self { code, verifier: verifier.transpose()?, redirect_uri: params.get("redirect_uri").map(str::to_owned) })
    }
}

const UNKNOWN: &str = "the code is unknown, or was not issued to this client";

/// Exchanges a code for tokens.
///
/// # Errors
/// `invalid_grant`, with the reason where the client has proved that the code is its own.
pub async fn exchange(
    cx: &Context,
    client: &Client,
    request: Request,
    asked: Asked<'_>,
) -> Result<TokenResponse, Error> {
    let sender = asked.sender;
    let code_challenge = request.verifier.as_ref().map(|v| hash::sha256_base64url(v.as_str().as_bytes()));
    resource::check(cx, client, &asked, (request.code.grant, &request.code.hash())).await?;
    let redeem = Redeem {
        grant: request.code.grant,
        code_hash: request.code.hash(),
        client: &client.id,
        // A verifier where no challenge was stored fits nothing (OAuth 2.1 §4.1.3), and so does none where one was.
        code_challenge: code_challenge.as_deref().unwrap_or_default(),
        redirect_uri: request.redirect_uri.as_deref(),
        sender_key: sender,
        // RFC 9449 §5: those of public clients. Another is bound to its client, which authenticates.
        binds_refresh: client.is_public(),
    };
    match cx.store.redeem(&redeem, &issue::refresh_terms(cx, client)?, cx.now).await? {
        Redemption::Redeemed(grant) => {
            let access = resource::of_grant(cx, client, asked, (&grant.scope, &grant.terms)).await?;
            Ok(issue::for_grant(cx, client, &grant, access).await?)
        }
        Redemption::Refused(code) => Err(refuse(cx, &request, sender, code).await),
        Redemption::Unknown => Err(invalid_grant(UNKNOWN).into()),
    }
}

/// Says why, and revokes what a replayed code issued.
async fn refuse(cx: &Context, request: &Request, sender: Option<&SenderKey>, code: RefusedCode) -> Error {
    // RFC 7636 §4.6, before all else: without its verifier a code is nobody's, and its replay ends nothing.
    match (&request.verifier, code.code_challenge.as_str()) {
        (None, "") => {}
        (None, _) => return invalid_grant("code_verifier is missing").into(),
        (Some(_), "") => return invalid_grant("code_verifier was sent, but the request had no code_challenge").into(),
        (Some(verifier), challenge) if engine::fits(challenge, verifier) => {}
        (Some(_), _) => return invalid_grant("code_verifier does not fit the code_challenge").into(),
    }
    // RFC 6749 §4.1.3
    if request.redirect_uri.as_ref().is_some_and(|uri| *uri != code.redirect_uri) {
        return invalid_grant("redirect_uri is not the one of the authorization request").into();
    }
    if code.redeemed_at.is_some() {
        tracing::warn!(target: "audit", event = "code_replayed", grant = %request.code.grant);
        // RFC 6749 §4.1.2: "SHOULD revoke (when possible) all tokens previously issued based on that code".
        return match cx.store.revoke_grant(request.code.grant, Reason::CodeReplay, cx.now).await {
            Ok(()) => invalid_grant("the code was used before, so everything issued for it is revoked").into(),
            Err(fault) => fault.into(),
        };
    }
    // RFC 9449 §10: "the authorization server MUST reject the request".
    if code.sender_key.is_some() && code.sender_key != sender.map(SenderKey::to_string) {
        return invalid_grant("the code is bound to a key, and the request does not prove to have it").into();
    }
    if code.expires_at <= cx.now {
        return invalid_grant("the code has expired; start again at the authorization endpoint").into();
    }
    invalid_grant("the code is no longer valid: its user signed out, withdrew consent or was disabled").into()
}
