//! All cryptography of the probe, by the engine of the product. Another with the same interface is measured by changing the
//! next line.

use aws_lc_rs as engine;

use anyhow::{Context as _, anyhow};
use engine::digest;
use engine::hmac;
use engine::rand::{SecureRandom as _, SystemRandom};
use engine::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};

pub struct Keys {
    es256: EcdsaKeyPair,
    hs256: hmac::Key,
    rng: SystemRandom,
}

impl Keys {
    pub fn generate() -> anyhow::Result<Self> {
        let rng = SystemRandom::new();
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &rng);
        let pkcs8 = pkcs8.map_err(|_| anyhow!("no key could be made"))?;
        let es256 = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref());
        let es256 = es256.map_err(|why| anyhow!("{why}"))?;
        let hs256 = hmac::Key::generate(hmac::HMAC_SHA256, &rng).map_err(|_| anyhow!("no secret could be made"))?;
        Ok(Self { es256, hs256, rng })
    }

    pub fn sign(&self, message: &[u8]) -> anyhow::Result<impl AsRef<[u8]> + use<>> {
        self.es256.sign(&self.rng, message).ok().context("signing failed")
    }

    pub fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, self.public()).verify(message, signature).is_ok()
    }

    pub fn mac(&self, message: &[u8]) -> impl AsRef<[u8]> + use<> {
        hmac::sign(&self.hs256, message)
    }

    pub fn verify_mac(&self, message: &[u8], tag: &[u8]) -> bool {
        hmac::verify(&self.hs256, message, tag).is_ok()
    }

    /// The point, uncompressed: 04, then x and y of 32 bytes.
    pub fn public(&self) -> &[u8] {
        self.es256.public_key().as_ref()
    }

    pub fn random<const N: usize>(&self) -> anyhow::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.rng.fill(&mut bytes).ok().context("no random bytes")?;
        Ok(bytes)
    }
}

pub fn sha256(message: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, message).as_ref().to_vec()
}
