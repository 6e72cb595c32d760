//! `none`: a public client, identified and no more (OAuth 2.1 §2.4: "MUST NOT consider the client authenticated").

use super::Proof;

/// A public client has no secret, so one that sends a secret is not the client that was registered.
pub(super) fn is_enough(proof: &Proof) -> bool {
    matches!(proof, Proof::None)
}
