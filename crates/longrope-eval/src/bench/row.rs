//! Reads the columns of a row of a data set.

use serde_json::Value;

use super::error::BenchError;
use super::records::Record;

/// A row. A column inside another has the names of both: `outer.inner`.
#[derive(Clone, Copy)]
pub(super) struct Row<'a>(pub(super) &'a Record);

impl<'a> Row<'a> {
    pub(super) fn get(self, column: &str) -> Option<&'a Value> {
        match column.split_once('.') {
            None => self.0.columns.get(column),
            Some((outer, inner)) => self.0.columns.get(outer)?.get(inner),
        }
    }

    /// The error for a column that is missing or of another type.
    pub(super) fn wrong(self, column: &str, expected: &'static str) -> BenchError {
        let found = match self.get(column) {
            None => "missing".to_owned(),
            Some(value) => {
                let text = value.to_string();
                match text.char_indices().nth(60) {
                    Some((end, _)) => format!("`{}..`", &text[..end]),
                    None => format!("`{text}`"),
                }
            }
        };
        BenchError::Column {
            place: self.0.place.clone(),
            column: column.to_owned(),
            found,
            expected,
        }
    }

    pub(super) fn text(self, column: &str) -> Result<&'a str, BenchError> {
        self.get(column)
            .and_then(Value::as_str)
            .ok_or_else(|| self.wrong(column, "a text"))
    }

    pub(super) fn texts(self, column: &str) -> Result<Vec<&'a str>, BenchError> {
        let items = self.get(column).and_then(Value::as_array);
        items
            .and_then(|items| items.iter().map(Value::as_str).collect())
            .ok_or_else(|| self.wrong(column, "a list of texts"))
    }

    /// A list of 0 and 1.
    pub(super) fn flags(self, column: &str) -> Result<Vec<bool>, BenchError> {
        let flag = |value: &Value| match value.as_i64() {
            Some(0) => Some(false),
            Some(1) => Some(true),
            _ => None,
        };
        let items = self.get(column).and_then(Value::as_array);
        items
            .and_then(|items| items.iter().map(flag).collect())
            .ok_or_else(|| self.wrong(column, "a list of 0 and 1"))
    }

    /// A number below `n`, as a number, as text, or as a letter from A on.
    pub(super) fn index(self, column: &str, n: usize) -> Result<usize, BenchError> {
        let index = match self.get(column) {
            Some(Value::Number(number)) => number
                .as_u64()
                .and_then(|index| usize::try_from(index).ok()),
            Some(Value::String(text)) => match text.as_bytes() {
                [letter @ b'A'..=b'Z'] => Some(usize::from(letter - b'A')),
                _ => text.parse().ok(),
            },
            _ => None,
        };
        index
            .filter(|index| *index < n)
            .ok_or_else(|| self.wrong(column, "the index of a choice"))
    }
}
