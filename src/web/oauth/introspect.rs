//! `POST /oauth/introspect`

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;
use http::header::{ACCEPT, CONTENT_TYPE};

use crate::oauth::client_auth;
use crate::oauth::introspect::{self, Introspection};
use crate::oauth::{Context, Error};
use crate::types::Params;
use crate::web::extract::{self, Form};
use crate::web::peer::Peer;
use crate::web::{Shared, respond};

/// RFC 9701 §10.2
const JWT: &str = "application/token-introspection+jwt";

/// What is told, in the form that was asked for.
enum Told {
    Json(Introspection),
    Jwt(String),
}

impl IntoResponse for Told {
    fn into_response(self) -> Response {
        match self {
            Self::Json(told) => Json(told).into_response(),
            Self::Jwt(signed) => ([(CONTENT_TYPE, JWT)], signed).into_response(),
        }
    }
}

pub async fn introspect(
    State(services): State<Shared>,
    peer: Peer,
    headers: HeaderMap,
    Form(params): Form,
) -> Response {
    respond::to_party(answer(&services.context(), &peer, &headers, &params).await, &headers)
}

async fn answer(cx: &Context, peer: &Peer, headers: &HeaderMap, params: &Params) -> Result<Told, Error> {
    let presented = extract::presented(headers, peer, params)?;
    let caller = client_auth::authenticate_confidential(cx, &presented).await?;
    let told = introspect::introspect(cx, &caller, params).await?;
    if wants_jwt(headers) {
        return introspect::signed(cx, &caller, &told).await.map(Told::Jwt);
    }
    Ok(Told::Json(told))
}

/// RFC 9701 §4: a caller that wants a JWT names its type in `Accept`. Any type is JSON, as ever.
fn wants_jwt(headers: &HeaderMap) -> bool {
    let jwt = preference(headers, JWT);
    jwt > 0.0 && jwt >= preference(headers, "application/json")
}

/// How much a media type is preferred (RFC 9110 §12.4.2), 0 if it is not named.
fn preference(headers: &HeaderMap, wanted: &str) -> f32 {
    let lines = headers.get_all(ACCEPT).iter().filter_map(|line| line.to_str().ok());
    let weight = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let is_wanted = parts.next().is_some_and(|name| name.eq_ignore_ascii_case(wanted));
        is_wanted.then(|| parts.find_map(|part| part.strip_prefix("q=")?.parse().ok()).unwrap_or(1.0))
    };
    lines.flat_map(|line| line.split(',')).filter_map(weight).fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_jwt_is_for_those_who_name_it() {
        let wants = |lines: &[&'static str]| {
            wants_jwt(&lines.iter().map(|line| (ACCEPT, HeaderValue::from_static(line))).collect())
        };
        for lines in [
            &["application/token-introspection+jwt"][..],
            &["Application/Token-Introspection+JWT ; q=0.5, */*"],
            &["application/json;q=0.9,application/token-introspection+jwt"],
            &["application/token-introspection+jwt, application/json"],
            &["text/plain", "application/token-introspection+jwt"],
        ] {
            assert!(wants(lines), "{lines:?}");
        }
        for lines in [
            &[][..],
            &["*/*"],
            &["application/*"],
            &["application/json"],
            &["application/jwt"],
            &["application/json, application/token-introspection+jwt;q=0.9"],
            &["application/token-introspection+jwt;q=0"],
        ] {
            assert!(!wants(lines), "{lines:?}");
        }
    }
}
