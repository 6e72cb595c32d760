//! Step 5: did they allow it?

use super::{NeedConsent, Source, Step, Validated, Visit};
use crate::oauth::error::{OAuthError, consent_required, interaction_required, login_required};
use crate::oauth::scope::seen_by;
use crate::oauth::{Context, details};
use crate::store::Consent;
use crate::types::redirect_uri::Destination;
use crate::types::{Fault, Scope, Session};

/// What to show first; `None` when it was allowed before, or just now.
pub(super) async fn ask(
    cx: &Context,
    validated: &Validated,
    visit: &Visit<'_>,
    (session, scope, source): (&Session, &Scope, Source),
) -> Result<Option<Step>, Fault> {
    let needed = if visit.allowed { None } else { must_ask(cx, validated, (session, scope), source).await? };
    let Some(why) = needed else { return Ok(None) };
    // OpenID Connect Core §3.1.2.6
    if validated.request.prompt.none {
        return Ok(Some(Step::Refuse(why)));
    }
    let Some(user) = cx.store.user(session.user).await? else {
        return Ok(Some(Step::Refuse(login_required("the user is not there any more"))));
    };
    let scope = validated.request.to_allow(scope).into_owned();
    let user = seen_by(cx, [validated.client.id.as_str()], user);
    Ok(Some(Step::NeedConsent(Box::new(NeedConsent { user, scope }))))
}

/// Why the person must be asked: what a client hears that wants no page.
async fn must_ask(
    cx: &Context,
    validated: &Validated,
    (session, scope): (&Session, &Scope),
    source: Source,
) -> Result<Option<OAuthError>, Fault> {
    let (client, request) = (&validated.client, &validated.request);
    if request.prompt.consent {
        return Ok(Some(consent_required("the request itself wants the user to be asked")));
    }
    // RFC 8252 §8.6: any program may sit at such an address, so neither a remembered consent nor the administrator's
    // word for the client proves that it is the client.
    if client.is_public() && validated.target.destination() != Destination::Web {
        let why = "a public client at a loopback or private-use address must ask its user each time";
        // No consent that was given before makes a page needless.
        return Ok(Some(interaction_required(why)));
    }
    if client.metadata.skip_consent {
        return Ok(None);
    }
    // A payment that was allowed once is not allowed twice.
    if details::memorable(cx, &request.details).await?.len() < request.details.len() {
        return Ok(Some(consent_required("the user must be asked each time about what is asked for in particular")));
    }
    let consent = match source {
        Source::Memory => cx.store.remembered_consent(session.user, &client.id).await?,
        Source::Database => cx.store.consent(session.user, &client.id).await?,
    };
    let covers = |consent: Consent| {
        request.to_allow(scope).is_within(&consent.asked) && request.details.is_within(&consent.details)
    };
    let allowed = consent.is_some_and(covers);
    Ok((!allowed).then(|| consent_required("the user has not allowed this yet")))
}
