//! Step 4: who is there, and did they prove it recently enough?

use super::{NeedSignIn, Source, Step, Validated, Visit, strength};
use crate::oauth::Context;
use crate::oauth::error::login_required;
use crate::types::{Fault, Session, User};

pub(super) enum Found {
    Fresh(Session),
    /// What to do first.
    Missing(Step),
}

pub(super) async fn find(
    cx: &Context,
    validated: &Validated,
    visit: &Visit<'_>,
    source: Source,
) -> Result<Found, Fault> {
    let request = &validated.request;
    let Some(session) = signed_in(cx, visit, source).await? else {
        return Ok(sign_in(validated, None));
    };
    // Signed in, or chosen, for this very request.
    let chosen = visit.pending.filter(|pending| pending.chosen_session == Some(session.id));
    let just_now = chosen.is_some_and(|pending| session.authentication.at >= pending.created_at);

    // OpenID Connect Core §3.1.2.2, §5.5.1: the End-User of the hint, or of the claim `sub`, or nobody.
    let subject = cx.subjects.of(&validated.client.metadata, session.user)?.subject;
    if request.hint.as_ref().is_some_and(|hint| hint.user != session.user) || !request.claims.means(subject) {
        return Ok(match chosen {
            // They were asked, and are somebody else: to ask again would never end.
            Some(_) => Found::Missing(Step::Refuse(login_required("another user signed in than the one expected"))),
            None => sign_in(validated, None),
        });
    }
    // OpenID Connect Core §3.1.2.1: "SHOULD prompt the End-User to select a user account".
    if request.prompt.select_account && chosen.is_none() {
        let user = cx.store.user(session.user).await?;
        return Ok(user.map_or_else(
            || sign_in(validated, None),
            |user| Found::Missing(Step::NeedAccount(Box::new((session, user)))),
        ));
    }
    // OpenID Connect Core §3.1.2.1: `login`, and `max_age` counted from the last active authentication.
    let too_old = request.max_age.is_some_and(|max_age| cx.now.since(session.authentication.at) > max_age);
    if (request.prompt.login || too_old) && !just_now {
        return Ok(sign_in(validated, cx.store.user(session.user).await?));
    }
    if let Some(step) = strength::missing(cx, validated, &session).await? {
        return Ok(Found::Missing(step));
    }
    cx.store.use_session(&session, cx.config.session.idle_lifetime, cx.now);
    Ok(Found::Fresh(session))
}

async fn signed_in(cx: &Context, visit: &Visit<'_>, source: Source) -> Result<Option<Session>, Fault> {
    let Some(id) = visit.session else { return Ok(None) };
    match source {
        Source::Memory => cx.store.remembered_session(id, cx.now).await,
        Source::Database => cx.store.session(id, cx.now).await,
    }
}

fn sign_in(validated: &Validated, again: Option<User>) -> Found {
    // OpenID Connect Core §3.1.2.6
    if validated.request.prompt.none {
        let refusal = login_required("the user is not signed in, or not recently enough");
        return Found::Missing(Step::Refuse(refusal));
    }
    Found::Missing(Step::NeedSignIn(NeedSignIn { again }))
}
