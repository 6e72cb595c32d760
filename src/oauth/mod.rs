//! The protocol. Knows no HTTP framework: values in, values or errors out.
//!
//! | specification | file |
//! |---|---|
//! | OAuth 2.1 §4.1.1, OpenID Connect Core §3.1.2 (authorization endpoint) | `authorize/` |
//! | OAuth 2.1 §3.2 (token endpoint) | `token` |
//! | OAuth 2.1 §4.1.3, RFC 7636 (authorization code) | `grants/authorization_code` |
//! | OAuth 2.1 §4.2 (client credentials) | `grants/client_credentials` |
//! | RFC 8628 (device authorization) | `device`, `grants/device_code` |
//! | OAuth 2.1 §4.3, RFC 9700 §4.14 (refresh) | `grants/refresh_token` |
//! | OAuth 2.1 §2.4 (client authentication) | `client_auth/` |
//! | RFC 7523, RFC 10070, OpenID Connect Core §9 (client assertions) | `client_auth/assertion`, `client_secret`, `replay` |
//! | RFC 7591 §2 `jwks`, `jwks_uri` (keys of clients) | `client_keys` |
//! | RFC 9068 (access tokens) | `issue/access_token`, `verified` |
//! | OpenID Connect Core §2 (ID tokens) | `issue/id_token` |
//! | RFC 9449 (DPoP) | `dpop`, `sender` |
//! | RFC 8705 §3 (tokens that are bound to certificates) | `sender` |
//! | RFC 8707 (resource indicators) | `resource` |
//! | RFC 9396 (rich authorization requests) | `details` |
//! | RFC 9101 (request objects) | `authorize/object`, `authorize/refer` |
//! | OpenID Connect Core §5.5 (`claims`) | `authorize/claims`, `issue/` |
//! | RFC 9126 (pushed authorization requests) | `par`, `authorize/refer` |
//! | JARM (signed authorization responses) | `authorize/response` |
//! | FAPI 2.0, RFC 9700 (what clients are held to) | `profile/` |
//! | RFC 7662 (introspection), RFC 9701 (its answers in a JWT) | `introspect` |
//! | RFC 7009 (revocation) | `revoke` |
//! | OpenID Connect Core §5.3 (UserInfo) | `userinfo` |
//! | RFC 8414, OpenID Connect Discovery (metadata), RFC 7517 (JWKS) | `metadata`, `keys` |
//! | OpenID Connect Core §10.1.1 (rotation of signing keys) | `key_life` |
//! | OpenID Connect Core §8 (subjects) | `subjects` |
//! | RFC 7591, RFC 7592, OpenID Connect Dynamic Client Registration | `register/` |
//! | OAuth Client ID Metadata Document | `client_documents` |
//! | OpenID Connect Relying Party Metadata Choices | `register/choices` |
//! | OpenID Connect Core §10.2 (encryption), RFC 7516 | `encryption` |
//! | OpenID Connect RP-Initiated Logout | `logout/` |
//! | OpenID Connect Back-Channel Logout, Front-Channel Logout | `logout/back_channel`, `logout/front_channel` |

pub mod api_token;
pub mod authorize;
pub mod client_auth;
pub mod client_documents;
pub mod client_keys;
pub mod client_secret;
pub mod details;
pub mod device;
pub mod dpop;
pub mod encryption;
pub mod engine;
pub mod error;
pub mod grants;
pub mod hint;
pub mod introspect;
pub mod issue;
pub mod key_life;
pub mod keys;
pub mod logout;
pub mod metadata;
pub mod par;
pub mod profile;
pub mod register;
pub mod replay;
pub mod resource;
pub mod revoke;
pub mod scope;
pub mod sender;
pub mod signed_url;
pub mod subjects;
pub mod token;
pub mod userinfo;
mod verified;

use std::sync::Arc;

pub use client_documents::ClientDocuments;
pub use client_keys::ClientKeys;
pub use error::{Error, ErrorCode, OAuthError};
pub use key_life::{Begin, Keeper};
pub use keys::{KeySet, Keys};
pub use register::Registrar;
pub use subjects::Subjects;

use crate::config::Config;
use crate::crypto::random::Random;
use crate::store::Store;
use crate::types::Timestamp;

/// Seconds by which the clock of a client, or of another node, may be ahead of ours. FAPI 2.0 §5.3.2.1: 10 must be
/// accepted, and 60 must not.
const CLOCK_SKEW: i64 = 30;

/// What every step may use: one instant and one snapshot of the keys a request. Closed: what a single endpoint
/// needs besides is that endpoint's argument.
pub struct Context {
    pub config: Arc<Config>,
    pub store: Store,
    pub keys: Arc<KeySet>,
    pub client_keys: Arc<ClientKeys>,
    pub client_documents: Arc<ClientDocuments>,
    pub subjects: Arc<Subjects>,
    pub rng: Arc<dyn Random>,
    pub now: Timestamp,
}

impl Context {
    pub fn issuer(&self) -> &str {
        self.config.server.issuer.as_str()
    }
}
