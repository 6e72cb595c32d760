//! Groups of people.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A row of `user_groups`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    pub name: GroupName,
    pub description: Option<String>,
    /// What its members may act as.
    pub roles: Vec<String>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// The name of a group: what stands in tokens. Case counts, and there is no comma in it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct GroupName(String);

/// The longest name, in characters.
const LONGEST: usize = 128;

impl GroupName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for GroupName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |c: char| !c.is_control() && c != ',';
        if text.is_empty() || text.trim() != text || text.chars().count() > LONGEST || !text.chars().all(fits) {
            return Err(format!(
                "the name of a group has 1 to {LONGEST} characters, without commas, control characters and spaces at its ends"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for GroupName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<GroupName> for String {
    fn from(name: GroupName) -> Self {
        name.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What somebody is by the groups that they are in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Memberships {
    pub groups: Vec<String>,
    /// The roles of these groups.
    pub roles: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_group_is_one_word_of_a_list() {
        for good in ["staff", "Team Ω", "/org/admins", &"x".repeat(LONGEST)] {
            assert_eq!(good.parse::<GroupName>().map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", " staff", "staff ", "a,b", "a\nb", "a\0", &"x".repeat(LONGEST + 1)] {
            assert!(bad.parse::<GroupName>().is_err(), "{bad:?}");
        }
    }
}
