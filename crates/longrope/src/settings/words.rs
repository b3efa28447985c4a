//! Keys that take one of some words. A value of another type is answered as an unknown word is: with those that are
//! allowed.

use serde::de::DeserializeOwned;
use toml::de::Error;
use toml::{Table, Value};

/// Deserializes a table.
///
/// # Errors
/// If a key is unknown, or does not take its value. For a value in the place of a word, the error has the words.
pub(crate) fn deserialize<T: DeserializeOwned>(table: Table) -> Result<T, Error> {
    let given = table.clone();
    let read = table.try_into::<T>();
    read.map_err(|error| unknown_word::<T>(&given).unwrap_or(error))
}

/// The error for a value of another type in the place of a word; `None` if there is no such value, or something else is
/// wrong before it.
///
/// Only the types of the keys know which of them take words. So every value is tried as a text: in the place of a word,
/// that is an unknown word.
pub(crate) fn unknown_word<T: DeserializeOwned>(table: &Table) -> Option<Error> {
    let mut number = 0;
    loop {
        let mut tried = table.clone();
        let mut n_before = number;
        let value = in_table(&mut tried, &mut n_before)?;
        let text = value.to_string();
        let unknown = format!("unknown variant `{text}`");
        *value = Value::String(text);
        if let Err(error) = tried.try_into::<T>()
            && error.message().starts_with(&unknown)
        {
            return Some(error);
        }
        number += 1;
    }
}

/// The value with `n_before` others before it, of those that are neither texts nor tables; `None` if there are fewer.
fn in_table<'v>(table: &'v mut Table, n_before: &mut usize) -> Option<&'v mut Value> {
    table
        .iter_mut()
        .find_map(|(_, value)| in_value(value, n_before))
}

fn in_value<'v>(value: &'v mut Value, n_before: &mut usize) -> Option<&'v mut Value> {
    if !matches!(value, Value::String(_) | Value::Table(_)) {
        if *n_before == 0 {
            return Some(value);
        }
        *n_before -= 1;
    }
    match value {
        Value::Table(table) => in_table(table, n_before),
        Value::Array(items) => items.iter_mut().find_map(|item| in_value(item, n_before)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::config::Config;

    fn message(text: &str) -> String {
        let table: Table = text.parse().unwrap();
        deserialize::<Config>(table).unwrap_err().to_string()
    }

    #[test]
    fn values_in_the_place_of_words_are_answered_with_the_words() {
        for (text, expected) in [
            (
                "train = { precision = 16 }",
                "unknown variant `16`, expected one of `auto`, `f32`, `bf16`",
            ),
            (
                "seed = 3\nprecision = ['bf16']",
                "expected one of `auto`, `f32`, `bf16`, `f16`",
            ),
            (
                "weights = true",
                "unknown variant `true`, expected `resident` or `streamed`",
            ),
            (
                "search = { profile = 2, samples = 3 }",
                "expected one of `paper`, `official`, `v2`, `fast`",
            ),
            ("search = { seeds = [1] }", "unknown variant `1`, expected"),
            (
                "search = { attention = { type = 3 } }",
                "expected one of `seeds`, `gene`, `among`, `fixed`",
            ),
            ("train = { positions = 1 }", "`all` or `skipped`"),
            (
                "search = { attention = 3 }",
                "expected a table whose `type` is `seeds`, `gene`, `among` or `fixed`",
            ),
            (
                "search = { held-out = [] }",
                "expected \"auto\" or a number from 0 to below 1",
            ),
            (
                "device = 3",
                "expected the name of a device, or a list of names",
            ),
        ] {
            let message = message(text);
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }

    #[test]
    fn other_errors_stay() {
        for (text, expected) in [
            ("sead = 1", "unknown field `sead`"),
            ("seed = 'first'", "invalid type"),
            ("precision = 'half'", "unknown variant `half`"),
        ] {
            let message = message(text);
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }
}
