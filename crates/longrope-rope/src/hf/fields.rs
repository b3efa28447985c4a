//! Typed access to a JSON object that records which keys were read.

use serde_json::{Map, Value};

use crate::{Error, Result, Warning};

/// One section of a config; the top level has the name "".
///
/// A key that is `null` counts as absent, as in transformers.
pub(super) struct Fields<'a> {
    section: &'static str,
    map: &'a Map<String, Value>,
    used: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(section: &'static str, map: &'a Map<String, Value>) -> Self {
        Self {
            section,
            map,
            used: Vec::new(),
        }
    }

    /// The key with its section, for messages.
    pub(super) fn path(&self, key: &str) -> String {
        if self.section.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.section)
        }
    }

    pub(super) fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.used.push(key);
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn number(&mut self, key: &'static str) -> Result<Option<f64>> {
        self.typed(key, "a number", Value::as_f64)
    }

    pub(super) fn count(&mut self, key: &'static str) -> Result<Option<usize>> {
        self.typed(key, "a whole number", whole)
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Result<Option<bool>> {
        self.typed(key, "true or false", Value::as_bool)
    }

    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<&'a str>> {
        self.typed(key, "a string", Value::as_str)
    }

    pub(super) fn object(&mut self, key: &'static str) -> Result<Option<&'a Map<String, Value>>> {
        self.typed(key, "an object", Value::as_object)
    }

    pub(super) fn needed_number(&mut self, key: &'static str) -> Result<f64> {
        self.number(key)?.ok_or_else(|| self.missing(key))
    }

    pub(super) fn needed_count(&mut self, key: &'static str) -> Result<usize> {
        self.count(key)?.ok_or_else(|| self.missing(key))
    }

    pub(super) fn needed_numbers(&mut self, key: &'static str) -> Result<Vec<f64>> {
        let numbers = |value: &Value| {
            value
                .as_array()?
                .iter()
                .map(Value::as_f64)
                .collect::<Option<Vec<f64>>>()
        };
        self.typed(key, "a list of numbers", numbers)?
            .ok_or_else(|| self.missing(key))
    }

    pub(super) fn missing(&self, key: &str) -> Error {
        Error::MissingKey {
            key: self.path(key),
        }
    }

    /// Marks `key` as not used again, because its value has no effect.
    pub(super) fn ignore(&mut self, key: &'static str) {
        self.used.retain(|used| *used != key);
    }

    /// A warning for every key that was not read.
    pub(super) fn unused(&self) -> Vec<Warning> {
        self.map
            .iter()
            .filter(|(key, value)| !value.is_null() && !self.used.contains(&key.as_str()))
            .map(|(key, _)| Warning::UnusedKey {
                section: self.section,
                key: key.clone(),
            })
            .collect()
    }

    fn typed<T>(
        &mut self,
        key: &'static str,
        expected: &'static str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.value(key) else {
            return Ok(None);
        };
        match read(value) {
            Some(typed) => Ok(Some(typed)),
            None => Err(Error::WrongValue {
                key: self.path(key),
                found: value.clone(),
                expected,
            }),
        }
    }
}

/// A count that may be spelled as a float, such as 4096.0.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be whole and small enough"
)]
fn whole(value: &Value) -> Option<usize> {
    const LARGEST: f64 = 9_007_199_254_740_992.0; // 2^53, beyond which floats skip whole numbers
    let number = value.as_f64()?;
    (number.fract() == 0.0 && (0.0..=LARGEST).contains(&number)).then_some(number as usize)
}
