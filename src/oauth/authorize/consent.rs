//! Step 5: did they allow it?

use super::{NeedConsent, Step, Validated, Visit};
use crate::oauth::Context;
use crate::oauth::error::consent_required;
use crate::types::redirect_uri::Destination;
use crate::types::{Fault, User};

/// What to show first; `None` when it was allowed before, or just now.
pub(super) async fn ask(
    cx: &Context,
    validated: &Validated,
    visit: &Visit<'_>,
    user: User,
) -> Result<Option<Step>, Fault> {
    if visit.allowed || !must_ask(cx, validated, &user).await? {
        return Ok(None);
    }
    // OpenID Connect Core §3.1.2.6
    if validated.request.prompt.none {
        return Ok(Some(Step::Refuse(consent_required("the user has not allowed this yet"))));
    }
    let scope = validated.request.scope.clone();
    Ok(Some(Step::NeedConsent(Box::new(NeedConsent { user, scope }))))
}

async fn must_ask(cx: &Context, validated: &Validated, user: &User) -> Result<bool, Fault> {
    let (client, request) = (&validated.client, &validated.request);
    if request.prompt.consent {
        return Ok(true);
    }
    // RFC 8252 §8.6: any program may sit at such an address, so neither a remembered consent nor the administrator's
    // word for the client proves that it is the client.
    if client.is_public() && validated.target.destination() != Destination::Web {
        return Ok(true);
    }
    if client.metadata.skip_consent {
        return Ok(false);
    }
    let consent = cx.store.consent(user.id, &client.id).await?;
    Ok(consent.is_none_or(|consent| !request.scope.is_within(&consent.asked)))
}
