//! Saved states: everything that is needed to resume a run as if it had never stopped.
//!
//! ```text
//! RUN/step-000200/state.json             step, data position, settings of the run, checksums of the tensor files
//!                 optimizer.safetensors  moments and master weights
//!                 model/                 a Hugging Face checkpoint
//!                 adapter/               instead of `model/` if adapters are trained: a PEFT folder
//! ```
//!
//! A folder is written under a temporary name and renamed when it is complete, so a crash or a full disk leaves the
//! earlier states intact.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use longrope_model::{
    ConfigChanges, Decoder, FloatType, LoraConfig, Precision, Trained, changed_config,
    copy_companions,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{Error, Result};
use crate::finite::check_weights;
use crate::optimizer::AdamW;
use crate::trainer::{Trainer, TrainerConfig};
use crate::whole;

const FORMAT: &str = "longrope-training-state";
const VERSION: u32 = 1;

const STATE_FILE: &str = "state.json";

/// How the names of temporary folders begin in which states are written.
const SAVING_PREFIX: &str = ".saving-";

/// The content of `state.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainingState {
    format: String,
    version: u32,
    /// Steps made, including skipped ones.
    pub n_steps: usize,
    /// Steps of the optimizer, which does not count skipped ones.
    pub optimizer_steps: u64,
    /// Whether the last step was skipped; false in states of earlier versions, which do not say it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub last_was_skipped: bool,
    /// Position in the data, in a form of the caller's choice.
    pub data: Value,
    /// Settings that must be the same for the run to be resumed, in a form of the caller's choice.
    pub settings: Value,
    /// SHA-256 of each tensor file, by its path in the folder of the state; [`save`] fills it in. Empty in states of
    /// earlier versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sha256: BTreeMap<String, String>,
}

impl TrainingState {
    /// The state of a trainer.
    pub fn new(trainer: &Trainer, data: Value, settings: Value) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            n_steps: trainer.n_steps(),
            optimizer_steps: trainer.optimizer().n_steps(),
            last_was_skipped: trainer.last_was_skipped(),
            data,
            settings,
            sha256: BTreeMap::new(),
        }
    }

    /// Reads `state.json` of a folder.
    ///
    /// # Errors
    /// If it is missing, damaged or of another version, or has numbers that no training has.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(STATE_FILE);
        let bytes = fs_err::read(&path)?;
        let bad = |problem: String| Error::State {
            path: path.clone(),
            problem,
        };
        let state: Self = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
        if state.format != FORMAT || state.version != VERSION {
            return Err(bad(format!(
                "found format `{}` version {}, expected `{FORMAT}` version {VERSION}",
                state.format, state.version
            )));
        }
        if state.optimizer_steps > state.n_steps as u64 {
            return Err(bad(format!(
                "`optimizer_steps` is {}, expected at most `n_steps`, which is {}",
                state.optimizer_steps, state.n_steps
            )));
        }
        Ok(state)
    }
}

/// What a saved state needs besides the trainer.
#[derive(Clone, Debug)]
pub struct SaveContext<'a> {
    /// The checkpoint that training began with; its `config.json` and tokenizer are copied.
    pub base: &'a Path,
    /// The file that the checkpoint was unpacked from, if it was: adapters name it as their base.
    pub file: Option<&'a Path>,
    /// Settings of the adapters, if adapters are trained.
    pub lora: Option<&'a LoraConfig>,
    /// Number of states to keep, at least 1.
    pub keep: usize,
}

/// The folder of the state after `n_steps` steps.
pub fn step_folder(run: &Path, n_steps: usize) -> PathBuf {
    run.join(format!("step-{n_steps:06}"))
}

/// Saves a state, removes the oldest states beyond those to keep, and returns the folder of the new one.
///
/// # Errors
/// [`Error::WeightNotFinite`] if a weight is NaN or infinite; if something cannot be written. Earlier states stay intact.
pub fn save(
    run: &Path,
    trainer: &Trainer,
    state: &TrainingState,
    context: &SaveContext<'_>,
) -> Result<PathBuf> {
    fs_err::create_dir_all(run)?;
    let target = step_folder(run, state.n_steps);
    longrope_data::replace_folder(&target, SAVING_PREFIX, |folder| {
        let weights = match context.lora {
            None => {
                let model = folder.join("model");
                fs_err::create_dir(&model)?;
                write_model(trainer.decoder(), context.base, &model)?;
                model.join("model.safetensors")
            }
            Some(lora) => {
                let adapter = folder.join("adapter");
                fs_err::create_dir(&adapter)?;
                let decoder = trainer.decoder();
                decoder.write_adapters(&adapter, lora, context.file.unwrap_or(context.base))?;
                adapter.join("adapter_model.safetensors")
            }
        };
        check_weights(&weights, context.base, state.n_steps)?;
        let optimizer = folder.join("optimizer.safetensors");
        trainer.optimizer().write(&optimizer)?;
        let state = TrainingState {
            sha256: whole::checksums(folder)?,
            ..state.clone()
        };
        let mut text = serde_json::to_string_pretty(&state).map_err(std::io::Error::from)?;
        text.push('\n');
        let path = folder.join(STATE_FILE);
        fs_err::write(&path, text)?;
        fs_err::File::open(&path)?.sync_all()?;
        Ok::<(), Error>(())
    })?;
    remove_old(run, context.keep)?;
    Ok(target)
}

