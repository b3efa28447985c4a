//! A checkpoint folder with another RoPE, as transformers and its relatives read it.

use std::path::Path;

use longrope_rope::{RopeSpec, Warning, write_hf_rope};
use serde_json::Value;

use crate::checkpoint::Checkpoint;
use crate::config::ModelConfig;
use crate::error::{Error, Result};

/// How to export.
#[derive(Clone, Copy, Debug)]
pub struct ExportOptions {
    /// The window that the exported model claims.
    pub target_context: usize,
    /// Whether an existing folder may be replaced.
    pub overwrite: bool,
}

/// Files that go along unchanged if the source has them.
const COMPANIONS: &[&str] = &[
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "chat_template.jinja",
    "model.safetensors.index.json",
];

/// Writes the checkpoint in `source` to `target` with the RoPE `spec` in its `config.json`.
///
/// Weights are copied byte by byte: extending a window by rescaling changes none of them. The
/// folder appears whole or not at all. Returns what the format could not express.
///
/// # Errors
/// If `target` exists and may not be replaced, the source is no sound checkpoint, or a file cannot
/// be written.
pub fn export_hf(
    source: &Path,
    target: &Path,
    spec: &RopeSpec,
    options: ExportOptions,
) -> Result<Vec<Warning>> {
    if target.exists() && !options.overwrite {
        return Err(Error::OutputExists {
            path: target.to_owned(),
        });
    }
    let config = ModelConfig::from_folder(source)?;
    let checkpoint = Checkpoint::open(source)?;
    checkpoint.check(&config)?;

    let config_path = source.join("config.json");
    let text = fs_err::read_to_string(&config_path)?;
    let mut json: Value = serde_json::from_str(&text).map_err(|source| Error::Json {
        path: config_path.clone(),
        source,
    })?;
    let Value::Object(map) = &mut json else {
        return Err(Error::ConfigKey {
            path: config_path,
            key: "model_type".to_owned(),
            expected: "an object",
        });
    };
    let warnings =
        write_hf_rope(map, spec, options.target_context).map_err(|source| Error::Rope {
            path: config_path,
            source: Box::new(source),
        })?;

    let parent = match target.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs_err::create_dir_all(parent)?;
    // A folder inside the temporary one: it gets ordinary permissions, and what is left of a
    // failed export disappears with its parent.
    let temporary = tempfile::Builder::new()
        .prefix(".longrope-export-")
        .tempdir_in(parent)?;
    let staging = temporary.path().join("new");
    fs_err::create_dir(&staging)?;
    let mut text = serde_json::to_string_pretty(&json).unwrap_or_default();
    text.push('\n');
    fs_err::write(staging.join("config.json"), text)?;
    for file in checkpoint.files() {
        if let Some(name) = file.file_name() {
            fs_err::copy(file, staging.join(name))?;
        }
    }
    for name in COMPANIONS {
        let from = source.join(name);
        if from.is_file() {
            fs_err::copy(from, staging.join(name))?;
        }
    }
    if target.exists() {
        fs_err::rename(target, temporary.path().join("old"))?;
    }
    fs_err::rename(&staging, target)?;
    Ok(warnings)
}
