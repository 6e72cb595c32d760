//! Grantor: an OAuth 2.1 authorization server and OpenID Provider.
//!
//! Imports go downwards only (a test holds it):
//! `types` <- {`config`, `crypto`, `outgoing`, `store`} <- {`oauth`, `account`} <- {`web`, `jobs`} <- `app` <- `cli`.
//! `telemetry` stands above `config` alone. `demo` is a stranger: a relying party that `cli` starts.
//! `docs/architecture.md` is the map.

#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::dbg_macro, clippy::todo, clippy::unimplemented)]

pub mod account;
pub mod app;
pub mod cli;
pub mod config;
pub mod crypto;
pub mod demo;
pub mod jobs;
pub mod oauth;
pub mod outgoing;
pub mod store;
pub mod telemetry;
pub mod types;
pub mod web;
