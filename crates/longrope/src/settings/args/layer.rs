//! Flags as a layer of configuration keys.

use std::path::PathBuf;

use toml::{Table, Value};

use super::common::{ModelArg, TaskFlags, TextFlags};
use crate::settings::big_number;
use crate::settings::path_text::to_text;

/// A layer of configuration keys made from flags.
#[derive(Debug, Default)]
pub(crate) struct FlagLayer(Table);

impl FlagLayer {
    /// Sets `key` or `section.key`, if the flag was given.
    pub(crate) fn set(mut self, key: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            match key.split_once('.') {
                None => {
                    self.0.insert(key.to_owned(), value.into());
                }
                Some((section, key)) => {
                    let section = self.0.entry(section).or_insert_with(|| Table::new().into());
                    if let Value::Table(section) = section {
                        section.insert(key.to_owned(), value.into());
                    }
                }
            }
        }
        self
    }

    /// Sets a count.
    pub(crate) fn count(self, key: &str, value: Option<usize>) -> Self {
        self.number(key, value.map(|count| count as u64))
    }

    /// Sets a number, of any size.
    pub(crate) fn number(self, key: &str, value: Option<u64>) -> Self {
        self.set(key, value.map(big_number::value))
    }

    /// Sets a list of counts, unless it is empty.
    pub(crate) fn counts(self, key: &str, counts: &[usize]) -> Self {
        self.list(
            key,
            counts.iter().map(|count| big_number::value(*count as u64)),
        )
    }

    /// Sets a path.
    pub(crate) fn path(self, key: &str, value: Option<&PathBuf>) -> Self {
        self.set(key, value.map(|path| to_text(path)))
    }

    /// Sets the model.
    pub(crate) fn model(self, model: &ModelArg) -> Self {
        self.set("model", model.path().map(to_text))
    }

    /// Sets a list, unless it is empty.
    pub(crate) fn list<T: Into<Value>>(
        self,
        key: &str,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        let values: Vec<Value> = values.into_iter().map(Into::into).collect();
        self.set(key, (!values.is_empty()).then_some(values))
    }

    /// Sets a list of paths, unless it is empty.
    pub(crate) fn paths(self, key: &str, values: &[PathBuf]) -> Self {
        self.list(key, values.iter().map(|path| to_text(path)))
    }

    /// Sets the keys of [`TaskFlags`].
    pub(crate) fn task(self, flags: &TaskFlags) -> Self {
        self.model(&flags.model)
            .path("out", flags.out.as_ref())
            .counts("contexts", &flags.contexts)
            .list("rope", flags.rope.iter().cloned())
            .set("eval.reference", flags.reference.clone())
            .number("seed", flags.seed)
    }

    /// Sets the keys of [`TextFlags`].
    pub(crate) fn text(self, flags: &TextFlags) -> Self {
        self.paths("text", &flags.text)
            .path("tokens", flags.tokens.as_ref())
    }

    /// The finished layer.
    pub(crate) fn table(self) -> Table {
        self.0
    }
}