/// Writes the weights as a Hugging Face checkpoint, with `config.json`, tokenizer and the like copied from `base`. The config
/// names the type of the weights.
///
/// # Errors
/// If something cannot be written.
fn write_model(decoder: &Decoder, base: &Path, folder: &Path) -> Result<()> {
    decoder.write_weights(&folder.join("model.safetensors"))?;
    let changes = ConfigChanges {
        dtype: FloatType::of(decoder.matrix_dtype()),
        ..ConfigChanges::default()
    };
    let (config, _) = changed_config(base, decoder.config(), changes)?;
    fs_err::write(folder.join("config.json"), config)?;
    copy_companions(base, folder, None)?;
    Ok(())
}

/// The folder of the latest saved state; `None` if the run has none.
///
/// # Errors
/// If the run folder cannot be read.
pub fn latest(run: &Path) -> Result<Option<PathBuf>> {
    Ok(saved(run)?.pop())
}

/// The folder of the latest saved state whose files are all there, complete and unchanged since they were saved; `None`
/// if the run has no states.
///
/// Later states that are damaged are left out, with a warning in the log. States without checksums, of earlier versions,
/// are not checked for changed bytes.
///
/// # Errors
/// [`Error::NoWholeState`] if there are states, but none is whole; or if the run folder cannot be read.
pub fn latest_whole(run: &Path) -> Result<Option<PathBuf>> {
    let mut newest = None;
    for path in saved(run)?.into_iter().rev() {
        let state = TrainingState::read(&path).map_err(|error| error.to_string());
        let Err(problem) = state.and_then(|state| whole::check(&path, &state.sha256)) else {
            return Ok(Some(path));
        };
        tracing::warn!(
            "the saved state `{}` is not whole and is left out: {problem}",
            path.display()
        );
        newest.get_or_insert(Error::NoWholeState { path, problem });
    }
    newest.map_or(Ok(None), Err)
}

/// Whether a run has a saved state, in its place or where [`end_replacements`] finds it.
pub fn has_state(run: &Path) -> bool {
    saved(run).is_ok_and(|states| !states.is_empty()) || !cut_off(run).is_empty()
}

/// Puts states in their place that a process was killed over while it replaced older ones of the same step. The caller works
/// in the folder of the run alone: [`latest`] and [`latest_whole`] change nothing in it.
pub fn end_replacements(run: &Path) {
    for folder in cut_off(run) {
        longrope_data::remove_leftovers(&folder, SAVING_PREFIX);
    }
}

/// The folders of states that are not in their place, because a process was killed while it replaced them.
fn cut_off(run: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let entries = fs_err::read_dir(run).into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default();
        let is_left = name
            .as_encoded_bytes()
            .starts_with(SAVING_PREFIX.as_bytes());
        if !is_left || !longrope_data::holds_both(&path) {
            continue;
        }
        // Either of them says which step it is of.
        let states = ["new", "old"].map(|name| TrainingState::read(&path.join(name)));
        let state = states.into_iter().find_map(Result::ok);
        let folder = state.map(|state| step_folder(run, state.n_steps));
        found.extend(folder.filter(|folder| !folder.exists()));
    }
    found
}

/// Restores a trainer from a saved state. `decoder` is the model that training began with.
///
/// # Errors
/// If a file is missing, damaged or does not fit the model, or the state has made more steps than the schedule has.
pub fn restore(
    folder: &Path,
    state: &TrainingState,
    mut decoder: Decoder,
    config: TrainerConfig,
) -> Result<Trainer> {
    let total_steps = config.schedule.total_steps;
    if state.n_steps > total_steps {
        return Err(Error::State {
            path: folder.join(STATE_FILE),
            problem: format!(
                "`n_steps` is {}, expected at most the {total_steps} of the run",
                state.n_steps
            ),
        });
    }
    match config.trained {
        Trained::All => {
            decoder = Decoder::load_as(
                &folder.join("model"),
                decoder.placement(),
                Precision::whole(decoder.dtype()),
            )?;
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
    let trainer = Trainer::at_step(decoder, config, optimizer, state.n_steps)?;
    Ok(trainer.with_last_skipped(state.last_was_skipped))
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
