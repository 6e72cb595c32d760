//! The integration tests: one binary, so that they link once and share one PostgreSQL cluster.

mod cli;
mod layering;
mod oauth;
mod store;
mod support;
