//! The authorization endpoint (OAuth 2.1 §4.1.1, OpenID Connect Core §3.1.2): an ordered list of steps.
//!
//! 1. `client`: who asks; until this and the next are proved, an error can only be a page;
//! 2. `target`: where the answer goes: a `RedirectTarget` exists only for a registered URI;
//! 3. `request`: what is asked for;
//! 4. `session`: who is there, and is their sign-in fresh enough;
//! 5. `consent`: did they allow it;
//! 6. `code`: the grant is written, and the code goes out.

mod client;
mod code;
mod consent;
mod request;
mod session;
mod target;

use std::sync::Arc;

pub use code::Code;
pub use request::{AuthorizationRequest, Prompt};
pub use target::{Answer, RedirectTarget};

use super::{Context, Error, OAuthError};
use crate::store::PendingRequest;
use crate::types::{Client, Fault, Params, Scope, Session, SessionId, Timestamp, User};

/// Who asks for what, and where the answer goes: everything that was proved of a request before anybody was asked.
pub struct Validated {
    pub client: Arc<Client>,
    pub target: RedirectTarget,
    pub request: AuthorizationRequest,
}

/// Why a request goes no further.
pub enum Refusal {
    /// Nobody can be told but the person at the browser.
    Page(OAuthError),
    /// The client is told.
    Redirect(RedirectTarget, OAuthError),
    Fault(Fault),
}

/// What is known of the browser that brings the request.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// The account that is signed in there.
    pub session: Option<SessionId>,
    /// The account that was chosen, or signed in, for this very request.
    pub chosen: Option<SessionId>,
    /// When the request first came.
    pub received_at: Timestamp,
}

/// What is to be done next.
pub enum Outcome {
    /// The answer is ready; a pending request, if there is one, is spent.
    Redirect(RedirectTarget, Answer),
    NeedSignIn(NeedSignIn),
    /// Which of the accounts? One is signed in; another may be.
    NeedAccount(Box<(Session, User)>),
    NeedConsent(Box<NeedConsent>),
}

pub struct NeedSignIn {
    /// Who is signed in already and must prove it again.
    pub again: Option<User>,
}

pub struct NeedConsent {
    pub user: User,
    pub session: Session,
    /// What is asked for, all of it.
    pub scope: Scope,
}

/// Steps 1 to 3.
///
/// # Errors
/// To a page before client and redirect URI are proved, to the client after.
pub async fn validate(cx: &Context, params: &Params) -> Result<Validated, Refusal> {
    let client = client::identify(cx, params).await?;
    let target = target::prove(&client, params)?;
    match request::read(cx, &client, params) {
        Ok(request) => Ok(Validated { client, target, request }),
        Err(refusal) => Err(Refusal::Redirect(target, refusal)),
    }
}

/// Steps 4 to 6: either the answer, or what the person must do first.
///
/// # Errors
/// Only faults: what a client may know is an `Outcome::Redirect`.
pub async fn decide(cx: &Context, validated: &Validated, visit: &Visit) -> Result<Outcome, Fault> {
    let (session, user) = match session::find(cx, validated, visit).await? {
        session::Found::Fresh(session, user) => (session, user),
        session::Found::Missing(next) => return Ok(next),
    };
    if let Some(next) = consent::ask(cx, validated, &session, &user).await? {
        return Ok(next);
    }
    let answer = code::issue(cx, validated, &session).await?;
    Ok(Outcome::Redirect(validated.target.clone(), answer))
}

/// The person allowed it: consent, grant and the end of the pending request are one transaction.
///
/// # Errors
/// A fault, or `Outcome`s other than the redirect when the session ended meanwhile.
pub async fn allow(
    cx: &Context,
    validated: &Validated,
    pending: &PendingRequest,
    visit: &Visit,
) -> Result<Outcome, Error> {
    match session::find(cx, validated, visit).await? {
        session::Found::Missing(next) => Ok(next),
        session::Found::Fresh(session, _) => {
            let answer = code::issue_with_consent(cx, validated, pending, &session).await?;
            Ok(Outcome::Redirect(validated.target.clone(), answer))
        }
    }
}

/// The person did not allow it, or turned away (RFC 6749 §4.1.2.1: `access_denied`).
///
/// # Errors
/// `invalid_request` when the request was answered before.
pub async fn deny(cx: &Context, validated: &Validated, pending: &PendingRequest) -> Result<Outcome, Error> {
    code::spend(cx, pending).await?;
    let answer = Answer::Error(super::error::access_denied("the user did not allow it"));
    Ok(Outcome::Redirect(validated.target.clone(), answer))
}
