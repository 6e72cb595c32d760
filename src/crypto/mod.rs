//! Cryptography, all of it: aws-lc computes, this room says what with.
//!
//! | File         | What it holds                                                                  |
//! |--------------|--------------------------------------------------------------------------------|
//! | `random`     | where randomness comes from; tokens, secrets, UUIDs                            |
//! | `hash`       | SHA-256, comparison in constant time, `at_hash` and `c_hash`                   |
//! | `seal`       | what lies encrypted in the database: AES-256-GCM under a ring of keys          |
//! | `mac`        | what only who has the secret can compute                                       |
//! | `pairwise`   | ids that are another for each sector, and lead back                            |
//! | `password`   | argon2id, on a few threads of its own and never on more                        |
//! | `foreign`    | hashes of passwords that other programs made                                   |
//! | `threads`    | those few: they come with the work, and go when there is none                |
//! | `keys`       | signing keys, parsed once, and the public halves that verify                   |
//! | `token_type` | what kinds of token we sign: their `typ`, and the algorithms that fit          |
//! | `jwt`        | a JWT from claims, and the claims back if nothing about it is wrong            |
//! | `certificate` | certificates of clients: whom they name, and who vouches for them             |
//! | `jwk`        | public keys of others, parsed strictly                                         |
//! | `jws`        | signed JWTs of others: assertions, request objects, proofs                     |
//! | `jwe`        | what one client alone can read                                                 |
//! | `provider`   | aws-lc for the `jsonwebtoken` crate, which parses headers and verifies         |
//!
//! Time, issuer and audience are not judged here: whoever asks for claims knows what they must be.

pub mod api_token;
pub mod certificate;
pub mod foreign;
pub mod hash;
pub mod jwe;
pub mod jwk;
pub mod jws;
pub mod jwt;
pub mod keys;
mod mac;
pub mod pairwise;
pub mod password;
mod provider;
pub mod random;
pub mod seal;
mod threads;
pub mod token_type;

pub use certificate::{Authorities, PeerCertificate};
pub use hash::{Digest, sha256, sha256_base64url};
pub use jwk::{JwkSet, PublicKey};
pub use jwt::JwtError;
pub use keys::{KeyError, SigningKey, VerifyingKey};
pub use mac::Mac;
pub use pairwise::Pairwise;
pub use password::{Busy, Load, PasswordHashing, Verdict};
pub use provider::install;
pub use random::{Random, SystemRandom};
pub use seal::{KeyRing, OpenError};
pub use token_type::TokenType;
