//! Running the stages that are not done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use longrope_data::write_atomically;

use super::changed::{check_inputs, dependents, inputs};
use super::fingerprints::Fingerprints;
use super::inside::is_inside;
use super::moved::{Wanted, check_places};
use super::plan::{DONE_FILE, SETTINGS_FILE, Verb};
use super::settings::Settings;
use super::stage::{DoneStage, PlannedStage, folder_of, read_done};
use crate::error::{Error, Result};
use crate::json_files::write_json;
use crate::search;
use crate::stopwatch::Stopwatch;

/// The time that a stage has taken so far, in its folder; see [`Stopwatch`].
const TIME_FILE: &str = "time.json";

/// The stage that is about to run.
#[derive(Clone, Copy, Debug)]
pub struct Turn {
    /// Its number, from 1.
    pub number: usize,
    /// Number of stages.
    pub of: usize,
    /// Whether it has run before and was interrupted.
    pub has_begun: bool,
}

/// Checks that the stages that are done can be kept, before any stage runs. Nothing is written.
///
/// Logs a warning if one of them depends on a stage that is to run again.
///
/// # Errors
/// [`OtherPlace`], [`OtherVerb`], [`OtherModel`] and [`OtherInput`]; a `done.json` that cannot be read.
///
/// [`OtherPlace`]: super::RecipeError::OtherPlace
/// [`OtherVerb`]: super::RecipeError::OtherVerb
/// [`OtherModel`]: super::RecipeError::OtherModel
/// [`OtherInput`]: super::RecipeError::OtherInput
pub fn check<W>(stages: &[PlannedStage<W>]) -> Result<()> {
    check_places_of(stages)?;
    let mut fingerprints = fingerprints(stages);
    let mut to_run = Vec::new();
    for (index, stage) in stages.iter().enumerate() {
        match read_done(stage)? {
            Some(done) => check_inputs(stages, index, &done, &mut fingerprints)?,
            None => to_run.push(index),
        }
    }
    let kept: Vec<String> = dependents(stages, &to_run)
        .into_iter()
        .filter(|index| !to_run.contains(index))
        .map(|index| format!("`{}`", stages[index].folder.display()))
        .collect();
    if !kept.is_empty() {
        tracing::warn!(
            "finished stages take something from stages that run now: they are refused if that is not the same as before; to run them again too, stop and remove {}",
            kept.join(", ")
        );
    }
    Ok(())
}

/// Runs the stages that are not done, in order. Returns all of them as done.
///
/// Calls `run` for each of them; when `run` returns, the stage is done. A finished stage whose settings or text have changed
/// is not run again, with a warning in the log. A page is written again if a stage before it is not the one that it is about.
///
/// The settings of a stage that was interrupted stay in its `stage.toml` until `run` has accepted others, and returned.
///
/// # Errors
/// The error of `run`, those of [`check`], or of a file that cannot be read or written. Stages before it stay done.
pub fn run<W, E: From<Error>>(
    stages: &[PlannedStage<W>],
    mut run: impl FnMut(&PlannedStage<W>, Turn) -> Result<(), E>,
) -> Result<Vec<DoneStage>, E> {
    check_places_of(stages)?;
    let mut fingerprints = fingerprints(stages);
    let mut all_done = Vec::with_capacity(stages.len());
    let mut has_run = false;
    for (index, stage) in stages.iter().enumerate() {
        let inputs = inputs(stages, index);
        if let Some(done) = read_done(stage)? {
            check_inputs(stages, index, &done, &mut fingerprints)?;
            let is_old_page = stage.verb == Verb::Report
                && (has_run
                    || !done.inputs.is_empty() && done.inputs != fingerprints.of_all(&inputs));
            if !is_old_page {
                warn_of_other_settings(stage);
                warn_of_other_files(stage, &done, &mut fingerprints);
                all_done.push(done);
                continue;
            }
        }
        has_run = true;
        let turn = Turn {
            number: index + 1,
            of: stages.len(),
            has_begun: stage.folder.is_dir(),
        };
        let settings_file = stage.folder.join(SETTINGS_FILE);
        if !settings_file.is_file() {
            write(&settings_file, &stage.settings)?;
        }
        let mut done = begun(stage, &inputs, &mut fingerprints);
        // A killed process saves no time of the stage, but a search saves its own after every generation.
        let of_search = Stopwatch::start(stage.folder.join(search::TIME_FILE)).elapsed_secs();
        let clock = Stopwatch::start_from(stage.folder.join(TIME_FILE), of_search);
        if let Err(error) = run(stage, turn) {
            clock.save_if_possible();
            return Err(error);
        }
        fingerprints.forget(&folder_of(stage));
        if done.model.is_none() {
            // It may have been fetched by the stage.
            done.model = model_of(stage, &mut fingerprints);
        }
        done.elapsed_secs = clock.elapsed_secs();
        write(&settings_file, &stage.settings)?;
        write_json(&stage.folder.join(DONE_FILE), &done)?;
        clock.clear()?;
        all_done.push(done);
    }
    Ok(all_done)
}

