//! `GET` and `POST /oauth/authorize`, and where it goes on after a page.

use axum::extract::State;
use axum::response::Response;

use crate::oauth::Context;
use crate::oauth::authorize::{self, Answer, Refusal, Step, Validated, Visit};
use crate::oauth::error::invalid_request;
use crate::store::{PendingKind, PendingRequest};
use crate::types::{Params, RequestId};
use crate::web::browser::Browser;
use crate::web::extract::{PageForm, PageQuery};
use crate::web::respond::{self, PageError};
use crate::web::{Services, Shared};

type Page = Result<Response, PageError>;

/// A request as it comes from a client.
pub async fn get(State(services): State<Shared>, mut browser: Browser, PageQuery(params): PageQuery) -> Page {
    let cx = services.context();
    let validated = match authorize::validate(&cx, &params).await {
        Ok(validated) => validated,
        Err(refusal) => return refuse(&services, refusal),
    };
    let visit = Visit { session: browser.session(), pending: None, allowed: false };
    let pending = match authorize::next(&cx, &validated, &visit).await? {
        step @ (Step::Ready(_) | Step::Refuse(_)) => return act(&services, &cx, &validated, &visit, step).await,
        step => (step, services.hold(PendingKind::Authorize, &mut browser, params, cx.now).await?),
    };
    let (step, request) = pending;
    Ok(respond::see_other(&services.path(&page_for(&step, request))))
}

/// OpenID Connect Core §3.1.2.1: POST too. It is cross-site, so it comes without our cookie: the browser is asked to
/// come back by itself.
pub async fn post(State(services): State<Shared>, PageForm(params): PageForm) -> Page {
    let fields: Vec<_> = params.pairs().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    Ok(respond::see_other(&respond::with_query(&services.path("/oauth/authorize"), &fields)))
}

/// A request that waited for its user goes on.
pub async fn resume(State(services): State<Shared>, browser: Browser, PageQuery(params): PageQuery) -> Page {
    let cx = services.context();
    let waiting = Waiting::load(&services, &cx, &browser, &params).await?;
    waiting.go_on(&services, &cx, &browser, false).await
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
        match authorize::validate(cx, &pending.params).await {
            Ok(validated) => Ok(Self { pending, validated }),
            Err(Refusal::Page(error) | Refusal::Redirect(_, error)) => Err(error.into()),
            Err(Refusal::Fault(fault)) => Err(fault.into()),
        }
    }

    pub fn visit(&self, browser: &Browser, allowed: bool) -> Visit<'_> {
        Visit { session: browser.session(), pending: Some(&self.pending), allowed }
    }

    /// What the person must do next.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn next(&self, cx: &Context, browser: &Browser) -> Result<Step, PageError> {
        Ok(authorize::next(cx, &self.validated, &self.visit(browser, false)).await?)
    }

    /// Answers the client, or shows the page that is next.
    ///
    /// # Errors
    /// When the request was answered before, or the database is away.
    pub async fn go_on(&self, services: &Services, cx: &Context, browser: &Browser, allowed: bool) -> Page {
        let visit = self.visit(browser, allowed);
        let step = authorize::next(cx, &self.validated, &visit).await?;
        match step {
            Step::Ready(_) | Step::Refuse(_) => act(services, cx, &self.validated, &visit, step).await,
            step => Ok(respond::see_other(&services.path(&page_for(&step, self.pending.id)))),
        }
    }

    /// The address at which it goes on.
    pub fn resume_at(&self) -> String {
        format!("/oauth/authorize/continue?request={}", self.pending.id)
    }

    /// Tells the client that its user turned away.
    ///
    /// # Errors
    /// When the request was answered before, or the database is away.
    pub async fn deny(&self, services: &Services, cx: &Context) -> Page {
        let answer = authorize::deny(cx, &self.pending).await?;
        Ok(respond::to_client(services, &self.validated.target, &answer))
    }
}

/// Ends a request whose questions are answered.
async fn act(services: &Services, cx: &Context, validated: &Validated, visit: &Visit<'_>, step: Step) -> Page {
    let answer = match step {
        Step::Ready(session) => authorize::finish(cx, validated, visit, &session).await?,
        Step::Refuse(error) => authorize::refuse(cx, visit.pending, error).await?,
        Step::NeedSignIn(_) | Step::NeedAccount(_) | Step::NeedConsent(_) => {
            return Err(crate::types::Fault::because("a request was ended with a question open").into());
        }
    };
    Ok(respond::to_client(services, &validated.target, &answer))
}

fn page_for(step: &Step, request: RequestId) -> String {
    let page = match step {
        Step::NeedAccount(_) => "/select-account",
        Step::NeedConsent(_) => "/consent",
        Step::NeedSignIn(_) | Step::Ready(_) | Step::Refuse(_) => "/sign-in",
    };
    format!("{page}?request={request}")
}

fn refuse(services: &Services, refusal: Refusal) -> Page {
    match refusal {
        // RFC 6749 §4.1.2.1: "MUST NOT automatically redirect the user agent to the invalid redirection URI".
        Refusal::Page(error) => Err(error.into()),
        Refusal::Redirect(target, error) => Ok(respond::to_client(services, &target, &Answer::Error(error))),
        Refusal::Fault(fault) => Err(fault.into()),
    }
}
