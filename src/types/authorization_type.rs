//! Types of authorization details (RFC 9396 §2): what an administrator registered of each.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use super::{ResourceUri, Timestamp};

/// A row of `authorization_types`.
#[derive(Clone, Debug)]
pub struct AuthorizationType {
    pub name: TypeName,
    pub schema: Schema,
    pub description: Wording,
    /// The resource to which it belongs: its objects stand in tokens for that alone.
    pub resource: Option<ResourceUri>,
    /// Whether a person is asked at every request, as about a payment: what they allowed once is not remembered.
    pub each_time: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl AuthorizationType {
    /// Holds together what belongs together.
    ///
    /// # Errors
    /// In words, when nothing could ever be of this type, or its words speak of what cannot be in it.
    pub fn validate(&self) -> Result<(), String> {
        if let Some(other) = self.schema.kind().filter(|kind| *kind != self.name.as_str()) {
            return Err(format!(
                "the schema is for objects of the type {other:?}, so it refuses all of the type {}",
                self.name
            ));
        }
        let Some(members) = self.schema.members() else { return Ok(()) };
        if self.schema.is_closed() && !members.contains(&"type") {
            return Err(format!(
                "the schema lets no other members stand than its properties, and \"type\" is not one of them: add \
                 \"type\": {{\"const\": \"{}\"}}",
                self.name
            ));
        }
        let top = |place: &&str| place.split('.').next().is_some_and(|name| members.contains(&name));
        match self.description.places().find(|place| !top(place)) {
            Some(place) => Err(format!("the description speaks of {{{place}}}, which is no property of the schema")),
            None => Ok(()),
        }
    }
}

/// The value of `type`: a word or a URI.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypeName(String);

impl TypeName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TypeName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        if (1..=128).contains(&text.len()) && text.bytes().all(fits) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("{text:?} is not a name of up to 128 ASCII characters without spaces, such as table_access"))
        }
    }
}

impl fmt::Display for TypeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A JSON Schema, compiled.
#[derive(Clone)]
pub struct Schema {
    document: Value,
    validator: Arc<Validator>,
}

impl Schema {
    /// # Errors
    /// In words, when it is not a JSON Schema, or not one that stands by itself.
    pub fn compile(document: Value) -> Result<Self, String> {
        if !document.is_object() {
            return Err("a schema is a JSON object".into());
        }
        let validator = jsonschema::options()
            // What it refers to is in it: nothing is fetched, from nowhere.
            .offline()
            // Takes as long as the text is long. The other engine can be made to go through all ways of matching.
            .with_pattern_options(PatternOptions::regex())
            .should_validate_formats(true)
            .build(&document)
            .map_err(|why| format!("it is not a JSON Schema that can be used here: {why}"))?;
        Ok(Self { document, validator: Arc::new(validator) })
    }

    pub fn document(&self) -> &Value {
        &self.document
    }

    /// What `type` is in every object of the schema, if it says so.
    fn kind(&self) -> Option<&str> {
        self.document.get("properties")?.get("type")?.get("const")?.as_str()
    }

    /// # Errors
    /// In words: where it is not as the schema says, and how.
    pub fn check(&self, value: &Value) -> Result<(), String> {
        self.validator.validate(value).map_err(|why| match why.instance_path().as_str() {
            "" => why.to_string(),
            path => format!("at {path}: {why}"),
        })
    }

    /// Whether it says what becomes of members that it does not name (RFC 9396 §5 has them refused).
    pub fn says_what_else(&self) -> bool {
        ["additionalProperties", "unevaluatedProperties"].iter().any(|name| self.document.get(name).is_some())
    }

    /// The members that it names at its top, where it names any.
    fn members(&self) -> Option<Vec<&str>> {
        let members = self.document.get("properties")?.as_object()?;
        Some(members.keys().map(String::as_str).collect())
    }

    /// Whether no others may stand beside them.
    fn is_closed(&self) -> bool {
        self.document.get("additionalProperties") == Some(&Value::Bool(false))
            && self.document.get("patternProperties").is_none()
    }
}

impl fmt::Debug for Schema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.document.fmt(f)
    }
}

/// A sentence with places for members: `Read {columns} of the table {table}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wording(String);

/// A part of such a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    Words(&'a str),
    /// The path of a member.
    Place(&'a str),
}

impl Wording {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn parts(&self) -> Vec<Part<'_>> {
        // It was read before, so it can be.
        parts(&self.0).unwrap_or_default()
    }

    fn places(&self) -> impl Iterator<Item = &str> {
        self.parts().into_iter().filter_map(|part| match part {
            Part::Place(place) => Some(place),
            Part::Words(_) => None,
        })
    }
}

impl FromStr for Wording {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.trim().is_empty() || text.chars().count() > 200 || text.chars().any(char::is_control) {
            return Err("a description has 1 to 200 characters, without control characters".into());
        }
        parts(text)?;
        Ok(Self(text.to_owned()))
    }
}

