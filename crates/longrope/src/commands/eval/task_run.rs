//! The loop of the tasks of `eval`, with a progress bar, interruption and resumption.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use longrope_eval::{EvalState, LanguageModel, Task, TaskResult, TaskRun, add_task_differences};
use longrope_extend::{Interrupt, Interrupted, RunFolder, RunMode};
use longrope_rope::RopeSpec;
use serde_json::Value;

use super::finished::{self, Wanted};
use super::folder::{EvalFolder, Evaluated, Planned};
use super::reference::reference;
use crate::commands::not_finite;
use crate::failure::Hint;
use crate::input::rope_arg::{NamedRope, contexts, longest_context};
use crate::settings::config::Config;
use crate::show::escape::printable;
use crate::show::{difference, output};
use crate::terminal::progress;

/// Time between two saved states, as a multiple of the time that saving takes; the state is also saved after every job.
const SAVE_SHARE: u32 = 4;

/// A task under a RoPE.
pub(crate) struct Job<'a> {
    pub(crate) task: Box<dyn Task + 'a>,
    pub(crate) rope_name: String,
    pub(crate) rope: RopeSpec,
}

/// Where the results and the state of an evaluation go, and whether to resume from the state.
pub(crate) struct Keep {
    name: String,
    /// The file of the state; `None` without a run folder.
    state: Option<PathBuf>,
    mode: RunMode,
    /// Fingerprint of the text or data, if the task does not make its own.
    pub(crate) text: Option<String>,
    /// Files of the text or data, as they were given.
    pub(crate) texts: Vec<String>,
    /// Seed of all random choices.
    pub(crate) seed: u64,
}

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

/// Jobs for every RoPE at every context, ordered by RoPE, then by context. Of several contexts, those that are too short
/// for the task are skipped, with a line in the log.
///
/// # Errors
/// Those of `task`, and if every context is too short.
pub(crate) fn jobs<'a>(
    config: &Config,
    ropes: &[NamedRope],
    mut task: impl FnMut(usize) -> Result<Box<dyn Task + 'a>>,
) -> Result<Vec<Job<'a>>> {
    let mut jobs = Vec::new();
    let contexts = contexts(config);
    let mut skipped = Skipped::new(contexts.len() > 1);
    for named in ropes {
        for &context in &contexts {
            let made = task(context);
            jobs.extend(skipped.job(named, context, made)?);
        }
    }
    skipped.all_or(jobs)
}

/// Jobs as [`jobs`] gives them, and also at the original window if there are longer contexts and the task fits into it.
/// What is lost beyond it can only be judged by the score there.
///
/// # Errors
/// As [`jobs`].
pub(crate) fn grid<'a>(
    config: &Config,
    ropes: &[NamedRope],
    mut task: impl FnMut(usize) -> Result<Box<dyn Task + 'a>>,
) -> Result<Vec<Job<'a>>> {
    let mut jobs = Vec::new();
    let mut skipped = Skipped::new(contexts(config).len() > 1);
    for named in ropes {
        for (context, is_configured) in contexts_of(config, named)? {
            let made = task(context);
            if !is_configured && made.as_ref().is_err_and(does_not_fit) {
                continue;
            }
            jobs.extend(skipped.job(named, context, made)?);
        }
    }
    skipped.all_or(jobs)
}

/// The contexts to measure a RoPE at, and whether each is configured: the original window is added before the first
/// longer one.
///
/// # Errors
/// If the RoPE cannot be scaled for the longest context.
pub(crate) fn contexts_of(config: &Config, named: &NamedRope) -> Result<Vec<(usize, bool)>> {
    let configured = contexts(config);
    let mut all: Vec<(usize, bool)> = configured.iter().map(|it| (*it, true)).collect();
    let original = named.rope.spec(longest_context(config)?)?.original_context;
    if !configured.contains(&original)
        && let Some(place) = configured.iter().position(|it| *it > original)
    {
        all.insert(place, (original, false));
    }
    Ok(all)
}

/// Whether a task cannot be made at a context.
pub(crate) fn does_not_fit(error: &anyhow::Error) -> bool {
    is_too_short(error)
        || matches!(
            error.downcast_ref(),
            Some(longrope_eval::Error::NoExactFit { .. })
        )
}

/// The tasks that are left out because their text is longer than the context.
pub(crate) struct Skipped {
    allowed: bool,
    /// A line about each, once for all RoPEs.
    lines: Vec<String>,
    first: Option<anyhow::Error>,
}

impl Skipped {
    /// Nothing is skipped yet. Unless it is `allowed`, every task that does not fit is an error.
    pub(crate) fn new(allowed: bool) -> Self {
        Self {
            allowed,
            lines: Vec::new(),
            first: None,
        }
    }

    /// The task; `None` if it is skipped.
    ///
    /// # Errors
    /// Those of making the task.
    pub(crate) fn unless_too_short<T>(&mut self, made: Result<T>) -> Result<Option<T>> {
        match made {
            Ok(task) => Ok(Some(task)),
            Err(error) if self.allowed && is_too_short(&error) => {
                let line = error.to_string();
                if !self.lines.contains(&line) {
                    self.lines.push(line);
                }
                self.first.get_or_insert(error);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The job of a task under a RoPE; `None` if it is skipped.
    ///
    /// # Errors
    /// Those of making the task, and of scaling the RoPE.
    pub(crate) fn job<'a>(
        &mut self,
        named: &NamedRope,
        context: usize,
        made: Result<Box<dyn Task + 'a>>,
    ) -> Result<Option<Job<'a>>> {
        let Some(task) = self.unless_too_short(made)? else {
            return Ok(None);
        };
        Ok(Some(Job {
            task,
            rope_name: named.name.clone(),
            rope: named.rope.spec(context)?,
        }))
    }

    /// The jobs that are left. Logs what was skipped.
    ///
    /// # Errors
    /// The first error that was skipped, if no job is left.
    pub(crate) fn all_or<T>(self, jobs: Vec<T>) -> Result<Vec<T>> {
        match self.first {
            Some(error) if jobs.is_empty() => Err(error),
            _ => {
                for line in &self.lines {
                    tracing::warn!("skipped: {line}");
                }
                Ok(jobs)
            }
        }
    }
}

fn is_too_short(error: &anyhow::Error) -> bool {
    matches!(
        error.downcast_ref(),
        Some(
            longrope_eval::Error::ContextTooShort { .. } | longrope_eval::Error::NothingFar { .. }
        )
    )
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

impl Keep {
    /// Takes the run folder, and begins or reads the state.
    fn open(
        self,
        config: &Config,
        jobs: &[Job],
        keys: &[Value],
    ) -> Result<(EvalFolder, Option<EvalState>)> {
        let planned = jobs.iter().map(|job| {
            let info = job.task.info();
            Planned::new(&info.name, info.context, &job.rope_name, &job.rope)
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
        info: job.task.info(),
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
