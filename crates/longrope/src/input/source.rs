//! What results are measured on, for their files and `--json`.

use std::path::PathBuf;

use anyhow::Result;
use longrope_model::{Checkpoint, ResultSource};

use super::model::{model_config, model_folder, model_name};
use super::precision::precision_name;
use crate::settings::config::{Config, RopeLayers};

/// What the configured model is measured on. `text` is the fingerprint of the text or data, if the job has one.
///
/// # Errors
/// If the model cannot be read.
pub(crate) fn source(config: &Config, text: Option<String>) -> Result<ResultSource> {
    let model = model_folder(config)?;
    Ok(ResultSource {
        model: model_name(config)?,
        model_fingerprint: Checkpoint::open(model)?.fingerprint()?,
        text_fingerprint: text,
        rope_layers: rope_layers(config)?,
        ..blank_source(config)?
    })
}

/// Which layers a RoPE is for, if that is not the default and makes a difference: in models where layers with a sliding
/// window have a RoPE of their own.
fn rope_layers(config: &Config) -> Result<Option<String>> {
    match config.rope_layers {
        RopeLayers::Full => Ok(None),
        RopeLayers::All => {
            let has_local_rope = model_config(config)?.family.has_local_rope();
            Ok(has_local_rope.then(|| "all".to_owned()))
        }
    }
}

/// As [`source`], without model and fingerprints, for jobs that fill them in.
///
/// # Errors
/// If the list of devices is empty, or the first one cannot be opened.
pub(crate) fn blank_source(config: &Config) -> Result<ResultSource> {
    Ok(ResultSource {
        tool_version: env!("CARGO_PKG_VERSION").to_owned(),
        texts: names(config.text.iter().chain(&config.tokens)),
        seed: Some(config.seed),
        devices: config.device.names()?.to_vec(),
        precision: Some(precision_name(config)?.to_owned()),
        ..ResultSource::default()
    })
}

/// Paths as they were given.
pub(crate) fn names<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Vec<String> {
    let paths = paths.into_iter();
    paths.map(|path| path.display().to_string()).collect()
}
