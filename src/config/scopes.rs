//! `[scopes."name"]`: how the consent page puts a scope into words, and who may get it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::section::{Found, Section};
use crate::types::{GroupName, Scope, user};

/// The words of each scope, by its name.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Scopes(pub BTreeMap<String, ScopeWords>);

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeWords {
    /// What a client with this scope may do, as in "Read your notes".
    pub title: String,
    /// One more sentence, if it needs one.
    pub detail: Option<String>,
    /// Those who are in one of these groups get it, and nobody else; everybody where none stands.
    #[serde(default)]
    pub groups: Vec<GroupName>,
}

impl Scopes {
    pub fn words(&self, scope: &str) -> Option<&ScopeWords> {
        self.0.get(scope)
    }

    /// The groups of which somebody must be in one to get it; none where everybody may.
    fn groups(&self, scope: &str) -> &[GroupName] {
        self.words(scope).map_or(&[], |words| &words.groups)
    }

    /// Whether something of a scope is for members of some groups alone.
    pub fn guard(&self, scope: &Scope) -> bool {
        scope.tokens().any(|token| !self.groups(token).is_empty())
    }

    /// What of a scope somebody may get who is in these groups.
    pub fn allowed_in(&self, groups: &[String], scope: &Scope) -> Scope {
        Scope::from_tokens(scope.tokens().filter(|token| {
            let wanted = self.groups(token);
            wanted.is_empty() || wanted.iter().any(|group| groups.iter().any(|own| own == group.as_str()))
        }))
    }
}

impl Section for Scopes {
    fn check(&self, found: &mut Found) {
        for (name, words) in &self.0 {
            if !is_token(name) {
                found
                    .refuse(name, "is not a scope: it may have visible ASCII characters but \" and \\ (RFC 6749 §3.3)");
            }
            let mut inner = Found::default();
            inner.words("title", &words.title, 100);
            if let Some(detail) = &words.detail {
                inner.words("detail", detail, 300);
            }
            let is_standard = matches!(name.as_str(), "openid" | "offline_access")
                || user::CLAIMS_OF_SCOPE.iter().any(|(own, _)| own == name);
            if !words.groups.is_empty() && is_standard {
                inner.refuse("groups", "cannot stand here: what OpenID Connect gives a meaning is for everybody");
            }
            for (key, why) in inner.0 {
                found.refuse(name, format!("{key} {why}"));
            }
        }
    }
}

/// `scope-token` of RFC 6749 §3.3.
pub(super) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic() && b != b'"' && b != b'\\')
}
