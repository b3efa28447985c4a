//! The text of a `config.json`.

use serde_json::{Map, Value};

use crate::{Error, Result};

/// Parses the bytes of a `config.json`. A byte-order mark at the start is skipped.
///
/// # Errors
/// [`Error::Json`] if it is no JSON, and [`Error::NotAnObject`].
pub fn parse_hf_config(bytes: &[u8]) -> Result<Value> {
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let config = serde_json::from_slice(text).map_err(|source| Error::Json {
        what: "model config",
        source,
    })?;
    object(&config)?;
    Ok(config)
}

/// The keys of a config.
pub(super) fn object(config: &Value) -> Result<&Map<String, Value>> {
    let found = match config {
        Value::Object(keys) => return Ok(keys),
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
    };
    Err(Error::NotAnObject { found })
}
