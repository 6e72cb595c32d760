//! What is kept of a client's secret: its hash, or, where a MAC is made with it, the secret itself, sealed.

use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use crate::crypto::{KeyRing, Random, sha256};
use crate::types::{Client, ClientId, Fault, SecretForm};

/// RFC 7518 §3.2: a key of HS256 is at least as long as its hash.
const LEAST_OF_A_MAC: usize = 32;

/// Keeps a secret as the client's method needs it, in the place of whatever was kept.
///
/// # Errors
/// In words, when it is too short for the method, or would be sealed and there is no ring.
pub fn keep(
    client: &mut Client,
    secret: &SecretString,
    ring: Option<&KeyRing>,
    rng: &dyn Random,
) -> Result<(), String> {
    let bytes = secret.expose_secret().as_bytes();
    (client.secret_hash, client.secret_sealed) = match client.metadata.token_endpoint_auth_method.secret() {
        SecretForm::None => (None, None),
        SecretForm::Hashed => (Some(sha256(bytes)), None),
        SecretForm::Sealed if bytes.len() < LEAST_OF_A_MAC => {
            return Err(format!("a secret for client_secret_jwt has at least {LEAST_OF_A_MAC} bytes"));
        }
        SecretForm::Sealed => {
            let ring = ring.ok_or("a secret for client_secret_jwt is sealed by the servers' key ring")?;
            (None, Some(ring.seal(rng, &seal_context(&client.id), bytes)))
        }
    };
    Ok(())
}

/// Whether the client has the secret that its method needs, and no other; or it must get a new one.
pub fn is_kept(client: &Client) -> bool {
    let kept = (client.secret_hash.is_some(), client.secret_sealed.is_some());
    kept == match client.metadata.token_endpoint_auth_method.secret() {
        SecretForm::None => (false, false),
        SecretForm::Hashed => (true, false),
        SecretForm::Sealed => (false, true),
    }
}

/// The secret of a client that has it sealed.
///
/// # Errors
/// When it cannot be opened with this ring, which is never the client's doing.
pub(super) fn open(client: &Client, ring: &KeyRing) -> Result<Option<Zeroizing<Vec<u8>>>, Fault> {
    let Some(sealed) = &client.secret_sealed else { return Ok(None) };
    let opened = ring.open(&seal_context(&client.id), sealed);
    opened.map(Some).map_err(|why| Fault::internal(why).context(format!("the secret of client {}", client.id)))
}

/// So that one client's secret cannot be put in the place of another's.
fn seal_context(id: &ClientId) -> String {
    format!("clients:secret:{id}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SystemRandom;
    use crate::types::{AuthMethod, ClientMetadata, Timestamp};

    fn client(id: &str, method: AuthMethod) -> Client {
        let metadata = ClientMetadata { token_endpoint_auth_method: method, ..ClientMetadata::default() };
        let now = Timestamp::from_secs(0);
        let (created_at, updated_at, id) = (now, now, id.parse().unwrap());
        Client {
            id,
            secret_hash: None,
            secret_sealed: None,
            metadata,
            created_at,
            updated_at,
            disabled_at: None,
            registration: None,
        }
    }

    #[test]
    fn a_secret_is_kept_as_its_method_needs_it() {
        let rng = SystemRandom::new();
        let ring = KeyRing::parse(&KeyRing::generate(&rng)).unwrap();
        let secret: SecretString = "0123456789abcdef0123456789abcdef".into();
        for (method, hashed, sealed) in [
            (AuthMethod::ClientSecretBasic, true, false),
            (AuthMethod::ClientSecretPost, true, false),
            (AuthMethod::ClientSecretJwt, false, true),
            (AuthMethod::PrivateKeyJwt, false, false),
            (AuthMethod::None, false, false),
        ] {
            let mut client = client("web", method);
            assert_eq!(is_kept(&client), !(hashed || sealed), "{method}");
            keep(&mut client, &secret, sealed.then_some(&ring), &rng).unwrap();
            assert_eq!((client.secret_hash.is_some(), client.secret_sealed.is_some()), (hashed, sealed), "{method}");
            assert!(is_kept(&client));
            let opened = open(&client, &ring).unwrap();
            assert_eq!(opened.map(|secret| secret.to_vec()), sealed.then(|| secret.expose_secret().into()));
        }
    }

    #[test]
    fn a_sealed_secret_is_that_of_one_client_and_long_enough() {
        let rng = SystemRandom::new();
        let ring = KeyRing::parse(&KeyRing::generate(&rng)).unwrap();
        let mut own = client("web", AuthMethod::ClientSecretJwt);
        assert!(keep(&mut own, &"0123456789abcdef0123456789abcdef".into(), None, &rng).is_err());
        assert!(keep(&mut own, &"short".into(), Some(&ring), &rng).is_err());
        keep(&mut own, &"0123456789abcdef0123456789abcdef".into(), Some(&ring), &rng).unwrap();
        let other = Client { secret_sealed: own.secret_sealed.clone(), ..client("other", AuthMethod::ClientSecretJwt) };
        assert!(open(&own, &ring).is_ok() && open(&other, &ring).is_err());
    }
}
