//! Step 4: who is there, and did they prove it recently enough?

use super::{NeedSignIn, Source, Step, Validated, Visit, strength};
use crate::oauth::Context;
use crate::oauth::error::{account_selection_required, login_required};
use crate::types::{Fault, Session, SessionId, User};

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
    let present = signed_in(cx, visit, source).await?;
    // Signed in, or chosen, for this very request.
    let chosen = visit.pending.and_then(|pending| {
        let session = present.iter().find(|session| pending.chosen_session == Some(session.id))?;
        Some((session.clone(), session.authentication.at >= pending.created_at))
    });
    let (session, just_now) = match chosen {
        // OpenID Connect Core §3.1.2.2, §5.5.1: the End-User of the hint, or of the claim `sub`, or nobody. They were
        // asked, and are somebody else: to ask again would never end.
        Some((session, _)) if !is_meant(cx, validated, &session)? => {
            let refusal = login_required("another user signed in than the one expected");
            return Ok(Found::Missing(Step::Refuse(refusal)));
        }
        Some(chosen) => chosen,
        None => match pick(cx, validated, present).await? {
            Picked::One(session) => (session, false),
            Picked::Nobody => return Ok(sign_in(validated, None)),
            Picked::Several(sessions) => return accounts(cx, validated, sessions).await,
        },
    };
    // OpenID Connect Core §3.1.2.1: `login`, and `max_age` counted from the last active authentication.
    let too_old = request.max_age.is_some_and(|max_age| cx.now.since(session.authentication.at) > max_age);
    if (request.prompt.login || too_old) && !just_now {
        return Ok(sign_in(validated, cx.store.user(session.user).await?));
    }
    if let Some(step) = strength::missing(cx, validated, &session).await? {
        return Ok(Found::Missing(step));
    }
    cx.store.use_session(&session, cx.config.session.idle(session.remembered), cx.now);
    Ok(Found::Fresh(session))
}

/// The living sessions of a browser.
async fn signed_in(cx: &Context, visit: &Visit<'_>, source: Source) -> Result<Vec<Session>, Fault> {
    let mut living = Vec::with_capacity(visit.sessions.len());
    for id in visit.sessions {
        living.extend(match source {
            Source::Memory => cx.store.remembered_session(*id, cx.now).await?,
            Source::Database => cx.store.session(*id, cx.now).await?,
        });
    }
    Ok(living)
}

/// Whether the request means whoever this is, or nobody in particular.
fn is_meant(cx: &Context, validated: &Validated, session: &Session) -> Result<bool, Fault> {
    let request = &validated.request;
    let subject = cx.subjects.of(&validated.client.metadata, session.user)?.subject;
    Ok(request.hint.as_ref().is_none_or(|hint| hint.user == session.user) && request.claims.means(subject))
}

enum Picked {
    One(Session),
    Nobody,
    Several(Vec<Session>),
}

/// Whose turn it is: that of whom the request means, else of the only one there is, else of who used the client last.
async fn pick(cx: &Context, validated: &Validated, present: Vec<Session>) -> Result<Picked, Fault> {
    let mut meant = Vec::with_capacity(present.len());
    for session in present {
        if is_meant(cx, validated, &session)? {
            meant.push(session);
        }
    }
    // OpenID Connect Core §3.1.2.1: "SHOULD prompt the End-User to select a user account".
    if validated.request.prompt.select_account && !meant.is_empty() {
        return Ok(Picked::Several(meant));
    }
    if meant.len() > 1 {
        let ids: Vec<SessionId> = meant.iter().map(|session| session.id).collect();
        let last = cx.store.last_used(&validated.client.id, &ids).await?;
        if let Some(at) = meant.iter().position(|session| Some(session.id) == last) {
            return Ok(Picked::One(meant.swap_remove(at)));
        }
        return Ok(Picked::Several(meant));
    }
    Ok(meant.pop().map_or(Picked::Nobody, Picked::One))
}

/// The person says which.
async fn accounts(cx: &Context, validated: &Validated, sessions: Vec<Session>) -> Result<Found, Fault> {
    // OpenID Connect Core §3.1.2.6
    if validated.request.prompt.none {
        let why = "several users are signed in, and the request does not say which of them is meant";
        return Ok(Found::Missing(Step::Refuse(account_selection_required(why))));
    }
    let mut accounts = Vec::with_capacity(sessions.len());
    for session in sessions {
        if let Some(user) = cx.store.user(session.user).await? {
            accounts.push((session, user));
        }
    }
    if accounts.is_empty() {
        return Ok(sign_in(validated, None));
    }
    Ok(Found::Missing(Step::NeedAccount(accounts)))
}

fn sign_in(validated: &Validated, again: Option<User>) -> Found {
    // OpenID Connect Core §3.1.2.6
    if validated.request.prompt.none {
        let refusal = login_required("the user is not signed in, or not recently enough");
        return Found::Missing(Step::Refuse(refusal));
    }
    Found::Missing(Step::NeedSignIn(NeedSignIn { again }))
}
