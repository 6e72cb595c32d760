//! Step 5: did they allow it?

use super::{Answer, NeedConsent, Outcome, Validated};
use crate::oauth::Context;
use crate::oauth::error::consent_required;
use crate::types::redirect_uri::Destination;
use crate::types::{Fault, Session, User};

/// What to show first; `None` when it was allowed before.
pub(super) async fn ask(
    cx: &Context,
    validated: &Validated,
    session: &Session,
    user: &User,
) -> Result<Option<Outcome>, Fault> {
    if !must_ask(cx, validated, user).await? {
        return Ok(None);
    }
    // OpenID Connect Core §3.1.2.6
    if validated.request.prompt.none {
        let answer = Answer::Error(consent_required("the user has not allowed this yet"));
        return Ok(Some(Outcome::Redirect(validated.target.clone(), answer)));
    }
    Ok(Some(Outcome::NeedConsent(Box::new(NeedConsent {
        user: user.clone(),
        session: session.clone(),
        scope: validated.request.scope.clone(),
    }))))
}

async fn must_ask(cx: &Context, validated: &Validated, user: &User) -> Result<bool, Fault> {
    let (client, request) = (&validated.client, &validated.request);
    if request.prompt.consent {
        return Ok(true);
    }
    if client.metadata.skip_consent {
        return Ok(false);
    }
    // RFC 8252 §8.6: any program may sit at such an address, so a remembered consent proves nothing.
    if client.is_public() && validated.target.destination() != Destination::Web {
        return Ok(true);
    }
    let consent = cx.store.consent(user.id, &client.id).await?;
    Ok(consent.is_none_or(|consent| !request.scope.is_within(&consent.scope)))
}
