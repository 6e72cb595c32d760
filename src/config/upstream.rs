//! `[upstream."name"]`: other providers by which people sign in.

use std::collections::BTreeMap;
use std::path::PathBuf;

use secrecy::SecretString;
use serde::Deserialize;
use url::Url;

use super::section::{Found, Section};
use super::{scopes, seal};

/// By their names, which stand in addresses, and in the database with whoever signed in there: so they stay.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(transparent)]
pub struct Upstream(pub BTreeMap<String, Provider>);

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// What people call it, as in "Google".
    pub title: String,
    /// Of an OpenID provider, which says the rest of itself (OpenID Connect Discovery). Plain OAuth 2 has endpoints in
    /// its place. Letter for letter as it calls itself.
    pub issuer: Option<String>,
    pub authorization_endpoint: Option<Url>,
    pub token_endpoint: Option<Url>,
    /// Says who somebody is.
    pub userinfo_endpoint: Option<Url>,
    /// Says which addresses are known to be theirs: a list of `email`, `primary` and `verified`.
    pub emails_endpoint: Option<Url>,
    /// Where what is in the answer of `userinfo_endpoint`.
    #[serde(default)]
    pub claims: Claims,
    pub client_id: String,
    #[serde(default, deserialize_with = "seal::secret")]
    pub client_secret: Option<SecretString>,
    /// A file with the secret and nothing else.
    pub client_secret_file: Option<PathBuf>,
    /// Where the secret goes; by default as discovery says, or else into the form.
    pub client_authentication: Option<Authentication>,
    pub scope: Option<String>,
    /// For whom it makes an account who has none.
    #[serde(default)]
    pub create: Create,
    /// Where the addresses must be of whom `create = "domain"` is for.
    #[serde(default)]
    pub domains: Vec<String>,
    pub acr_values: Option<String>,
    /// Whether its word counts for how somebody proved who they are (ASVS 6.8.4).
    #[serde(default)]
    pub trust_amr: bool,
    /// What it says as `acr` of whoever showed two factors; `mfa` in its `amr` says so, too.
    #[serde(default)]
    pub two_factor_acr: Vec<String>,
    /// Whether it asks somebody again who they are when it is told to, and says when that was.
    #[serde(default = "yes")]
    pub reauthenticates: bool,
}

const fn yes() -> bool {
    true
}

/// The names of members.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Claims {
    /// By which somebody is known for ever.
    pub subject: String,
    pub email: String,
    /// Only `true` there makes an address one that is known to be theirs. With none, `emails_endpoint` alone does.
    pub email_verified: Option<String>,
    pub name: String,
}

impl Default for Claims {
    fn default() -> Self {
        Self { subject: "sub".into(), email: "email".into(), email_verified: None, name: "name".into() }
    }
}

/// How we prove who we are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Authentication {
    /// In the header (RFC 6749 §2.3.1).
    Basic,
    /// In the form.
    Post,
}

/// For whom an account is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Create {
    /// Nobody.
    #[default]
    Off,
    /// Whoever has the address that an invitation was sent to.
    Invited,
    /// Whoever has an address in one of `domains`.
    Domain,
    /// Everybody.
    Open,
}

impl Upstream {
    /// The names of those that make accounts by this rule.
    pub fn that_create(&self, create: Create) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(_, provider)| provider.create == create).map(|(name, _)| name.as_str())
    }
}

impl Provider {
    /// What is asked for.
    pub fn scope(&self) -> &str {
        self.scope.as_deref().unwrap_or(if self.issuer.is_some() { "openid email profile" } else { "" })
    }

    /// Whether somebody can prove there that they are at the keyboard now.
    pub fn can_ask_again(&self) -> bool {
        self.issuer.is_some() && self.reauthenticates
    }

    fn check(&self, found: &mut Found) {
        found.words("title", &self.title, 60);
        self.check_endpoints(found);
        if self.client_id.trim().is_empty() {
            found.refuse("client_id", "must be the id that the provider gave");
        }
        if self.client_secret.is_some() && self.client_secret_file.is_some() {
            found.refuse("client_secret_file", "cannot be set beside client_secret: leave one of them out");
        }
        let scope = self.scope();
        if !scope.is_empty() && !scope.split(' ').all(scopes::is_token) {
            found.refuse("scope", "must be scopes with one space between them");
        }
        if self.issuer.is_some() && !scope.split(' ').any(|token| token == "openid") {
            found.refuse("scope", "must have openid where there is an issuer (OpenID Connect Core §3.1.2.1)");
        }
        let is_domain = |domain: &String| {
            !domain.is_empty() && *domain == domain.to_lowercase() && !domain.contains(['@', ' ', '*', '/'])
        };
        if !self.domains.iter().all(is_domain) {
            found.refuse("domains", "must be hosts of addresses in small letters, as in [\"example.com\"]");
        }
        if (self.create == Create::Domain) == self.domains.is_empty() {
            found.refuse("domains", "and create = \"domain\" belong together: set both or neither");
        }
        if !self.trust_amr && !self.two_factor_acr.is_empty() {
            found.refuse("two_factor_acr", "needs trust_amr = true");
        }
    }

    /// OpenID Connect or plain OAuth 2, and all that it needs.
    fn check_endpoints(&self, found: &mut Found) {
        let endpoints = [
            ("authorization_endpoint", &self.authorization_endpoint),
            ("token_endpoint", &self.token_endpoint),
            ("userinfo_endpoint", &self.userinfo_endpoint),
        ];
        let is_web = |url: &Url| matches!(url.scheme(), "https" | "http") && url.fragment().is_none();
        for (key, url) in endpoints.into_iter().chain([("emails_endpoint", &self.emails_endpoint)]) {
            match (url, &self.issuer) {
                (Some(_), Some(_)) => found.refuse(key, "cannot be set beside issuer, which says it by itself"),
                (None, None) if key != "emails_endpoint" => found.refuse(key, "must be set where there is no issuer"),
                (Some(url), None) if !is_web(url) => found.refuse(key, "must be an https URL"),
                _ => {}
            }
        }
        // OpenID Connect Discovery §3: "no query or fragment components".
        let is_issuer = |text: &String| Url::parse(text).is_ok_and(|url| is_web(&url) && url.query().is_none());
        if self.issuer.as_ref().is_some_and(|issuer| !is_issuer(issuer)) {
            found.refuse("issuer", "must be an https URL without a query, as in \"https://accounts.google.com\"");
        }
        if self.issuer.is_none() && (self.trust_amr || self.acr_values.is_some()) {
            found.refuse("issuer", "must be set for trust_amr and acr_values: plain OAuth 2 has neither");
        }
    }
}

impl Section for Upstream {
    fn check(&self, found: &mut Found) {
        for (name, provider) in &self.0 {
            let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
            if name.is_empty() || name.len() > 40 || !name.bytes().all(plain) {
                found.refuse(name, "must have 1 to 40 small letters, digits and -: it stands in an address");
            }
            let mut inner = Found::default();
            provider.check(&mut inner);
            for (key, why) in inner.0 {
                found.refuse(name, format!("{key} {why}"));
            }
        }
    }
}
