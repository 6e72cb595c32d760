//! The resource server: it has notes, and shows them to whoever brings a token that Grantor calls good for them.
//!
//! It shares nothing with the relying party but this program: its own credentials, its own requests.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    extract::State,
    http::{HeaderMap, HeaderName, StatusCode, header},
    response::{IntoResponse, Response},
};
use openidconnect::{
    AccessToken, ClientId, ClientSecret, IssuerUrl, JsonWebKeySet, TokenIntrospectionResponse, core::CoreClient,
};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::{
    App,
    exchange::Exchange,
    http::{API, GRANTOR, Recorder},
};

const SCOPE: &str = "notes:read";
const MOST_ASKED: usize = 32;

/// With it a caller names its request; what the API asked on its account can be read under it.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// What the API asked of Grantor lately, so that the demo can show it.
#[derive(Default)]
pub struct Desk(Mutex<VecDeque<(String, Vec<Exchange>)>>);

impl Desk {
    fn note(&self, id: &str, exchanges: Vec<Exchange>) {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        asked.truncate(MOST_ASKED - 1);
        asked.push_front((id.to_owned(), exchanges));
    }

    pub fn asked(&self, id: &str) -> Vec<Exchange> {
        let mut asked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let at = asked.iter().position(|(own, _)| own == id);
        at.and_then(|at| asked.remove(at)).map(|(_, exchanges)| exchanges).unwrap_or_default()
    }
}

/// RFC 6750 §3: each refusal says in its header what would help.
enum Refusal {
    NoToken,
    InvalidToken,
    InsufficientScope,
    CannotTell,
}

pub async fn notes(State(app): State<Arc<App>>, headers: HeaderMap) -> Response {
    let http = Recorder::new(&app, API, GRANTOR);
    let outcome = permitted(&app, &headers, &http).await;
    if let Some(id) = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok()).filter(|id| id.len() <= 64) {
        app.api.note(id, http.take());
    }
    match outcome {
        Ok(()) => json_response(StatusCode::OK, None, &shelf()),
        Err(refusal) => refusal.into_response(),
    }
}

async fn permitted(app: &App, headers: &HeaderMap, http: &Recorder) -> Result<(), Refusal> {
    let token = bearer(headers).ok_or(Refusal::NoToken)?;
    let known = app.provider.known(app).await.map_err(|_| Refusal::CannotTell)?;
    let endpoint = known.extra.introspection_endpoint.clone().ok_or(Refusal::CannotTell)?;
    let issuer = IssuerUrl::new(app.demo.issuer.clone()).map_err(|_| Refusal::CannotTell)?;
    let client = CoreClient::new(ClientId::new(app.demo.api_client_id.clone()), issuer, JsonWebKeySet::default())
        .set_client_secret(ClientSecret::new(app.demo.api_client_secret.expose_secret().to_owned()))
        .set_introspection_url(endpoint);
    let answer = client
        .introspect(&token)
        .set_token_type_hint("access_token")
        .request_async(http)
        .await
        .map_err(|_| Refusal::CannotTell)?;
    if !answer.active() {
        return Err(Refusal::InvalidToken);
    }
    let granted = answer.scopes().is_some_and(|scopes| scopes.iter().any(|scope| scope.as_str() == SCOPE));
    if granted { Ok(()) } else { Err(Refusal::InsufficientScope) }
}

/// RFC 6750 §2.1; the scheme's name in any case (RFC 9110 §11.1).
fn bearer(headers: &HeaderMap) -> Option<AccessToken> {
    let (scheme, token) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then(|| AccessToken::new(token.to_owned()))
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let (status, challenge, error, words) = match self {
            // RFC 6750 §3.1: without a token, no error code either.
            Self::NoToken => (StatusCode::UNAUTHORIZED, Some("Bearer"), "no_token", "bring an access token"),
            Self::InvalidToken => (
                StatusCode::UNAUTHORIZED,
                Some(r#"Bearer error="invalid_token", error_description="the token is expired or revoked""#),
                "invalid_token",
                "the token is expired or revoked",
            ),
            Self::InsufficientScope => (
                StatusCode::FORBIDDEN,
                Some(r#"Bearer error="insufficient_scope", scope="notes:read""#),
                "insufficient_scope",
                "the token was not granted notes:read",
            ),
            Self::CannotTell => {
                (StatusCode::SERVICE_UNAVAILABLE, None, "temporarily_unavailable", "the token cannot be checked now")
            }
        };
        json_response(status, challenge, &json!({ "error": error, "error_description": words }))
    }
}

fn json_response(status: StatusCode, challenge: Option<&str>, body: &Value) -> Response {
    let challenge = challenge.map(|challenge| [(header::WWW_AUTHENTICATE, challenge.to_owned())]);
    (status, challenge, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

fn shelf() -> Value {
    json!({ "notes": [
        { "name": "Lamp room", "text": "Trim the wick before dusk." },
        { "name": "Stores", "text": "Two barrels of oil left. Ask for more on Thursday." },
        { "name": "Log", "text": "Fog from the north-west; the horn every two minutes." },
    ] })
}
