//! What an application asks for in particular (RFC 9396), said to a person: in the words of its type, and then all of it.

use serde_json::Value;

use crate::oauth::Context;
use crate::types::authorization_type::Part;
use crate::types::text::visible;
use crate::types::{AuthorizationDetails, AuthorizationType, AuthorizationTypes, Detail, Fault};

/// One thing that is asked for.
pub struct DetailView {
    pub title: Vec<Phrase>,
    pub members: Vec<Member>,
}

/// A part of a sentence.
#[derive(Debug, PartialEq, Eq)]
pub struct Phrase {
    pub text: String,
    /// It comes from the application.
    pub is_value: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    pub value: String,
}

/// In a sentence; beneath it, a value stands whole.
const LONGEST: usize = 80;

/// # Errors
/// When the database is away.
pub async fn shown(cx: &Context, details: &AuthorizationDetails) -> Result<Vec<DetailView>, Fault> {
    if details.is_empty() {
        return Ok(Vec::new());
    }
    let types = cx.store.authorization_types().await?;
    Ok(details.iter().map(|detail| view(detail, types.get(detail.kind()))).collect())
}

/// The words alone, where there is no room for all of it.
pub fn sentence(detail: &Detail, types: &AuthorizationTypes) -> String {
    let quoted = |phrase: Phrase| if phrase.is_value { format!("“{}”", phrase.text) } else { phrase.text };
    title(detail, types.get(detail.kind())).into_iter().map(quoted).collect()
}

fn view(detail: &Detail, kind: Option<&AuthorizationType>) -> DetailView {
    let mut members = Vec::new();
    for (name, value) in detail.members() {
        list(visible(name), value, &mut members);
    }
    DetailView { title: title(detail, kind), members }
}

fn title(detail: &Detail, kind: Option<&AuthorizationType>) -> Vec<Phrase> {
    let words = |text: &str| Phrase { text: text.to_owned(), is_value: false };
    let Some(kind) = kind else { return vec![words("Use "), Phrase { text: visible(detail.kind()), is_value: true }] };
    let phrase = |part| match part {
        Part::Words(text) => words(text),
        Part::Place(path) => match detail.at(path) {
            Some(value) => Phrase { text: short(&in_words(value)), is_value: true },
            None => words("(not said)"),
        },
    };
    kind.description.parts().into_iter().map(phrase).collect()
}

fn short(text: &str) -> String {
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST - 1).chain(['…']).collect()
}

/// A value on one line.
fn in_words(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => visible(text),
        Value::Array(values) if values.is_empty() => "none".to_owned(),
        Value::Array(values) => values.iter().map(in_words).collect::<Vec<_>>().join(", "),
        Value::Object(members) => {
            let pair = |(name, value): (&String, &Value)| format!("{}: {}", visible(name), in_words(value));
            members.iter().map(pair).collect::<Vec<_>>().join("; ")
        }
    }
}

/// What is in objects gets a line of its own, under the names that lead to it.
fn list(name: String, value: &Value, members: &mut Vec<Member>) {
    match value {
        Value::Object(inner) if !inner.is_empty() => {
            for (own, value) in inner {
                list(format!("{name} › {}", visible(own)), value, members);
            }
        }
        Value::Array(values) if values.iter().any(Value::is_object) => {
            for (number, value) in (1..).zip(values) {
                list(format!("{name} {number}"), value, members);
            }
        }
        value => members.push(Member { value: in_words(value), name }),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::types::{Schema, Timestamp};

    fn kind(description: &str) -> AuthorizationType {
        AuthorizationType {
            name: "table_access".parse().unwrap(),
            schema: Schema::compile(json!({})).unwrap(),
            description: description.parse().unwrap(),
            resource: None,
            each_time: false,
            created_at: Timestamp::from_secs(0),
            updated_at: Timestamp::from_secs(0),
        }
    }

    fn detail(members: &Value) -> Detail {
        serde_json::from_value(members.clone()).unwrap()
    }

    #[test]
    fn a_sentence_says_what_is_asked_for() {
        let types = AuthorizationTypes::new([kind("Read {columns} of {table.name}, {limit} rows, {when}")]);
        let asked =
            json!({"type": "table_access", "columns": ["name", "city"], "table": {"name": "cu\u{202e}st"}, "limit": 3});
        let said = sentence(&detail(&asked), &types);
        assert_eq!(said, "Read “name, city” of “cu\u{fffd}st”, “3” rows, (not said)");
        assert_eq!(sentence(&detail(&json!({"type": "gone"})), &types), "Use “gone”");
        let long = json!({"type": "table_access", "columns": "x".repeat(200)});
        assert!(sentence(&detail(&long), &types).contains(&format!("{}…”", "x".repeat(79))));
    }

    #[test]
    fn all_members_are_listed() {
        let asked = json!({
            "type": "table_access",
            "a": {"b": {"c": true}, "d": "e\nf"},
            "g": [{"h": null}, 1],
            "i": [],
            "j": {},
            "k": [[1, 2], [3]],
        });
        let members = view(&detail(&asked), None).members;
        let listed: Vec<_> = members.iter().map(|one| (one.name.as_str(), one.value.as_str())).collect();
        assert_eq!(
            listed,
            [
                ("a › b › c", "yes"),
                ("a › d", "e\u{fffd}f"),
                ("g 1 › h", "nothing"),
                ("g 2", "1"),
                ("i", "none"),
                ("j", ""),
                ("k", "1, 2, 3"),
            ]
        );
    }
}
