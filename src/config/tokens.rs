//! `[tokens]`: access and ID tokens.

use std::time::Duration;

use serde::Deserialize;

use super::duration;
use super::section::{Found, Section};
use crate::types::{Algorithm, Client};

/// No access token lives longer, whatever server or client are set to: what is revoked must be remembered that long.
pub const ACCESS_TOKEN_CEILING: Duration = Duration::from_hours(1);

/// No ID token lives longer: so long the key that signed it is published.
pub const ID_TOKEN_CEILING: Duration = duration::days(1);

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tokens {
    /// How long an access token lives, unless its client is registered with another lifetime.
    #[serde(deserialize_with = "duration::deserialize")]
    pub access_token_lifetime: Duration,
    /// How long an ID token lives.
    #[serde(deserialize_with = "duration::deserialize")]
    pub id_token_lifetime: Duration,
    /// What access tokens are signed with.
    pub access_token_algorithm: Algorithm,
}

impl Tokens {
    pub fn access_lifetime(&self, client: &Client) -> Duration {
        client.metadata.access_token_lifetime.unwrap_or(self.access_token_lifetime).min(ACCESS_TOKEN_CEILING)
    }
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            access_token_lifetime: Duration::from_mins(10),
            id_token_lifetime: Duration::from_mins(10),
            access_token_algorithm: Algorithm::Es256,
        }
    }
}

impl Section for Tokens {
    fn check(&self, found: &mut Found) {
        const SECOND: Duration = Duration::from_secs(1);
        found.duration("access_token_lifetime", self.access_token_lifetime, SECOND..=ACCESS_TOKEN_CEILING);
        found.duration("id_token_lifetime", self.id_token_lifetime, SECOND..=ID_TOKEN_CEILING);
        if !self.access_token_algorithm.is_asymmetric() {
            found.refuse("access_token_algorithm", "must be asymmetric, such as \"ES256\": resource servers verify it");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{AuthMethod, ClientId, ClientMetadata, Timestamp};

    #[test]
    fn no_client_exceeds_the_ceiling() {
        let client = |access_token_lifetime| Client {
            id: ClientId::parse("web").unwrap(),
            secret_hash: None,
            secret_sealed: None,
            metadata: ClientMetadata { access_token_lifetime, ..metadata() },
            created_at: Timestamp::from_secs(0),
            updated_at: Timestamp::from_secs(0),
            disabled_at: None,
            registration: None,
        };
        let tokens = Tokens::default();
        assert_eq!(tokens.access_lifetime(&client(None)), Duration::from_mins(10));
        assert_eq!(tokens.access_lifetime(&client(Some(Duration::from_mins(1)))), Duration::from_mins(1));
        assert_eq!(tokens.access_lifetime(&client(Some(duration::days(1)))), ACCESS_TOKEN_CEILING);
    }

    fn metadata() -> ClientMetadata {
        let mut document = toml::Table::new();
        document.insert("client_name".into(), "Web".into());
        document.insert("token_endpoint_auth_method".into(), AuthMethod::None.as_str().into());
        document.insert("grant_types".into(), toml::Value::Array(Vec::new()));
        document.try_into().unwrap()
    }
}
