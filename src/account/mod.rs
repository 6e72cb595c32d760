//! People and what they have here.

pub mod names;
pub mod password;
