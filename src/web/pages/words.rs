//! The protocol's terms, said to a person.

use std::time::Duration;

use time::OffsetDateTime;

use crate::config::Config;
use crate::oauth::scope::OFFLINE_ACCESS;
use crate::types::user::RIGHTS;
use crate::types::{Resource, Scope, Timestamp, User, redirect_uri};

/// One thing that an application may do.
pub struct ScopeView {
    pub icon: &'static str,
    /// A verb phrase.
    pub title: String,
    /// What exactly; the real value where there is one. May be empty.
    pub detail: String,
}

/// A place where an application may use what it gets.
pub struct PlaceView {
    pub name: String,
    /// The whole URI of one that has no host.
    pub host: String,
}

impl PlaceView {
    pub fn of(resource: Resource) -> Self {
        let uri = resource.uri.as_str();
        let host = redirect_uri::origin(uri).map_or_else(|| uri.to_owned(), |_| redirect_uri::display_host(uri));
        Self { name: resource.name, host }
    }
}

/// The scopes in the order in which a person reads them: who they are, what else, and for how long.
pub fn in_reading_order(scope: &Scope) -> Vec<&str> {
    const FIRST: [&str; 8] = ["openid", "profile", "email", "phone", "address", "groups", "roles", "entitlements"];
    let place = |token: &&str| match FIRST.iter().position(|first| first == token) {
        Some(place) => place,
        None if *token == OFFLINE_ACCESS => usize::MAX,
        None => FIRST.len(),
    };
    let mut tokens: Vec<_> = scope.tokens().collect();
    tokens.sort_by_key(place);
    // Without any scope a token still says whose it is.
    if tokens.is_empty() { vec!["openid"] } else { tokens }
}

/// A scope in words: ours for the standard ones, the administrator's for the others.
pub fn scope_words(config: &Config, scope: &str, user: Option<&User>) -> ScopeView {
    let view = |icon, title: &str, detail: String| ScopeView { icon, title: title.to_owned(), detail };
    let claim = |name: &str| user.and_then(|user| user.claim(name)).and_then(|value| value.as_str().map(str::to_owned));
    match scope {
        "openid" => view("openid", "Know that it is you", "Your account’s id, and when you signed in".to_owned()),
        "profile" => {
            let detail = match (user.and_then(User::name), user) {
                (Some(name), Some(user)) => format!("Your profile: {name}, {}", user.username),
                (None, Some(user)) => format!("Your profile: {}", user.username),
                _ => "Your name, user name and profile".to_owned(),
            };
            view("person", "See who you are", detail)
        }
        "email" => {
            let detail = claim("email").unwrap_or_else(|| "You have given none".to_owned());
            view("mail", "See your e-mail address", detail)
        }
        "phone" => {
            let detail = claim("phone_number").unwrap_or_else(|| "You have given none".to_owned());
            view("phone", "See your telephone number", detail)
        }
        "address" => view("home", "See your postal address", String::new()),
        // An administrator may have had a scope of this name before we did.
        right if RIGHTS.contains(&right) && config.scopes.words(right).is_none() => {
            let (icon, title) = match right {
                "groups" => ("person", "See which groups you belong to"),
                "roles" => ("shield", "See which roles you have"),
                _ => ("key", "See what you are entitled to"),
            };
            view(icon, title, user.map(|user| user.right(right).join(", ")).unwrap_or_default())
        }
        OFFLINE_ACCESS => view("clock", "Stay connected while you are away", "Even when you are signed out".to_owned()),
        other => match config.scopes.words(other) {
            Some(words) => view("key", &words.title, words.detail.clone().unwrap_or_default()),
            None => view("key", &format!("Use “{other}”"), String::new()),
        },
    }
}

/// "30 days", "2 hours": the largest unit that fits.
pub fn span(duration: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let seconds = duration.as_secs();
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| seconds >= *unit).unwrap_or((1, "second"));
    let count = seconds / unit;
    format!("{count} {name}{}", if count == 1 { "" } else { "s" })
}

/// How long somebody must wait: whoever comes back then is not too early.
pub fn at_least(duration: Duration) -> String {
    let seconds = duration.as_secs() + 1;
    span(Duration::from_secs(if seconds < 60 { seconds } else { seconds.div_ceil(60) * 60 }))
}

/// "just now", "5 minutes ago", then the day.
pub fn ago(then: Timestamp, now: Timestamp) -> String {
    match now.since(then) {
        short if short < Duration::from_secs(60) => "just now".to_owned(),
        recent if recent < Duration::from_secs(24 * 3_600) => format!("{} ago", span(recent)),
        _ => day(then),
    }
}

/// "3 November 2025"
pub fn day(at: Timestamp) -> String {
    match OffsetDateTime::from_unix_timestamp(at.secs()) {
        Ok(date) => format!("{} {} {}", date.day(), date.month(), date.year()),
        Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_from_who_to_what_to_how_long() {
        let scope = Scope::from("offline_access email notes:read openid profile");
        assert_eq!(in_reading_order(&scope), ["openid", "profile", "email", "notes:read", "offline_access"]);
    }

    #[test]
    fn times_are_said_as_people_say_them() {
        let now = Timestamp::from_secs(1_762_180_000);
        let before = |seconds| ago(now.minus(Duration::from_secs(seconds)), now);
        assert_eq!(before(5), "just now");
        assert_eq!(before(61), "1 minute ago");
        assert_eq!(before(7_300), "2 hours ago");
        assert_eq!(before(86_400 * 2), "1 November 2025");
        assert_eq!(span(Duration::from_secs(90 * 86_400)), "90 days");
    }
}
