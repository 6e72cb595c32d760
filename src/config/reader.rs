//! Reads the sections out of the layers, key by key, so that one mistake does not hide the next.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::error::{Problem, Source};
use super::layers::{Entry, Layers, Written};
use super::section::{Found, Section, keys_of};

pub struct Reader {
    pub layers: Layers,
    pub problems: Vec<Problem>,
    /// The sections that were read, with their keys.
    known: Vec<(&'static str, &'static [&'static str])>,
}

impl Reader {
    pub fn new(mut layers: Layers) -> Self {
        let problems = std::mem::take(&mut layers.problems);
        Self { layers, problems, known: Vec::new() }
    }

    /// A section, with the defaults for what is not written or cannot be read.
    pub fn section<T: Section>(&mut self, name: &'static str) -> T {
        let keys = keys_of::<T>();
        self.known.push((name, keys.unwrap_or_default()));
        let nothing = Written::default();
        let written = self.layers.sections.get(name).unwrap_or(&nothing);

        let mut table = Table::new();
        let mut refused = Vec::new();
        for (key, entry) in &written.entries {
            match read_key::<T>(keys, key, entry) {
                Ok(value) => drop(table.insert(key.clone(), value)),
                Err(message) => refused.push((key.clone(), message)),
            }
        }
        let section = T::deserialize(table).unwrap_or_else(|why| {
            let (source, message) = (Source::Default, why.message().to_owned());
            self.problems.push(Problem { source, key: Some(name.to_owned()), message });
            T::default()
        });
        // What stands together is only judged when all of it could be read.
        if refused.is_empty() {
            let mut found = Found::default();
            section.check(&mut found);
            refused = found.0;
        }
        for (key, message) in refused {
            self.refuse(name, &key, message);
        }
        section
    }

    pub fn refuse(&mut self, section: &str, key: &str, message: impl Into<String>) {
        let bare = key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b));
        let path = if bare { format!("{section}.{key}") } else { format!("{section}.{key:?}") };
        let problem = Problem { source: self.layers.source(section, key), key: Some(path), message: message.into() };
        self.problems.push(problem);
    }

    /// The problems, with what was written into no section that is known.
    pub fn finish(mut self) -> Vec<Problem> {
        for (name, source) in &self.layers.strays {
            let home = self.known.iter().find(|(_, keys)| keys.contains(&name.as_str()));
            let message = if self.known.iter().any(|(section, _)| section == name) {
                format!("is a section: write it as [{name}]")
            } else if let Some((section, _)) = home {
                format!("stands in no section; put it under [{section}]")
            } else {
                "is no known section or key".to_owned()
            };
            self.problems.push(Problem { source: source.clone(), key: Some(name.clone()), message });
        }
        let names: Vec<&str> = self.known.iter().map(|(name, _)| *name).collect();
        for (name, written) in &self.layers.sections {
            if names.contains(&name.as_str()) {
                continue;
            }
            let variables = written.entries.values().map(|entry| &entry.source);
            let variables = variables.filter(|source| matches!(source, Source::Variable(_)));
            self.problems.extend(written.opened.iter().chain(variables).map(|source| Problem {
                source: source.clone(),
                key: Some(name.clone()),
                message: format!("unknown section; {}", suggest(name, &names)),
            }));
        }
        self.problems
    }
}

/// The value of one key, if `T` takes it.
fn read_key<T: DeserializeOwned>(keys: Option<&[&str]>, key: &str, entry: &Entry) -> Result<Value, String> {
    match keys {
        Some(keys) if !keys.contains(&key) => return Err(format!("unknown key; {}", suggest(key, keys))),
        // A variable's name has no case, and a key of a free section may have.
        None if matches!(entry.source, Source::Variable(_)) => {
            return Err("this section is read from the file alone".into());
        }
        _ => {}
    }
    let accepts = |value: &Value| T::deserialize(Table::from_iter([(key.to_owned(), value.clone())])).map(drop);
    let Err(why) = accepts(&entry.value) else { return Ok(entry.value.clone()) };
    let text = entry.text.clone().map(Value::String);
    text.filter(|text| accepts(text).is_ok()).ok_or_else(|| why.message().trim_end().to_owned())
}

/// What may have been meant by `name`.
fn suggest(name: &str, known: &[&str]) -> String {
    let nearest = known.iter().map(|known| (distance(name, known), known)).min();
    match nearest {
        Some((distance, nearest)) if distance <= 1 + name.len() / 4 => format!("did you mean \"{nearest}\"?"),
        _ => format!("known are {}", known.join(", ")),
    }
}

/// How many letters must be put in, taken out or changed to make `a` into `b` (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.bytes().enumerate() {
            let changed = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
