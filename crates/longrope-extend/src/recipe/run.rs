//! Running the stages that are not done.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use longrope_data::write_atomically;
use serde::{Deserialize, Serialize};

use super::error::RecipeError;
use super::fingerprints::Fingerprints;
use super::moved::{Wanted, check_places};
use super::plan::{DONE_FILE, SETTINGS_FILE, Verb, split_folder, stage_name};
use super::settings::Settings;
use crate::error::{Error, Result};
use crate::json_files::{read_json, write_json};
use crate::search;
use crate::stopwatch::Stopwatch;

/// The time that a stage has taken so far, in its folder; see [`Stopwatch`].
const TIME_FILE: &str = "time.json";

/// A stage with everything it is run with.
#[derive(Clone, Debug)]
pub struct PlannedStage<W> {
    /// Name of the stage.
    pub name: String,
    /// What it does.
    pub verb: Verb,
    /// Its folder, in that of the run.
    pub folder: PathBuf,
    /// Its settings as TOML, saved in its folder as `stage.toml`. `out` is the folder as the settings name it. Other paths in
    /// the folder of the run say what the stage takes from others.
    pub settings: String,
    /// What the caller's function needs to run it.
    pub work: W,
}

/// A stage that is done: `done.json` in its folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DoneStage {
    format: String,
    version: u32,
    /// Name of the stage.
    pub stage: String,
    /// What it did.
    pub verb: Verb,
    /// Time it took, seconds, with that of interrupted processes, but without that of processes that were killed.
    pub elapsed_secs: f64,
    /// Fingerprints of what it took from other stages, by path in the folder of the run. Stages that took nothing have none,
    /// and neither have those of earlier versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, String>,
    /// Fingerprint of the model, if that does not come from another stage. `None` if it could not be read where the recipe
    /// names it, as on the hub, and in files of earlier versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Fingerprints of other files that it took and that no stage has made, by path; absent in files of earlier versions.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
}

/// What a stage that is done took, and what is another one now.
enum Changed {
    /// The model, which no stage has made.
    Model(PathBuf),
    /// A path in the folder of the run.
    Input(String),
}

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
/// [`RecipeError::OtherPlace`], [`RecipeError::OtherVerb`], [`RecipeError::OtherModel`] and [`RecipeError::OtherInput`]; a
/// `done.json` that cannot be read.
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
    let (mut model, mut files) = (None, BTreeMap::new());
    // A page is about stages only.
    if stage.verb != Verb::Report
        && let Some(settings) = Settings::read(&stage.settings)
    {
        let path = settings.given_model();
        model = path.and_then(|path| fingerprints.of_given(path).map(str::to_owned));
        files = fingerprints.of_all_given(&settings.given_files(stage.verb));
    }
    DoneStage {
        format: "longrope-stage".to_owned(),
        version: 1,
        stage: stage.name.clone(),
        verb: stage.verb,
        elapsed_secs: 0.0,
        inputs: fingerprints.of_all(inputs),
        model,
        files,
    }
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

