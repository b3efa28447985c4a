//! The loop of the tasks of `eval`, with a progress bar, interruption and resumption.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use longrope_eval::{EvalState, LanguageModel, TaskResult, TaskRun, add_task_differences};
use longrope_extend::{Interrupt, Interrupted, RunMode};
use serde_json::Value;

use super::folder::{EvalFolder, Evaluated};
use super::job::Job;
use super::keep::Keep;
use super::reference::reference;
use crate::commands::not_finite;
use crate::failure::Hint;
use crate::settings::config::Config;
use crate::show::escape::printable;
use crate::show::{difference, output};
use crate::terminal::progress;

/// Time between two saved states, as a multiple of the time that saving takes; the state is also saved after every job.
const SAVE_SHARE: u32 = 4;

/// Finished trials, and the folder they are kept in.
pub(crate) struct Finished {
    pub(crate) results: Vec<TaskResult>,
    reference: Option<String>,
    folder: EvalFolder,
    state: Option<EvalState>,
}

impl Finished {
    /// Adds the differences to the reference, and writes the results into the run folder, if there is one; then removes
    /// the state.
    pub(crate) fn write(mut self) -> Result<Evaluated<TaskResult>> {
        if let Some(reference) = &self.reference {
            add_task_differences(&mut self.results, reference);
        }
        let evaluated = self.folder.write(self.results)?;
        if let Some(state) = self.state {
            state.finish()?;
        }
        Ok(evaluated)
    }
}

/// Runs all jobs and returns one result per job.
///
/// With a run folder, finished trials are saved, and an interrupted evaluation can be resumed.
pub(crate) fn run(
    config: &Config,
    jobs: &[Job],
    model: &mut dyn LanguageModel,
    interrupt: &Interrupt,
    keep: Keep,
) -> Result<Finished> {
    let keys = keys(jobs)?;
    let reference = reference(config, jobs.iter().map(|job| job.rope_name.as_str()))?;
    let can_resume = keep.mode != RunMode::Part;
    let (folder, mut state) = keep.open(config, jobs, &keys)?;
    let results = run_jobs(jobs, &keys, model, interrupt, state.as_mut()).map_err(|error| {
        let error = not_finite::explain(error, config.model.as_deref());
        if state.is_some() && can_resume && error.is::<Interrupted>() {
            error.context(Hint(
                "the state is saved; continue with --resume".to_owned(),
            ))
        } else {
            error
        }
    })?;
    Ok(Finished {
        results,
        reference,
        folder,
        state,
    })
}

/// As [`run`], without a run folder. Nothing is saved.
pub(crate) fn run_unsaved(
    jobs: &[Job],
    model: &mut dyn LanguageModel,
    interrupt: &Interrupt,
) -> Result<Vec<TaskResult>> {
    run_jobs(jobs, &keys(jobs)?, model, interrupt, None)
}

/// What identifies each job in the state.
fn keys(jobs: &[Job]) -> Result<Vec<Value>> {
    let keys = jobs
        .iter()
        .map(|job| EvalState::key(&job.task.info(), &job.rope_name, &job.rope));
    Ok(keys.collect::<longrope_eval::Result<_>>()?)
}

/// Runs the trials that `state` does not have yet, and adds them to it.
fn run_jobs(
    jobs: &[Job],
    keys: &[Value],
    model: &mut dyn LanguageModel,
    interrupt: &Interrupt,
    mut state: Option<&mut EvalState>,
) -> Result<Vec<TaskResult>> {
    // Trials of long contexts take longer, so the bar counts tokens.
    let tokens = |job: &Job| job.task.n_trials() * job.task.info().context;
    let total: usize = jobs.iter().map(tokens).sum();
    let bar = progress::bar("running trials", total as u64);
    let mut results = Vec::with_capacity(jobs.len());
    for (job, key) in jobs.iter().zip(keys) {
        let info = job.task.info();
        let message = format!(
            "tokens, {} {} at {}",
            info.name, job.rope_name, info.context
        );
        bar.set_message(printable(&message).into_owned());
        let mut run = TaskRun::new(job.task.as_ref(), &job.rope_name, &job.rope);
        if let Some(saved) = state.as_deref().and_then(|state| state.job(key)) {
            run = run
                .with_trials(saved.trials.clone(), saved.elapsed_secs)
                .with_context(|| match state.as_deref() {
                    Some(state) => format!("resuming from `{}`", state.path().display()),
                    None => "resuming".to_owned(),
                })?;
            bar.inc((run.trials().len() * info.context) as u64);
        }
        let mut saved = Saved::default();
        loop {
            let stop = interrupt.requested();
            let n = if stop { 0 } else { run.step(model)? };
            bar.inc((n * info.context) as u64);
            let is_done = n == 0;
            if let Some(state) = &mut state
                && (is_done || saved.is_due())
            {
                let started = Instant::now();
                state.save(key, run.trials(), run.elapsed_secs())?;
                saved = Saved::after(started.elapsed());
            }
            if stop {
                bar.finish_and_clear();
                return Err(Interrupted.into());
            }
            if is_done {
                break;
            }
        }
        results.push(run.result());
    }
    bar.finish_and_clear();
    Ok(results)
}

/// Prints the differences to the reference as a table, if several RoPEs were measured.
pub(crate) fn show_differences(results: &[TaskResult]) -> Result<()> {
    match difference::of_tasks(results) {
        Some(table) => output::line(format!("\n{table}")),
        None => Ok(()),
    }
}

/// When the state was saved, and how long that took.
struct Saved {
    at: Instant,
    took: Duration,
}

impl Default for Saved {
    fn default() -> Self {
        Self::after(Duration::ZERO)
    }
}

impl Saved {
    fn after(took: Duration) -> Self {
        let at = Instant::now();
        Self { at, took }
    }

    /// The state is saved after every trial, except for trials that are so short that saving would take most of the time.
    fn is_due(&self) -> bool {
        self.at.elapsed() >= self.took * SAVE_SHARE
    }
}
