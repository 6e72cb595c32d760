//! `tls_client_auth` and `self_signed_tls_client_auth` (RFC 8705 §2): the certificate of the connection.
//!
//! That the client holds the private key was proved when the connection was made; here it is decided whose it is.

use super::{Presented, Proof};
use crate::crypto::PeerCertificate;
use crate::oauth::Context;
use crate::types::Client;

/// Whether the certificate is that of the client: an authority that is configured vouches for it, and it has the one name
/// that is registered (RFC 8705 §2.1).
pub(super) fn is_named(cx: &Context, client: &Client, presented: &Presented<'_>, proof: &Proof) -> bool {
    let Some(certificate) = sole(presented, proof) else { return false };
    let Some(name) = client.metadata.certificate_name() else { return false };
    cx.client_keys.vouch_for(certificate, cx.now) && certificate.has_name(&name)
}

/// Whether the certificate holds one of the client's keys (RFC 8705 §2.2): "The PKI method … is not used".
pub(super) async fn holds_key(cx: &Context, client: &Client, presented: &Presented<'_>, proof: &Proof) -> bool {
    let Some(key) = sole(presented, proof).and_then(PeerCertificate::subject_public_key) else { return false };
    let held = cx.client_keys.has(client, &key, cx.now).await;
    held.unwrap_or_else(|why| {
        tracing::warn!(client = %client.id, %why, "the keys of a client cannot be had");
        false
    })
}

/// The certificate, of whoever shows nothing else.
fn sole<'a>(presented: &Presented<'a>, proof: &Proof) -> Option<&'a PeerCertificate> {
    presented.certificate.filter(|_| matches!(proof, Proof::None))
}
