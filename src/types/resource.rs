//! Resources: where access tokens may be used besides the issuer (RFC 8707).

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use super::{Algorithm, Scope, Timestamp};

/// A row of `resources`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    pub uri: ResourceUri,
    /// How people are told of it.
    pub name: String,
    /// The scopes that belong to it: they stand in tokens for it alone.
    pub scope: Scope,
    /// At most so long a token for it is good.
    pub access_token_lifetime: Option<Duration>,
    /// What tokens for it are signed with; by default what the server says.
    pub access_token_signing_alg: Option<Algorithm>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// By what a resource is named: compared as a string, as RFC 8707 §2 leaves it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResourceUri(String);

impl ResourceUri {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ResourceUri {
    type Err = String;

    /// RFC 8707 §2: "MUST be an absolute URI", "MUST NOT include a fragment component".
    fn from_str(text: &str) -> Result<Self, String> {
        let is_uri = text.len() <= 512 && text.bytes().all(|b| b.is_ascii_graphic()) && Url::parse(text).is_ok();
        if is_uri && !text.contains('#') {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} is not an absolute URI without a fragment, such as https://api.example/notes"))
        }
    }
}

impl fmt::Display for ResourceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// All resources that are registered.
#[derive(Debug, Default)]
pub struct Resources(BTreeMap<String, Resource>);

impl Resources {
    pub fn new(resources: impl IntoIterator<Item = Resource>) -> Self {
        Self(resources.into_iter().map(|resource| (resource.uri.to_string(), resource)).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, uri: &str) -> Option<&Resource> {
        self.0.get(uri)
    }

    pub fn iter(&self) -> impl Iterator<Item = &Resource> {
        self.0.values()
    }

    /// Those to which some of these scopes belong.
    pub fn owners<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = &'a Resource> {
        self.iter().filter(|resource| resource.scope.tokens().any(|token| scope.contains(token)))
    }

    /// For whom a token of this scope is: those to which some of it belongs, or else the issuer (RFC 9068 §3).
    pub fn audience(&self, scope: &Scope, issuer: &str) -> Audience {
        let owners: Vec<String> = self.owners(scope).map(|owner| owner.uri.to_string()).collect();
        Audience::of(if owners.is_empty() { vec![issuer.to_owned()] } else { owners })
    }

    /// Whether a scope may stand in a token for these: it belongs to one of them, or to no resource at all.
    pub fn may_stand_at(&self, token: &str, uris: &[String]) -> bool {
        let mut owners = self.iter().filter(|resource| resource.scope.contains(token)).peekable();
        owners.peek().is_none() || owners.any(|owner| uris.iter().any(|uri| uri == owner.uri.as_str()))
    }
}

/// `aud` of an access token (RFC 7519 §4.1.3): a string, or several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    /// One that stands alone is written as a string.
    pub fn of(mut uris: Vec<String>) -> Self {
        match uris.pop() {
            Some(only) if uris.is_empty() => Self::One(only),
            Some(last) => {
                uris.push(last);
                Self::Many(uris)
            }
            None => Self::Many(uris),
        }
    }

    pub fn uris(&self) -> impl Iterator<Item = &str> {
        match self {
            Self::One(only) => std::slice::from_ref(only),
            Self::Many(all) => all,
        }
        .iter()
        .map(String::as_str)
    }

    pub fn contains(&self, uri: &str) -> bool {
        match self {
            Self::One(only) => only == uri,
            Self::Many(all) => all.iter().any(|one| one == uri),
        }
    }

    /// Whether it is this and nothing else.
    pub fn is_only(&self, uri: &str) -> bool {
        matches!(self, Self::One(only) if only == uri)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_resource_is_named_by_an_absolute_uri() {
        for uri in
            ["https://api.example", "https://api.example/notes?v=2", "urn:example:notes", "http://localhost:8000/mcp"]
        {
            assert_eq!(uri.parse::<ResourceUri>().map(|uri| uri.to_string()), Ok(uri.to_owned()));
        }
        let long = format!("https://api.example/{}", "a".repeat(500));
        for uri in ["", "notes", "/notes", "https://api.example/#part", "https://api.example/a b", &long] {
            assert!(uri.parse::<ResourceUri>().is_err(), "{uri}");
        }
    }

    #[test]
    fn an_audience_is_written_as_it_is_usual() {
        let written = |uris: &[&str]| {
            let audience = Audience::of(uris.iter().map(|uri| (*uri).to_owned()).collect());
            (serde_json::to_string(&audience).unwrap(), audience.contains("b"), audience.is_only("b"))
        };
        assert_eq!(written(&["b"]), (r#""b""#.into(), true, true));
        assert_eq!(written(&["a", "b"]), (r#"["a","b"]"#.into(), true, false));
        assert_eq!(written(&["a"]), (r#""a""#.into(), false, false));
    }
}
