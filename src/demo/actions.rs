//! The buttons: each does one thing with the tokens and leaves the exchange to be read.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::State,
    http::{HeaderMap, Method, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use openidconnect::{
    ClientId, CsrfToken, HttpRequest, LogoutRequest, Nonce, OAuth2TokenResponse, PostLogoutRedirectUrl,
    RequestTokenError, StandardErrorResponse, TokenResponse, UserInfoError,
    core::{CoreErrorResponseType, CoreTokenResponse, CoreUserInfoClaims},
};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::{
    App, Demo, api,
    http::{API, GRANTOR, HttpError, NOTES, Recorder},
    provider::Known,
    session::{Act, Notice, PROFILE, REFRESHED, Session, SignedIn, random},
};

/// What an act comes to: its title and words, done or refused.
type Done = Result<(&'static str, String), (&'static str, String)>;

/// Every button but the sign-out: who sent the form, signed in; the act; the page again.
macro_rules! button {
    ($name:ident, $act:path) => {
        pub async fn $name(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
            let mut session = match app.sessions.posted(&headers, &body).await {
                Ok(session) => session,
                Err(refused) => return refused,
            };
            if let Err(notice) = perform(&app, &mut session, async |cx, person| $act(cx, person).await).await {
                session.notice = Some(notice.scrubbed(&app.redactor));
                return Redirect::to("/").into_response();
            }
            Redirect::to("/#latest").into_response()
        }
    };
}

button!(call_api, notes);
button!(userinfo, profile);
button!(refresh, renew);
button!(revoke, end);

/// What an act has at hand.
struct Context<'a> {
    app: &'a App,
    known: &'a Known,
    http: Recorder,
}

async fn perform<F>(app: &App, session: &mut Session, act: F) -> Result<(), Notice>
where
    F: AsyncFnOnce(&mut Context<'_>, &mut SignedIn) -> Done,
{
    let known = app.provider.known(app).await?;
    let person = session
        .signed_in
        .as_mut()
        .ok_or_else(|| Notice::warn("You are not signed in any more", "Nothing was done. Sign in again to go on."))?;
    // What the API last said stands beside the call alone.
    person.notes = None;
    let mut cx = Context { app, known: &known, http: Recorder::new(app, NOTES, GRANTOR) };
    let done = act(&mut cx, person).await;
    let exchanges = cx.http.take();
    session.record(match done {
        Ok((title, words)) => Act::done(title, words, exchanges, App::now()),
        Err((title, words)) => Act::refused(title, app.redactor.scrub(&words), exchanges, App::now()),
    });
    Ok(())
}

async fn notes(cx: &mut Context<'_>, person: &mut SignedIn) -> Done {
    cx.http = Recorder::new(cx.app, NOTES, API);
    let id = random();
    let request = axum::http::Request::get(format!("{}/api/notes", cx.app.demo.app_url))
        .header(header::ACCEPT, "application/json")
        .header(header::AUTHORIZATION, format!("Bearer {}", person.access_token.secret()))
        .header(api::REQUEST_ID, &id)
        .body(Vec::new())
        .map_err(|error| ("The API was not called", error.to_string()))?;
    let answer = cx.http.send(request).await;
    // The API is a program of its own: what it asked of Grantor is told under the id of the request.
    cx.http.append(cx.app.api.asked(&id));
    let answer = answer.map_err(|error| ("The API did not answer", format!("The request failed: {error}.")))?;
    match answer.status() {
        StatusCode::OK => {
            person.notes = serde_json::from_slice(answer.body()).ok();
            let words = "Before it answered, the API asked Grantor about the access token, and learnt that it is good for \
                         notes:read.";
            Ok(("The API answered", words.to_owned()))
        }
        StatusCode::UNAUTHORIZED => {
            let words = "The API asked Grantor about the access token, and learnt that it is worth nothing any more. If it \
                         has only expired, Refresh gets another.";
            Err(("The API refused", words.to_owned()))
        }
        StatusCode::FORBIDDEN => {
            Err(("The API refused", "The access token is good, but notes:read was not granted.".to_owned()))
        }
        status => {
            Err(("The API could not decide", format!("It answered {status}, because Grantor did not answer it.")))
        }
    }
}

async fn profile(cx: &mut Context<'_>, person: &mut SignedIn) -> Done {
    match ask(cx.known, person, &cx.http).await {
        Ok(claims) => {
            person.profile = Some(claims);
            Ok((PROFILE, "What the scopes profile and email allow, as it is at this moment.".to_owned()))
        }
        Err(why) => Err(("UserInfo refused", format!("Grantor told nothing about you: {why}."))),
    }
}

/// Asks UserInfo about the one person whom the ID token named (OpenID Connect Core §5.3.4).
pub async fn ask(known: &Known, person: &SignedIn, http: &Recorder) -> Result<Value, String> {
    let request = known
        .client
        .user_info(person.access_token.clone(), Some(person.subject.clone()))
        .map_err(|error| error.to_string())?;
    let claims: CoreUserInfoClaims = request.request_async(http).await.map_err(|error| match error {
        UserInfoError::Response(status, ..) => format!("it answered {status}"),
        UserInfoError::Request(error) => error.to_string(),
        other => other.to_string(),
    })?;
    serde_json::to_value(&claims).map_err(|error| error.to_string())
}

async fn renew(cx: &mut Context<'_>, person: &mut SignedIn) -> Done {
    const REFUSED: &str = "Refreshing was refused";
    let Some(token) = &person.refresh_token else {
        return Err((REFUSED, "Notes holds no refresh token: offline_access was not granted.".to_owned()));
    };
    let request = cx.known.client.exchange_refresh_token(token).map_err(|error| (REFUSED, error.to_string()))?;
    let tokens: CoreTokenResponse = match request.request_async(&cx.http).await {
        Ok(tokens) => tokens,
        Err(error) => {
            // Revoked here, withdrawn at Grantor, or expired: all that is left is to sign in again.
            person.ended |= is_invalid_grant(&error);
            return Err((REFUSED, format!("{}.", why(&error))));
        }
    };
    // OpenID Connect Core §12.2: a new ID token is about the same person, and holds no other nonce.
    if let Some(id_token) = tokens.id_token() {
        let nonce = |found: Option<&Nonce>| match found {
            Some(found) if *found != person.nonce => Err("another nonce".to_owned()),
            _ => Ok(()),
        };
        let claims = id_token
            .claims(&cx.known.client.id_token_verifier(), nonce)
            .map_err(|error| (REFUSED, format!("The new ID token does not hold: {error}.")))?;
        if *claims.subject() != person.subject {
            return Err((REFUSED, "The new ID token is about somebody else.".to_owned()));
        }
        person.id_token = id_token.clone();
    }
    person.access_token = tokens.access_token().clone();
    let words = match tokens.refresh_token() {
        Some(next) => {
            person.refresh_token = Some(next.clone());
            "A new access token, and a new refresh token in place of the old one. Should a copy of the old one turn up \
             later, Grantor ends the whole grant: one of its two holders is a thief."
        }
        None => "A new access token. The refresh token stays.",
    };
    Ok((REFRESHED, words.to_owned()))
}

async fn end(cx: &mut Context<'_>, person: &mut SignedIn) -> Done {
    const FAILED: &str = "Nothing was revoked";
    let Some(token) = &person.refresh_token else {
        return Err((FAILED, "Notes holds no refresh token: offline_access was not granted.".to_owned()));
    };
    let Some(endpoint) = &cx.known.extra.revocation_endpoint else {
        return Err((FAILED, "Grantor names no revocation endpoint.".to_owned()));
    };
    let form = form_urlencoded::Serializer::new(String::new())
        .append_pair("token", token.secret())
        .append_pair("token_type_hint", "refresh_token")
        .finish();
    // Not by `Client::revoke_token`: that refuses http, which a demo on loopback speaks.
    let request: HttpRequest = axum::http::Request::builder()
        .method(Method::POST)
        .uri(endpoint.as_str())
        .header(header::ACCEPT, "application/json")
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::AUTHORIZATION, basic(&cx.app.demo))
        .body(form.into_bytes())
        .map_err(|error| (FAILED, error.to_string()))?;
    let answer = cx.http.send(request).await.map_err(|error| (FAILED, format!("The request failed: {error}.")))?;
    if answer.status() != StatusCode::OK {
        return Err((FAILED, format!("Grantor answered {}.", answer.status())));
    }
    person.ended = true;
    let words = "The refresh token was revoked, and with it the whole grant: the access token ends with it, at once. \
                 Call the API again to see.";
    Ok(("Access revoked", words.to_owned()))
}

