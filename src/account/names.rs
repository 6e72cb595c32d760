//! What a username and an e-mail address may be.

use serde_json::Value;

use crate::types::{User, UserId};

/// RFC 5321 §4.5.3.1.3, less the angle brackets.
const MAX_EMAIL: usize = 254;
const MAX_USERNAME: usize = 64;

/// What is wrong with a name that somebody wants to be called by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameProblem {
    #[error("a username must have 1 to {MAX_USERNAME} characters")]
    Length,
    #[error("a username must not begin or end with white space")]
    WhiteSpace,
    #[error("a username must not have control characters")]
    Control,
    #[error("a username must not be a UUID, because the ids of users are")]
    Id,
    #[error("a username with an \"@\" must be the user's own e-mail address")]
    ForeignEmail,
    #[error("an e-mail address must be of the form name@host, without white space and with at most {MAX_EMAIL} bytes")]
    Email,
}

/// Checks the two names that a user signs in by, and gives the e-mail address that they have.
///
/// Both are looked up in one field of the sign-in page, so a username that is an address must be the same user's
/// address: nobody can take the place of another whose address that is.
///
/// # Errors
/// In words for a person.
pub fn settle(username: &str, email: Option<&str>) -> Result<Option<String>, NameProblem> {
    // An address may be as long as addresses are.
    let most = if is_email(username) { MAX_EMAIL } else { MAX_USERNAME };
    if !(1..=most).contains(&username.chars().count()) {
        return Err(NameProblem::Length);
    }
    if username.chars().any(char::is_control) {
        return Err(NameProblem::Control);
    }
    if username.trim() != username {
        return Err(NameProblem::WhiteSpace);
    }
    // An id is looked up as an id first; a username that looks like one would be out of reach, or worse, in its way.
    if UserId::parse(&username.to_lowercase()).is_some() {
        return Err(NameProblem::Id);
    }
    if let Some(email) = email
        && !is_email(email)
    {
        return Err(NameProblem::Email);
    }
    if !username.contains('@') {
        return Ok(email.map(str::to_owned));
    }
    match email {
        Some(email) if email.to_lowercase() == username.to_lowercase() => Ok(Some(email.to_owned())),
        None if is_email(username) => Ok(Some(username.to_owned())),
        _ => Err(NameProblem::ForeignEmail),
    }
}

/// What is known of a user, and so no password of theirs may be made of (ASVS 6.2.11).
pub fn context_of(user: &User) -> Vec<&str> {
    let names = ["name", "given_name", "family_name", "nickname"];
    let claims = names.into_iter().filter_map(|name| user.claims.get(name).and_then(Value::as_str));
    let email = user.email.as_deref().map(local_part);
    [local_part(&user.username)].into_iter().chain(email).chain(claims).collect()
}

/// The part of an address that says who it is, and not where.
fn local_part(email: &str) -> &str {
    email.rsplit_once('@').map_or(email, |(local, _)| local)
}

/// Only mail that arrives proves an address, so no more is asked here than that it can be written into a message.
fn is_email(text: &str) -> bool {
    let fits = text.len() <= MAX_EMAIL && !text.chars().any(|c| c.is_control() || c.is_whitespace());
    let parts = text.split_once('@');
    fits && parts.is_some_and(|(local, host)| !local.is_empty() && !host.is_empty() && !host.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_username_is_a_word_or_its_users_own_address() {
        let long = "ü".repeat(64);
        for (username, email, settled) in [
            ("ada", None, None),
            ("Ada Lovelace", Some("ada@example.com"), Some("ada@example.com")),
            ("ada@example.com", None, Some("ada@example.com")),
            ("Ada@Example.com", Some("ada@example.com"), Some("ada@example.com")),
            (&long, None, None),
        ] {
            assert_eq!(settle(username, email), Ok(settled.map(str::to_owned)), "{username}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        let long = "x".repeat(65);
        for (username, email, problem) in [
            ("", None, NameProblem::Length),
            (&long, None, NameProblem::Length),
            (" ada", None, NameProblem::WhiteSpace),
            ("ada\u{a0}", None, NameProblem::WhiteSpace),
            ("ada\n", None, NameProblem::Control),
            ("a\0da", None, NameProblem::Control),
            ("01890A5D-ac96-774b-bcce-b302099a8057", None, NameProblem::Id),
            ("bob@example.com", Some("ada@example.com"), NameProblem::ForeignEmail),
            ("bob@", None, NameProblem::ForeignEmail),
            ("ada", Some("ada"), NameProblem::Email),
            ("ada", Some("@example.com"), NameProblem::Email),
            ("ada", Some("ada@"), NameProblem::Email),
            ("ada", Some("a@b@c"), NameProblem::Email),
            ("ada", Some("ada @example.com"), NameProblem::Email),
            ("ada", Some("ada@example.com\r\nBcc: eve@example.com"), NameProblem::Email),
        ] {
            assert_eq!(settle(username, email), Err(problem), "{username:?} {email:?}");
        }
    }

    #[test]
    fn the_local_part_is_what_stands_before_the_host() {
        assert_eq!(local_part("ada.lovelace@example.com"), "ada.lovelace");
        assert_eq!(local_part("ada"), "ada");
    }
}
