//! `[database]`: where everything is kept.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use super::duration;
use super::section::{Found, Section};

#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Database {
    /// `postgres://…` or `sqlite:PATH`; `None` is SQLite in `server.data_dir`.
    pub url: Option<DatabaseUrl>,
    /// The most connections that are open at once.
    pub max_connections: u32,
    /// How long a request waits for a connection before it is answered with 503.
    #[serde(deserialize_with = "duration::deserialize")]
    pub acquire_timeout: Duration,
}

impl Default for Database {
    fn default() -> Self {
        Self { url: None, max_connections: 10, acquire_timeout: Duration::from_secs(3) }
    }
}

impl Section for Database {
    fn check(&self, found: &mut Found) {
        found.number("max_connections", self.max_connections, 1..=1000);
        found.duration("acquire_timeout", self.acquire_timeout, Duration::from_millis(100)..=Duration::from_mins(1));
    }
}

/// Which database. Printed without its password.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub enum DatabaseUrl {
    /// The whole URL, as the driver takes it.
    Postgres(SecretString),
    /// A file, made when it is missing.
    Sqlite(PathBuf),
}

impl FromStr for DatabaseUrl {
    type Err = String;

    /// Never repeats the text: it may hold a password.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("sqlite:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            if path.is_empty() || path.contains(":memory:") || path.contains('?') {
                return Err("must name a file and nothing else after \"sqlite:\"".into());
            }
            return Ok(Self::Sqlite(path.into()));
        }
        if !(text.starts_with("postgres://") || text.starts_with("postgresql://")) {
            return Err("must begin with \"postgres://\" or \"sqlite:\"".into());
        }
        let url = Url::parse(text).map_err(|why| format!("is not a URL (is its password percent-encoded?): {why}"))?;
        // A raw `/`, `?` or `#` in a password ends the authority too soon, and what follows would be printed.
        if url.fragment().is_some() || url.path().contains('@') || url.query().is_some_and(|query| query.contains('@'))
        {
            return Err("has an \"@\" or \"#\" behind its host: percent-encode the password".into());
        }
        Ok(Self::Postgres(text.into()))
    }
}

impl TryFrom<String> for DatabaseUrl {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = match self {
            Self::Sqlite(path) => return write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => Url::parse(url.expose_secret()),
        };
        let Ok(mut url) = url else { return f.write_str("postgres://[redacted]") };
        if url.password().is_some() && url.set_password(Some("***")).is_err() {
            return f.write_str("postgres://[redacted]");
        }
        // The driver takes `?password=` too.
        if url.query().is_some_and(|query| query.contains("password")) {
            url.set_query(None);
        }
        fmt::Display::fmt(&url, f)
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_is_postgres_or_a_file() {
        for (text, path) in [
            ("sqlite:grantor.db", "grantor.db"),
            ("sqlite://grantor.db", "grantor.db"),
            ("sqlite:///var/lib/g.db", "/var/lib/g.db"),
        ] {
            assert!(matches!(text.parse(), Ok(DatabaseUrl::Sqlite(file)) if file.to_str() == Some(path)), "{text}");
        }
        for text in
            ["postgres://db/grantor", "postgresql://ada:pw@db:5433/g?sslmode=require", "postgres:///g?host=/run/pg"]
        {
            assert!(matches!(text.parse(), Ok(DatabaseUrl::Postgres(url)) if url.expose_secret() == text), "{text}");
        }
        for text in [
            "",
            "grantor.db",
            "mysql://s3cret@db/g",
            "sqlite:",
            "sqlite://",
            "sqlite::memory:",
            "sqlite:g.db?mode=rwc",
            "postgres://ada:s3/cret@db/g",
            "postgres://ada:1/s3cret@db/g",
            "postgres://ada:1?s3cret@db/g",
            "postgres://ada:1#s3cret@db/g",
        ] {
            let why = text.parse::<DatabaseUrl>().expect_err(text);
            assert!(!why.contains("s3"), "{text}: {why}");
        }
    }

    #[test]
    fn a_database_is_printed_without_its_password() {
        for (text, printed) in [
            ("postgres://ada:s3cret@db:5433/g", "postgres://ada:***@db:5433/g"),
            ("postgres://ada:s3@cret@db/g", "postgres://ada:***@db/g"),
            ("postgres://ada@db/g?sslmode=require", "postgres://ada@db/g?sslmode=require"),
            ("postgres://db/g?user=ada&password=s3cret", "postgres://db/g"),
            ("sqlite:///tmp/g.db", "sqlite:/tmp/g.db"),
        ] {
            let url: DatabaseUrl = text.parse().expect(text);
            assert_eq!((format!("{url}"), format!("{url:?}")), (printed.into(), printed.into()));
        }
    }
}
