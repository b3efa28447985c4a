//! Where the results and the state of an evaluation are kept.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use longrope_eval::{EvalState, HowMeasured};
use longrope_extend::{RunFolder, RunMode};
use serde_json::Value;

use super::finished::{self, Wanted};
use super::folder::{EvalFolder, Planned};
use super::job::Job;
use crate::failure::Hint;
use crate::settings::config::Config;

/// Where the results and the state of an evaluation go, and whether to resume from the state.
pub(crate) struct Keep {
    name: String,
    /// The file of the state; `None` without a run folder.
    state: Option<PathBuf>,
    pub(super) mode: RunMode,
    /// Fingerprint of the text or data, if the task does not make its own.
    pub(crate) text: Option<String>,
    /// Files of the text or data, as they were given.
    pub(crate) texts: Vec<String>,
    /// Seed of all random choices.
    pub(crate) seed: u64,
}

impl Keep {
    /// Takes the run folder, and begins or reads the state.
    pub(super) fn open(
        self,
        config: &Config,
        jobs: &[Job],
        keys: &[Value],
    ) -> Result<(EvalFolder, Option<EvalState>)> {
        let planned = jobs.iter().map(|job| {
            let info = job.task.info();
            let how = HowMeasured::of_task(job.task.as_ref());
            Planned::new(&info.name, info.context, &job.rope_name, &job.rope, how)
        });
        let planned: Vec<Planned> = planned.collect();
        let mut folder = EvalFolder::open(config, &self.name, self.mode, self.text, &planned)?;
        folder.source.texts = self.texts;
        folder.source.seed = Some(self.seed);
        let Some(path) = self.state else {
            return Ok((folder, None));
        };
        let source = &folder.source;
        if self.mode == RunMode::New || !path.is_file() {
            let mut state = EvalState::begin(path, source)?;
            if self.mode == RunMode::Resume {
                take_over_finished(&mut state, &folder, jobs, keys)?;
            }
            // From now on the evaluation can be resumed, with these settings only.
            match keys.first() {
                Some(key) if state.job(key).is_none() => state.save(key, &[], 0.0)?,
                _ => state.write()?,
            }
            return Ok((folder, Some(state)));
        }
        let state = EvalState::resume(path, source, keys)?;
        if let (false, Some(now)) = (state.knows_precision(), source.half_precision()) {
            tracing::warn!(
                "`{}` does not say in which precision its trials were computed; the others are computed in {now}",
                state.path().display()
            );
        }
        Ok((folder, Some(state)))
    }
}

/// Puts the trials of finished results into a new state, or says that there are none.
fn take_over_finished(
    state: &mut EvalState,
    folder: &EvalFolder,
    jobs: &[Job],
    keys: &[Value],
) -> Result<()> {
    let Some(report) = folder.report() else {
        return Ok(());
    };
    let wanted = jobs.iter().zip(keys).map(|(job, key)| Wanted {
        task: job.task.as_ref(),
        rope_name: &job.rope_name,
        rope: &job.rope,
        key,
    });
    if !finished::take_over(state, report, wanted)? {
        tracing::warn!(
            "there is no evaluation to resume, neither `{}` nor its state: it begins now",
            report.display()
        );
    }
    Ok(())
}

/// Where the results and the state of the evaluation `name` go.
///
/// # Errors
/// If the evaluation is to be resumed, but there is no run folder; if a new one would replace the state of another.
pub(crate) fn keep(config: &Config, name: &str, mode: RunMode) -> Result<Keep> {
    if config.out.is_none() && mode == RunMode::Resume {
        return Err(anyhow!("`--out` is missing").context(Hint(
            "give the run folder of the interrupted evaluation with --out".to_owned(),
        )));
    }
    let out = config.out.as_ref();
    let state = out.map(|out| out.join(format!("eval/{name}.state.json")));
    let is_run = out.map_or(Ok(false), |out| RunFolder::is_run(out))?;
    match (&state, mode) {
        (Some(path), RunMode::Resume) if !is_run && !path.is_file() => {
            return Err(longrope_eval::Error::NoState { path: path.clone() }.into());
        }
        (Some(path), RunMode::New) if path.is_file() => {
            return Err(longrope_eval::Error::StateExists { path: path.clone() }.into());
        }
        _ => {}
    }
    Ok(Keep {
        name: name.to_owned(),
        state,
        mode,
        text: None,
        texts: Vec::new(),
        seed: config.seed,
    })
}
