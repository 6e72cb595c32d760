//! `[about]`: where people read more of this server; told in its metadata (RFC 8414 §2).

use serde::Deserialize;
use url::Url;

use super::section::{Found, Section};

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct About {
    /// What developers need to know: `service_documentation`.
    pub documentation: Option<String>,
    /// How a relying party may use what it learns of people: `op_policy_uri`.
    pub policy: Option<String>,
    /// The terms of service: `op_tos_uri`.
    pub terms: Option<String>,
}

impl About {
    /// Those that are set, by the names of their members.
    pub fn members(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [
            ("service_documentation", &self.documentation),
            ("op_policy_uri", &self.policy),
            ("op_tos_uri", &self.terms),
        ];
        all.into_iter().filter_map(|(name, url)| Some((name, url.as_deref()?)))
    }
}

impl Section for About {
    fn check(&self, found: &mut Found) {
        for (key, url) in [("documentation", &self.documentation), ("policy", &self.policy), ("terms", &self.terms)] {
            let is_page = |url: &str| Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "https" | "http"));
            if url.as_deref().is_some_and(|url| !is_page(url)) {
                found.refuse(key, "must be the URL of a page, such as \"https://example.com/terms\"");
            }
        }
    }
}
