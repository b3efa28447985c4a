//! What `--resume` takes over where there is no saved state: the trials of finished results.

use std::path::Path;

use anyhow::{Context, Result};
use longrope_eval::{Error, EvalReport, EvalResult, EvalState, Task, TaskInfo, TaskResult};
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
        // Older files do not say the factors: it is measured again.
        if result.rope_fingerprint.is_none() {
            continue;
        }
        if !is_of(result, &one, &info) {
            let path = report.to_owned();
            return Err(Error::StateSettings { path }.into());
        }
        state.add(one.key, &result.trials, result.elapsed_secs);
    }
    Ok(true)
}

/// Whether a result was measured as it would be now.
fn is_of(result: &TaskResult, wanted: &Wanted<'_>, info: &TaskInfo) -> bool {
    let mut trials = result.trials.iter().take(wanted.task.n_trials());
    result.task_version == info.version
        && result.protocol == info.protocol
        && result.settings == info.settings
        && result.seed == info.seed
        && result.rope_fingerprint == Some(rope_fingerprint(wanted.rope))
        && trials.all(|trial| wanted.task.is_own(trial))
}
