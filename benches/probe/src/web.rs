//! The product's endpoints, answered as the product answers them when all is well.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use anyhow::{Context as _, ensure};
use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;

use crate::engine::sha256;
use crate::grants::{Grants, Pending, Redeem, Rotate};
use crate::tokens::{AccessClaims, Mint, now_micros};

pub struct Probe {
    pub mint: Mint,
    pub grants: Grants,
    /// The SHA-256 of each client's secret.
    pub clients: HashMap<&'static str, Vec<u8>>,
    /// Who is signed in, by the value of the cookie.
    pub sessions: RwLock<HashMap<String, Session>>,
    /// The claims of tokens whose signature was right, by the SHA-256 of the token.
    pub verified: Option<RwLock<HashMap<Vec<u8>, Arc<AccessClaims>>>>,
}

#[derive(Clone)]
pub struct Session {
    id: String,
    user: String,
}

/// More tokens than are asked about in a run; then it begins anew.
const MOST_VERIFIED: usize = 100_000;

const COOKIE: &str = "probe-session";

type Shared = State<Arc<Probe>>;
type Form<'a> = HashMap<Cow<'a, str>, Cow<'a, str>>;

pub fn router(probe: Probe) -> Router {
    Router::new()
        .route("/oauth/token", post(token))
        .route("/oauth/introspect", post(introspect))
        .route("/oauth/authorize", get(authorize))
        .route("/oauth/jwks", get(jwks))
        .route("/sign-in", post(sign_in))
        .with_state(Arc::new(probe))
}

async fn token(State(probe): Shared, headers: HeaderMap, body: String) -> Response<Body> {
    answer(probe.token(&headers, &form(&body)).await)
}

async fn introspect(State(probe): Shared, headers: HeaderMap, body: String) -> Response<Body> {
    answer(probe.introspect(&headers, &form(&body)))
}

async fn jwks(State(probe): Shared) -> Response<Body> {
    answer(Ok(probe.mint.jwks.clone().into_bytes()))
}

/// To the client with a code, or to a form where nobody is signed in yet.
async fn authorize(State(probe): Shared, headers: HeaderMap, RawQuery(query): RawQuery) -> Response<Body> {
    let query = query.unwrap_or_default();
    let Some(session) = probe.session(&headers) else { return page(&query) };
    match probe.authorize(session, &form(&query)).await {
        Ok(location) => see_other(&location),
        Err(why) => refuse(&why),
    }
}

/// Signs in whoever comes. What a password costs is argon2, and nothing that a server could save.
async fn sign_in(State(probe): Shared, body: String) -> Response<Body> {
    let Ok(value) = probe.mint.keys.random::<16>().map(|bytes| URL_SAFE_NO_PAD.encode(bytes)) else {
        return refuse(&anyhow::anyhow!("no random bytes"));
    };
    let (Ok(id), Ok(user)) = (probe.mint.uuid(), probe.mint.uuid()) else {
        return refuse(&anyhow::anyhow!("no random bytes"));
    };
    let cookie = format!("{COOKIE}={value}; Path=/; HttpOnly; SameSite=Lax");
    let mut sessions = probe.sessions.write().unwrap_or_else(PoisonError::into_inner);
    sessions.insert(value, Session { id, user });
    let query = form(&body).remove("query").unwrap_or_default().into_owned();
    let mut response = see_other(&format!("/oauth/authorize?{query}"));
    response.headers_mut().extend(HeaderValue::from_str(&cookie).map(|cookie| (header::SET_COOKIE, cookie)));
    response
}

impl Probe {
    fn client(&self, headers: &HeaderMap) -> anyhow::Result<String> {
        let header = headers.get(header::AUTHORIZATION).context("no client")?.to_str()?;
        let decoded = STANDARD.decode(header.strip_prefix("Basic ").context("not Basic")?)?;
        let (id, secret) = std::str::from_utf8(&decoded)?.split_once(':').context("not Basic")?;
        ensure!(self.clients.get(id) == Some(&sha256(secret.as_bytes())), "a wrong client or secret");
        Ok(id.to_owned())
    }

    async fn token(&self, headers: &HeaderMap, form: &Form<'_>) -> anyhow::Result<Vec<u8>> {
        let client = self.client(headers)?;
        let tokens = match field(form, "grant_type")? {
            "client_credentials" => self.mint.for_client(&client, field(form, "scope")?)?,
            "authorization_code" => self.redeem(client, form).await?,
            "refresh_token" => {
                let presented = self.mint.read_refresh(field(form, "refresh_token")?)?;
                let now = now_micros();
                ensure!(presented.client_id == client && presented.exp * 1_000_000 > now, "not a token for this");
                let rotate = Rotate { id: presented.grant, client, generation: presented.generation, now };
                self.mint.for_grant(&self.grants.rotate(rotate).await?.context("used before")?)?
            }
            other => anyhow::bail!("{other}"),
        };
        Ok(serde_json::to_vec(&tokens)?)
    }

