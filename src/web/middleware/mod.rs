//! What happens around every request.

pub mod cors;
pub mod error_pages;
pub mod headers;
pub mod timeout;
pub mod trace;
