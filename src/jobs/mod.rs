//! What runs beside the requests.

pub mod cleanup;
pub mod feed;
pub mod outbox;