/// What is known of a stage before it runs.
fn begun<W>(
    stage: &PlannedStage<W>,
    inputs: &BTreeSet<String>,
    fingerprints: &mut Fingerprints,
) -> DoneStage {
    let mut files = BTreeMap::new();
    // A page is about stages only.
    if stage.verb != Verb::Report
        && let Some(settings) = Settings::read(&stage.settings)
    {
        let mut given = settings.given_files(stage.verb);
        given.retain(|path| !is_inside(Path::new(path), &stage.folder));
        files = fingerprints.of_all_given(&given);
    }
    DoneStage {
        format: "longrope-stage".to_owned(),
        version: 1,
        stage: stage.name.clone(),
        verb: stage.verb,
        elapsed_secs: 0.0,
        inputs: fingerprints.of_all(inputs),
        model: model_of(stage, fingerprints),
        files,
    }
}

/// The fingerprint of the model of a stage, if it does not come from another stage and can be read.
fn model_of<W>(stage: &PlannedStage<W>, fingerprints: &mut Fingerprints) -> Option<String> {
    if stage.verb == Verb::Report {
        return None;
    }
    let settings = Settings::read(&stage.settings)?;
    let model = fingerprints.of_model(settings.given_model()?, stage.locate);
    model.map(str::to_owned)
}

/// Refuses stages that have begun under another number.
fn check_places_of<W>(stages: &[PlannedStage<W>]) -> Result<()> {
    let wanted = stages.iter().map(|stage| Wanted {
        name: &stage.name,
        verb: stage.verb,
        folder: &stage.folder,
    });
    let wanted: Vec<Wanted<'_>> = wanted.collect();
    Ok(check_places(&wanted)?)
}

fn warn_of_other_settings<W>(stage: &PlannedStage<W>) {
    let saved = fs_err::read_to_string(stage.folder.join(SETTINGS_FILE)).unwrap_or_default();
    let own = |settings: &str| Some(Settings::read(settings)?.of_verb(stage.verb));
    if own(&saved) != own(&stage.settings) {
        tracing::warn!(
            "stage `{}` is done and is not run again, but the recipe has other settings for it now; to run it again, remove `{}`",
            stage.name,
            stage.folder.display()
        );
    }
}

fn warn_of_other_files<W>(
    stage: &PlannedStage<W>,
    done: &DoneStage,
    fingerprints: &mut Fingerprints,
) {
    let mut changed = Vec::new();
    for (path, was) in &done.files {
        if fingerprints.of_given(path).is_some_and(|now| now != was) {
            changed.push(format!("`{path}`"));
        }
    }
    if !changed.is_empty() {
        tracing::warn!(
            "stage `{}` is done and is not run again, but these files have changed since: {}; to run it again, remove `{}`",
            stage.name,
            changed.join(", "),
            stage.folder.display()
        );
    }
}

fn fingerprints<W>(stages: &[PlannedStage<W>]) -> Fingerprints {
    let folder = stages.first().and_then(|stage| stage.folder.parent());
    Fingerprints::new(folder.unwrap_or(Path::new("")))
}

fn write(path: &Path, text: &str) -> Result<()> {
    Ok(write_atomically(path, text.as_bytes())?)
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
