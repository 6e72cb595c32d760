//! `GET` and `POST /oauth/authorize`, and where it goes on after a page.

use axum::extract::State;
use axum::response::Response;

use crate::oauth::Context;
use crate::oauth::authorize::{self, Answer, Refusal, Step, Validated, Visit};
use crate::oauth::error::invalid_request;
use crate::store::{PendingKind, PendingRequest};
use crate::types::{Fault, Params, RequestId, SessionId};
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery, bounded};
use crate::web::peer::Peer;
use crate::web::respond::{self, PageError};
use crate::web::{Held, Services, Shared};

type Page = Result<Response, PageError>;

/// A request as it comes from a client.
pub async fn get(
    State(services): State<Shared>,
    peer: Peer,
    mut browser: Browser,
    PageQuery(params): PageQuery,
) -> Page {
    let cx = services.context();
    let validated = match authorize::validate(&cx, &params, peer.address).await {
        Ok(validated) => validated,
        Err(refusal) => return refuse(&services, refusal).await,
    };
    let sessions = browser.sessions();
    let visit = Visit { sessions: &sessions, pending: None, allowed: false };
    let step = authorize::next(&cx, &validated, &visit).await?;
    if let Step::Ready(_) | Step::Refuse(_) = step {
        return act(&services, &cx, &validated, &visit, step).await;
    }
    let browser = browser.open_id(&services).await?;
    let request = hold(&services, &cx, &validated, (&params, browser)).await?;
    Ok(respond::see_other(&services.path(&page_for(&step, request))))
}

/// OpenID Connect Core §3.1.2.1: POST too. It is cross-site, so it comes without our cookie: what is certain without it
/// is answered, and the rest waits for the browser, which is asked to come back by itself.
pub async fn post(State(services): State<Shared>, peer: Peer, PageForm(params): PageForm) -> Page {
    bounded(&params)?;
    let cx = services.context();
    let validated = match authorize::validate(&cx, &params, peer.address).await {
        Ok(validated) => validated,
        Err(refusal) => return refuse(&services, refusal).await,
    };
    let request = hold(&services, &cx, &validated, (&params, String::new())).await?;
    Ok(respond::see_other(&services.path(&resume_at(request))))
}

/// Keeps a request: what it refers to, or what stands in it.
async fn hold(
    services: &Services,
    cx: &Context,
    validated: &Validated,
    (params, browser): (&Params, String),
) -> Result<RequestId, Fault> {
    let params = validated.referred.as_ref().map_or(params, |referred| &referred.params);
    let held = Held { kind: PendingKind::Authorize, browser, params, hint: validated.request.hint.as_ref() };
    services.hold_pushed(held, validated.pushed(), cx.now).await
}

/// A request that waited goes on.
pub async fn resume(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    let cx = services.context();
    let pending = services.claim(PendingKind::Authorize, &mut browser, &params, cx.now).await?.ok_or_else(gone)?;
    Waiting::again(&cx, pending).await?.go_on(&services, &cx, &browser, false).await
}

/// The address at which a request goes on.
fn resume_at(request: RequestId) -> String {
    format!("/oauth/authorize/continue?request={request}")
}

/// There is no such request any more, or not in this browser.
pub fn gone() -> PageError {
    invalid_request("this sign-in has expired or was finished elsewhere; start again at the application").into()
}

/// A pending request, checked anew: its client may have changed while it waited.
pub struct Waiting {
    pub pending: PendingRequest,
    pub validated: Validated,
}

impl Waiting {
    /// The request that a page names by the parameter `request`, if this browser opened it.
    ///
    /// # Errors
    /// When it has expired, was answered, or is another browser's.
    pub async fn load(
        services: &Services,
        cx: &Context,
        browser: &Browser,
        params: &Params,
    ) -> Result<Self, PageError> {
        let id = params.get("request").and_then(RequestId::parse).ok_or_else(gone)?;
        let owner = browser.id().ok_or_else(gone)?;
        let pending = services.store.pending(PendingKind::Authorize, id, owner, cx.now).await?.ok_or_else(gone)?;
        Self::again(cx, pending).await
    }

    async fn again(cx: &Context, pending: PendingRequest) -> Result<Self, PageError> {
        match authorize::validate_again(cx, &pending).await {
            Ok(validated) => Ok(Self { pending, validated }),
            Err(Refusal::Page(error) | Refusal::Redirect(_, error)) => Err(error.into()),
            Err(Refusal::Fault(fault)) => Err(fault.into()),
        }
    }

    fn visit<'a>(&'a self, sessions: &'a [SessionId], allowed: bool) -> Visit<'a> {
        Visit { sessions, pending: Some(&self.pending), allowed }
    }

    /// What the person must do next.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn next(&self, cx: &Context, browser: &Browser) -> Result<Step, PageError> {
        Ok(authorize::next(cx, &self.validated, &self.visit(&browser.sessions(), false)).await?)
    }

    /// Answers the client, or shows the page that is next.
    ///
    /// # Errors
    /// When the request was answered before, or the database is away.
    pub async fn go_on(&self, services: &Services, cx: &Context, browser: &Browser, allowed: bool) -> Page {
        let sessions = browser.sessions();
        let visit = self.visit(&sessions, allowed);
        let step = authorize::next(cx, &self.validated, &visit).await?;
        match step {
            Step::Ready(_) | Step::Refuse(_) => act(services, cx, &self.validated, &visit, step).await,
            step => Ok(respond::see_other(&services.path(&page_for(&step, self.pending.id)))),
        }
    }

    /// The address at which it goes on.
    pub fn resume_at(&self) -> String {
        resume_at(self.pending.id)
    }

    /// Tells the client that its user turned away.
    ///
    /// # Errors
    /// When the request was answered before, or the database is away.
    pub async fn deny(&self, services: &Services, cx: &Context) -> Page {
        let answer = authorize::deny(cx, &self.pending).await?;
        Ok(respond::to_client(services, &self.validated.target, &answer).await)
    }
}

/// Ends a request whose questions are answered.
async fn act(services: &Services, cx: &Context, validated: &Validated, visit: &Visit<'_>, step: Step) -> Page {
    let answer = match step {
        Step::Ready(session) => authorize::finish(cx, validated, visit, &session).await?,
        Step::Refuse(error) => authorize::refuse(cx, validated, visit, error).await?,
        Step::NeedSignIn(_) | Step::NeedSecondFactor(_) | Step::NeedAccount(_) | Step::NeedConsent(_) => {
            return Err(Fault::because("a request was ended with a question open").into());
        }
    };
    Ok(respond::to_client(services, &validated.target, &answer).await)
}

fn page_for(step: &Step, request: RequestId) -> String {
    let page = match step {
        Step::NeedAccount(_) => "/select-account",
        Step::NeedConsent(_) => "/consent",
        Step::NeedSecondFactor(_) => "/sign-in/second",
        Step::NeedSignIn(_) | Step::Ready(_) | Step::Refuse(_) => "/sign-in",
    };
    format!("{page}?request={request}")
}

async fn refuse(services: &Services, refusal: Refusal) -> Page {
    match refusal {
        // RFC 6749 §4.1.2.1: "MUST NOT automatically redirect the user agent to the invalid redirection URI".
        Refusal::Page(error) => Err(error.into()),
        Refusal::Redirect(target, error) => Ok(respond::to_client(services, &target, &Answer::Error(error)).await),
        Refusal::Fault(fault) => Err(fault.into()),
    }
}
