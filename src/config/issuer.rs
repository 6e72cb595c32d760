//! The issuer identifier (RFC 8414 §2, OpenID Connect Discovery §3): the one URL from which all others derive.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use url::{Host, Url};

/// An issuer, letter for letter as tokens and metadata carry it, without a slash at its end.
///
/// It is in the form that URL parsers print, so that relying parties can compare it as a string.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Issuer {
    text: Box<str>,
    /// Where the path begins.
    path: usize,
    loopback: bool,
}

impl Issuer {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// What every route stands under: empty, or like `/auth`.
    pub fn path(&self) -> &str {
        &self.text[self.path..]
    }

    /// The URL of the route `path`, which begins with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// Without its port.
    pub fn host(&self) -> &str {
        let authority = self.text[..self.path].split_once("://").map_or("", |(_, authority)| authority);
        match authority.rsplit_once(':') {
            // A colon inside of brackets is that of an IPv6 address.
            Some((host, _)) if !authority.ends_with(']') => host,
            _ => authority,
        }
    }

    pub fn is_https(&self) -> bool {
        self.text.starts_with("https://")
    }

    /// Whether it is localhost, 127.0.0.0/8 or \[::1\].
    pub fn is_loopback(&self) -> bool {
        self.loopback
    }
}

impl FromStr for Issuer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.strip_suffix('/').unwrap_or(text);
        if text.len() > 512 || !(text.starts_with("https://") || text.starts_with("http://")) {
            return Err("must be an https URL, such as \"https://auth.example.com\"".into());
        }
        let url = Url::parse(text).map_err(|why| format!("is not a URL: {why}"))?;
        // RFC 8414 §2: "no query or fragment components".
        if text.contains(['?', '#']) {
            return Err("must have no query and no fragment".into());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("must not carry a user name or password".into());
        }
        let normal = url.as_str().strip_suffix('/').unwrap_or(url.as_str());
        if normal != text {
            return Err(format!("must be in the form that every client compares: write \"{normal}\""));
        }
        let path = &text[url.origin().ascii_serialization().len()..];
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
        if !path.is_empty() && !path[1..].split('/').all(|part| !part.is_empty() && part.bytes().all(plain)) {
            return Err("may have only letters, digits and -._~ between the slashes of its path".into());
        }
        let loopback = match url.host() {
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            Some(Host::Domain(name)) => name == "localhost",
            None => false,
        };
        Ok(Self { text: text.into(), path: text.len() - path.len(), loopback })
    }
}

impl TryFrom<String> for Issuer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl Default for Issuer {
    fn default() -> Self {
        let text = "http://localhost:8080";
        Self { text: text.into(), path: text.len(), loopback: true }
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_issuer_is_a_url_in_its_normal_form() {
        for (text, path, loopback) in [
            ("https://auth.example", "", false),
            ("https://auth.example/", "", false),
            ("https://auth.example:8443/a/b-c", "/a/b-c", false),
            ("http://localhost:8080", "", true),
            ("http://127.8.9.1/auth/", "/auth", true),
            ("http://[::1]:9", "", true),
            ("http://localhost.example", "", false),
        ] {
            let issuer: Issuer = text.parse().expect(text);
            assert_eq!(
                (issuer.path(), issuer.is_loopback(), issuer.is_https()),
                (path, loopback, text.starts_with("https:")),
            );
            let text = text.trim_end_matches('/');
            assert_eq!(issuer.as_str(), text);
            assert_eq!(issuer.url("/oauth/token"), format!("{text}/oauth/token"));
        }
        assert_eq!("http://localhost:8080".parse(), Ok(Issuer::default()));
    }

    #[test]
    fn anything_else_is_refused_with_what_to_do() {
        let long = format!("https://auth.example/{}", "x".repeat(500));
        for (text, word) in [
            ("", "https URL"),
            ("auth.example", "https URL"),
            ("ftp://auth.example", "https URL"),
            ("https:/auth.example", "https URL"),
            (&long, "https URL"),
            ("https://", "https URL"),
            ("https://[::1", "is not a URL"),
            ("https://auth.example:99999", "is not a URL"),
            ("https://auth.example?x=1", "no query"),
            ("https://auth.example/?", "no query"),
            ("https://auth.example#x", "no fragment"),
            ("https://ada:pw@auth.example", "password"),
            ("https://ada@auth.example", "user name"),
            ("https://Auth.Example", "write \"https://auth.example\""),
            ("https://auth.example:443", "write \"https://auth.example\""),
            ("https://auth.example/a/../b", "write \"https://auth.example/b\""),
            ("http://127.1", "write \"http://127.0.0.1\""),
            ("https://auth.example/a b", "write"),
            ("https://auth.example\\x", "write"),
            ("https://auth.example/a//b", "between the slashes"),
            ("https://auth.example//", "write \"https://auth.example\""),
            ("https://auth.example/a%2Fb", "between the slashes"),
            ("https://auth.example/:id", "between the slashes"),
        ] {
            let why = text.parse::<Issuer>().expect_err(text);
            assert!(why.contains(word), "{text}: {why}");
        }
    }
}
