//! This application's own session: a random id in a cookie, the rest in memory.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use openidconnect::{
    AccessToken, CsrfToken, Nonce, PkceCodeVerifier, RefreshToken, SubjectIdentifier, core::CoreIdToken,
};
use serde_json::Value;
use subtle::ConstantTimeEq;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::exchange::{Exchange, Redactor};
use crate::types::{Params, Timestamp};

/// Cookies know no ports, so the name is not one that the server could use.
const COOKIE: &str = "grantor_demo";
const MOST_SESSIONS: usize = 256;
const MOST_PENDING: usize = 4;
const MOST_ACTS: usize = 6;

#[derive(Default)]
pub struct Sessions(Mutex<Table>);

#[derive(Default)]
struct Table {
    sessions: HashMap<String, Arc<AsyncMutex<Session>>>,
    /// Oldest first.
    order: VecDeque<String>,
}

pub struct Session {
    /// Stands in every form.
    pub csrf: String,
    /// Sign-ins that have begun, one a browser tab.
    pending: VecDeque<Pending>,
    pub signed_in: Option<SignedIn>,
    /// What was done, newest first.
    pub acts: VecDeque<Act>,
    /// Shown once.
    pub notice: Option<Notice>,
    /// The state of a sign-out from which the browser has yet to come back.
    pub leaving: Option<String>,
}

/// What must be remembered between the authorization request and its answer.
pub struct Pending {
    pub state: CsrfToken,
    pub nonce: Nonce,
    pub verifier: PkceCodeVerifier,
    pub request: Exchange,
}

pub struct SignedIn {
    pub subject: SubjectIdentifier,
    pub nonce: Nonce,
    pub id_token: CoreIdToken,
    pub access_token: AccessToken,
    pub refresh_token: Option<RefreshToken>,
    pub profile: Option<Value>,
    pub notes: Option<Value>,
    /// Its refresh token was revoked from here.
    pub ended: bool,
}

/// Something that the person did, and all that went over the wire for it.
#[derive(Clone)]
pub struct Act {
    pub title: &'static str,
    pub outcome: Outcome,
    pub words: String,
    pub at: Timestamp,
    pub exchanges: Vec<Exchange>,
}

/// The acts that bring something to look at: its panel opens with them.
pub const SIGNED_IN: &str = "Signed in";
pub const REFRESHED: &str = "Refreshed";
pub const PROFILE: &str = "UserInfo answered";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Done,
    Refused,
}

#[derive(Clone)]
pub struct Notice {
    pub tone: &'static str,
    pub title: String,
    pub words: String,
}

impl Sessions {
    /// The browser's session, or a new one with the cookie that names it.
    pub fn open(&self, headers: &HeaderMap, app_url: &str) -> (Arc<AsyncMutex<Session>>, Option<Cookie>) {
        if let Some(session) = self.find(headers) {
            return (session, None);
        }
        let id = random();
        let session = Arc::new(AsyncMutex::new(Session::new()));
        self.insert(id.clone(), Arc::clone(&session));
        (session, Some(Cookie::new(&id, app_url)))
    }

    pub fn find(&self, headers: &HeaderMap) -> Option<Arc<AsyncMutex<Session>>> {
        let id = cookie(headers)?;
        self.table().sessions.get(id).map(Arc::clone)
    }

    /// The session that a form was sent from, if the form says its secret.
    pub async fn posted(&self, headers: &HeaderMap, body: &[u8]) -> Result<OwnedMutexGuard<Session>, Response> {
        let refused = || {
            let words = "This page is out of date, so nothing was done. Open / again and use the button there.\n";
            (StatusCode::FORBIDDEN, words).into_response()
        };
        let session = self.find(headers).ok_or_else(refused)?.lock_owned().await;
        let params = Params::parse(body).map_err(|_| refused())?;
        let sent = params.get("csrf").unwrap_or_default();
        if bool::from(sent.as_bytes().ct_eq(session.csrf.as_bytes())) { Ok(session) } else { Err(refused()) }
    }

