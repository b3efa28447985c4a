//! Keys of a file with one prefix, and errors that name them.

use crate::error::{Error, Result};
use crate::format::{GgufFile, Value};

/// The keys that begin with a prefix.
pub(super) struct Fields<'a> {
    pub(super) file: &'a GgufFile,
    pub(super) prefix: &'static str,
}

impl<'a> Fields<'a> {
    /// The value of a key, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<&'a Value> {
        self.file.get(&self.name(key))
    }

    /// The whole name of a key.
    pub(super) fn name(&self, key: &str) -> String {
        format!("{}.{key}", self.prefix)
    }

    pub(super) fn count(&self, key: &str) -> Result<u64> {
        self.needed(key, "a whole number from 0", Value::as_u64)
    }

    /// A whole number, if the key is there.
    pub(super) fn count_or(&self, key: &str, default: u64) -> Result<u64> {
        match self.get(key) {
            None => Ok(default),
            Some(_) => self.count(key),
        }
    }

    /// A whole number that is the same in every layer: stated once, or in a list with one for each.
    pub(super) fn count_of_layers(&self, key: &str, n_layers: u64) -> Result<u64> {
        let expected = "a whole number from 0, the same in every layer";
        self.needed(key, expected, |value| {
            let Some(list) = value.as_array() else {
                return value.as_u64();
            };
            let first = list.first()?.as_u64()?;
            let is_same = list.iter().all(|it| it.as_u64() == Some(first));
            (is_same && list.len() as u64 == n_layers).then_some(first)
        })
    }

    pub(super) fn number(&self, key: &str) -> Result<f64> {
        let expected = "a finite number";
        self.needed(key, expected, |value| {
            value.as_f64().filter(|number| number.is_finite())
        })
    }

    /// A number, if the key is there.
    pub(super) fn number_or(&self, key: &str, default: f64) -> Result<f64> {
        match self.get(key) {
            None => Ok(default),
            Some(_) => self.number(key),
        }
    }

    /// Whether something is so, if the key is there.
    pub(super) fn flag(&self, key: &str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(_) => self.needed(key, "true or false", Value::as_bool).map(Some),
        }
    }

    /// A token, if the key is there. llama.cpp ignores those outside the vocabulary.
    pub(super) fn token(&self, key: &str, vocab_size: u64) -> Result<Option<u64>> {
        match self.get(key) {
            None => Ok(None),
            Some(_) => Ok(Some(self.count(key)?).filter(|id| *id < vocab_size)),
        }
    }

    pub(super) fn text(&self, key: &str) -> Result<&'a str> {
        self.needed(key, "a text", Value::as_str)
    }

    pub(super) fn list(&self, key: &str) -> Result<&'a [Value]> {
        self.needed(key, "a list", Value::as_array)
    }

    pub(super) fn needed<T>(
        &self,
        key: &str,
        expected: &'static str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<T> {
        let value = self.get(key);
        value.and_then(read).ok_or_else(|| Error::Key {
            path: self.file.path().to_owned(),
            key: self.name(key),
            found: value.map_or_else(|| "missing".to_owned(), describe),
            expected,
        })
    }

    pub(super) fn model_error(&self, problem: String) -> Error {
        Error::Model {
            path: self.file.path().to_owned(),
            problem,
        }
    }
}

/// A value in few words.
fn describe(value: &Value) -> String {
    match value {
        Value::Array(values) => format!("a list of {} values", values.len()),
        Value::String(text) => format!("{text:?}"),
        Value::Bool(value) => value.to_string(),
        Value::U8(value) => value.to_string(),
        Value::I8(value) => value.to_string(),
        Value::U16(value) => value.to_string(),
        Value::I16(value) => value.to_string(),
        Value::U32(value) => value.to_string(),
        Value::I32(value) => value.to_string(),
        Value::U64(value) => value.to_string(),
        Value::I64(value) => value.to_string(),
        // With a point, as other numbers than whole ones.
        Value::F32(value) => format!("{value:?}"),
        Value::F64(value) => format!("{value:?}"),
    }
}
