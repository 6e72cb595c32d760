//! `[groups."id"]`: which groups a client, or a resource, is told of.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::section::{Found, Section};

/// By the ids of clients and the URIs of resources; who does not stand here is told of all.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct Groups(pub BTreeMap<String, ToldGroups>);

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToldGroups {
    /// How the names begin that it is told of; with none of these it is told of no group.
    pub prefixes: Vec<String>,
}

impl Groups {
    /// Whether all of them may be told that somebody is in a group.
    pub fn may_be_told<'a>(&self, readers: impl IntoIterator<Item = &'a str>, group: &str) -> bool {
        let may = |told: &ToldGroups| told.prefixes.iter().any(|prefix| group.starts_with(prefix.as_str()));
        readers.into_iter().filter_map(|reader| self.0.get(reader)).all(may)
    }
}

impl Section for Groups {
    fn check(&self, found: &mut Found) {
        for (name, told) in &self.0 {
            if told.prefixes.iter().any(String::is_empty) {
                found.refuse(name, "prefixes has an empty one: whoever is told of all groups needs no section");
            }
        }
    }
}
