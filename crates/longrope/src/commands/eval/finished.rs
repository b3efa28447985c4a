//! What `--resume` takes over where there is no saved state: the trials of finished results.

use std::path::Path;

use anyhow::{Context, Result};
use longrope_eval::{
    ChangedSetting, Error, EvalReport, EvalResult, EvalState, HowMeasured, Task, TaskResult,
};
use longrope_model::rope_fingerprint;
use longrope_rope::RopeSpec;
use serde_json::Value;

/// A task under a RoPE, and what identifies it in the state.
pub(super) struct Wanted<'a> {
    pub(super) task: &'a dyn Task,
    pub(super) rope_name: &'a str,
    pub(super) rope: &'a RopeSpec,
    pub(super) key: &'a Value,
}

/// Adds the trials of the results in `report` to a state, so that a finished evaluation has nothing left to run. Returns
/// whether there is such a file.
///
/// # Errors
/// If the results are of other settings, or the file cannot be read.
pub(super) fn take_over<'a>(
    state: &mut EvalState,
    report: &Path,
    wanted: impl Iterator<Item = Wanted<'a>>,
) -> Result<bool> {
    if !report.is_file() {
        return Ok(false);
    }
    let found: EvalReport = serde_json::from_slice(&fs_err::read(report)?)
        .with_context(|| format!("reading `{}`", report.display()))?;
    for one in wanted {
        let info = one.task.info();
        let key = (info.name.as_str(), info.context, one.rope_name);
        let same = found.results.iter().find(|result| result.key() == key);
        let Some(EvalResult::Task(result)) = same else {
            continue;
        };
        let changes = changes(result, &one);
        if !changes.is_empty() {
            let path = report.to_owned();
            return Err(Error::StateSettings { path, changes }.into());
        }
        // Older files do not say the factors: it is measured again.
        if result.rope_fingerprint.is_some() {
            state.add(one.key, &result.trials, result.elapsed_secs);
        }
    }
    Ok(true)
}

/// What a result was measured with, and would not be measured with now.
fn changes(result: &TaskResult, wanted: &Wanted<'_>) -> Vec<ChangedSetting> {
    let (before, now) = (
        HowMeasured::of_trials(result),
        HowMeasured::of_task(wanted.task),
    );
    let Some(rope) = &result.rope_fingerprint else {
        return before.reasons_to_keep(&now);
    };
    let mut changes = before.changes(&now);
    if *rope != rope_fingerprint(wanted.rope) {
        changes.push(ChangedSetting {
            name: format!("rope {}", wanted.rope_name),
            values: None,
        });
    }
    let n_trials = wanted.task.n_trials();
    let mut trials = result.trials.iter().take(n_trials);
    if changes.is_empty() && !trials.all(|trial| wanted.task.is_own(trial)) {
        changes.push(ChangedSetting::count("questions", result.n, n_trials));
    }
    changes
}
