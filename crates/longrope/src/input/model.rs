//! Loads the configured model onto one or more devices.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, anyhow};
use indicatif::ProgressBar;
use longrope_extend::{Models, Replica};
use longrope_model::{Checkpoint, Decoder, ModelConfig};

use super::memory::{self, Work};
use super::precision::precision;
use super::{device, gguf, hub};
use crate::failure::Hint;
use crate::next_steps::quoted;
use crate::settings::config::{Config, RopeLayers, WeightSetting};
use crate::terminal::progress;

/// The configured checkpoint folder.
pub(crate) fn model_folder(config: &Config) -> Result<&PathBuf> {
    config.model.as_ref().ok_or_else(|| {
        if let Some((flag, taken)) = taken_model(config) {
            return anyhow!("the model is missing, and `{taken}` after `{flag}` is a model").context(
                Hint(format!(
                    "a flag that takes several values takes MODEL too: give it before {flag}, or as --model {}",
                    quoted(Path::new(&taken))
                )),
            );
        }
        anyhow!("the model is missing").context(Hint(
            "give its folder as MODEL before flags that take several values, as --model MODEL, or as `model` in \
             --config"
                .to_owned(),
        ))
    })
}

/// The name of the configured model, as it was given; of a model of the hub, with its commit.
pub(crate) fn model_name(config: &Config) -> Result<String> {
    let folder = model_folder(config)?;
    let name = config.named_model().unwrap_or(folder);
    Ok(hub::name_of_cached(name).unwrap_or_else(|| name.display().to_string()))
}

/// A checkpoint folder among the values of a flag that takes several, and the flag.
fn taken_model(config: &Config) -> Option<(&'static str, String)> {
    let is_model = |path: &Path| path.join("config.json").is_file();
    let text = config.text.iter().find(|path| is_model(path));
    let rope = config.rope.iter().find(|name| is_model(Path::new(name)));
    text.map(|path| ("--text", path.display().to_string()))
        .or_else(|| rope.map(|name| ("--rope", name.clone())))
}

/// The sizes and the RoPE of the configured model.
pub(crate) fn model_config(config: &Config) -> Result<ModelConfig> {
    let folder = model_folder(config)?;
    let doing = || format!("loading model `{}`", folder.display());
    let model = if gguf::is_gguf(folder) {
        gguf::model_config(folder).with_context(doing)?
    } else {
        ModelConfig::from_folder(folder).with_context(doing)?
    };
    Ok(match config.rope_layers {
        RopeLayers::Full => model,
        RopeLayers::All => model.with_shared_rope(),
    })
}

/// As [`model_config`], after checking that there are weights: without them, it does not matter how much memory they take.
fn model_with_weights(config: &Config) -> Result<ModelConfig> {
    let model = model_config(config)?;
    check_weights(model_folder(config)?)?;
    Ok(model)
}

/// Checks that a folder has readable weight files, without reading the weights.
pub(crate) fn check_weights(folder: &Path) -> Result<()> {
    let opened = Checkpoint::open(folder);
    opened.with_context(|| format!("loading model `{}`", folder.display()))?;
    Ok(())
}

/// Checks that the configured devices are there and have the configured precision, before anything is written.
///
/// # Errors
/// If a device cannot be opened, or does not have the type.
pub(crate) fn check_devices(config: &Config) -> Result<()> {
    for name in config.device.names()? {
        precision(config.precision, name, &device::place(name)?)?;
    }
    Ok(())
}

/// Loads the model onto every configured device, once per device even if it has several workers.
///
/// # Errors
/// If the model cannot be loaded, or there is not enough memory for the work.
pub(crate) fn load_models(config: &Config, work: Work<'_>) -> Result<Models> {
    let names = config.device.names()?;
    memory::check(config, &model_with_weights(config)?, work)?;
    let mut replicas: Vec<Replica> = Vec::with_capacity(names.len());
    for name in names {
        let loaded = replicas.iter().find(|replica| replica.device == *name);
        let decoder = match loaded {
            Some(replica) => replica.decoder.clone(),
            None => load_onto(config, name)?,
        };
        replicas.push(Replica::new(name, decoder, device::is_cpu(name)));
    }
    Ok(Models::new(replicas)?)
}

/// Loads the model onto the configured device.
///
/// # Errors
/// If several devices are configured, the model cannot be loaded, or there is not enough memory for the work.
pub(crate) fn load_model(config: &Config, work: Work<'_>) -> Result<Decoder> {
    let device = config.device.only()?;
    memory::check(config, &model_with_weights(config)?, work)?;
    load_onto(config, device)
}

fn load_onto(config: &Config, name: &str) -> Result<Decoder> {
    let folder = model_folder(config)?;
    let placement = device::place(name)?;
    let precision = precision(config.precision, name, &placement)?;
    let bar = progress::bar(&format!("loading {}", folder.display()), 1);
    let decoder = match config.weights {
        WeightSetting::Resident => {
            Decoder::load_with(folder, placement, precision, |layer_idx, n_layers| {
                bar.set_length(n_layers as u64);
                bar.set_position(layer_idx as u64);
            })
        }
        WeightSetting::Streamed => {
            Decoder::stream(folder, placement, precision, Arc::new(show_layer))
        }
    };
    let decoder = decoder.with_context(|| format!("loading model `{}`", folder.display()))?;
    let decoder = match config.rope_layers {
        RopeLayers::Full => decoder,
        RopeLayers::All => decoder.with_shared_rope(),
    };
    bar.finish_and_clear();
    for warning in &decoder.config().warnings {
        tracing::warn!("{warning}");
    }
    Ok(decoder)
}

/// Shows the progress of streamed layers.
fn show_layer(layer_idx: usize, n_layers: usize) {
    static BAR: OnceLock<ProgressBar> = OnceLock::new();
    let bar = BAR.get_or_init(|| progress::bar("layers", n_layers as u64));
    bar.set_position(layer_idx as u64 + 1);
    if layer_idx + 1 == n_layers {
        bar.reset();
    }
}
