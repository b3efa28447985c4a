//! The file `config.json`.

use std::path::Path;

use longrope_rope::parse_hf_config;
use serde_json::Value;

use crate::error::{Error, Result};

/// Reads a `config.json`. A byte-order mark at its start is skipped.
///
/// # Errors
/// If the file cannot be read, is not JSON, or is no object.
pub fn read_config_json(path: &Path) -> Result<Value> {
    let bytes = fs_err::read(path)?;
    parse_hf_config(&bytes).map_err(|source| Error::config(path, source))
}
