//! What is verified: a model or a file that was exported.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use longrope_gguf::GgufFile;
use longrope_model::ModelConfig;
use longrope_rope::RopeSpec;

use super::expected;
use crate::input::{self, gguf};
use crate::next_steps::quoted;
use crate::settings::config::Config;

/// What is verified.
pub(super) struct Subject {
    /// The folder or file as it was given, as a word for a shell.
    pub(super) name: String,
    /// What the other program loads.
    pub(super) place: PathBuf,
    /// The file, if it is one.
    pub(super) file: Option<GgufFile>,
    pub(super) model: ModelConfig,
    /// The RoPE of the export, if the model says so.
    pub(super) exported: Option<RopeSpec>,
}

/// The model, what other programs load of it, and what it was exported with.
pub(super) fn subject(given: &Path, config: &Config) -> Result<Subject> {
    let model = input::model_config(config)?;
    let folder = input::model_folder(config)?;
    let doing = || format!("reading `{}`", given.display());
    let file = if gguf::is_gguf(given) {
        Some(GgufFile::open(given).with_context(doing)?)
    } else {
        None
    };
    let (place, exported) = match &file {
        Some(file) => (given, expected::of_gguf(file, &model)),
        None => (folder.as_path(), expected::of_folder(folder, &model)),
    };
    Ok(Subject {
        name: quoted(place),
        place: fs_err::canonicalize(place).with_context(doing)?,
        file,
        model,
        exported,
    })
}