    /// A new name for the session, so that a cookie planted before the sign-in is worth nothing after it.
    pub fn rename(&self, headers: &HeaderMap, app_url: &str) -> Option<Cookie> {
        let old = cookie(headers)?;
        let mut table = self.table();
        let session = table.sessions.remove(old)?;
        table.order.retain(|id| id != old);
        drop(table);
        let id = random();
        self.insert(id.clone(), session);
        Some(Cookie::new(&id, app_url))
    }

    fn insert(&self, id: String, session: Arc<AsyncMutex<Session>>) {
        let mut table = self.table();
        while table.order.len() >= MOST_SESSIONS {
            if let Some(oldest) = table.order.pop_front() {
                table.sessions.remove(&oldest);
            }
        }
        table.order.push_back(id.clone());
        table.sessions.insert(id, session);
    }

    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session {
    fn new() -> Self {
        Self {
            csrf: random(),
            pending: VecDeque::new(),
            signed_in: None,
            acts: VecDeque::new(),
            notice: None,
            leaving: None,
        }
    }

    pub fn begin(&mut self, pending: Pending) {
        self.pending.truncate(MOST_PENDING - 1);
        self.pending.push_front(pending);
    }

    /// The sign-in that this answer belongs to; each is answered once.
    pub fn answered(&mut self, state: &str) -> Option<Pending> {
        let at = self
            .pending
            .iter()
            .position(|pending| bool::from(pending.state.secret().as_bytes().ct_eq(state.as_bytes())))?;
        self.pending.remove(at)
    }

    pub fn record(&mut self, act: Act) {
        self.acts.push_front(act);
        self.acts.truncate(MOST_ACTS);
    }

    /// Forgets the person; the session and its form secret go on.
    pub fn sign_out(&mut self) -> Option<SignedIn> {
        self.acts.clear();
        self.pending.clear();
        self.signed_in.take()
    }

    pub fn came_back_from_sign_out(&mut self, query: &str) -> bool {
        let Ok(params) = Params::parse(query.as_bytes()) else { return false };
        let came = self.signed_in.is_none() && self.leaving.is_some() && self.leaving.as_deref() == params.get("state");
        if came {
            self.leaving = None;
        }
        came
    }
}

impl Act {
    pub fn done(title: &'static str, words: impl Into<String>, exchanges: Vec<Exchange>, at: Timestamp) -> Self {
        Self { title, outcome: Outcome::Done, words: words.into(), at, exchanges }
    }

    pub fn refused(title: &'static str, words: impl Into<String>, exchanges: Vec<Exchange>, at: Timestamp) -> Self {
        Self { title, outcome: Outcome::Refused, words: words.into(), at, exchanges }
    }
}

impl Notice {
    pub fn warn(title: impl Into<String>, words: impl Into<String>) -> Self {
        Self { tone: "warn", title: title.into(), words: words.into() }
    }

    /// Words that may come from elsewhere lose the client secrets first.
    pub fn scrubbed(mut self, redactor: &Redactor) -> Self {
        self.words = redactor.scrub(&self.words);
        self
    }
}

/// A `Set-Cookie` header.
pub struct Cookie(HeaderValue);

impl Cookie {
    fn new(id: &str, app_url: &str) -> Self {
        let secure = if app_url.starts_with("https:") { "; Secure" } else { "" };
        let cookie = format!("{COOKIE}={id}; Path=/; HttpOnly; SameSite=Lax{secure}");
        Self(HeaderValue::from_str(&cookie).unwrap_or(HeaderValue::from_static("")))
    }
}

impl axum::response::IntoResponseParts for Cookie {
    type Error = std::convert::Infallible;

    fn into_response_parts(
        self,
        mut parts: axum::response::ResponseParts,
    ) -> Result<axum::response::ResponseParts, Self::Error> {
        let name: HeaderName = header::SET_COOKIE;
        parts.headers_mut().append(name, self.0);
        Ok(parts)
    }
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(COOKIE)?.strip_prefix('='))
}

/// 256 bits, URL-safe.
pub fn random() -> String {
    CsrfToken::new_random_len(32).into_secret()
}
