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
    read.map_err(|error| {
        unknown_word::<T>(&given).unwrap_or_else(|| with_whole_key::<T>(error, &given))
    })
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
        let (key, value) = value_at(&mut tried, number)?;
        number += 1;
        if value.is_str() {
            continue;
        }
        let text = value.to_string();
        *value = Value::String(text.clone());
        if let Some(error) = refused_word::<T>(tried, &text) {
            return Some(in_key(&error, &key));
        }
    }
}

/// A word that no key takes.
const NO_WORD: &str = "\u{0}";

/// The error, with the whole key of the unknown word that it is about: for some, the parser names the section only.
fn with_whole_key<T: DeserializeOwned>(error: Error, table: &Table) -> Error {
    if !error.message().starts_with(UNKNOWN) {
        return error;
    }
    let mut number = 0;
    loop {
        let mut tried = table.clone();
        let Some((key, value)) = value_at(&mut tried, number) else {
            return error;
        };
        number += 1;
        let is_word = |word: &str| error.message().starts_with(&unknown(word));
        if !value.as_str().is_some_and(is_word) {
            continue;
        }
        *value = Value::String(NO_WORD.to_owned());
        if refused_word::<T>(tried, NO_WORD).is_some() {
            return in_key(&error, &key);
        }
    }
}

/// How errors about unknown words begin.
const UNKNOWN: &str = "unknown variant ";

fn unknown(word: &str) -> String {
    format!("{UNKNOWN}`{word}`")
}

/// The error of a table in which a word is unknown; `None` if nothing is wrong, or something else.
fn refused_word<T: DeserializeOwned>(table: Table, word: &str) -> Option<Error> {
    let error = table.try_into::<T>().err()?;
    error.message().starts_with(&unknown(word)).then_some(error)
}

/// The error, of the value of a key. A section may have said a part of it already.
fn in_key(error: &Error, key: &str) -> Error {
    let what = error.message().lines().next().unwrap_or_default();
    serde::de::Error::custom(format!("{what}\nin `{key}`"))
}

/// The value with `n_before` others before it, and its key; `None` if there are fewer. Tables are no values, lists and
/// what is in them are.
fn value_at(table: &mut Table, mut n_before: usize) -> Option<(String, &mut Value)> {
    in_table(table, "", &mut n_before)
}

fn in_table<'v>(
    table: &'v mut Table,
    section: &str,
    n_before: &mut usize,
) -> Option<(String, &'v mut Value)> {
    table.iter_mut().find_map(|(key, value)| {
        let key = if section.is_empty() {
            key.clone()
        } else {
            format!("{section}.{key}")
        };
        in_value(value, &key, n_before)
    })
}

fn in_value<'v>(
    value: &'v mut Value,
    key: &str,
    n_before: &mut usize,
) -> Option<(String, &'v mut Value)> {
    if !value.is_table() {
        if *n_before == 0 {
            return Some((key.to_owned(), value));
        }
        *n_before -= 1;
    }
    match value {
        Value::Table(table) => in_table(table, key, n_before),
        Value::Array(items) => items
            .iter_mut()
            .find_map(|item| in_value(item, key, n_before)),
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
    fn the_key_of_a_wrong_word_is_named_as_a_whole() {
        for (text, key) in [
            ("search = { profile = 2 }", "search.profile"),
            ("search = { profile = 'nope' }", "search.profile"),
            (
                "search = { samples = 2, objective = 'x' }",
                "search.objective",
            ),
            ("model = 'nope'\nprecision = 'nope'", "precision"),
            ("train = { precision = true }", "train.precision"),
        ] {
            let message = message(text);
            assert!(message.contains(&format!("in `{key}`")), "{message}");
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
