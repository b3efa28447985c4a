//! Typed access to a JSON object that records which keys were read.

use serde_json::{Map, Value};

use super::bounds::{Count, Number};
use crate::{Error, Result, Warning};

/// One section of a config; the top level has the name "".
///
/// A key that is `null` counts as absent, unless a method says otherwise.
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

    /// Whether the key is there, even if it is `null`.
    pub(super) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    pub(super) fn value(&mut self, key: &'static str) -> Option<&'a Value> {
        self.used.push(key);
        self.map.get(key).filter(|value| !value.is_null())
    }

    pub(super) fn number(&mut self, key: &'static str, bound: &Number) -> Result<Option<f64>> {
        let read = |value: &Value| value.as_f64().filter(|number| (bound.holds)(*number));
        self.typed(key, bound.expected, read)
    }

    /// A number with a default, which may not be `null`.
    pub(super) fn number_or(
        &mut self,
        key: &'static str,
        bound: &Number,
        default: f64,
    ) -> Result<f64> {
        self.not_null(key, bound.expected)?;
        Ok(self.number(key, bound)?.unwrap_or(default))
    }

    pub(super) fn count(&mut self, key: &'static str, bound: &Count) -> Result<Option<usize>> {
        self.typed(key, bound.expected, |value| within(value.as_u64()?, bound))
    }

    /// A count with a default, which may not be `null`.
    pub(super) fn count_or(
        &mut self,
        key: &'static str,
        bound: &Count,
        default: usize,
    ) -> Result<usize> {
        self.not_null(key, bound.expected)?;
        Ok(self.count(key, bound)?.unwrap_or(default))
    }

    /// A count that may be spelled as a float, such as 4096.0, because no class of transformers checks it.
    pub(super) fn loose_count(
        &mut self,
        key: &'static str,
        bound: &Count,
    ) -> Result<Option<usize>> {
        self.typed(key, bound.expected, |value| within(whole(value)?, bound))
    }

    pub(super) fn boolean(&mut self, key: &'static str) -> Result<Option<bool>> {
        self.typed(key, "true or false", Value::as_bool)
    }

    /// A switch that is off by default and may not be `null`.
    pub(super) fn switch(&mut self, key: &'static str) -> Result<bool> {
        self.switch_or(key, false)
    }

    /// A switch with a default, which may not be `null`.
    pub(super) fn switch_or(&mut self, key: &'static str, default: bool) -> Result<bool> {
        self.not_null(key, "true or false")?;
        Ok(self.boolean(key)?.unwrap_or(default))
    }

    pub(super) fn text(&mut self, key: &'static str) -> Result<Option<&'a str>> {
        self.typed(key, "a string", Value::as_str)
    }

    pub(super) fn object(&mut self, key: &'static str) -> Result<Option<&'a Map<String, Value>>> {
        self.typed(key, "an object or null", Value::as_object)
    }

    pub(super) fn needed_number(&mut self, key: &'static str, bound: &Number) -> Result<f64> {
        self.number(key, bound)?.ok_or_else(|| self.missing(key))
    }

    pub(super) fn needed_count(&mut self, key: &'static str, bound: &Count) -> Result<usize> {
        self.count(key, bound)?.ok_or_else(|| self.missing(key))
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

    /// The key with its value, for an error about another rule.
    pub(super) fn wrong(&self, key: &str, expected: &'static str) -> Error {
        Error::WrongValue {
            key: self.path(key),
            found: self.map.get(key).cloned().unwrap_or(Value::Null),
            expected,
        }
    }

    /// Fails if the key is `null`.
    pub(super) fn not_null(&self, key: &str, expected: &'static str) -> Result<()> {
        match self.map.get(key) {
            Some(Value::Null) => Err(self.wrong(key, expected)),
            _ => Ok(()),
        }
    }

    pub(super) fn typed<T>(
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
            None => Err(self.wrong(key, expected)),
        }
    }
}

fn within(number: u64, bound: &Count) -> Option<usize> {
    usize::try_from(number)
        .ok()
        .filter(|_| bound.range.contains(&number))
}

/// A whole number, also if it is written as a float.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be whole and small enough"
)]
fn whole(value: &Value) -> Option<u64> {
    const LARGEST: f64 = 9_007_199_254_740_992.0; // 2^53, beyond which floats skip whole numbers
    let number = value.as_f64()?;
    (number.fract() == 0.0 && (0.0..=LARGEST).contains(&number)).then_some(number as u64)
}
