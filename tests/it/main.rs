//! The integration tests: one binary, so that they link once and share one PostgreSQL cluster.

mod browser;
mod cli;
mod oauth;
mod support;
mod web;
