//! One grant, one file. Grants do not import grants; what they share is in `issue`.

pub mod authorization_code;
pub mod client_credentials;
pub mod device_code;
pub mod refresh_token;
