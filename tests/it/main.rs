//! The integration tests: one binary, so that they link once and share one PostgreSQL cluster.

mod oauth;
mod support;
