//! What went wrong, on a page: what happened, that nothing was lost, and the one thing to do.

use askama::Template;
use axum::response::Response;
use http::StatusCode;

use super::Site;
use crate::oauth::error::invalid_request;
use crate::oauth::{ErrorCode, OAuthError};
use crate::web::Services;
use crate::web::respond::{self, PageError, Policy};

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    site: Site,
    title: String,
    message: String,
    hint: String,
    code: Option<String>,
    correlation_id: String,
}

/// An address at which there is nothing.
pub async fn not_found() -> PageError {
    PageError::NotFound
}

/// An address that is there for something else: a form, opened like a page.
pub async fn wrong_method() -> PageError {
    PageError::Refused(StatusCode::METHOD_NOT_ALLOWED, invalid_request("this address cannot be opened like this"))
}

/// The page for an error; `id` is what ties it to the log.
pub fn render(services: &Services, status: StatusCode, error: &PageError, id: String) -> Response {
    let (title, message, hint, code) = match error {
        PageError::NotFound => ("There is nothing here", "This address leads nowhere.".to_owned(), HINT_BACK, None),
        PageError::Refused(_, error) => refused(error),
        PageError::Fault(_) if status == StatusCode::SERVICE_UNAVAILABLE => (
            "Too busy at the moment",
            "Your request could not be served just now. Nothing was lost.".to_owned(),
            "Wait a few seconds, then load this page again.",
            None,
        ),
        PageError::Fault(_) => (
            "Something went wrong here",
            "The mistake is ours, not yours. Nothing was changed.".to_owned(),
            "Go back and try again. If it happens again, tell whoever runs this site the reference below.",
            None,
        ),
    };
    let page = ErrorPage {
        site: Site::of(services),
        title: title.to_owned(),
        message,
        hint: hint.to_owned(),
        code: code.map(str::to_owned),
        correlation_id: id,
    };
    respond::page(status, &page, &Policy::default())
}

const HINT_BACK: &str = "Go back to where you came from and try again.";

fn refused(error: &OAuthError) -> (&'static str, String, &'static str, Option<&'static str>) {
    let sentence = sentence(&error.description);
    let (title, hint) = match error.code {
        ErrorCode::InvalidClient => {
            ("Unknown application", "Go back to the application. If it sent you here, tell the people who run it.")
        }
        _ => ("This cannot go on", "Nothing was changed. Go back to the application and start again."),
    };
    (title, sentence, hint, Some(error.code.as_str()))
}

/// A description begins small and ends without a stop; a sentence does not.
pub(super) fn sentence(description: &str) -> String {
    let mut characters = description.chars();
    let first = characters.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    // A parameter's name keeps its letters.
    if description.split(' ').next().is_some_and(|word| word.contains('_')) {
        return format!("{description}.");
    }
    format!("{first}{}.", characters.as_str())
}
