//! The authorization endpoint (OAuth 2.1 §4.1.1, OpenID Connect Core §3.1.2): an ordered list of steps.
//!
//! 1. `client`: who asks; until this and the next are proved, an error can only be a page;
//!    `refer`: where the parameters are that count: sent ahead, or in an `object` that the client signed;
//! 2. `target`: where the answer goes: a `RedirectTarget` exists only for a registered URI;
//! 3. `request`: what is asked for;
//! 4. `session`: who is there, and is their sign-in fresh enough, and by `strength` strong enough;
//! 5. `consent`: did they allow it, as far as their groups let them;
//! 6. `code`: the grant is written, and the code goes out; `response` signs the answer where that is asked.

mod claims;
mod client;
mod code;
mod consent;
mod object;
mod refer;
mod request;
mod response;
mod session;
mod strength;
mod target;

use std::net::IpAddr;
use std::sync::Arc;

pub use claims::read as read_claims;
pub use code::Code;
pub use object::parameters as parameters_of_request_object;
pub use refer::Referred;
pub use request::{AuthorizationRequest, MAX_STATE, Prompt};
pub use response::sign as sign_response;
pub use target::{Answer, RedirectTarget};

use super::error::{access_denied, invalid_request};
use super::{Context, Error, OAuthError, details, profile, scope};
use crate::store::PendingRequest;
use crate::types::{Client, Fault, Hint, Params, Scope, Session, SessionId, User};

/// Who asks for what, and where the answer goes: everything that was proved of a request before anybody was asked.
pub struct Validated {
    pub client: Arc<Client>,
    pub target: RedirectTarget,
    pub request: AuthorizationRequest,
    /// Where that was read, if not in the request itself.
    pub referred: Option<Referred>,
}

impl Validated {
    /// The pushed request that has its answer with this one.
    pub fn pushed(&self) -> Option<[u8; 32]> {
        self.referred.as_ref().and_then(|referred| referred.pushed)
    }
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
#[derive(Clone, Copy)]
pub struct Visit<'a> {
    /// The accounts that are signed in there, the one that was used last first.
    pub sessions: &'a [SessionId],
    /// The request as it waited for its user; `None` when it comes for the first time.
    pub pending: Option<&'a PendingRequest>,
    /// The person has just allowed it.
    pub allowed: bool,
}

impl Visit<'_> {
    /// The pushed request that is answered with this one.
    fn pushed(&self, validated: &Validated) -> Option<[u8; 32]> {
        self.pending.map_or_else(|| validated.pushed(), |pending| pending.pushed)
    }
}

/// What is to be done next.
pub enum Step {
    /// All questions are answered: the code can go out.
    Ready(Session),
    /// The client is told that it cannot be done.
    Refuse(OAuthError),
    NeedSignIn(NeedSignIn),
    /// Who is signed in must show a second factor.
    NeedSecondFactor(Box<Session>),
    /// Which of the accounts? These are signed in; another may be.
    NeedAccount(Vec<(Session, User)>),
    NeedConsent(Box<NeedConsent>),
}

pub struct NeedSignIn {
    /// Who is signed in already and must prove it again.
    pub again: Option<User>,
}

pub struct NeedConsent {
    pub user: User,
    /// What they would allow.
    pub scope: Scope,
}

/// The parameters that steps 1 to 3 read again when a request goes on that has waited. `id_token_hint` is not among
/// them: what it proved is kept in its place.
pub const KEPT: [&str; 17] = [
    "client_id",
    "redirect_uri",
    "response_mode",
    "state",
    "response_type",
    "scope",
    "resource",
    "authorization_details",
    "code_challenge",
    "code_challenge_method",
    "dpop_jkt",
    "nonce",
    "prompt",
    "max_age",
    "acr_values",
    "login_hint",
    "claims",
];

/// The parameters that are read again.
pub fn kept(params: &Params) -> Vec<(String, String)> {
    params.pairs().iter().filter(|(name, _)| KEPT.contains(&name.as_str())).cloned().collect()
}

/// Steps 1 to 3 of a request as a browser brings it, from this address.
///
/// # Errors
/// To a page before client and redirect URI are proved, to the client after.
pub async fn validate(cx: &Context, params: &Params, from: Option<IpAddr>) -> Result<Validated, Refusal> {
    let client = client::identify(cx, params, from).await?;
    let referred = refer::follow(cx, &client, params).await?;
    let validated = read_referred(cx, client, params, referred).await?;
    // RFC 9126 §5, §6
    let must_push = profile::must_push(&cx.config, &validated.client.metadata);
    if must_push && validated.pushed().is_none() {
        let refusal = invalid_request("the request must be pushed first (RFC 9126), and come as its request_uri");
        return Err(Refusal::Redirect(validated.target, refusal));
    }
    response::ready(cx, validated).await
}

