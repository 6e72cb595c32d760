//! What a client asks for in particular: `authorization_details` (RFC 9396 §2).

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::json;

/// The longest text, in bytes: what is granted travels in every access token, and those in a header.
const LONGEST: usize = 4_096;

/// More objects than any request has.
const MOST: usize = 16;

/// One of them: an object with a `type`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Detail(Value);

impl Detail {
    /// Its `type`, which says what else may stand in it.
    pub fn kind(&self) -> &str {
        self.0.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    pub fn value(&self) -> &Value {
        &self.0
    }

    /// The members besides `type`.
    pub fn members(&self) -> impl Iterator<Item = (&str, &Value)> {
        let members = self.0.as_object().into_iter().flatten();
        members.map(|(name, value)| (name.as_str(), value)).filter(|(name, _)| *name != "type")
    }

    /// What a path such as `amount.currency` leads to.
    pub fn at(&self, path: &str) -> Option<&Value> {
        path.split('.').try_fold(&self.0, |value, name| value.get(name))
    }
}

/// All of them, none twice. Those who ask for nothing in particular have an empty one, which takes no memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AuthorizationDetails(Vec<Detail>);

impl AuthorizationDetails {
    /// Reads the parameter. Whether each is as its type says is not known yet.
    ///
    /// # Errors
    /// In words, when it is not a JSON array of objects that each have a `type`, or too much of it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.len() > LONGEST {
            return Err(format!("it must have at most {LONGEST} bytes"));
        }
        let document = json::strict(text.as_bytes()).map_err(|why| format!("it is not JSON: {why}"))?;
        let Value::Array(values) = document else { return Err("it must be a JSON array of objects".into()) };
        // It would be all that was granted, or nothing.
        if values.is_empty() {
            return Err("it must have an object at least: leave it out to ask for nothing in particular".into());
        }
        if values.len() > MOST {
            return Err(format!("it must have at most {MOST} objects"));
        }
        let mut details = Vec::with_capacity(values.len());
        for (number, value) in (1..).zip(values) {
            match value.get("type") {
                _ if !value.is_object() => return Err(format!("its entry {number} is not an object")),
                None => return Err(format!("its entry {number} has no type")),
                Some(Value::String(_)) => {}
                Some(_) => return Err(format!("the type of its entry {number} is not a string")),
            }
            let detail = Detail(value);
            if !details.contains(&detail) {
                details.push(detail);
            }
        }
        Ok(Self(details))
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn iter(&self) -> impl Iterator<Item = &Detail> {
        self.0.iter()
    }

    /// RFC 9396 §6.1: there is no rule for what is less that holds for every type. So each is one of the others, or it
    /// is not among them.
    pub fn is_within(&self, others: &Self) -> bool {
        self.0.iter().all(|detail| others.0.contains(detail))
    }

    pub fn retain(&mut self, keep: impl FnMut(&Detail) -> bool) {
        self.0.retain(keep);
    }

    /// These and those that came before, of which the oldest go where it would be more than `most`.
    pub fn remembered(&self, before: Self, most: usize) -> Self {
        let mut all = before.0;
        all.retain(|detail| !self.0.contains(detail));
        all.extend(self.0.iter().cloned());
        all.drain(..all.len().saturating_sub(most));
        Self(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_with_a_type_are_details() {
        let two = AuthorizationDetails::parse(r#"[{"type":"a","x":[1]},{"x":[1],"type":"a"},{"type":"b"}]"#).unwrap();
        assert_eq!(two.iter().map(Detail::kind).collect::<Vec<_>>(), ["a", "b"]);
        let deep = format!(r#"[{{"type":"a","x":{}1{}}}]"#, "[".repeat(20), "]".repeat(20));
        let long = format!(r#"[{{"type":"a","x":"{}"}}]"#, "x".repeat(LONGEST));
        let many = format!("[{}]", vec![r#"{"type":"a"}"#; MOST + 1].join(","));
        for (text, why) in [
            ("", "not JSON"),
            ("{}", "a JSON array"),
            (r#"{"type":"a"}"#, "a JSON array"),
            ("null", "a JSON array"),
            ("[]", "an object at least"),
            ("[1]", "entry 1 is not an object"),
            (r#"[{"type":"a"},["type"]]"#, "entry 2 is not an object"),
            ("[{}]", "entry 1 has no type"),
            (r#"[{"type":1}]"#, "entry 1 is not a string"),
            (r#"[{"type":null}]"#, "entry 1 is not a string"),
            (r#"[{"type":"a","type":"b"}]"#, "twice"),
            (r#"[{"type":"a","x":{"y":1,"y":2}}]"#, "twice"),
            (r#"[{"type":"a"}] []"#, "not JSON"),
            (&deep, "deep"),
            (&long, "4096 bytes"),
            (&many, "16 objects"),
        ] {
            let refused = AuthorizationDetails::parse(text).expect_err(text);
            assert!(refused.contains(why), "{text}: {refused}");
        }
    }

    #[test]
    fn what_is_less_is_a_part_of_the_list_and_never_of_an_object() {
        let read = |text| AuthorizationDetails::parse(text).unwrap();
        let granted = read(r#"[{"type":"a","actions":["read","write"]},{"type":"b"}]"#);
        assert!(read(r#"[{"type":"b"}]"#).is_within(&granted));
        assert!(read(r#"[{"actions":["read","write"],"type":"a"}]"#).is_within(&granted));
        assert!(AuthorizationDetails::default().is_within(&granted));
        for other in [r#"[{"type":"a","actions":["read"]}]"#, r#"[{"type":"a"}]"#, r#"[{"type":"b"},{"type":"c"}]"#] {
            assert!(!read(other).is_within(&granted), "{other}");
        }
    }

    #[test]
    fn the_oldest_are_forgotten_first() {
        let read = |text| AuthorizationDetails::parse(text).unwrap();
        let before = read(r#"[{"type":"a"},{"type":"b"},{"type":"c"}]"#);
        let now = read(r#"[{"type":"a"},{"type":"d"}]"#).remembered(before, 3);
        assert_eq!(now, read(r#"[{"type":"c"},{"type":"a"},{"type":"d"}]"#));
    }
}
