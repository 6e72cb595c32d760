//! DPoP (RFC 9449): proofs that whoever sends a request holds a private key.
//!
//! A proof is a JWT with its own public key in the header. What it is worth is the thumbprint of that key: tokens are
//! bound to it, and are good for nobody else.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use url::Url;

use super::error::{OAuthError, invalid_dpop_proof, invalid_request, use_dpop_nonce};
use super::replay::{self, Kind};
use super::{CLOCK_SKEW, Context, Error};
use crate::crypto::jws::{JwsError, Unverified};
use crate::crypto::{PublicKey, hash};
use crate::store::Use;
use crate::types::sender_key::is_thumbprint;
use crate::types::{Algorithm, Fault, Params, SenderKey, Timestamp};

/// Longer than any `jti` that is made, in bytes.
const LONGEST_JTI: usize = 256;

/// The request that a proof came with.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    /// The header `DPoP`, if there was one.
    pub proof: Option<&'a str>,
    pub method: &'a str,
    /// Under the issuer's URL, whatever the Host header says.
    pub path: &'a str,
}

/// The claims of a proof (RFC 9449 §4.2).
#[derive(Deserialize)]
pub struct Claims {
    jti: String,
    htm: String,
    htu: String,
    iat: i64,
    ath: Option<String>,
    nonce: Option<String>,
}

/// What an authorization request says that its code will be bound to: `dpop_jkt` (RFC 9449 §10).
///
/// # Errors
/// `invalid_request` when it is no thumbprint.
pub fn code_binding(params: &Params) -> Result<Option<SenderKey>, OAuthError> {
    let Some(named) = params.get("dpop_jkt") else { return Ok(None) };
    if !is_thumbprint(named) {
        return Err(invalid_request("dpop_jkt must be the SHA-256 thumbprint of a JWK in base64url"));
    }
    Ok(Some(SenderKey::Jwk(named.to_owned())))
}

/// Checks a proof (RFC 9449 §4.3) that one of these algorithms signed, with `access_token` as a resource does; its key.
///
/// # Errors
/// `invalid_dpop_proof`; `use_dpop_nonce` (RFC 9449 §8).
pub async fn prove(
    cx: &Context,
    request: Request<'_>,
    algorithms: &[Algorithm],
    access_token: Option<&str>,
) -> Result<SenderKey, Error> {
    let proof = request.proof.ok_or_else(|| invalid_dpop_proof("the DPoP proof is missing"))?;
    let (claims, thumbprint) = read(proof, algorithms)?;
    check_request(cx, request, &claims)?;

    // (11)
    let now = cx.now.secs();
    let lifetime = i64::try_from(cx.config.dpop.proof_lifetime.as_secs()).unwrap_or(i64::MAX);
    let Some(end) = claims.iat.checked_add(lifetime).filter(|end| now <= *end && claims.iat <= now + CLOCK_SKEW) else {
        return Err(invalid_dpop_proof("iat of the DPoP proof is too far from the time of this server").into());
    };
    // (12)
    if let Some(access_token) = access_token
        && claims.ath.as_deref() != Some(&hash::sha256_base64url(access_token.as_bytes()))
    {
        return Err(invalid_dpop_proof("ath of the DPoP proof is not the hash of the access token").into());
    }
    // (10)
    if cx.config.dpop.require_nonce && !claims.nonce.as_deref().is_some_and(|nonce| is_fresh(cx, nonce)) {
        return Err(use_dpop_nonce("the DPoP proof needs a nonce of this server: that of the header DPoP-Nonce").into());
    }
    // RFC 9449 §11.1: once, on whichever node.
    let until = Timestamp::from_secs(end + 1);
    match replay::first_use(cx, Kind::DpopProof, &thumbprint, &claims.jti, until).await? {
        Use::First => Ok(SenderKey::Jwk(thumbprint)),
        Use::Again => Err(invalid_dpop_proof("this DPoP proof was used before; make one for each request").into()),
    }
}

