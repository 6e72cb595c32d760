//! The one page, signed out and signed in.

use askama::Template;
use axum::{
    http::StatusCode,
    response::{Html, IntoResponse, Response},
};
use serde_json::{Map, Value};
use time::OffsetDateTime;

use super::{
    Demo,
    exchange::{Answer, Body, Exchange},
    explain,
    session::{Act, Notice, Outcome, PROFILE, REFRESHED, SIGNED_IN, Session, SignedIn},
    token::{self, Claim, Decoded},
};
use crate::types::Timestamp;

#[derive(Template)]
#[template(path = "demo/home.html")]
struct Home<'a> {
    demo: &'a Demo,
    csrf: &'a str,
    notice: Option<Notice>,
    latest: Option<&'a Act>,
    earlier: Vec<&'a Act>,
    person: Option<Person>,
}

struct Person {
    greeting: String,
    email: Option<String>,
    subject: String,
    ended: bool,
    notes: Vec<Note>,
    tokens: Vec<Token>,
    profile: Vec<Claim>,
    profile_open: bool,
}

struct Note {
    title: String,
    text: String,
}

/// A token on its panel.
struct Token {
    title: &'static str,
    kind: &'static str,
    words: &'static str,
    /// Tone and text of its badge.
    state: (&'static str, String),
    decoded: Option<Decoded>,
    whole: String,
    open: bool,
}

pub fn home(demo: &Demo, session: &mut Session, now: Timestamp) -> Response {
    let notice = session.notice.take();
    let latest = session.acts.front().map_or("", |act| act.title);
    let page = Home {
        demo,
        csrf: &session.csrf,
        notice,
        latest: session.acts.front(),
        earlier: session.acts.iter().skip(1).collect(),
        person: session.signed_in.as_ref().map(|signed_in| person(signed_in, latest, now)),
    };
    match page.render() {
        Ok(page) => Html(page).into_response(),
        Err(error) => {
            tracing::error!(%error, "the demo's page cannot be shown");
            (StatusCode::INTERNAL_SERVER_ERROR, "This page cannot be shown.\n").into_response()
        }
    }
}

pub fn signed_out() -> Notice {
    Notice {
        tone: "ok",
        title: "You are signed out".to_owned(),
        words: "Of Notes, and of Grantor: signing in will ask for your password again.".to_owned(),
    }
}

fn person(signed_in: &SignedIn, latest: &str, now: Timestamp) -> Person {
    let id_token = token::decode(&signed_in.id_token.to_string(), now);
    let said = |name: &str| {
        let profile = signed_in.profile.as_ref().and_then(|profile| profile.get(name)?.as_str()).map(str::to_owned);
        profile.or_else(|| {
            let claims = id_token.as_ref()?.claims.iter();
            claims.into_iter().find(|claim| claim.name == name).map(|claim| claim.value.clone())
        })
    };
    let name = said("name").or_else(|| said("preferred_username"));
    Person {
        greeting: name.map_or_else(|| "You are signed in".to_owned(), |name| format!("Hello, {name}")),
        email: said("email"),
        subject: signed_in.subject.to_string(),
        ended: signed_in.ended,
        notes: signed_in.notes.as_ref().map(notes).unwrap_or_default(),
        profile: signed_in.profile.as_ref().map(|profile| profile_rows(profile, now)).unwrap_or_default(),
        profile_open: latest == PROFILE,
        tokens: tokens(signed_in, id_token, latest, now),
    }
}

fn tokens(signed_in: &SignedIn, id_token: Option<Decoded>, latest: &str, now: Timestamp) -> Vec<Token> {
    let mut tokens = vec![
        Token {
            title: "Who you are",
            kind: "ID token",
            words: "For Notes. Grantor says who signed in, when and how. Notes checked its signature, issuer, audience, \
                    expiry and nonce, and that it belongs to the access token beside it.",
            state: ("ok", "Verified".to_owned()),
            whole: signed_in.id_token.to_string(),
            decoded: id_token,
            open: latest == SIGNED_IN,
        },
        access_token(signed_in, latest == REFRESHED, now),
    ];
    if let Some(refresh) = &signed_in.refresh_token {
        let decoded = token::decode(refresh.secret(), now);
        tokens.push(Token {
            title: "How it stays connected",
            kind: "Refresh token",
            words: "For Grantor. With it, and with its own secret, Notes gets new access tokens while you are away. \
                    Nobody but Grantor need understand it.",
            state: state(signed_in.ended, decoded.as_ref(), now),
            whole: refresh.secret().clone(),
            decoded,
            open: false,
        });
    }
    tokens
}

fn access_token(signed_in: &SignedIn, open: bool, now: Timestamp) -> Token {
    let access = signed_in.access_token.secret();
    let decoded = token::decode(access, now);
    Token {
        title: "What Notes may do",
        kind: "Access token",
        words: "For the API. Notes only carries it, and need not understand it. It is short-lived: when it has expired, \
                the refresh token gets another.",
        state: state(signed_in.ended, decoded.as_ref(), now),
        whole: access.clone(),
        decoded,
        open,
    }
}

fn state(ended: bool, decoded: Option<&Decoded>, now: Timestamp) -> (&'static str, String) {
    match decoded.and_then(|decoded| decoded.expires) {
        _ if ended => ("danger", "Revoked".to_owned()),
        Some(at) if at <= now.secs() => ("danger", "Expired".to_owned()),
        Some(at) => ("ok", format!("Expires {}", token::distance(at - now.secs()))),
        None => ("ok", "Held".to_owned()),
    }
}

fn notes(answer: &Value) -> Vec<Note> {
    let text = |note: &Value, name: &str| note.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let notes = answer.get("notes").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    notes.iter().map(|note| Note { title: text(note, "name"), text: text(note, "text") }).collect()
}

fn profile_rows(profile: &Value, now: Timestamp) -> Vec<Claim> {
    let members: Map<String, Value> = profile.as_object().cloned().unwrap_or_default();
    token::rows(members.into_iter().filter(|(_, value)| !value.is_null()).collect(), explain::claim, now)
}

impl Token {
    fn algorithm(&self) -> &str {
        let header = self.decoded.iter().flat_map(|decoded| &decoded.header);
        header.into_iter().find(|claim| claim.name == "alg").map_or("not a JWT", |claim| claim.value.as_str())
    }
}

impl Act {
    fn is_done(&self) -> bool {
        self.outcome == Outcome::Done
    }

    /// Many exchanges are shown as a list to open; one or two are simply shown.
    fn opens(&self) -> bool {
        self.exchanges.len() <= 2
    }

    fn time(&self) -> String {
        OffsetDateTime::from_unix_timestamp(self.at.secs()).map(token::time_of_day).unwrap_or_default()
    }
}

impl Exchange {
    /// What fits on a line: the path.
    fn path(&self) -> &str {
        let after = self.request.url.split_once("://").map_or("", |(_, rest)| rest);
        after.find('/').map_or("/", |at| &after[at..])
    }

    /// `200`, with its tone.
    fn status(&self) -> Option<(&'static str, u16)> {
        let Answer::Came { status, .. } = &self.answer else { return None };
        Some((if status.is_success() { "ok" } else { "danger" }, status.as_u16()))
    }
}
