//! What the tests stand on: databases, a browser, and what keeps them from outliving the run.

pub mod browser;
mod keeper;
pub mod postgres;
