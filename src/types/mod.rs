//! Pure values: what the rest of the program speaks in. No I/O, no clock, no randomness of their own.

pub mod authentication;
pub mod client;
pub mod clock;
pub mod fault;
pub mod grant_type;
pub mod hint;
pub mod id;
pub mod json;
pub mod key;
pub mod network;
pub mod params;
pub mod pkce;
pub mod redirect_uri;
pub mod response_mode;
pub mod scope;
pub mod session;
pub mod user;

pub use authentication::Authentication;
pub use client::{AuthMethod, Client, ClientMetadata, PkcePolicy, SecretForm};
pub use clock::{Clock, NumericDate, SystemClock, Timestamp};
pub use fault::Fault;
pub use grant_type::GrantType;
pub use hint::Hint;
pub use id::{ClientId, GrantId, RequestId, SessionId, TokenId, UserId};
pub use key::{Algorithm, SealedKey};
pub use network::Network;
pub use params::Params;
pub use pkce::{CodeChallenge, CodeVerifier};
pub use redirect_uri::RedirectUri;
pub use response_mode::ResponseMode;
pub use scope::Scope;
pub use session::Session;
pub use user::User;
