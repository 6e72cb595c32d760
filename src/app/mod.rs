//! The wiring: configuration in, a running server out.

pub mod data;
