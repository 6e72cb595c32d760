//! Whose a token is: the key of a DPoP proof (RFC 9449), or the certificate of the connection (RFC 8705 §3).

use super::error::{invalid_dpop_proof, invalid_request, invalid_token};
use super::{Context, Error, dpop, profile};
use crate::crypto::PeerCertificate;
use crate::types::{Algorithm, Client, SenderKey};

/// By what the sender of a request can be told from others.
#[derive(Clone, Copy)]
pub struct Sender<'a> {
    /// The request, with its proof if it has one.
    pub request: dpop::Request<'a>,
    /// That of the connection, whose private key its other end has proved to hold.
    pub certificate: Option<&'a PeerCertificate>,
}

/// How a token is shown, and with that what it is said to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Bearer,
    Dpop,
}

/// To what the tokens will be bound that the client asks for.
///
/// # Errors
/// `invalid_dpop_proof`, `use_dpop_nonce`; `invalid_request` when the client may not do without a proof (RFC 9449 §5.2), or
/// without a certificate.
pub async fn binding(cx: &Context, client: &Client, sender: Sender<'_>) -> Result<Option<SenderKey>, Error> {
    if sender.request.proof.is_some() {
        let algorithms = profile::algorithms(&cx.config, &client.metadata, &Algorithm::ASYMMETRIC);
        return dpop::prove(cx, sender.request, algorithms, None).await.map(Some);
    }
    if client.metadata.dpop_bound_access_tokens {
        // §5 has `invalid_dpop_proof` for a proof that is invalid.
        return Err(invalid_request("the client is registered for bound tokens, so it must send a DPoP proof").into());
    }
    // RFC 8705 §3.4
    if client.metadata.tls_client_certificate_bound_access_tokens {
        let certificate = sender.certificate.ok_or_else(|| {
            invalid_request("the client is registered for tokens that are bound to its certificate, and shows none")
        })?;
        return Ok(Some(SenderKey::Certificate(certificate.thumbprint())));
    }
    match sender.certificate {
        _ if !profile::must_bind(&cx.config, &client.metadata) => Ok(None),
        Some(certificate) => Ok(Some(SenderKey::Certificate(certificate.thumbprint()))),
        None => Err(invalid_request(
            "FAPI 2.0 has access tokens that are bound to a key: send a DPoP proof, or show a certificate",
        )
        .into()),
    }
}

/// To what the code of a pushed request will be bound (RFC 9449 §10.1): `named`, which is its `dpop_jkt`, or the key of
/// a proof that came with it.
///
/// # Errors
/// `invalid_dpop_proof`, also when the two are not the same; `use_dpop_nonce`.
pub async fn pushed_binding(
    cx: &Context,
    client: &Client,
    named: Option<SenderKey>,
    request: dpop::Request<'_>,
) -> Result<Option<SenderKey>, Error> {
    if request.proof.is_none() {
        return Ok(named);
    }
    let algorithms = profile::algorithms(&cx.config, &client.metadata, &Algorithm::ASYMMETRIC);
    let proved = dpop::prove(cx, request, algorithms, None).await?;
    if named.is_some_and(|named| named != proved) {
        return Err(invalid_dpop_proof("dpop_jkt is not the thumbprint of the key of the DPoP proof").into());
    }
    Ok(Some(proved))
}

/// Whether whoever shows this token of a client is the one to whom it is bound.
///
/// # Errors
/// `invalid_token` when they are not; those of the proof.
pub async fn check(
    cx: &Context,
    client: &Client,
    sender: Sender<'_>,
    (token, scheme): (&str, Scheme),
    bound_to: Option<&SenderKey>,
) -> Result<(), Error> {
    let refuse = |words: &'static str| Err(invalid_token(words).into());
    match (scheme, bound_to) {
        (Scheme::Bearer, None) => Ok(()),
        (Scheme::Dpop, Some(bound @ SenderKey::Jwk(_))) => {
            // RFC 9449 §4.3 (12): "the public key to which the access token is bound matches the public key from the
            // DPoP proof".
            let algorithms = profile::algorithms(&cx.config, &client.metadata, &Algorithm::ASYMMETRIC);
            if dpop::prove(cx, sender.request, algorithms, Some(token)).await? == *bound {
                Ok(())
            } else {
                refuse("the access token is bound to another key than that of the DPoP proof")
            }
        }
        // RFC 8705 §3: "MUST obtain, from its TLS implementation layer, the client certificate"; "MUST reject" another.
        (Scheme::Bearer, Some(SenderKey::Certificate(bound))) => match sender.certificate {
            Some(certificate) if certificate.thumbprint() == *bound => Ok(()),
            _ => refuse("the access token is bound to a client certificate that this connection does not show"),
        },
        // RFC 9449 §7.2: "MUST NOT grant access" for what should have come with a proof.
        (Scheme::Bearer, Some(SenderKey::Jwk(_))) => {
            refuse("the access token is bound to a key: send it as DPoP, with a proof")
        }
        (Scheme::Dpop, None | Some(SenderKey::Certificate(_))) => {
            refuse("the access token is not bound to the key of a proof: send it as Bearer")
        }
    }
}
