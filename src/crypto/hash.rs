//! Digests, and comparison in constant time.

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq;

use crate::types::Algorithm;

/// A SHA-256 digest: how the database knows codes and client secrets.
pub type Digest = [u8; 32];

pub fn sha256(bytes: &[u8]) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, bytes).as_ref());
    out
}

/// SHA-256 as base64url without padding: 43 characters.
pub fn sha256_base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(sha256(bytes))
}

/// Whether both are the same, in a time that depends on their lengths alone.
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// `at_hash` or `c_hash`: the left half of the digest that the ID token's `alg` uses (OIDC Core §3.1.3.6, §3.3.2.11).
pub fn half_hash_base64url(alg: Algorithm, text: &str) -> String {
    let fitting = match alg {
        Algorithm::Es256 | Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Hs256 => &digest::SHA256,
        Algorithm::Es384 => &digest::SHA384,
        // Ed25519 hashes with SHA-512 inside (RFC 8032 §5.1).
        Algorithm::EdDsa => &digest::SHA512,
    };
    let digest = digest::digest(fitting, text.as_bytes());
    URL_SAFE_NO_PAD.encode(&digest.as_ref()[..fitting.output_len() / 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sha256_gives_the_digest_of_fips_180() {
        // FIPS 180-4, the example "abc".
        assert_eq!(sha256_base64url(b"abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
        // RFC 7636 §B: an S256 code challenge is the same function.
        assert_eq!(
            sha256_base64url(b"dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn only_the_same_bytes_are_equal() {
        assert!(equal(b"", b""));
        assert!(equal(b"same", b"same"));
        for other in [b"sama".as_slice(), b"same ", b"sam", b""] {
            assert!(!equal(b"same", other));
        }
    }

    #[test]
    fn at_hash_and_c_hash_are_those_of_openid_connect() {
        // OIDC Core §A.4 and §A.6, signed with RS256.
        for (text, hash) in [
            ("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y", "77QmUPtjPfzWtF2AnpK9RQ"),
            ("Qcb0Orv1zh30vL1MPRsbm-diHiMwcLyZvn1arpZv-Jxf_11jnpEX3Tgfvk", "LDktKdoQak3Pk0cnXxCltA"),
        ] {
            assert_eq!(half_hash_base64url(Algorithm::Rs256, text), hash);
        }
    }

    #[test]
    fn the_half_is_half_of_the_digest_that_fits_the_algorithm() {
        for (alg, bytes) in [
            (Algorithm::Es256, 16),
            (Algorithm::Ps256, 16),
            (Algorithm::Hs256, 16),
            (Algorithm::Es384, 24),
            (Algorithm::EdDsa, 32),
        ] {
            assert_eq!(URL_SAFE_NO_PAD.decode(half_hash_base64url(alg, "x")).unwrap().len(), bytes, "{alg}");
        }
    }
}
