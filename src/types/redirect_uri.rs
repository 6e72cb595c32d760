//! Redirect URIs: what may be registered, and when a presented one is a registered one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

/// A registered redirect URI, kept letter for letter: it is compared as a string
/// (RFC 9700 §4.1.3, OAuth 2.1 §2.3.1), loopback ports excepted (RFC 8252 §7.3).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RedirectUri(Box<str>);

/// Where a redirect URI leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// An https origin.
    Web,
    /// `http` on the user's own machine (RFC 8252 §7.3).
    Loopback,
    /// A private-use scheme of a native application (RFC 8252 §7.1).
    PrivateUse,
}

impl RedirectUri {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether `presented` is this URI: the same string, or, on loopback, the same but for the port.
    pub fn matches(&self, presented: &str) -> bool {
        if *self.0 == *presented {
            return true;
        }
        match (Loopback::split(&self.0), Loopback::split(presented)) {
            (Some(own), Some(other)) => own == other,
            _ => false,
        }
    }

    pub fn destination(&self) -> Destination {
        destination(&self.0)
    }

    /// The origin that a page at this URI has, for CORS; `None` for private-use schemes.
    pub fn origin(&self) -> Option<String> {
        origin(&self.0)
    }

    /// What a person may be shown as the place to which they return: the host (with its port), or the scheme.
    pub fn display_host(&self) -> String {
        display_host(&self.0)
    }
}

pub fn destination(uri: &str) -> Destination {
    if Loopback::split(uri).is_some() {
        Destination::Loopback
    } else if uri.starts_with("https://") {
        Destination::Web
    } else {
        Destination::PrivateUse
    }
}

/// The ASCII origin of an http or https URI (RFC 6454 §6.2).
pub fn origin(uri: &str) -> Option<String> {
    let url = Url::parse(uri).ok()?;
    let origin = url.origin();
    origin.is_tuple().then(|| origin.ascii_serialization())
}

/// What `form-action` must name, so that a browser follows a redirect there after a form (CSP3 §2.3.1).
pub fn form_source(uri: &str) -> String {
    // A private-use scheme has no origin; the scheme itself is a source.
    origin(uri).unwrap_or_else(|| uri.split_once(':').map_or_else(String::new, |(scheme, _)| format!("{scheme}:")))
}

pub fn display_host(uri: &str) -> String {
    match Url::parse(uri) {
        Ok(url) => match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => format!("{}:", url.scheme()),
        },
        Err(_) => uri.to_owned(),
    }
}

/// `http://<loopback host>[:port]<rest>`, without the port. The split is textual, so nothing is normalised.
#[derive(PartialEq, Eq)]
struct Loopback<'a> {
    host: &'a str,
    rest: &'a str,
}

impl<'a> Loopback<'a> {
    fn split(uri: &'a str) -> Option<Self> {
        let after_scheme = uri.strip_prefix("http://")?;
        let host = ["127.0.0.1", "[::1]", "localhost"].into_iter().find(|host| after_scheme.starts_with(host))?;
        let mut rest = &after_scheme[host.len()..];
        if let Some(port_and_rest) = rest.strip_prefix(':') {
            let digits = port_and_rest.bytes().take_while(u8::is_ascii_digit).count();
            // What is no port no browser goes to, and it would leave `form-action` without an origin.
            port_and_rest[..digits].parse::<u16>().ok().filter(|_| digits <= 5)?;
            rest = &port_and_rest[digits..];
        }
        (rest.is_empty() || rest.starts_with(['/', '?'])).then_some(Self { host, rest })
    }
}

impl FromStr for RedirectUri {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > 2_048 || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(format!("redirect URI {text:?} must be at most 2048 visible ASCII characters"));
        }
        let url = Url::parse(text).map_err(|why| {
            format!("redirect URI {text:?} is not an absolute URI, such as https://app.example/callback: {why}")
        })?;
        // RFC 6749 §3.1.2
        if text.contains('#') {
            return Err(format!("redirect URI {text:?} must not have a fragment"));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(format!("redirect URI {text:?} must not carry a user name or password"));
        }
        // A backslash, a dot segment or an upper-case host would mean two things to two parsers.
        if text.contains('\\') {
            return Err(format!("redirect URI {text:?} must not have a backslash"));
        }
        match url.scheme() {
            "https" if text.starts_with("https://") => Ok(Self(text.into())),
            "http" if Loopback::split(text).is_some() && is_loopback(&url) => Ok(Self(text.into())),
            "https" | "http" => {
                Err(format!("redirect URI {text:?} must use https; http is for 127.0.0.1, [::1] and localhost alone"))
            }
            // What is meant is a host and its port, and what was written is a scheme.
            scheme if is_host_and_port(scheme, url.path()) => {
                let web = if scheme == "localhost" { "http" } else { "https" };
                Err(format!("redirect URI {text:?} has no scheme; write {web}://{text}"))
            }
            // RFC 8252 §7.1: a reversed domain name; this keeps javascript:, data: and their like out.
            scheme if scheme.contains('.') && text.starts_with(scheme) => Ok(Self(text.into())),
            scheme => Err(format!(
                "redirect URI {text:?} has the scheme {scheme:?}; use https, or a reversed domain name such as com.example.app"
            )),
        }
    }
}

