//! JSON in files.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Reads a JSON file written by this crate.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    // Not as text: a byte that is not UTF-8 is damage like any other.
    serde_json::from_slice(&fs_err::read(path)?).map_err(|source| Error::ReadJson {
        path: path.to_owned(),
        source,
    })
}

/// Writes a value as indented JSON, completely or not at all.
pub(crate) fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    Ok(longrope_data::write_atomically(path, text.as_bytes())?)
}

/// Serializes items as JSON lines.
pub(crate) fn json_lines<T: Serialize>(items: impl IntoIterator<Item = T>) -> Result<String> {
    let mut text = String::new();
    for item in items {
        text.push_str(&serde_json::to_string(&item)?);
        text.push('\n');
    }
    Ok(text)
}
