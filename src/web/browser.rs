//! The browser that a request comes from: one cookie, one record, which tells who is signed in there.

use std::time::Duration;

use axum::extract::FromRequestParts;
use http::request::Parts;
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use tower_sessions::cookie::SameSite;
use tower_sessions::{Expiry, Session, SessionManagerLayer};

use super::respond::PageError;
use super::session_store::{self, SessionStore};
use super::{Services, Shared};
use crate::crypto::{Digest, hash, random, sha256};
use crate::types::{Fault, SessionId};

/// What the record of a browser holds.
#[derive(Clone, Serialize, Deserialize)]
struct Data {
    /// Pending requests are bound to it; it outlives a change of the cookie.
    id: String,
    /// What every form of this browser carries.
    csrf: String,
    /// The account that was used last.
    session: Option<SessionId>,
    /// The others that are signed in here, those used last first.
    #[serde(default)]
    others: Vec<SessionId>,
    /// The mailed link that was opened here last: the hash of its secret, which is with nobody but the mail then.
    #[serde(default)]
    link: Option<Digest>,
}

impl Data {
    fn sessions(&self) -> Vec<SessionId> {
        self.session.iter().chain(&self.others).copied().collect()
    }

    fn put_first(&mut self, session: SessionId) {
        let mut others = self.sessions();
        others.retain(|other| *other != session);
        (self.session, self.others) = (Some(session), others);
    }
}

const KEY: &str = "browser";

/// How long a browser is remembered in which nobody has signed in; longer than any page of ours waits for its answer.
const VISITOR: Duration = Duration::from_secs(2 * 3_600);

/// A browser with its record, or without one yet.
pub struct Browser {
    cookie: Session,
    data: Option<Data>,
}

/// The name of a cookie: `__Host-` on https, and never another issuer's on the same host (cookies know no ports).
pub fn cookie_name(services: &Services, kind: &str) -> String {
    let issuer = &services.config.server.issuer;
    let [a, b, c, d, ..] = sha256(issuer.as_str().as_bytes());
    let host = if issuer.is_https() { "__Host-" } else { "" };
    format!("{host}grantor{kind}-{a:02x}{b:02x}{c:02x}{d:02x}")
}

/// The cookie that names this browser's record.
pub fn layer(services: &Services) -> SessionManagerLayer<SessionStore> {
    let store = SessionStore { store: services.store.clone(), clock: services.clock.clone() };
    SessionManagerLayer::new(store)
        .with_name(cookie_name(services, ""))
        .with_secure(services.config.server.issuer.is_https())
        .with_http_only(true)
        .with_same_site(SameSite::Lax)
        .with_path("/")
}

impl FromRequestParts<Shared> for Browser {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, PageError> {
        let cookie = parts.extensions.get::<Session>().cloned();
        let cookie = cookie.ok_or_else(|| Fault::because("the route is not under the cookie layer"))?;
        let data = cookie.get(KEY).await.map_err(fault)?;
        Ok(Self { cookie, data })
    }
}

impl Browser {
    /// The session of the account that was used last here; it may have ended since.
    pub fn session(&self) -> Option<SessionId> {
        self.data.as_ref().and_then(|data| data.session)
    }

    /// All that are signed in here, the one that was used last first; each may have ended since.
    pub fn sessions(&self) -> Vec<SessionId> {
        self.data.as_ref().map(Data::sessions).unwrap_or_default()
    }

    /// What pending requests are bound to; `None` of a browser that has no record.
    pub fn id(&self) -> Option<&str> {
        self.data.as_ref().map(|data| data.id.as_str())
    }

