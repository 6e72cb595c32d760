//! What works once, on whichever node: the `jti` of assertions and proofs (RFC 7523 §3 (7), RFC 9449 §11.1).

use super::Context;
use crate::crypto::sha256;
use crate::store::Use;
use crate::types::{Fault, Timestamp};

/// What was signed. Another kind may have the same `jti`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    ClientAssertion,
    DpopProof,
}

impl Kind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::ClientAssertion => "client_assertion",
            Self::DpopProof => "dpop_proof",
        }
    }
}

/// Uses a `jti` of a signer: the client's id, or the thumbprint of the key. Call it last, when all else was found good,
/// so that strangers use up nothing. `until` is when it is refused for its age anyway.
///
/// # Errors
/// When the store is away: better no answer than a second use.
pub async fn first_use(cx: &Context, kind: Kind, signer: &str, jti: &str, until: Timestamp) -> Result<Use, Fault> {
    // No two of them read the same: the signer's length stands before it.
    let name = format!("{}:{}:{signer}:{jti}", kind.as_str(), signer.len());
    cx.store.use_once(&sha256(name.as_bytes()), until, cx.now).await
}
