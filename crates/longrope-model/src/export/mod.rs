//! Exporting a checkpoint with another RoPE, in the format of transformers and compatible programs.

pub(crate) mod float_type;
mod plan;
mod shard_size;
mod weights;

pub use float_type::FloatType;
pub use shard_size::ShardSize;

use std::path::Path;

use longrope_rope::{RopeSpec, Warning, write_hf_rope};
use serde_json::Value;

use crate::checkpoint::{Checkpoint, INDEX_FILE};
use crate::config::ModelConfig;
use crate::config_file::read_config_json;
use crate::error::{Error, Result};

/// Settings of an export.
#[derive(Clone, Copy, Debug)]
pub struct ExportOptions {
    /// Context window of the exported model.
    pub target_context: usize,
    /// Whether an existing folder may be replaced.
    pub overwrite: bool,
    /// Type of the written weights; `None` keeps the stored type of each tensor.
    pub dtype: Option<FloatType>,
    /// Maximum size of a weight file. With `None`, files are copied unchanged, or limited to [`ShardSize::DEFAULT`] if
    /// there is a `dtype`.
    pub shard_size: Option<ShardSize>,
}

impl ExportOptions {
    /// Copies weight files byte for byte, to a folder that must not exist yet.
    pub fn new(target_context: usize) -> Self {
        Self {
            target_context,
            overwrite: false,
            dtype: None,
            shard_size: None,
        }
    }

    /// Whether weight files are rewritten rather than copied.
    fn rewrites_weights(self) -> bool {
        self.dtype.is_some() || self.shard_size.is_some()
    }
}

/// Files that are copied unchanged if the source has them.
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
];

/// Writes the checkpoint in `source` to `target` with the RoPE `spec` in its `config.json`.
///
/// Weight files are copied byte for byte, because rescaling RoPE does not change weights, unless `options` ask for
/// another type or file size. The folder is created atomically. Returns warnings about settings that the format cannot
/// express.
///
/// # Errors
/// If `target` exists and `overwrite` is false, the source is not a valid checkpoint, a weight does not fit into the
/// requested type, or a file cannot be written.
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
    let (json, warnings) = config_json(source, spec, options)?;

    longrope_data::replace_folder(target, ".longrope-export-", |staging| {
        fs_err::write(staging.join("config.json"), format!("{json:#}\n"))?;
        if options.rewrites_weights() {
            let size = options.shard_size.unwrap_or(ShardSize::DEFAULT);
            weights::write_weights(&checkpoint, &config, staging, options.dtype, size)?;
        } else {
            copy_weights(&checkpoint, staging)?;
        }
        copy_companions(source, staging)
    })?;
    Ok(warnings)
}

/// The `config.json` of the source with another RoPE, and with the new type of the weights if it changes.
fn config_json(
    source: &Path,
    spec: &RopeSpec,
    options: ExportOptions,
) -> Result<(Value, Vec<Warning>)> {
    let path = source.join("config.json");
    let mut json = read_config_json(&path)?;
    let Value::Object(map) = &mut json else {
        let found = "no object";
        return Err(Error::config(
            &path,
            longrope_rope::Error::NotAnObject { found },
        ));
    };
    let warnings =
        write_hf_rope(map, spec, options.target_context).map_err(|source| Error::Rope {
            path,
            source: Box::new(source),
        })?;
    if let Some(dtype) = options.dtype {
        // The keys of transformers 5 and 4. If a key is missing, readers look at the weights.
        for key in ["dtype", "torch_dtype"] {
            if let Some(value) = map.get_mut(key) {
                *value = dtype.config_name().into();
            }
        }
    }
    Ok((json, warnings))
}

/// Copies tokenizer and generation settings from `source` to `target`, if they exist.
///
/// # Errors
/// If a file cannot be read or written.
pub fn copy_companions(source: &Path, target: &Path) -> Result<()> {
    for name in COMPANIONS {
        copy_if_there(&source.join(name), &target.join(name))?;
    }
    Ok(())
}

fn copy_weights(checkpoint: &Checkpoint, folder: &Path) -> Result<()> {
    for file in checkpoint.files() {
        if let Some(name) = file.file_name() {
            fs_err::copy(file, folder.join(name))?;
        }
    }
    copy_if_there(
        &checkpoint.folder().join(INDEX_FILE),
        &folder.join(INDEX_FILE),
    )
}

fn copy_if_there(from: &Path, to: &Path) -> Result<()> {
    if from.is_file() {
        fs_err::copy(from, to)?;
    }
    Ok(())
}
