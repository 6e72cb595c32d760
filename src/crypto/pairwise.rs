//! Ids that are another for each sector, and that only who has the secret can lead back.
//!
//! OpenID Connect Core §8.1 asks for no method. One block of AES under a key for each sector needs no table: it is a
//! permutation, so no two users become one, and it runs in both directions.

use aws_lc_rs::cipher::{AES_256, DecryptingKey, DecryptionContext, EncryptingKey, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::hmac;

/// One block: an id.
type Block = [u8; 16];

/// The secret, which must never change.
pub struct Pairwise(hmac::Key);

impl Pairwise {
    pub fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// What an id is in a sector.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn conceal(&self, sector: &str, mut id: Block) -> Result<Block, Unspecified> {
        // A single block of random looks: ECB has nothing to show here.
        EncryptingKey::ecb(self.key(sector)?)?.encrypt(&mut id)?;
        Ok(id)
    }

    /// The id that became this one in a sector.
    ///
    /// # Errors
    /// When the engine fails.
    pub fn reveal(&self, sector: &str, mut id: Block) -> Result<Block, Unspecified> {
        DecryptingKey::ecb(self.key(sector)?)?.decrypt(&mut id, DecryptionContext::None)?;
        Ok(id)
    }

    fn key(&self, sector: &str) -> Result<UnboundCipherKey, Unspecified> {
        UnboundCipherKey::new(&AES_256, hmac::sign(&self.0, sector.as_bytes()).as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_another_in_each_sector_and_leads_back() {
        let (one, other) = (Pairwise::new(&[1; 32]), Pairwise::new(&[2; 32]));
        let id = *b"0123456789abcdef";
        let concealed = one.conceal("a.example", id).unwrap();
        assert_eq!(one.conceal("a.example", id).unwrap(), concealed);
        assert_eq!(one.reveal("a.example", concealed).unwrap(), id);
        assert_ne!(concealed, id);
        assert_ne!(one.conceal("b.example", id).unwrap(), concealed);
        assert_ne!(other.conceal("a.example", id).unwrap(), concealed);
        assert_ne!(one.reveal("b.example", concealed).unwrap(), id);
        assert_ne!(one.conceal("a.example", *b"0123456789abcdeg").unwrap(), concealed);
    }
}
