//! What a stage takes, and whether that of a finished stage is still the same.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::error::RecipeError;
use super::fingerprints::Fingerprints;
use super::plan::{DONE_FILE, Verb, split_folder, stage_name};
use super::settings::Settings;
use super::stage::{DoneStage, PlannedStage, folder_of, read_done};
use crate::error::Result;

/// What a stage that is done took, and what is another one now.
enum Changed {
    /// The model, which no stage has made.
    Model(PathBuf),
    /// A path in the folder of the run.
    Input(String),
}

/// What a stage takes from others, as paths in the folder of the run: nothing that it makes itself, though its settings may
/// name that for others. A page is about all stages before it.
pub(super) fn inputs<W>(stages: &[PlannedStage<W>], index: usize) -> BTreeSet<String> {
    let stage = &stages[index];
    if stage.verb == Verb::Report {
        let earlier = stages[..index].iter();
        return earlier
            .map(|stage| format!("{}/{DONE_FILE}", folder_of(stage)))
            .collect();
    }
    let mut inputs = Settings::read(&stage.settings)
        .map(|settings| settings.inputs(stage.verb))
        .unwrap_or_default();
    let own = folder_of(stage);
    inputs.retain(|path| !Path::new(path).starts_with(&own));
    inputs
}

/// Refuses a stage that is done with another model, or with something that has been made again since.
pub(super) fn check_inputs<W>(
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
        && fingerprints
            .of_model(model, stages[index].locate)
            .is_some_and(|now| now != was)
    {
        return Some(Changed::Model(PathBuf::from(model)));
    }
    let own = folder_of(&stages[index]);
    done.inputs.iter().find_map(|(path, was)| {
        let path = present_place(stages, path);
        // Earlier versions noted what a stopped stage had made itself.
        if Path::new(&path).starts_with(&own) {
            return None;
        }
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
pub(super) fn dependents<W>(stages: &[PlannedStage<W>], of: &[usize]) -> Vec<usize> {
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
