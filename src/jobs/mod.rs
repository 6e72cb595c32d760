//! What runs beside the requests.

pub mod cleanup;
pub mod feed;
pub mod key_rotation;
pub mod outbox;