/// Steps 2 and 3 of a request, or of what it refers to.
async fn read_referred(
    cx: &Context,
    client: Arc<Client>,
    params: &Params,
    referred: Option<Referred>,
) -> Result<Validated, Refusal> {
    let Some(referred) = referred else {
        let validated = read(cx, client, params, None).await?;
        // RFC 9101 §10.5. A pushed request was held to it when it was pushed.
        if validated.client.metadata.require_signed_request_object {
            let refusal = invalid_request("the request must be a signed request object (RFC 9101)");
            return Err(Refusal::Redirect(validated.target, refusal));
        }
        return Ok(validated);
    };
    let validated = read(cx, client, &referred.params, referred.hint.as_ref()).await?;
    Ok(Validated { referred: Some(referred), ..validated })
}

/// Steps 1 to 3 of a request that has waited, anew: its client may have changed. How it came was looked at when it came.
///
/// # Errors
/// As `validate`.
pub async fn validate_again(cx: &Context, pending: &PendingRequest) -> Result<Validated, Refusal> {
    let client = client::identify(cx, &pending.params, None).await?;
    read(cx, client, &pending.params, pending.hint.as_ref()).await
}

/// Steps 2 and 3 of a request that its client sends ahead (RFC 9126 §2.1: "Validate the pushed request as it would an
/// authorization request sent to the authorization endpoint").
///
/// # Errors
/// As `validate`.
pub async fn validate_pushed(cx: &Context, client: Arc<Client>, params: &Params) -> Result<Validated, Refusal> {
    // RFC 9126 §3
    let referred = refer::open(cx, &client, params).await?;
    response::ready(cx, read_referred(cx, client, params, referred).await?).await
}

/// Steps 2 and 3; `kept` is what the hint proved that is kept no more.
async fn read(cx: &Context, client: Arc<Client>, params: &Params, kept: Option<&Hint>) -> Result<Validated, Refusal> {
    let target = target::prove(cx, &client, params)?;
    match request_of(cx, &client, params, kept).await {
        Ok(request) => Ok(Validated { client, target, request, referred: None }),
        Err(Error::Refused(refusal)) => Err(Refusal::Redirect(target, refusal)),
        Err(Error::Fault(fault)) => Err(Refusal::Fault(fault)),
    }
}

async fn request_of(
    cx: &Context,
    client: &Client,
    params: &Params,
    kept: Option<&Hint>,
) -> Result<AuthorizationRequest, Error> {
    let request = request::read(cx, client, params, kept)?;
    let (resources, details) = details::begun(cx, client, params, &request.scope).await?;
    Ok(AuthorizationRequest { resources, details, ..request })
}

/// Steps 4 and 5: what the person must do first, if anything. Changes nothing.
///
/// # Errors
/// Only faults: what a client may know is `Step::Refuse`.
pub async fn next(cx: &Context, validated: &Validated, visit: &Visit<'_>) -> Result<Step, Fault> {
    // What is remembered can only say yes: the statement that redeems the code looks again (`Store::redeem`). Before a
    // person is asked or a client refused, and once somebody was asked, the database has the word.
    if visit.pending.is_none()
        && let ready @ Step::Ready(_) = next_by(cx, validated, visit, Source::Memory).await?
    {
        return Ok(ready);
    }
    next_by(cx, validated, visit, Source::Database).await
}

async fn next_by(cx: &Context, validated: &Validated, visit: &Visit<'_>, source: Source) -> Result<Step, Fault> {
    let session = match session::find(cx, validated, visit, source).await? {
        session::Found::Fresh(session) => session,
        session::Found::Missing(step) => return Ok(step),
    };
    let asked = &validated.request.scope;
    let scope = scope::for_user(cx, session.user, asked.clone()).await?;
    if scope.is_empty() && !asked.is_empty() && validated.request.details.is_empty() {
        return Ok(Step::Refuse(access_denied("the user is in none of the groups that may have this scope")));
    }
    Ok(consent::ask(cx, validated, visit, (&session, &scope, source)).await?.unwrap_or(Step::Ready(session)))
}

/// Where sessions and consents are read.
#[derive(Clone, Copy)]
enum Source {
    /// What this node remembers, and what it does not from the database.
    Memory,
    Database,
}

/// Step 6: the grant, the consent and the end of the waiting request are written, and the answer is the code.
///
/// # Errors
/// `invalid_request` when the waiting request was answered before.
pub async fn finish(
    cx: &Context,
    validated: &Validated,
    visit: &Visit<'_>,
    session: &Session,
) -> Result<Answer, Error> {
    code::issue(cx, validated, visit, session).await
}

/// The person did not allow it, or turned away (RFC 6749 §4.1.2.1: `access_denied`).
///
/// # Errors
/// `invalid_request` when the request was answered before.
pub async fn deny(cx: &Context, pending: &PendingRequest) -> Result<Answer, Error> {
    code::spend(cx, Some(pending), pending.pushed).await?;
    Ok(Answer::Error(access_denied("the user did not allow it")))
}

/// The client is told that it cannot be done, and the request, if it waited or was pushed, has its answer.
///
/// # Errors
/// `invalid_request` when the request was answered before.
pub async fn refuse(cx: &Context, validated: &Validated, visit: &Visit<'_>, why: OAuthError) -> Result<Answer, Error> {
    code::spend(cx, visit.pending, visit.pushed(validated)).await?;
    Ok(Answer::Error(why))
}
