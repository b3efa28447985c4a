//! Saved states of a run: the trainer, the place in its data, and the settings that have to be the same to go on.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use longrope_data::{Mixture, MixtureCursor};
use longrope_model::Decoder;
use longrope_trainer::checkpoint::{self, SaveContext, TrainingState};
use longrope_trainer::{Trainer, TrainerConfig};
use serde_json::Value;

use crate::hint::Hint;

/// Saves where `trainer` and its data are as `run/step-N`.
///
/// # Errors
/// If the state cannot be written; those written before stay whole.
pub(crate) fn save(
    run: &Path,
    trainer: &Trainer,
    cursor: &MixtureCursor,
    settings: &Value,
    context: &SaveContext<'_>,
) -> Result<()> {
    let state = TrainingState::new(trainer, serde_json::to_value(cursor)?, settings.clone());
    checkpoint::save(run, trainer, &state, context).with_context(|| {
        format!(
            "saving the state of step {} in `{}`; the states saved before are whole",
            trainer.n_steps(),
            run.display()
        )
    })?;
    Ok(())
}

/// The trainer as saved in `folder`; `data` is put where it was.
///
/// # Errors
/// If the state cannot be read, or was saved under other settings.
pub(crate) fn restore(
    folder: &Path,
    settings: &Value,
    decoder: Decoder,
    config: TrainerConfig,
    data: &mut Mixture,
) -> Result<Trainer> {
    let state = TrainingState::read(folder)?;
    if state.settings != *settings {
        return Err(anyhow!(
            "the run in `{}` was started with other settings, another model or other text",
            folder.display()
        )
        .context(Hint(
            "resume with the configuration in its config.toml, or start again in another --out"
                .to_owned(),
        )));
    }
    let cursor: MixtureCursor = serde_json::from_value(state.data.clone())
        .with_context(|| format!("the place in the data of `{}`", folder.display()))?;
    data.seek(&cursor)?;
    checkpoint::restore(folder, &state, decoder, config)
        .with_context(|| format!("going on from `{}`", folder.display()))
}
