//! https by the server itself: which protocols are spoken, and what is asked of clients.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, anyhow};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::version::{TLS12, TLS13};
use rustls::{CipherSuite, DigitallySignedStruct, DistinguishedName, Error, ServerConfig, SignatureScheme};

use crate::config::Tls;
use crate::config::tls::ClientCertificates;

/// What TLS 1.2 is left with (FAPI 2.0 §5.2.2, BCP 195): ephemeral keys, and AES-GCM. All of TLS 1.3 is good.
const GOOD_OF_TLS12: [CipherSuite; 4] = [
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
    CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
];

/// The server's side of the handshake; `None` without TLS.
///
/// # Errors
/// When the certificate or its key cannot be used.
pub fn config(tls: &Tls) -> anyhow::Result<Option<ServerConfig>> {
    let Some((cert, key)) = tls.files() else { return Ok(None) };
    let chain = chain(cert).map_err(|why| anyhow!("tls.cert {}: {why}", cert.display()))?;
    let private = PrivateKeyDer::from_pem_file(key).map_err(|why| match why {
        pem::Error::NoItemsFound => anyhow!("tls.key {}: there is no private key in it", key.display()),
        why => anyhow!("tls.key {}: {why}", key.display()),
    })?;

    let mut provider = rustls::crypto::aws_lc_rs::default_provider();
    let is_good = |suite: CipherSuite| GOOD_OF_TLS12.contains(&suite);
    provider.cipher_suites.retain(|suite| suite.tls13().is_some() || is_good(suite.suite()));
    let algorithms = provider.signature_verification_algorithms;
    let builder = ServerConfig::builder_with_provider(Arc::new(provider) as Arc<CryptoProvider>);
    let builder = builder.with_protocol_versions(&[&TLS13, &TLS12]).map_err(|why| anyhow!("{why}"))?;
    let builder = match tls.client_certificates {
        ClientCertificates::Off => builder.with_no_client_auth(),
        ClientCertificates::Optional => builder.with_client_cert_verifier(Arc::new(AnyCertificate(algorithms))),
    };
    let config = builder.with_single_cert(chain, private);
    let mut config = config.with_context(|| format!("tls.cert {} and tls.key {}", cert.display(), key.display()))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Some(config))
}

fn chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    match chain {
        Ok(chain) if chain.is_empty() => Err("there is no certificate in it".to_owned()),
        Ok(chain) => Ok(chain),
        Err(why) => Err(why.to_string()),
    }
}

/// Lets in whoever shows a certificate and proves to hold its key, and whoever shows none. Whether it is that of a client
/// is for the client's registration to say (`oauth/client_auth/tls.rs`), so no authority is asked here.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ClientCertVerifier for AnyCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
