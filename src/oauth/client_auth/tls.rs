//! `tls_client_auth` and `self_signed_tls_client_auth` (RFC 8705 §2): the certificate of the connection.
//!
//! That the client holds the private key was proved when the connection was made; here it is decided whose it is.

use super::{Presented, Proof};
use crate::crypto::PeerCertificate;
use crate::oauth::Context;
use crate::types::Client;

/// Whether the certificate is that of the client: an authority that is configured vouches for it, and it has the one name
/// that is registered (RFC 8705 §2.1). If not, why: for the log, since it says what is registered.
pub(super) fn is_named(cx: &Context, client: &Client, presented: &Presented<'_>, proof: &Proof) -> Result<(), String> {
    let certificate = sole(presented, proof)?;
    let Some(name) = client.metadata.certificate_name() else {
        return Err("no name of a certificate is registered".to_owned());
    };
    if !cx.client_keys.vouch_for(certificate, cx.now) {
        return Err(
            "no authority of tls.client_ca vouches for its certificate, or it is not good at this time".to_owned()
        );
    }
    if certificate.has_name(&name) {
        Ok(())
    } else {
        Err(format!("its certificate has not the registered name: {name:?}"))
    }
}

/// Whether the certificate holds one of the client's keys (RFC 8705 §2.2): "The PKI method … is not used". If not, why.
pub(super) async fn holds_key(
    cx: &Context,
    client: &Client,
    presented: &Presented<'_>,
    proof: &Proof,
) -> Result<(), String> {
    let key =
        sole(presented, proof)?.subject_public_key().ok_or("the key of its certificate is of no kind that is known")?;
    match cx.client_keys.has(client, &key, cx.now).await {
        Ok(true) => Ok(()),
        Ok(false) => Err("the key of its certificate is none of those that are registered".to_owned()),
        Err(why) => Err(format!("its keys cannot be had: {why}")),
    }
}

/// The certificate, of whoever shows nothing else.
fn sole<'a>(presented: &Presented<'a>, proof: &Proof) -> Result<&'a PeerCertificate, String> {
    match (presented.certificate, proof) {
        (Some(certificate), Proof::None) => Ok(certificate),
        (None, _) => Err("its connection has no certificate".to_owned()),
        (Some(_), _) => Err("it shows something else beside its certificate".to_owned()),
    }
}
