//! The store on both databases: its statements, its schema, its transitions, and what it does when it is taken away.

mod batches;
mod cleanup;
mod feed;
mod feed_log;
mod outage;
mod remembered;
mod schema;
mod statements;
mod transitions;
