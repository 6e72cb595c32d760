//! Certificates by which clients prove who they are (RFC 8705): whom they name, what key they hold, who vouches for them.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Tag, Tagged as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::RdnSequence;

use super::hash::sha256_base64url;
use crate::types::{CertificateName, Timestamp};

/// The certificate of whoever is at the other end, who has proved to hold its private key. Nobody vouches for it yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    /// Its own first, then those of authorities that it sent along.
    chain: Vec<CertificateDer<'static>>,
}

impl PeerCertificate {
    /// `None` when there is no certificate.
    pub fn new(chain: impl IntoIterator<Item = Vec<u8>>) -> Option<Self> {
        let chain: Vec<_> = chain.into_iter().map(CertificateDer::from).collect();
        (!chain.is_empty()).then_some(Self { chain })
    }

    /// From PEM.
    pub fn from_pem(pem: &[u8]) -> Option<Self> {
        let chain = CertificateDer::pem_slice_iter(pem).collect::<Result<Vec<_>, _>>().ok()?;
        (!chain.is_empty()).then_some(Self { chain })
    }

    fn own(&self) -> &CertificateDer<'static> {
        &self.chain[0]
    }

    /// `x5t#S256` (RFC 8705 §3.1).
    pub fn thumbprint(&self) -> String {
        sha256_base64url(self.own())
    }

    /// The key as `Material::subject_public_key` has it; `None` when the certificate cannot be read.
    pub fn subject_public_key(&self) -> Option<Vec<u8>> {
        let key = self.parse()?.tbs_certificate.subject_public_key_info.subject_public_key;
        key.as_bytes().map(<[u8]>::to_vec)
    }

    /// Whether it has this name (RFC 8705 §2.1.2).
    pub fn has_name(&self, name: &CertificateName) -> bool {
        let Some(certificate) = self.parse() else { return false };
        if let CertificateName::SubjectDn(expected) = name {
            let expected = expected.parse::<RdnSequence>().ok();
            return expected
                .is_some_and(|expected| canonical(&expected) == canonical(&certificate.tbs_certificate.subject));
        }
        let alternatives = certificate.tbs_certificate.get::<SubjectAltName>();
        let Ok(Some((_, SubjectAltName(alternatives)))) = alternatives else { return false };
        alternatives.iter().any(|alternative| match (name, alternative) {
            // RFC 4343: names of hosts have no case.
            (CertificateName::SanDns(dns), GeneralName::DnsName(own)) => own.as_str().eq_ignore_ascii_case(dns),
            (CertificateName::SanUri(uri), GeneralName::UniformResourceIdentifier(own)) => own.as_str() == uri,
            (CertificateName::SanEmail(email), GeneralName::Rfc822Name(own)) => own.as_str() == email,
            (CertificateName::SanIp(IpAddr::V4(ip)), GeneralName::IpAddress(own)) => own.as_bytes() == ip.octets(),
            (CertificateName::SanIp(IpAddr::V6(ip)), GeneralName::IpAddress(own)) => own.as_bytes() == ip.octets(),
            _ => false,
        })
    }

    fn parse(&self) -> Option<Certificate> {
        Certificate::from_der(self.own()).ok()
    }
}

/// Whether a distinguished name can be compared with that of a certificate (RFC 4514).
pub fn is_distinguished_name(text: &str) -> bool {
    !text.is_empty() && text.parse::<RdnSequence>().is_ok()
}

/// What a name says of one thing: the type of it, how it is written where that is no text, and the value.
type Value = (String, Option<Tag>, Vec<u8>);

/// A distinguished name so that two that mean the same are the same: whichever string type its values have, and in
/// whatever order those of one level come.
fn canonical(name: &RdnSequence) -> Vec<Vec<Value>> {
    let of_level = |level: &x509_cert::name::RelativeDistinguishedName| {
        let mut values: Vec<_> = level
            .0
            .iter()
            .map(|attribute| {
                let tag = attribute.value.tag();
                let is_text = matches!(tag, Tag::Utf8String | Tag::PrintableString | Tag::Ia5String);
                (attribute.oid.to_string(), (!is_text).then_some(tag), attribute.value.value().to_vec())
            })
            .collect();
        values.sort();
        values
    };
    name.0.iter().map(of_level).collect()
}

/// The authorities whose certificates `tls_client_auth` believes.
#[derive(Clone)]
pub struct Authorities(Arc<dyn ClientCertVerifier>);

impl Authorities {
    /// Reads a file of PEM certificates.
    ///
    /// # Errors
    /// In words, when it is none.
    pub fn from_pem(pem: &[u8]) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            let certificate = certificate.map_err(|why| format!("not a file of PEM certificates: {why}"))?;
            roots.add(certificate).map_err(|why| format!("not the certificate of an authority: {why}"))?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
        Ok(Self(verifier.map_err(|why| format!("there is no authority in it: {why}"))?))
    }

    /// Whether one of them vouches for it now: the chain is right, has not expired, and is for clients.
    pub fn vouch_for(&self, certificate: &PeerCertificate, now: Timestamp) -> bool {
        let since = Duration::from_secs(now.secs().try_into().unwrap_or(0));
        let (own, others) = (certificate.own(), &certificate.chain[1..]);
        self.0.verify_client_cert(own, others, UnixTime::since_unix_epoch(since)).is_ok()
    }
}