    /// The token for this browser's forms; makes a record if there is none.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub async fn csrf(&mut self, services: &Services) -> Result<String, Fault> {
        Ok(self.open(services).await?.csrf)
    }

    /// What pending requests are bound to; makes a record if there is none.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub async fn open_id(&mut self, services: &Services) -> Result<String, Fault> {
        Ok(self.open(services).await?.id)
    }

    /// Whether a form came from a page of ours in this browser, in constant time.
    pub fn sent(&self, csrf: Option<&str>) -> bool {
        match (&self.data, csrf) {
            (Some(data), Some(csrf)) => hash::equal(data.csrf.as_bytes(), csrf.as_bytes()),
            _ => false,
        }
    }

    /// The mailed link that was opened here last.
    pub fn link(&self) -> Option<Digest> {
        self.data.as_ref().and_then(|data| data.link)
    }

    /// A mailed link was opened here. Another cookie, for other nodes may remember the record as it was.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub async fn open_link(&mut self, services: &Services, link: Digest) -> Result<(), Fault> {
        let mut data = self.data(services);
        // The cookie layer forgets how long it was; the session has an end of its own.
        let lifetime = if data.session.is_some() { services.config.session.longest() } else { VISITOR };
        self.keep(services, lifetime)?;
        data.link = Some(link);
        self.renew(services, data).await
    }

    /// Somebody signed in: another cookie and another form token, so that nothing planted before is worth anything. Whom
    /// there is no room for any more is given back.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub async fn sign_in(&mut self, services: &Services, session: SessionId) -> Result<Vec<SessionId>, Fault> {
        let settings = &services.config.session;
        let mut data = self.data(services);
        self.keep(services, settings.longest())?;
        data.csrf = random::token(&*services.rng, 32);
        data.put_first(session);
        let left = data.others.split_off(data.others.len().min(settings.accounts_per_browser - 1));
        // ASVS 7.2.4
        self.renew(services, data).await?;
        Ok(left)
    }

    /// Another account of this browser is the one that is used from now on.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub async fn switch(&mut self, services: &Services, session: SessionId) -> Result<(), Fault> {
        let mut data = self.data(services);
        self.keep(services, services.config.session.longest())?;
        data.put_first(session);
        self.renew(services, data).await
    }

    /// One account is signed out here. With the last one goes the record, and the cookie.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub async fn leave(&mut self, services: &Services, session: SessionId) -> Result<(), Fault> {
        let mut data = self.data(services);
        let mut rest = data.sessions();
        rest.retain(|other| *other != session);
        if rest.is_empty() {
            return self.sign_out().await;
        }
        self.keep(services, services.config.session.longest())?;
        data.csrf = random::token(&*services.rng, 32);
        data.session = Some(rest.remove(0));
        data.others = rest;
        self.renew(services, data).await
    }

    /// Writes the record under another cookie.
    async fn renew(&mut self, services: &Services, data: Data) -> Result<(), Fault> {
        self.cookie.insert(KEY, &data).await.map_err(fault)?;
        session_store::save_anew(&self.cookie, &services.store, services.clock.now()).await.map_err(fault)?;
        self.data = Some(data);
        Ok(())
    }

    /// Nobody is signed in here any more: the record goes, and the cookie with it.
    ///
    /// # Errors
    /// When the record cannot be deleted.
    pub async fn sign_out(&mut self) -> Result<(), Fault> {
        self.data = None;
        self.cookie.flush().await.map_err(fault)
    }

    async fn open(&mut self, services: &Services) -> Result<Data, Fault> {
        let data = self.data(services);
        if data.session.is_some() {
            return Ok(data);
        }
        // A page that was opened just now can be answered for as long as any.
        self.keep(services, VISITOR.max(services.config.authorization.request_lifetime))?;
        self.cookie.insert(KEY, &data).await.map_err(fault)?;
        session_store::save(&self.cookie).await.map_err(fault)?;
        self.data = Some(data.clone());
        Ok(data)
    }

    /// What is known of it, or, of a new one, will be.
    fn data(&self, services: &Services) -> Data {
        let rng = &*services.rng;
        let new = || Data {
            id: random::token(rng, 16),
            csrf: random::token(rng, 32),
            session: None,
            others: Vec::new(),
            link: None,
        };
        self.data.clone().unwrap_or_else(new)
    }

    /// Record and cookie last this long from now on.
    fn keep(&self, services: &Services, lifetime: Duration) -> Result<(), Fault> {
        let until = services.clock.now().plus(lifetime).secs();
        let until = OffsetDateTime::from_unix_timestamp(until).map_err(Fault::internal)?;
        self.cookie.set_expiry(Some(Expiry::AtDateTime(until)));
        Ok(())
    }
}

fn fault(error: tower_sessions::session::Error) -> Fault {
    match error {
        tower_sessions::session::Error::Store(error) => Fault::unavailable(error),
        other @ tower_sessions::session::Error::SerdeJson(_) => Fault::internal(other),
    }
}
