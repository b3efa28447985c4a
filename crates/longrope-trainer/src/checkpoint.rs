//! Saved states: everything a run needs to go on as if it had never stopped.
//!
//! ```text
//! RUN/step-000200/state.json             step, data cursor, what the run was
//!                 optimizer.safetensors  moments
//!                 model/                 a Hugging Face folder of its own
//!                 adapter/               instead, where adapters are trained: a PEFT folder
//! ```
//!
//! A folder is written beside its final name and renamed when the disk has all of it, so that a
//! crash or a full disk leaves the states before it whole.

use std::path::{Path, PathBuf};

use longrope_model::{Decoder, LoraConfig, Trained, copy_companions};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::optimizer::AdamW;
use crate::trainer::{Trainer, TrainerConfig};

const FORMAT: &str = "longrope-training-state";
const VERSION: u32 = 1;

/// `state.json`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingState {
    format: String,
    version: u32,
    /// Steps made, skipped ones included.
    pub n_steps: usize,
    /// Steps the optimizer made.
    pub optimizer_steps: u64,
    /// Where the data goes on; the caller's.
    pub data: Value,
    /// Identifies the settings that must be the same for the run to go on; the caller's.
    pub settings: Value,
}

impl TrainingState {
    /// The state of a trainer.
    pub fn new(trainer: &Trainer, data: Value, settings: Value) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            n_steps: trainer.n_steps(),
            optimizer_steps: trainer.optimizer().n_steps(),
            data,
            settings,
        }
    }

    /// Reads `state.json` of a folder.
    ///
    /// # Errors
    /// If it is missing, damaged or of another version.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("state.json");
        let text = fs_err::read_to_string(&path)?;
        let bad = |problem: String| Error::State {
            path: path.clone(),
            problem,
        };
        let state: Self = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        if state.format != FORMAT || state.version != VERSION {
            return Err(bad(format!(
                "it is `{}` version {}, expected `{FORMAT}` version {VERSION}",
                state.format, state.version
            )));
        }
        Ok(state)
    }
}

/// Where the weights of a saved state come from besides the trainer.
#[derive(Clone, Debug)]
pub struct SaveContext<'a> {
    /// The checkpoint that training began with: its `config.json` and tokenizer go along.
    pub base: &'a Path,
    /// Settings of the adapters, if those are trained.
    pub lora: Option<&'a LoraConfig>,
    /// How many states are kept.
    pub keep: usize,
}

/// Name of the folder of a step.
pub fn step_folder(run: &Path, n_steps: usize) -> PathBuf {
    run.join(format!("step-{n_steps:06}"))
}

/// Saves a state and removes the oldest beyond those to keep. Returns its folder.
///
/// # Errors
/// If something cannot be written; earlier states are whole then.
pub fn save(
    run: &Path,
    trainer: &Trainer,
    state: &TrainingState,
    context: &SaveContext<'_>,
) -> Result<PathBuf> {
    fs_err::create_dir_all(run)?;
    let target = step_folder(run, state.n_steps);
    // A folder inside the temporary one: it gets ordinary permissions, and what a failure leaves
    // disappears with its parent.
    let temporary = tempfile::Builder::new()
        .prefix(".saving-")
        .tempdir_in(run)?;
    let staging = temporary.path().join("new");
    fs_err::create_dir(&staging)?;
    match context.lora {
        None => {
            let model = staging.join("model");
            fs_err::create_dir(&model)?;
            write_model(trainer.decoder(), context.base, &model)?;
        }
        Some(lora) => {
            let adapter = staging.join("adapter");
            fs_err::create_dir(&adapter)?;
            trainer
                .decoder()
                .write_adapters(&adapter, lora, context.base)?;
        }
    }
    trainer
        .optimizer()
        .write(&staging.join("optimizer.safetensors"))?;
    let mut text = serde_json::to_string_pretty(state).map_err(std::io::Error::from)?;
    text.push('\n');
    let path = staging.join("state.json");
    fs_err::write(&path, text)?;
    fs_err::File::open(&path)?.sync_all()?;
    if target.exists() {
        fs_err::rename(&target, temporary.path().join("old"))?;
    }
    fs_err::rename(&staging, &target)?;
    remove_old(run, context.keep)?;
    Ok(target)
}

/// Writes the weights as a checkpoint folder that every program reads, with what `base` has beside
/// its weights.
///
/// # Errors
/// If something cannot be written.
pub fn write_model(decoder: &Decoder, base: &Path, folder: &Path) -> Result<()> {
    decoder.write_weights(&folder.join("model.safetensors"))?;
    fs_err::copy(base.join("config.json"), folder.join("config.json"))?;
    copy_companions(base, folder)?;
    Ok(())
}

/// The folder of the latest saved state.
///
/// # Errors
/// If the run folder cannot be read.
pub fn latest(run: &Path) -> Result<Option<PathBuf>> {
    Ok(saved(run)?.pop())
}

/// As [`latest`]; a folder that cannot be read has none.
pub fn latest_in(run: &Path) -> Option<PathBuf> {
    latest(run).ok().flatten()
}

/// Restores a trainer from a saved state. `decoder` is the model training began with.
///
/// # Errors
/// If a file is missing, damaged or does not fit.
pub fn restore(
    folder: &Path,
    state: &TrainingState,
    mut decoder: Decoder,
    config: TrainerConfig,
) -> Result<Trainer> {
    match config.trained {
        Trained::All => {
            let device = decoder.device().clone();
            decoder = Decoder::load_as(&folder.join("model"), &device, decoder.dtype())?;
        }
        Trained::Adapters => {
            decoder.read_adapters(&folder.join("adapter"))?;
        }
    }
    let optimizer = AdamW::read(
        &folder.join("optimizer.safetensors"),
        config.optimizer,
        state.optimizer_steps,
        &mut decoder,
        config.trained,
    )?;
    Trainer::at_step(decoder, config, optimizer, state.n_steps)
}

/// Folders of saved states, oldest first.
fn saved(run: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    if !run.is_dir() {
        return Ok(Vec::new());
    }
    for entry in fs_err::read_dir(run)? {
        let path = entry?.path();
        let step = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(|name| name.strip_prefix("step-"))
            .and_then(|step| step.parse::<usize>().ok());
        if let Some(step) = step {
            found.push((step, path));
        }
    }
    found.sort();
    Ok(found.into_iter().map(|(_, path)| path).collect())
}

fn remove_old(run: &Path, keep: usize) -> Result<()> {
    let saved = saved(run)?;
    let n_old = saved.len().saturating_sub(keep.max(1));
    for folder in &saved[..n_old] {
        fs_err::remove_dir_all(folder)?;
    }
    Ok(())
}
