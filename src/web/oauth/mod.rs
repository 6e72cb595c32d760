//! The endpoints of the protocol: parameters in, answers out.

pub mod authorize;
pub mod device_authorization;
pub mod introspect;
pub mod logout;
pub mod metadata;
pub mod par;
pub mod register;
pub mod revoke;
pub mod signed_url;
pub mod token;
pub mod userinfo;
