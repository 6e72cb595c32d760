//! The `grant_type` values that this server knows (RFC 6749 §4, OAuth 2.1 §4).

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GrantType {
    AuthorizationCode,
    RefreshToken,
    ClientCredentials,
    /// RFC 8628 §3.4
    #[serde(rename = "urn:ietf:params:oauth:grant-type:device_code")]
    DeviceCode,
}

impl GrantType {
    pub const ALL: [Self; 4] = [Self::AuthorizationCode, Self::RefreshToken, Self::ClientCredentials, Self::DeviceCode];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization_code",
            Self::RefreshToken => "refresh_token",
            Self::ClientCredentials => "client_credentials",
            Self::DeviceCode => "urn:ietf:params:oauth:grant-type:device_code",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grant| grant.as_str() == name)
    }
}

impl std::str::FromStr for GrantType {
    type Err = String;

    /// On the command line a URN is known by its last part too.
    fn from_str(name: &str) -> Result<Self, String> {
        let is_short = |grant: &Self| grant.as_str().rsplit(':').next() == Some(name);
        Self::parse(name)
            .or_else(|| Self::ALL.into_iter().find(is_short))
            .ok_or_else(|| format!("unknown grant type {name:?}; known are {}", Self::ALL.map(Self::as_str).join(", ")))
    }
}

impl std::fmt::Display for GrantType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_urn_has_a_short_name_on_the_command_line_alone() {
        assert_eq!("device_code".parse(), Ok(GrantType::DeviceCode));
        assert_eq!(GrantType::parse("device_code"), None);
        for grant in GrantType::ALL {
            assert_eq!(grant.as_str().parse(), Ok(grant));
            assert_eq!(serde_json::to_value(grant).unwrap(), grant.as_str());
        }
        assert!("code".parse::<GrantType>().is_err() && "".parse::<GrantType>().is_err());
    }
}
