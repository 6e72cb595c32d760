//! A table with a header.

use anyhow::{Context as _, bail};
use serde_json::Map;

use super::{Person, full_name, groups};

/// What a column may be called.
const COLUMNS: [&str; 9] =
    ["username", "email", "email_verified", "name", "given_name", "family_name", "password", "groups", "active"];

pub fn read(text: &[u8]) -> anyhow::Result<Vec<Person>> {
    let mut table = csv::Reader::from_reader(text);
    let header = table.headers().context("it has no header")?.clone();
    if let Some(unknown) = header.iter().find(|column| !COLUMNS.contains(column)) {
        bail!("there is no use for a column {unknown:?}: they are called {}", COLUMNS.join(", "));
    }
    if !header.iter().any(|column| column == "username" || column == "email") {
        bail!("it needs a column username, or email");
    }
    let mut people = Vec::new();
    for record in table.records() {
        let record = record.context("a line cannot be read")?;
        let line = record.position().map_or(0, csv::Position::line);
        let get = |column: &str| {
            let at = header.iter().position(|own| own == column);
            at.and_then(|at| record.get(at)).unwrap_or_default().to_owned()
        };
        let yes = |column: &str, default: bool| match get(column).to_ascii_lowercase().as_str() {
            "" => Ok(default),
            "true" | "yes" | "1" => Ok(true),
            "false" | "no" | "0" => Ok(false),
            other => bail!("line {line}: {column} is {other:?}, which is neither true nor false"),
        };
        let mut claims = Map::new();
        if !get("name").is_empty() {
            claims.insert("name".to_owned(), get("name").into());
        }
        full_name(&mut claims, &get("given_name"), &get("family_name"));
        claims.extend(groups(get("groups").split(';').map(|name| name.trim().to_owned())));
        people.push(Person {
            place: format!("line {line}"),
            username: get("username"),
            email: Some(get("email")).filter(|email| !email.is_empty()),
            email_verified: yes("email_verified", false)?,
            claims,
            password: get("password"),
            is_disabled: !yes("active", true)?,
        });
    }
    Ok(people)
}
