//! Resource indicators (RFC 8707): which resource server a token is for. So far there is one, the issuer.

use super::Context;
use super::error::{OAuthError, invalid_target};
use crate::types::Params;

/// Refuses a token for any other place: one that is for us all the same would be taken for less than it is.
///
/// # Errors
/// `invalid_target` (RFC 8707 §2).
pub fn check(cx: &Context, params: &Params) -> Result<(), OAuthError> {
    let mut asked = params.pairs().iter().filter(|(name, value)| name == "resource" && !value.is_empty());
    if asked.all(|(_, resource)| resource == cx.issuer()) {
        return Ok(());
    }
    Err(invalid_target("tokens are issued for the resource of this issuer alone; leave the parameter resource out"))
}
