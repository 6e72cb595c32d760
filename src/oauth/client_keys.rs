//! The public keys of clients (RFC 7591 §2 `jwks`, `jwks_uri`), and what they signed.

use std::sync::Arc;
use std::time::Duration;

use moka::sync::Cache;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::Value;
use zeroize::Zeroizing;

use super::client_secret;
use crate::crypto::jwk::JwkError;
use crate::crypto::jws::{JwsError, Unverified};
use crate::crypto::{Authorities, JwkSet, KeyRing, PeerCertificate, PublicKey, Random, certificate, hash};
use crate::outgoing::{Documents, Kind, Outgoing, OutgoingError};
use crate::types::{Client, ClientId, ClientMetadata, Fault, KeyEncryption, Timestamp};

/// Why a client's signature does not count: words for its developer, but for `Fetch`, which goes to our log alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientKeysError {
    #[error("the client has no keys: register jwks or jwks_uri")]
    None,
    #[error("the client's registered jwks cannot be used: {0}")]
    Registered(#[from] JwkError),
    #[error("the keys at the client's jwks_uri cannot be fetched or read")]
    Fetch(#[from] OutgoingError),
    #[error("{0}")]
    Jws(#[from] JwsError),
    #[error("no key of the client is for {0}: it needs one with the use enc")]
    NotFor(KeyEncryption),
}

/// Sets that are remembered; who comes besides has its own parsed each time.
const MOST_REGISTERED: u64 = 10_000;

/// The keys of all clients; those that clients publish themselves are remembered for a while.
pub struct ClientKeys {
    published: Documents<JwkSet>,
    /// Sets that are registered, each parsed once, beside what it was parsed from.
    registered: Cache<ClientId, Arc<(Value, Arc<JwkSet>)>>,
    ring: Arc<KeyRing>,
    authorities: Option<Authorities>,
}

impl ClientKeys {
    /// `life` is how long a published set is believed; the ring opens secrets that are sealed; the authorities vouch for
    /// certificates.
    pub fn new(outgoing: Outgoing, life: Duration, ring: Arc<KeyRing>, authorities: Option<Authorities>) -> Self {
        // Many servers do not know the type of a JWK Set (RFC 7517 §8.5).
        let kind = Kind { media_types: &[], life, read: |body| JwkSet::published(body).map_err(|why| why.to_string()) };
        Self { published: Documents::new(outgoing, kind), registered: Cache::new(MOST_REGISTERED), ring, authorities }
    }

    /// The keys of a client: registered, or fetched if they must be.
    ///
    /// # Errors
    /// When it has none, or they cannot be had.
    pub async fn of(&self, client: &Client, now: Timestamp) -> Result<Arc<JwkSet>, ClientKeysError> {
        match (&client.metadata.jwks, &client.metadata.jwks_uri) {
            (Some(jwks), _) => Ok(self.registered(&client.id, jwks)?),
            (None, Some(uri)) => Ok(self.published.get(uri, now).await?),
            (None, None) => Err(ClientKeysError::None),
        }
    }

    fn registered(&self, id: &ClientId, jwks: &Value) -> Result<Arc<JwkSet>, JwkError> {
        // Whatever changed it, on whichever node: what was parsed is compared, which costs less than to parse it.
        if let Some(known) = self.registered.get(id).filter(|known| known.0 == *jwks) {
            return Ok(known.1.clone());
        }
        let keys = Arc::new(JwkSet::from_value(jwks)?);
        self.registered.insert(id.clone(), Arc::new((jwks.clone(), keys.clone())));
        Ok(keys)
    }

    /// The key that something is encrypted to. As in `verify`, it is looked for in a newer set too.
    ///
    /// # Errors
    /// When there is none, or the keys cannot be had.
    pub async fn encrypting(
        &self,
        client: &Client,
        algorithm: KeyEncryption,
        now: Timestamp,
    ) -> Result<PublicKey, ClientKeysError> {
        let keys = self.of(client, now).await?;
        let keys = match &client.metadata.jwks_uri {
            Some(uri) if keys.encrypting(algorithm).is_none() => self.published.newer(uri, &keys, now).await?,
            _ => keys,
        };
        keys.encrypting(algorithm).cloned().ok_or(ClientKeysError::NotFor(algorithm))
    }

    /// Whether an authority that is configured vouches for a certificate.
    pub fn vouch_for(&self, certificate: &PeerCertificate, now: Timestamp) -> bool {
        self.authorities.as_ref().is_some_and(|authorities| authorities.vouch_for(certificate, now))
    }

    /// Whether a key, as a certificate has it, is the client's. As `verify`, it is looked for in a newer set too.
    ///
    /// # Errors
    /// When the keys cannot be had.
    pub async fn has(&self, client: &Client, key: &[u8], now: Timestamp) -> Result<bool, ClientKeysError> {
        let is_in = |set: &JwkSet| {
            set.keys().iter().any(|own| own.is_for("sig", "verify") && own.material().subject_public_key() == key)
        };
        let keys = self.of(client, now).await?;
        match &client.metadata.jwks_uri {
            Some(uri) if !is_in(&keys) => Ok(is_in(&*self.published.newer(uri, &keys, now).await?)),
            _ => Ok(is_in(&keys)),
        }
    }

    /// The secret of a client that makes a MAC with it.
    ///
    /// # Errors
    /// When it is sealed under a key that this node does not have.
    pub fn secret(&self, client: &Client) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
        client_secret::open(client, &self.ring)
    }

    /// Keeps a secret that was made for a client.
    ///
    /// # Errors
    /// In words, when it is too short for the client's method.
    pub fn keep_secret(&self, client: &mut Client, secret: &SecretString, rng: &dyn Random) -> Result<(), String> {
        client_secret::keep(client, secret, Some(&self.ring), rng)
    }

    /// Whether it is the secret of the client, however that is kept.
    ///
    /// # Errors
    /// When it is sealed under a key that this node does not have.
    pub fn is_secret(&self, client: &Client, shown: &str) -> Result<bool, Fault> {
        if let Some(stored) = &client.secret_hash {
            return Ok(hash::equal(stored, &hash::sha256(shown.as_bytes())));
        }
        Ok(self.secret(client)?.is_some_and(|secret| hash::equal(&secret, shown.as_bytes())))
    }

    /// The claims of a JWT, if this client signed it. A key that its set does not have may be newer than the set, so that
    /// is fetched again: once, and not again soon, whoever asks.
    ///
    /// # Errors
    /// When no key of the client made the signature, or the keys cannot be had.
    pub async fn verify<C: DeserializeOwned>(
        &self,
        client: &Client,
        token: &Unverified<'_>,
        now: Timestamp,
    ) -> Result<C, ClientKeysError> {
        let keys = self.of(client, now).await?;
        match (token.verify(keys.keys()), &client.metadata.jwks_uri) {
            (Err(JwsError::UnknownKey), Some(uri)) => {
                let newer = self.published.newer(uri, &keys, now).await?;
                Ok(token.verify(newer.keys())?)
            }
            (verified, _) => Ok(verified?),
        }
    }
}

/// Whether the keys that a client registers can be used.
///
/// # Errors
/// In words, when they cannot.
pub fn check(metadata: &ClientMetadata) -> Result<(), String> {
    if metadata.tls_client_auth_subject_dn.as_deref().is_some_and(|name| !certificate::is_distinguished_name(name)) {
        return Err(
            "tls_client_auth_subject_dn must be as RFC 4514 writes it, such as CN=web,O=Example,C=NL".to_owned()
        );
    }
    let Some(jwks) = &metadata.jwks else { return Ok(()) };
    let keys = JwkSet::from_value(jwks).map_err(|why| format!("jwks: {why}"))?;
    if keys.keys().is_empty() {
        return Err("jwks: it has no key of a type that is known here: RSA, P-256, P-384 or Ed25519".to_owned());
    }
    if let Some(algorithm) = metadata.protection.key_encryptions().find(|own| keys.encrypting(*own).is_none()) {
        return Err(format!("jwks: {}", ClientKeysError::NotFor(algorithm)));
    }
    Ok(())
}