    async fn redeem(&self, client: String, form: &Form<'_>) -> anyhow::Result<crate::tokens::TokenResponse> {
        let (id, secret) = field(form, "code")?.split_once('.').context("not a code")?;
        let redeem = Redeem {
            id: id.to_owned(),
            client,
            redirect_uri: field(form, "redirect_uri")?.to_owned(),
            code_hash: sha256(secret.as_bytes()),
            code_challenge: URL_SAFE_NO_PAD.encode(sha256(field(form, "code_verifier")?.as_bytes())),
            now: now_micros(),
        };
        self.mint.for_grant(&self.grants.redeem(redeem).await?.context("not a code, or used before")?)
    }

    fn introspect(&self, headers: &HeaderMap, form: &Form<'_>) -> anyhow::Result<Vec<u8>> {
        self.client(headers)?;
        let Some(claims) = self.claims(field(form, "token")?) else { return Ok(br#"{"active":false}"#.to_vec()) };
        Ok(serde_json::to_vec(&Active { active: true, token_type: "Bearer", claims: &claims })?)
    }

    fn claims(&self, token: &str) -> Option<Arc<AccessClaims>> {
        let Some(verified) = &self.verified else { return self.mint.read_access(token).map(Arc::new) };
        let digest = sha256(token.as_bytes());
        let known = verified.read().unwrap_or_else(PoisonError::into_inner).get(&digest).cloned();
        if let Some(known) = known.filter(|known| known.exp > now_micros() / 1_000_000) {
            return Some(known);
        }
        let claims = Arc::new(self.mint.read_access(token)?);
        let mut verified = verified.write().unwrap_or_else(PoisonError::into_inner);
        if verified.len() >= MOST_VERIFIED {
            verified.clear();
        }
        verified.insert(digest, claims.clone());
        Some(claims)
    }

    fn session(&self, headers: &HeaderMap) -> Option<Session> {
        let cookies = headers.get(header::COOKIE)?.to_str().ok()?;
        let value = cookies.split("; ").find_map(|cookie| cookie.strip_prefix(COOKIE)?.strip_prefix('='))?;
        self.sessions.read().unwrap_or_else(PoisonError::into_inner).get(value).cloned()
    }

    async fn authorize(&self, session: Session, form: &Form<'_>) -> anyhow::Result<String> {
        ensure!(field(form, "response_type")? == "code" && field(form, "code_challenge_method")? == "S256", "not that");
        ensure!(self.clients.contains_key(field(form, "client_id")?), "an unknown client");
        let id = self.mint.uuid()?;
        let secret = URL_SAFE_NO_PAD.encode(self.mint.keys.random::<32>()?);
        let redirect_uri = field(form, "redirect_uri")?;
        let location = format!("{redirect_uri}?code={id}.{secret}&state={}&iss=", field(form, "state")?);
        let issuer = form_urlencoded::byte_serialize(self.mint.issuer.as_bytes());
        let pending = Pending {
            id,
            client: field(form, "client_id")?.to_owned(),
            user: session.user,
            session: session.id,
            scope: field(form, "scope")?.to_owned(),
            nonce: field(form, "nonce")?.to_owned(),
            redirect_uri: redirect_uri.to_owned(),
            code_hash: sha256(secret.as_bytes()),
            code_challenge: field(form, "code_challenge")?.to_owned(),
            now: now_micros(),
        };
        self.grants.pending(pending).await?;
        Ok(issuer.fold(location, |location, part| location + part))
    }
}

#[derive(Serialize)]
struct Active<'a> {
    active: bool,
    token_type: &'static str,
    #[serde(flatten)]
    claims: &'a AccessClaims,
}

fn form(text: &str) -> Form<'_> {
    form_urlencoded::parse(text.as_bytes()).collect()
}

fn field<'f>(form: &'f Form<'_>, name: &str) -> anyhow::Result<&'f str> {
    form.get(name).map(AsRef::as_ref).with_context(|| format!("{name} is missing"))
}

/// The headers of the product's answers, so that no fewer bytes are sent.
fn answer(outcome: anyhow::Result<Vec<u8>>) -> Response<Body> {
    const HEADERS: [(header::HeaderName, &str); 7] = [
        (header::CONTENT_TYPE, "application/json"),
        (header::CACHE_CONTROL, "no-store"),
        (header::PRAGMA, "no-cache"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
        (header::HeaderName::from_static("x-correlation-id"), "AAAAAAAAAAAAAAAA"),
    ];
    match outcome {
        Ok(body) => {
            let mut response = Response::new(Body::from(body));
            let headers = HEADERS.into_iter().map(|(name, value)| (name, HeaderValue::from_static(value)));
            response.headers_mut().extend(headers);
            response
        }
        Err(why) => refuse(&why),
    }
}

fn refuse(why: &anyhow::Error) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{why:#}")));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

fn see_other(location: &str) -> Response<Body> {
    let Ok(location) = HeaderValue::from_str(location) else { return refuse(&anyhow::anyhow!("not an address")) };
    let mut response = answer(Ok(Vec::new()));
    *response.status_mut() = StatusCode::SEE_OTHER;
    response.headers_mut().insert(header::LOCATION, location);
    response
}

fn page(query: &str) -> Response<Body> {
    // The query came as a client of ours encoded it, so it has neither quotes nor angle brackets.
    answer(Ok(format!(
        r#"<form method="post" action="/sign-in"><input type="hidden" name="query" value="{query}"><button></form>"#
    )
    .into_bytes()))
}
