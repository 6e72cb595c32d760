//! Scope values (RFC 6749 §3.3): a sorted set of tokens, kept as the one string that is stored and sent.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A set of scope tokens. Its text is sorted and without repeats, so equal sets are equal strings.
///
/// The grammar of a token that comes from outside is checked by `oauth::engine::scope`.
#[derive(Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Scope(Box<str>);

impl Scope {
    pub fn from_tokens<'a>(tokens: impl IntoIterator<Item = &'a str>) -> Self {
        let mut tokens: Vec<&str> = tokens.into_iter().filter(|token| !token.is_empty()).collect();
        tokens.sort_unstable();
        tokens.dedup();
        Self(tokens.join(" ").into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn tokens(&self) -> impl Iterator<Item = &str> {
        self.0.split(' ').filter(|token| !token.is_empty())
    }

    pub fn contains(&self, token: &str) -> bool {
        self.tokens().any(|own| own == token)
    }

    /// Whether every token of `self` is in `other`.
    pub fn is_within(&self, other: &Self) -> bool {
        self.tokens().all(|token| other.contains(token))
    }

    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self::from_tokens(self.tokens().chain(other.tokens()))
    }

    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        Self::from_tokens(self.tokens().filter(|token| other.contains(token)))
    }

    #[must_use]
    pub fn without(&self, token: &str) -> Self {
        Self::from_tokens(self.tokens().filter(|own| *own != token))
    }
}

impl From<String> for Scope {
    fn from(text: String) -> Self {
        Self::from_tokens(text.split_ascii_whitespace())
    }
}

impl From<&str> for Scope {
    fn from(text: &str) -> Self {
        Self::from_tokens(text.split_ascii_whitespace())
    }
}

impl From<Scope> for String {
    fn from(scope: Scope) -> Self {
        scope.0.into()
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_sets_are_equal_strings() {
        assert_eq!(Scope::from("b a  b"), Scope::from("a b"));
        assert_eq!(Scope::from("b a").as_str(), "a b");
        assert!(Scope::from("").is_empty());
        assert!(Scope::from("a").is_within(&Scope::from("b a")));
        assert!(Scope::from("").is_within(&Scope::from("a")));
        for beyond in ["a c", "c", "ab", "A"] {
            assert!(!Scope::from(beyond).is_within(&Scope::from("b a")), "{beyond}");
        }
        assert_eq!(Scope::from("a b").without("a"), Scope::from("b"));
        assert_eq!(Scope::from("a").union(&Scope::from("c b")).as_str(), "a b c");
    }

    proptest::proptest! {
        #[test]
        fn scopes_are_sets(a in "[a-c ]{0,9}", b in "[a-c ]{0,9}") {
            let (a, b) = (Scope::from(a.as_str()), Scope::from(b.as_str()));
            let both = a.union(&b);
            assert!(a.is_within(&both) && b.is_within(&both));
            assert_eq!(both, b.union(&a));
            assert_eq!(a == b, a.is_within(&b) && b.is_within(&a));
            assert_eq!(Scope::from(a.as_str()), a);
        }
    }
}