/// The claims that a proof's own key signed by one of these algorithms, and the thumbprint of that key. Whether they fit
/// the request is not looked at: `prove` does.
///
/// # Errors
/// `invalid_dpop_proof`
pub fn read(proof: &str, algorithms: &[Algorithm]) -> Result<(Claims, String), OAuthError> {
    // (2), (5): whoever calls names asymmetric ones alone.
    let mut unverified = Unverified::parse(proof, algorithms).map_err(broken)?;
    // (4)
    if !unverified.header.is_type("dpop+jwt") {
        return Err(invalid_dpop_proof("typ of the DPoP proof must be dpop+jwt"));
    }
    // (7); RFC 9449 §4.2: "MUST NOT contain a private key".
    let jwk = unverified.header.jwk.as_ref();
    let jwk = jwk.ok_or_else(|| invalid_dpop_proof("the header of the DPoP proof has no jwk"))?;
    let key = PublicKey::from_value(jwk)
        .map_err(|why| invalid_dpop_proof(format!("jwk of the DPoP proof is not one that is taken here: {why}")))?;
    let thumbprint = key.thumbprint();
    // (3), (6); the key is the one in the header, whatever `kid` says.
    unverified.header.kid = None;
    let claims: Claims = unverified.verify(std::slice::from_ref(&key)).map_err(broken)?;
    if claims.jti.is_empty() || claims.jti.len() > LONGEST_JTI {
        return Err(invalid_dpop_proof(format!("jti of the DPoP proof must have 1 to {LONGEST_JTI} bytes")));
    }
    Ok((claims, thumbprint))
}

fn broken(why: JwsError) -> OAuthError {
    invalid_dpop_proof(format!("the DPoP proof is not valid: {why}"))
}

/// Whether the proof was made for this request.
fn check_request(cx: &Context, request: Request<'_>, claims: &Claims) -> Result<(), OAuthError> {
    // (8); RFC 9110 §9.1: methods are case-sensitive.
    if claims.htm != request.method {
        return Err(invalid_dpop_proof("htm of the DPoP proof is not the method of the request"));
    }
    // (9): "ignoring any query and fragment parts".
    let expected = cx.config.server.issuer.url(request.path);
    if normal(&claims.htu).is_none_or(|htu| normal(&expected).is_none_or(|expected| htu != expected)) {
        return Err(invalid_dpop_proof(format!("htu of the DPoP proof is not {expected}")));
    }
    Ok(())
}

/// RFC 9449 §4.3: "servers SHOULD employ syntax-based normalization and scheme-based normalization".
fn normal(uri: &str) -> Option<Url> {
    let mut uri = Url::parse(uri).ok()?;
    uri.set_query(None);
    uri.set_fragment(None);
    Some(uri)
}

/// A nonce for the next proof (RFC 9449 §8). It is not kept: it says when it was made, under a key that all nodes have.
///
/// # Errors
/// When there is no key for it.
pub fn nonce(cx: &Context) -> Result<String, Fault> {
    nonce_of(cx, cx.now.secs())
}

fn nonce_of(cx: &Context, secs: i64) -> Result<String, Fault> {
    // The keys of refresh tokens are on every node, and on no other. No JWT begins like this.
    let message = format!("DPoP nonce {} {secs}", cx.issuer());
    let mac = cx.keys.active(Algorithm::Hs256, cx.now)?.sign(message.as_bytes()).map_err(Fault::internal)?;
    Ok(URL_SAFE_NO_PAD.encode([&secs.to_be_bytes()[..], &mac[..16.min(mac.len())]].concat()))
}

/// Whether this server gave it out, a short time ago. One of a key that has been replaced is asked for again.
fn is_fresh(cx: &Context, nonce: &str) -> bool {
    let Ok(bytes) = URL_SAFE_NO_PAD.decode(nonce) else { return false };
    let Some((secs, _)) = bytes.split_first_chunk::<8>() else { return false };
    let secs = i64::from_be_bytes(*secs);
    let age = cx.now.secs().saturating_sub(secs);
    let lifetime = i64::try_from(cx.config.dpop.nonce_lifetime.as_secs()).unwrap_or(i64::MAX);
    (-CLOCK_SKEW..=lifetime).contains(&age)
        && nonce_of(cx, secs).is_ok_and(|ours| hash::equal(ours.as_bytes(), nonce.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_compared_as_they_are_meant() {
        let same = |a: &str, b: &str| normal(a).is_some() && normal(a) == normal(b);
        for uri in [
            "https://auth.example/oauth/token",
            "HTTPS://AUTH.Example:443/oauth/token",
            "https://auth.example/oauth/./x/../token",
            "https://auth.example/oauth/token?x=1#y",
        ] {
            assert!(same(uri, "https://auth.example/oauth/token"), "{uri}");
        }
        for uri in [
            "",
            "/oauth/token",
            "http://auth.example/oauth/token",
            "https://auth.example:8443/oauth/token",
            "https://auth.example/oauth/token/",
            "https://auth.example/oauth/TOKEN",
            "https://auth.example.evil.example/oauth/token",
            "https://auth.example@evil.example/oauth/token",
        ] {
            assert!(!same(uri, "https://auth.example/oauth/token"), "{uri}");
        }
    }
}
