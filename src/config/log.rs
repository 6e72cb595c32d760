//! `[log]`: what goes to standard error.

use serde::Deserialize;
use tracing_subscriber::EnvFilter;

use super::section::{Found, Section};

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// For people or for machines.
    pub format: LogFormat,
    /// What is logged, as in `info,grantor=debug`.
    pub filter: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// One line of text an event.
    #[default]
    Text,
    /// One JSON object an event.
    Json,
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info".into() }
    }
}

impl Section for Log {
    fn check(&self, found: &mut Found) {
        if let Err(why) = EnvFilter::try_new(&self.filter) {
            found.refuse("filter", format!("is not a filter such as \"info,grantor=debug\": {why}"));
        }
    }
}
