//! What every section has in common: it is read from a table, with a default for each key, and then checked.

use std::cell::Cell;
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use serde::Deserializer;
use serde::de::value::Error;
use serde::de::{DeserializeOwned, Error as _, Visitor};

pub trait Section: Default + DeserializeOwned {
    /// Says what is wrong with the values, each under the key to change.
    fn check(&self, found: &mut Found);
}

/// What a section's check found: the key at fault, and what to do about it.
#[derive(Default)]
pub struct Found(pub Vec<(String, String)>);

impl Found {
    pub fn refuse(&mut self, key: impl Into<String>, why: impl Into<String>) {
        self.0.push((key.into(), why.into()));
    }

    pub fn number<N: PartialOrd + Display>(&mut self, key: &str, value: N, range: RangeInclusive<N>) {
        if !range.contains(&value) {
            self.refuse(key, format!("must be between {} and {}; it is {value}", range.start(), range.end()));
        }
    }

    pub fn duration(&mut self, key: &str, value: Duration, range: RangeInclusive<Duration>) {
        if !range.contains(&value) {
            let [value, least, most] = [value, *range.start(), *range.end()].map(humantime::format_duration);
            self.refuse(key, format!("must be between \"{least}\" and \"{most}\"; it is \"{value}\""));
        }
    }

    /// Words that people are shown.
    pub fn words(&mut self, key: &str, value: &str, most: usize) {
        if value.trim().is_empty() || value.chars().count() > most || value.chars().any(char::is_control) {
            self.refuse(key, format!("must have 1 to {most} characters, and no control characters"));
        }
    }
}

/// The keys of a section; `None` when it takes any.
pub fn keys_of<T: Section>() -> Option<&'static [&'static str]> {
    let keys = Cell::new(None);
    // Always an error: the deserializer has nothing to give, and only listens to what is asked of it.
    let _ = T::deserialize(Listener(&keys));
    keys.get()
}

struct Listener<'a>(&'a Cell<Option<&'static [&'static str]>>);

impl<'de> Deserializer<'de> for Listener<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.0.set(Some(fields));
        Err(Error::custom("these are all its fields"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}