fn is_host_and_port(scheme: &str, path: &str) -> bool {
    let port = path.split('/').next().unwrap_or_default();
    (scheme == "localhost" || scheme.contains('.')) && port.parse::<u16>().is_ok()
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

impl TryFrom<String> for RedirectUri {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RedirectUri> for String {
    fn from(uri: RedirectUri) -> Self {
        uri.0.into()
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_safe_uris_are_registered() {
        for good in [
            "https://app.example/cb",
            "https://app.example/cb?x=1",
            "http://localhost:3000/cb",
            "http://127.0.0.1/cb",
            "http://[::1]:9/cb",
            "com.example.app:/cb",
        ] {
            assert!(good.parse::<RedirectUri>().is_ok(), "{good}");
        }
        for bad in [
            "/cb",
            "https://app.example/cb#x",
            "http://app.example/cb",
            "http://localhost.evil.example/cb",
            "http://127.0.0.1@evil.example/",
            "https://user:pw@app.example/",
            "javascript:alert(1)",
            "data:text/html,x",
            "myapp://cb",
            "https:app.example/cb",
            "https://app.example\\@evil.example/",
            "https://app.example/c b",
            "https://app.example/\0",
        ] {
            assert!(bad.parse::<RedirectUri>().is_err(), "{bad}");
        }
    }

    #[test]
    fn whoever_forgets_the_scheme_is_told_what_to_write() {
        for (bad, words) in [
            ("localhost:8080/cb", "write http://localhost:8080/cb"),
            ("app.example:8443/cb", "write https://app.example:8443/cb"),
            ("127.0.0.1:8080/cb", "such as https://app.example/callback"),
            ("app.example/cb", "such as https://app.example/callback"),
        ] {
            let refused = bad.parse::<RedirectUri>().unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
    }

    #[test]
    fn a_form_may_lead_to_an_origin_or_where_there_is_none_to_a_scheme() {
        for (uri, source) in [
            ("https://app.example/cb?x=1", "https://app.example"),
            ("http://127.0.0.1:8000/cb", "http://127.0.0.1:8000"),
            ("com.example.app:/cb", "com.example.app:"),
        ] {
            assert_eq!(form_source(uri), source);
        }
    }

    #[test]
    fn a_uri_matches_as_a_string_and_on_loopback_with_any_port() {
        let web: RedirectUri = "https://app.example/cb".parse().unwrap();
        assert!(web.matches("https://app.example/cb"));
        for other in [
            "https://app.example/cb/",
            "https://APP.example/cb",
            "https://app.example:443/cb",
            "https://app.example/cb?",
        ] {
            assert!(!web.matches(other), "{other}");
        }

        let native: RedirectUri = "http://127.0.0.1:8000/cb".parse().unwrap();
        for same in ["http://127.0.0.1/cb", "http://127.0.0.1:51004/cb"] {
            assert!(native.matches(same), "{same}");
        }
        for other in [
            "http://localhost:8000/cb",
            "https://127.0.0.1:8000/cb",
            "http://127.0.0.1:8000/cb2",
            "http://127.0.0.1:8000@evil.example/cb",
            "http://127.0.0.1:/cb",
            "http://127.0.0.1:65536/cb",
            "http://127.0.0.1.evil.example/cb",
        ] {
            assert!(!native.matches(other), "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_matches_on_loopback_differs_in_its_port_alone(port in 1_u16.., path in "[ -~]{0,20}") {
            let registered: RedirectUri = "http://127.0.0.1:8000/cb".parse().unwrap();
            let same = format!("http://127.0.0.1:{port}/cb");
            assert!(registered.matches(&same));
            for other in [format!("{same}{path}"), format!("http://127.0.0.1:{port}/{path}")] {
                assert_eq!(registered.matches(&other), other == same, "{other}");
            }
        }

        #[test]
        fn nothing_but_itself_matches_a_web_uri(presented in "https?://[ -~]{0,40}") {
            let registered: RedirectUri = "https://app.example/cb".parse().unwrap();
            assert_eq!(registered.matches(&presented), presented == "https://app.example/cb");
        }

        #[test]
        fn whatever_is_registered_leads_where_it_says(text in "[a-z.]{1,12}://?[ -~]{0,40}") {
            // A stranger's text never panics, and what is taken is https, loopback, or a reversed domain name.
            if let Ok(uri) = text.parse::<RedirectUri>() {
                assert_eq!(uri.as_str(), text);
                match uri.destination() {
                    Destination::Web => assert!(text.starts_with("https://")),
                    Destination::Loopback => assert!(text.starts_with("http://")),
                    Destination::PrivateUse => assert!(text.split(':').next().unwrap().contains('.')),
                }
            }
        }
    }
}