/// RFC 6749 §2.3.1: both halves are form-encoded before they become Basic.
fn basic(demo: &Demo) -> String {
    let encode = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encode(&demo.client_id), encode(demo.client_secret.expose_secret()));
    format!("Basic {}", BASE64_STANDARD.encode(pair))
}

/// Forgets the person here, then sends the browser to sign out there (RP-Initiated Logout 1.0 §2).
pub async fn sign_out(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let mut session = match app.sessions.posted(&headers, &body).await {
        Ok(session) => session,
        Err(refused) => return refused,
    };
    let person = session.sign_out();
    let home = PostLogoutRedirectUrl::new(format!("{}/", app.demo.app_url));
    let endpoint = app.provider.known(&app).await.ok().and_then(|known| known.extra.end_session_endpoint.clone());
    let (Some(person), Some(endpoint), Ok(home)) = (person, endpoint, home) else {
        session.notice = Some(Notice::warn("You are signed out of Notes", "Grantor could not be told."));
        return Redirect::to("/").into_response();
    };
    let state = CsrfToken::new_random();
    session.leaving = Some(state.secret().clone());
    let url = LogoutRequest::from(endpoint)
        .set_id_token_hint(&person.id_token)
        .set_client_id(ClientId::new(app.demo.client_id.clone()))
        .set_post_logout_redirect_uri(home)
        .set_state(state)
        .http_get_url();
    Redirect::to(url.as_str()).into_response()
}

type TokenError = RequestTokenError<HttpError, StandardErrorResponse<CoreErrorResponseType>>;

fn is_invalid_grant(error: &TokenError) -> bool {
    matches!(error, RequestTokenError::ServerResponse(refusal) if *refusal.error() == CoreErrorResponseType::InvalidGrant)
}

/// A refusal of the token endpoint in a sentence's end.
pub fn why(error: &TokenError) -> String {
    match error {
        RequestTokenError::ServerResponse(refusal) => match refusal.error_description() {
            Some(words) => format!("Grantor answered {}: {words}", refusal.error()),
            None => format!("Grantor answered {}", refusal.error()),
        },
        RequestTokenError::Request(error) => format!("Grantor did not answer ({error})"),
        RequestTokenError::Parse(error, _) => format!("Grantor’s answer could not be read ({error})"),
        RequestTokenError::Other(words) => format!("Grantor’s answer could not be used ({words})"),
    }
}
