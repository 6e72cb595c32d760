//! How clients prove who they are, and what is kept and registered for it.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Algorithm;

/// `token_endpoint_auth_method` (RFC 7591 §2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AuthMethod {
    /// A public client.
    None,
    ClientSecretBasic,
    ClientSecretPost,
    /// OpenID Connect Core §9.
    ClientSecretJwt,
    /// OpenID Connect Core §9.
    PrivateKeyJwt,
    /// RFC 8705 §2.1.
    TlsClientAuth,
    /// RFC 8705 §2.2.
    SelfSignedTlsClientAuth,
}

/// A name in a certificate (RFC 8705 §2.1.2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateName {
    /// As RFC 4514 writes it.
    SubjectDn(String),
    SanDns(String),
    SanUri(String),
    SanIp(IpAddr),
    SanEmail(String),
}

/// What is kept of a client's secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretForm {
    /// There is none.
    None,
    /// It is shown, so its hash is enough.
    Hashed,
    /// A MAC is made with it, so it is needed itself.
    Sealed,
}

impl AuthMethod {
    pub const ALL: [Self; 7] = [
        Self::ClientSecretBasic,
        Self::ClientSecretPost,
        Self::ClientSecretJwt,
        Self::PrivateKeyJwt,
        Self::TlsClientAuth,
        Self::SelfSignedTlsClientAuth,
        Self::None,
    ];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::ClientSecretBasic => "client_secret_basic",
            Self::ClientSecretPost => "client_secret_post",
            Self::ClientSecretJwt => "client_secret_jwt",
            Self::PrivateKeyJwt => "private_key_jwt",
            Self::TlsClientAuth => "tls_client_auth",
            Self::SelfSignedTlsClientAuth => "self_signed_tls_client_auth",
        }
    }

    pub const fn secret(self) -> SecretForm {
        match self {
            Self::ClientSecretBasic | Self::ClientSecretPost => SecretForm::Hashed,
            Self::ClientSecretJwt => SecretForm::Sealed,
            Self::None | Self::PrivateKeyJwt | Self::TlsClientAuth | Self::SelfSignedTlsClientAuth => SecretForm::None,
        }
    }

    /// The algorithms of its assertions. A client that signs has a key of its own or a secret, and never the one in
    /// the place of the other.
    pub const fn algorithms(self) -> &'static [Algorithm] {
        match self {
            Self::PrivateKeyJwt => &Algorithm::ASYMMETRIC,
            Self::ClientSecretJwt => &[Algorithm::Hs256],
            _ => &[],
        }
    }
}

impl FromStr for AuthMethod {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|method| method.as_str() == name).ok_or_else(|| {
            format!("unknown authentication method {name:?}; known are {}", Self::ALL.map(Self::as_str).join(", "))
        })
    }
}

impl fmt::Display for AuthMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