/// Reads `done.json`, if the stage is done.
fn read_done<W>(stage: &PlannedStage<W>) -> Result<Option<DoneStage>> {
    let path = stage.folder.join(DONE_FILE);
    if !path.is_file() {
        return Ok(None);
    }
    let done: DoneStage = read_json(&path)?;
    if done.verb != stage.verb {
        let error = RecipeError::OtherVerb {
            stage: stage.name.clone(),
            folder: stage.folder.clone(),
            found: done.verb.name(),
            expected: stage.verb.name(),
        };
        return Err(error.into());
    }
    Ok(Some(done))
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

/// What a stage takes from others, as paths in the folder of the run. A page is about all stages before it.
fn inputs<W>(stages: &[PlannedStage<W>], index: usize) -> BTreeSet<String> {
    let stage = &stages[index];
    if stage.verb == Verb::Report {
        let earlier = stages[..index].iter();
        return earlier
            .map(|stage| format!("{}/{DONE_FILE}", folder_of(stage)))
            .collect();
    }
    Settings::read(&stage.settings)
        .map(|settings| settings.inputs(stage.verb))
        .unwrap_or_default()
}

/// The name of the folder of a stage.
fn folder_of<W>(stage: &PlannedStage<W>) -> String {
    let name = stage.folder.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Refuses a stage that is done with another model, or with something that has been made again since.
fn check_inputs<W>(
    stages: &[PlannedStage<W>],
    index: usize,
    done: &DoneStage,
    fingerprints: &mut Fingerprints,
) -> Result<()> {
    let Some(changed) = changed(stages, index, done, fingerprints) else {
        return Ok(());
    };
    let mut affected = vec![index];
    for (later, stage) in stages.iter().enumerate().skip(index + 1) {
        let done = read_done(stage)?;
        if done.is_some_and(|done| self::changed(stages, later, &done, fingerprints).is_some()) {
            affected.push(later);
        }
    }
    affected.extend(dependents(stages, &affected));
    affected.sort_unstable();
    affected.dedup();
    let folders = affected
        .into_iter()
        .map(|index| stages[index].folder.clone());
    let folders = folders.filter(|folder| folder.is_dir()).collect();
    let name = stages[index].name.clone();
    let run = stages[index].folder.parent().unwrap_or(Path::new(""));
    let error = match changed {
        Changed::Model(model) => RecipeError::OtherModel {
            stage: name,
            model,
            folders,
        },
        Changed::Input(input) => RecipeError::OtherInput {
            stage: name,
            input: run.join(input),
            folders,
        },
    };
    Err(error.into())
}

/// What is there, but not as it was when the stage ran. Nothing of a page: it is written again.
fn changed<W>(
    stages: &[PlannedStage<W>],
    index: usize,
    done: &DoneStage,
    fingerprints: &mut Fingerprints,
) -> Option<Changed> {
    if done.verb == Verb::Report {
        return None;
    }
    if let Some(was) = &done.model
        && let Some(settings) = Settings::read(&stages[index].settings)
        && let Some(model) = settings.given_model()
        && fingerprints.of_given(model).is_some_and(|now| now != was)
    {
        return Some(Changed::Model(PathBuf::from(model)));
    }
    done.inputs.iter().find_map(|(path, was)| {
        let path = present_place(stages, path);
        let now = fingerprints.of(&path)?;
        (now != was).then_some(Changed::Input(path))
    })
}

/// Where what was at a path of the run is now: the folder of its stage may have got another number.
fn present_place<W>(stages: &[PlannedStage<W>], path: &str) -> String {
    let (folder, rest) = split_folder(path);
    let name = stage_name(folder);
    match stages
        .iter()
        .find(|stage| Some(stage.name.as_str()) == name)
    {
        Some(stage) => format!("{}{rest}", folder_of(stage)),
        None => path.to_owned(),
    }
}

/// The stages that have begun and take something from one of these, directly or by way of others. Pages are left out.
fn dependents<W>(stages: &[PlannedStage<W>], of: &[usize]) -> Vec<usize> {
    let mut makers = of.to_vec();
    let mut found = Vec::new();
    for (index, stage) in stages.iter().enumerate() {
        if stage.verb == Verb::Report || !stage.folder.is_dir() {
            continue;
        }
        let inputs = inputs(stages, index);
        let takes_from = |maker: &usize| {
            let maker = folder_of(&stages[*maker]);
            inputs
                .iter()
                .any(|input| Path::new(input).starts_with(&maker))
        };
        if makers.iter().any(takes_from) {
            makers.push(index);
            found.push(index);
        }
    }
    found
}

fn write(path: &Path, text: &str) -> Result<()> {
    Ok(write_atomically(path, text.as_bytes())?)
}

#[cfg(test)]
#[path = "run_tests.rs"]
mod tests;
