//! `client_secret_basic` and `client_secret_post` (RFC 6749 §2.3.1).

use secrecy::ExposeSecret;

use super::Proof;
use crate::crypto::hash;
use crate::types::Client;

/// Compares hashes in constant time: the secret itself is not kept.
pub(super) fn is_right(client: &Client, proof: &Proof) -> bool {
    match (&client.secret_hash, proof) {
        (Some(stored), Proof::Secret(secret)) => hash::equal(stored, &hash::sha256(secret.expose_secret().as_bytes())),
        _ => false,
    }
}
