//! The values that were written, wherever they were written: a later layer covers an earlier one, key by key.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use toml::Value;
use toml::de::{DeTable, DeValue, ValueDeserializer};

use super::error::{Problem, Source};

/// `GRANTOR__SECTION__KEY`. One underscore (`GRANTOR_HOME`) is somebody else's variable.
const PREFIX: &str = "GRANTOR__";

#[derive(Default)]
pub struct Layers {
    pub sections: BTreeMap<String, Written>,
    /// What stands in the file outside of any section.
    pub strays: Vec<(String, Source)>,
    pub problems: Vec<Problem>,
}

/// A section as it was written.
#[derive(Default)]
pub struct Written {
    /// Where the file opens it.
    pub opened: Option<Source>,
    pub entries: BTreeMap<String, Entry>,
}

pub struct Entry {
    pub value: Value,
    /// The same as plain text, where `value` is only what an environment variable looks like.
    pub text: Option<String>,
    pub source: Source,
}

impl Entry {
    /// A boolean, a number or a list where `text` is one in TOML's syntax; otherwise, and for keys that refuse it as
    /// such, a string: `GRANTOR__SERVER__NAME=42` is a good name.
    fn untyped(text: String, source: Source) -> Self {
        let value = ValueDeserializer::parse(&text).and_then(Value::deserialize).ok();
        match value {
            Some(value @ (Value::Boolean(_) | Value::Integer(_) | Value::Float(_) | Value::Array(_))) => {
                Self { value, text: Some(text), source }
            }
            _ => Self { value: Value::String(text), text: None, source },
        }
    }
}

impl Layers {
    /// The file's layer; `name` is how problems call it.
    pub fn file(&mut self, name: &str, text: &str) {
        let name: Arc<str> = name.into();
        let at = |offset: usize| Source::File {
            name: Arc::clone(&name),
            line: Some(1 + text.as_bytes().iter().take(offset).filter(|&&byte| byte == b'\n').count()),
        };
        let (root, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            // The message alone: what toml prints beside it is the line, and the line may hold a secret.
            self.problems.extend(errors.iter().map(|error| Problem {
                source:
                    error.span().map_or(Source::File { name: Arc::clone(&name), line: None }, |span| at(span.start)),
                key: None,
                message: format!("is not TOML: {}", error.message()),
            }));
            return;
        }
        for (section, value) in root.get_ref() {
            let source = at(section.span().start);
            let DeValue::Table(table) = value.get_ref() else {
                self.strays.push((section.get_ref().to_string(), source));
                continue;
            };
            let written = self.sections.entry(section.get_ref().to_string()).or_default();
            written.opened = Some(source);
            for (key, value) in table {
                let source = at(key.span().start);
                let key = key.get_ref().to_string();
                match Value::deserialize(ValueDeserializer::from(value.clone())) {
                    Ok(value) => drop(written.entries.insert(key, Entry { value, text: None, source })),
                    Err(why) => self.problems.push(Problem {
                        source,
                        key: Some(format!("{section}.{key}", section = section.get_ref())),
                        message: why.message().to_owned(),
                    }),
                }
            }
        }
    }

    /// The environment's layer.
    pub fn environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        for (name, text) in variables {
            let Some(path) = name.strip_prefix(PREFIX) else { continue };
            let path = path.to_ascii_lowercase();
            let Some((section, key)) = path.split_once("__") else {
                self.problems.push(Problem {
                    source: Source::Variable(name),
                    key: None,
                    message: "names no setting: the form is GRANTOR__SECTION__KEY".into(),
                });
                continue;
            };
            let entry = Entry::untyped(text, Source::Variable(name));
            self.sections.entry(section.to_owned()).or_default().entries.insert(key.to_owned(), entry);
        }
    }

    /// One flag's layer.
    pub fn flag(&mut self, flag: &'static str, (section, key): (&str, &str), value: String) {
        let entry = Entry { value: Value::String(value), text: None, source: Source::Flag(flag) };
        self.sections.entry(section.to_owned()).or_default().entries.insert(key.to_owned(), entry);
    }

    /// Where the value of a key was written.
    pub fn source(&self, section: &str, key: &str) -> Source {
        let written = self.sections.get(section);
        let entry = written.and_then(|written| written.entries.get(key));
        entry.map_or(Source::Default, |entry| entry.source.clone())
    }

    pub fn is_set(&self, section: &str, key: &str) -> bool {
        self.source(section, key) != Source::Default
    }
}
