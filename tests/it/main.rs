//! The integration tests: one binary, so that they link once and share one PostgreSQL cluster.

mod browser;
mod cli;
mod layering;
mod oauth;
mod outgoing;
mod store;
mod support;
mod web;
