//! What Django's `dumpdata` writes: a list of rows of all tables.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Person, full_name, groups};

#[derive(Deserialize)]
struct Row {
    model: String,
    #[serde(default)]
    pk: Value,
    fields: Map<String, Value>,
}

pub fn read(text: &[u8], model: &str) -> anyhow::Result<Vec<Person>> {
    let rows: Vec<Row> = serde_json::from_slice(text).context("it is not what dumpdata writes")?;
    let text_of = |row: &Row, field: &str| row.fields.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
    let of_groups = rows.iter().filter(|row| row.model == "auth.group");
    let names: HashMap<String, String> = of_groups.map(|row| (row.pk.to_string(), text_of(row, "name"))).collect();
    let mut people = Vec::new();
    for row in rows.iter().filter(|row| row.model.eq_ignore_ascii_case(model)) {
        let mut claims = Map::new();
        full_name(&mut claims, &text_of(row, "first_name"), &text_of(row, "last_name"));
        let member_of = row.fields.get("groups").and_then(Value::as_array).into_iter().flatten();
        // With natural keys a group is a list of its name.
        let name = |group: &Value| match group {
            Value::Array(key) => key.first().and_then(Value::as_str).map(str::to_owned),
            key => names.get(&key.to_string()).cloned(),
        };
        claims.extend(groups(member_of.filter_map(name)));
        people.push(Person {
            place: format!("{model} {}", row.pk),
            username: text_of(row, "username"),
            email: Some(text_of(row, "email")).filter(|email| !email.is_empty()),
            // Django does not say whether it ever wrote to it.
            email_verified: false,
            claims,
            password: text_of(row, "password"),
            is_disabled: row.fields.get("is_active").and_then(Value::as_bool) == Some(false),
        });
    }
    if people.is_empty() {
        let mut models: Vec<&str> = rows.iter().map(|row| row.model.as_str()).collect();
        models.sort_unstable();
        models.dedup();
        bail!("there is no row of {model} in it, only of {}: name the right one with --model", models.join(", "));
    }
    Ok(people)
}