fn parts(text: &str) -> Result<Vec<Part<'_>>, String> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find(['{', '}']) {
        let (words, place) = rest.split_at(at);
        let place = place.strip_prefix('{').and_then(|place| place.split_once('}'));
        let (place, after) = place.filter(|(place, _)| is_path(place)).ok_or_else(|| {
            format!("after {words:?} there is no place for a member, as in \"Read {{columns}} of {{table.name}}\"")
        })?;
        if !words.is_empty() {
            parts.push(Part::Words(words));
        }
        parts.push(Part::Place(place));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Words(rest));
    }
    Ok(parts)
}

fn is_path(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '$' | '@' | ':'))
    };
    text.split('.').all(is_name)
}

/// All types that are registered.
#[derive(Debug, Default)]
pub struct AuthorizationTypes(BTreeMap<String, AuthorizationType>);

impl AuthorizationTypes {
    pub fn new(types: impl IntoIterator<Item = AuthorizationType>) -> Self {
        Self(types.into_iter().map(|one| (one.name.to_string(), one)).collect())
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn get(&self, name: &str) -> Option<&AuthorizationType> {
        self.0.get(name)
    }

    pub fn iter(&self) -> impl Iterator<Item = &AuthorizationType> {
        self.0.values()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_says_where_and_why() {
        let schema = Schema::compile(json!({
            "properties": {"columns": {"type": "array", "items": {"enum": ["name", "city"]}},
                "until": {"type": "string", "format": "date"}, "table": {"type": "string", "pattern": "^[a-z]+$"}},
            "required": ["table"],
        }))
        .unwrap();
        assert_eq!(schema.check(&json!({"table": "orders", "columns": ["name"], "until": "2026-11-23"})), Ok(()));
        for (value, words) in [
            (json!({}), "\"table\" is a required property"),
            (json!({"table": "orders", "columns": ["name", "iban"]}), "at /columns/1"),
            (json!({"table": "Orders"}), "at /table"),
            (json!({"table": "orders", "until": "tomorrow"}), "at /until"),
        ] {
            let refused = schema.check(&value).unwrap_err();
            assert!(refused.contains(words), "{refused}");
        }
    }

    #[test]
    fn a_schema_stands_by_itself_and_can_be_matched_in_time() {
        for document in [
            json!(true),
            json!([]),
            json!({"type": "no such type"}),
            json!({"$ref": "https://schemas.example/table.json"}),
            json!({"$ref": "file:///etc/passwd"}),
            json!({"$ref": "#/$defs/nowhere"}),
            json!({"$schema": "https://schemas.example/own"}),
            json!({"pattern": "("}),
            json!({"pattern": "(?=a)b"}),
        ] {
            assert!(Schema::compile(document.clone()).is_err(), "{document}");
        }
        let schema = Schema::compile(json!({"$defs": {"a": {"pattern": "^(a+)+$"}}, "$ref": "#/$defs/a"})).unwrap();
        assert!(schema.check(&json!(format!("{}b", "a".repeat(4_000)))).is_err());
    }

    #[test]
    fn words_have_places_for_members() {
        let wording: Wording = "Read {columns} of {table.name}.".parse().unwrap();
        let parts = [Part::Words("Read "), Part::Place("columns"), Part::Words(" of "), Part::Place("table.name")];
        assert_eq!(wording.parts(), [&parts[..], &[Part::Words(".")]].concat());
        let long = "x".repeat(201);
        for text in ["", " ", "a\nb", "Read {", "Read }", "Read {}", "Read {a b}", "{a..b}", "{a{b}}", "}{", &long] {
            assert!(text.parse::<Wording>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_nothing_could_be_of_is_refused() {
        let kind = |schema: Value, description: &str| AuthorizationType {
            name: "table_access".parse().unwrap(),
            schema: Schema::compile(schema).unwrap(),
            description: description.parse().unwrap(),
            resource: None,
            each_time: false,
            created_at: Timestamp::from_secs(0),
            updated_at: Timestamp::from_secs(0),
        };
        let open = json!({"properties": {"table": {}}});
        assert_eq!(kind(open.clone(), "Read {table.name}").validate(), Ok(()));
        assert_eq!(kind(json!({"oneOf": [{}]}), "Read {anything}").validate(), Ok(()));
        let other = json!({"properties": {"type": {"const": "payment"}}});
        assert!(kind(other, "Pay").validate().unwrap_err().contains("of the type \"payment\""));
        assert!(kind(open, "Read {tabel}").validate().unwrap_err().contains("{tabel}"));
        let closed = json!({"properties": {"table": {}}, "additionalProperties": false});
        assert!(kind(closed, "Read {table}").validate().unwrap_err().contains(r#"{"const": "table_access"}"#));
        let named = json!({"properties": {"table": {}, "type": {}}, "additionalProperties": false});
        assert_eq!(kind(named, "Read {table}").validate(), Ok(()));
    }

    #[test]
    fn a_type_has_a_name_without_spaces() {
        for name in ["table_access", "https://types.example/payment", "urn:x:y"] {
            assert_eq!(name.parse::<TypeName>().map(|name| name.to_string()), Ok(name.to_owned()));
        }
        for name in ["", "a b", "a\"b", "täble", "a\\b", &"a".repeat(129)] {
            assert!(name.parse::<TypeName>().is_err(), "{name}");
        }
    }
}
