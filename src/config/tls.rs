//! `[tls]`: https by the server itself. Behind a proxy that terminates TLS, leave it out.

use std::path::PathBuf;

use serde::Deserialize;

use super::section::{Found, Section};

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// PEM file with the certificate and its chain.
    pub cert: Option<PathBuf>,
    /// PEM file with the certificate's private key.
    pub key: Option<PathBuf>,
    /// Whether clients are asked for a certificate.
    pub client_certificates: ClientCertificates,
    /// PEM file of the authorities that `tls_client_auth` believes.
    pub client_ca: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClientCertificates {
    #[default]
    Off,
    /// Whoever has none connects all the same: browsers have none.
    Optional,
}

impl Tls {
    /// Certificate and key, if TLS is on.
    pub fn files(&self) -> Option<(&PathBuf, &PathBuf)> {
        self.cert.as_ref().zip(self.key.as_ref())
    }
}

impl Section for Tls {
    fn check(&self, found: &mut Found) {
        match (&self.cert, &self.key) {
            (Some(_), None) => found.refuse("key", "must be set when tls.cert is: the file of the private key"),
            (None, Some(_)) => found.refuse("cert", "must be set when tls.key is: the file of the certificate"),
            (None, None) if self.client_certificates == ClientCertificates::Optional => {
                found.refuse("client_certificates", "needs tls.cert and tls.key: clients show theirs where TLS ends");
            }
            _ => {}
        }
    }
}
