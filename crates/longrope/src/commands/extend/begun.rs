//! Whether the stages that have begun can go on, before any stage runs.

use anyhow::{Context, Result};
use longrope_extend::recipe::{Place, Verb};
use longrope_extend::{RunFolder, RunKind, RunMode, SearchTask};
use longrope_model::ModelConfig;
use serde_json::json;

use super::begun_measurement;
use super::planned::{Planned, in_stage};
use crate::commands::named_inputs::with_inputs;
use crate::commands::searching::calibration;
use crate::commands::{other_rope, recover, search};
use crate::input;
use crate::input::precision::with_trained_precision;
use crate::input::rope_arg::RopeArg;
use crate::input::ropes_and_contexts::longest_context;
use crate::settings::config::Config;

/// Compares the settings of stages that were stopped with those that they were begun with, as far as these are known
/// before a text or weights are read. The stage itself compares the others.
///
/// # Errors
/// If a stage was begun with other settings; if what says so cannot be read.
pub(super) fn check(planned: &[Planned], places: &[Place]) -> Result<()> {
    for (stage, place) in planned.iter().zip(places) {
        let checked = check_stage(stage, place);
        checked.with_context(|| in_stage(stage))?;
    }
    Ok(())
}

fn check_stage(stage: &Planned, place: &Place) -> Result<()> {
    let kind = match stage.verb {
        Verb::Search => RunKind::Search,
        Verb::Recover => RunKind::Recover,
        Verb::Finetune => RunKind::Finetune,
        _ => return begun_measurement::check(stage),
    };
    if stage.is_done() || !RunFolder::goes_on(&stage.folder, kind, RunMode::Part)? {
        return Ok(());
    }
    // What an earlier stage has to make again is not there.
    let mut inputs = place.model.iter().chain(&place.rope);
    if inputs.any(|path| !path.exists()) {
        return Ok(());
    }
    let given = input::model_folder(&stage.work.config)?;
    let Some(folder) = input::place_of_model(given) else {
        return Ok(());
    };
    let config = Config {
        model: Some(folder),
        ..stage.work.config.clone()
    };
    let model = input::model_config(&config)?;
    let checked = match stage.verb {
        Verb::Search => check_search(stage, &config, &model),
        Verb::Recover => check_recovery(stage, &config, &model),
        _ => check_training(stage, &with_trained_precision(&config)?, &model),
    };
    checked.map_err(|error| match error.downcast::<longrope_extend::Error>() {
        Ok(error) => with_inputs(error, &stage.folder, &config, stage.verb).into(),
        Err(other) => other,
    })
}

fn check_search(stage: &Planned, config: &Config, model: &ModelConfig) -> Result<()> {
    let run = &config.search.run;
    let Some(target) = run.target else {
        return Ok(());
    };
    SearchTask::check_begun(
        &stage.folder,
        &search::problem(config, model, target)?,
        &config.search.evolution,
        config.seed,
        run.profile.name(),
    )?;
    Ok(())
}

fn check_recovery(stage: &Planned, config: &Config, model: &ModelConfig) -> Result<()> {
    let Some(name) = config.rope.first() else {
        return Ok(());
    };
    let rope = RopeArg::read(name, model, longest_context(config)?)?;
    let known = recover::factor_sets(config, name, &rope)?;
    let calibration = calibration(config);
    let settings = recover::settings(config, &known, &calibration);
    let checked = settings.check_begun(&stage.folder);
    Ok(checked.map_err(|error| other_rope::named(error, &stage.folder, &config.rope))?)
}

fn check_training(stage: &Planned, config: &Config, model: &ModelConfig) -> Result<()> {
    let mut known = json!({
        // With the defaults of mode and family, as the run has them.
        "train": config.train.clone().resolved(model),
        "seed": config.seed,
        "rope-layers": config.rope_layers,
    });
    if let Some(context) = config.train.context {
        known["context"] = context.into();
    }
    Ok(RunFolder::check_known(&stage.folder, &known)?)
}
