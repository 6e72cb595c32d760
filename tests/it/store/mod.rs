//! The store on both databases: its statements, its schema, its transitions, and what it does when it is taken away.

mod batches;
mod cleanup;
mod crash;
mod feed;
mod feed_log;
mod following;
mod groups;
mod identities;
mod kept;
mod links;
mod outage;
mod passkeys;
mod processes;
mod remembered;
mod schema;
mod second_factors;
mod statements;
pub mod transitions;
