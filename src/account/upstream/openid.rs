//! Who came back, by an ID token: its signature is always verified (ASVS 6.8.2), then issuer, audience, time and nonce,
//! as OpenID Connect Core §3.1.3.7 has it. The `openidconnect` crate does that.

use std::time::{Duration, UNIX_EPOCH};

use openidconnect::core::{
    CoreIdToken, CoreIdTokenClaims, CoreIdTokenVerifier, CoreJsonWebKeySet, CoreJwsSigningAlgorithm,
};
use openidconnect::{AccessToken, AccessTokenHash, ClaimsVerificationError, ClientId, IssuerUrl, Nonce};
use secrecy::ExposeSecret;
use serde_json::Value;

use super::endpoints::{Endpoints, Tokens};
use super::{Provider, Told, Trouble, Upstreams, refused, short};
use crate::types::Timestamp;

/// What a public key verifies: never `none`, nor a MAC.
const ALGORITHMS: [CoreJwsSigningAlgorithm; 9] = [
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha256,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha384,
    CoreJwsSigningAlgorithm::RsaSsaPkcs1V15Sha512,
    CoreJwsSigningAlgorithm::RsaSsaPssSha256,
    CoreJwsSigningAlgorithm::RsaSsaPssSha384,
    CoreJwsSigningAlgorithm::RsaSsaPssSha512,
    CoreJwsSigningAlgorithm::EcdsaP256Sha256,
    CoreJwsSigningAlgorithm::EcdsaP384Sha384,
    CoreJwsSigningAlgorithm::EdDsa,
];

/// An ID token, and what it must fit.
struct Presented<'a> {
    issuer: &'a str,
    client_id: &'a str,
    token: &'a CoreIdToken,
    access_token: &'a str,
    nonce: Nonce,
    now: Timestamp,
}

impl Upstreams {
    /// What the ID token says, and UserInfo where it says nothing of an address.
    pub(super) async fn by_id_token(
        &self,
        (provider, endpoints): (&Provider, &Endpoints),
        tokens: &Tokens,
        nonce: &str,
        now: Timestamp,
    ) -> Result<Told, Trouble> {
        let token = tokens.id_token.as_ref().ok_or_else(|| refused("there is no ID token in its answer"))?;
        let token: CoreIdToken = token.parse().map_err(|_| refused("its ID token is none"))?;
        let presented = Presented {
            issuer: endpoints.issuer.as_deref().unwrap_or_default(),
            client_id: &provider.settings.client_id,
            token: &token,
            access_token: tokens.access_token.expose_secret(),
            nonce: Nonce::new(nonce.to_owned()),
            now,
        };
        let keys = self.keys.get(&endpoints.keys, now).await?;
        let claims = match presented.verify(&keys) {
            // Keys rotate: those that are remembered may be too old.
            Err(ClaimsVerificationError::SignatureVerification(_)) => {
                let newer = self.keys.newer(&endpoints.keys, &keys, now).await?;
                presented.verify(&newer)
            }
            other => other,
        };
        let claims = claims.map_err(|why| refused(format!("its ID token does not hold: {why}")))?;
        let mut told = told(provider, &claims);
        if let (None, Some(userinfo)) = (&told.email, &endpoints.userinfo) {
            let said = self.ask(userinfo, &tokens.access_token).await?;
            // OpenID Connect Core §5.3.2: "MUST be verified to exactly match the sub Claim in the ID Token".
            if said["sub"].as_str() != Some(told.subject.as_str()) {
                return Err(refused("its UserInfo is somebody else's than its ID token"));
            }
            let text = |name: &str| said[name].as_str().map(str::to_owned);
            told.email = text("email");
            told.email_verified = said["email_verified"] == Value::Bool(true);
            told.name = told.name.or_else(|| text("name"));
        }
        Ok(told)
    }
}

impl Presented<'_> {
    fn verify(&self, keys: &CoreJsonWebKeySet) -> Result<CoreIdTokenClaims, ClaimsVerificationError> {
        let other = |why: String| ClaimsVerificationError::Other(why);
        let issuer = IssuerUrl::new(self.issuer.to_owned()).map_err(|why| other(why.to_string()))?;
        // As of a public client: a token that our own secret signs is none of theirs.
        let verifier =
            CoreIdTokenVerifier::new_public_client(ClientId::new(self.client_id.to_owned()), issuer, keys.clone());
        let seconds = u64::try_from(self.now.secs()).unwrap_or_default();
        let now = UNIX_EPOCH + Duration::from_secs(seconds);
        let verifier = verifier.set_allowed_algs(ALGORITHMS).set_time_fn(move || now.into());
        let claims = self.token.claims(&verifier, &self.nonce)?;
        // §3.1.3.7 (5), which the crate leaves to us.
        if let Some(azp) = claims.authorized_party().filter(|azp| azp.as_str() != self.client_id) {
            return Err(other(format!("azp is {:?}", short(azp))));
        }
        // §3.1.3.8: the access token belongs to the ID token.
        if let Some(expected) = claims.access_token_hash() {
            let algorithm = self.token.signing_alg().map_err(ClaimsVerificationError::SignatureVerification)?;
            let key = self.token.signing_key(&verifier).map_err(ClaimsVerificationError::SignatureVerification)?;
            let token = AccessToken::new(self.access_token.to_owned());
            let actual = AccessTokenHash::from_token(&token, algorithm, key).map_err(|why| other(why.to_string()))?;
            if actual != *expected {
                return Err(other("at_hash is of another access token".to_owned()));
            }
        }
        Ok(claims.clone())
    }
}

fn told(provider: &Provider, claims: &CoreIdTokenClaims) -> Told {
    let settings = &provider.settings;
    // RFC 8176 §2
    let by_amr = claims.auth_method_refs().is_some_and(|methods| methods.iter().any(|method| method.as_str() == "mfa"));
    let acr = claims.auth_context_ref().map(|acr| acr.as_str());
    let by_acr = acr.is_some_and(|acr| settings.two_factor_acr.iter().any(|known| known == acr));
    Told {
        subject: claims.subject().to_string(),
        email: claims.email().map(|email| email.as_str().to_owned()),
        email_verified: claims.email_verified() == Some(true),
        name: claims.name().and_then(|name| name.get(None)).map(|name| name.as_str().to_owned()),
        at: claims.auth_time().map(|at| Timestamp::from_secs(at.timestamp())),
        // ASVS 6.8.4
        several: settings.trust_amr && (by_amr || by_acr),
    }
}
