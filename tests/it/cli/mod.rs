//! The command line, as people and scripts use it: the real binary, what it prints and what it leaves behind.

mod authorization_types;
mod clients;
mod conformance;
mod doctor;
mod groups;
mod import;
mod keys;
mod live;
mod mail;
pub mod place;
mod refusals;
mod registration;
mod resources;
mod tokens;
mod users;
