//! `id_token_hint` (OpenID Connect Core §3.1.2.1, RP-Initiated Logout §2).

use super::Context;
use super::issue::id_token;
use crate::types::{Hint, Params};

/// The parameter, which is read where a request comes in and never kept: no token lies in the database in clear.
const PARAMETER: &str = "id_token_hint";

/// A hint that is no ID token of ours.
pub struct Unproved;

/// What the hint of a request proves: what was `kept` of it while the request waited, or what it says itself. An ID
/// token that has expired is as good.
///
/// # Errors
/// When it is not an ID token that this issuer signed.
pub fn read(cx: &Context, params: &Params, kept: Option<&Hint>) -> Result<Option<Hint>, Unproved> {
    let Some(token) = params.get(PARAMETER) else { return Ok(kept.cloned()) };
    let claims = id_token::verify_hint(cx, token).ok_or(Unproved)?;
    let user = cx.subjects.user(claims.sub, claims.sector.as_deref()).ok_or(Unproved)?;
    Ok(Some(Hint { client: claims.aud, user, session: claims.sid }))
}
