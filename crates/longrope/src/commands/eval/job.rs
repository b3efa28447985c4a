//! The jobs of an evaluation: a task at each context under each RoPE, as far as it fits.

use anyhow::Result;
use longrope_eval::Task;
use longrope_rope::RopeSpec;

use crate::input::ropes_and_contexts::{NamedRope, contexts, longest_context};
use crate::settings::config::Config;

/// A task under a RoPE.
pub(crate) struct Job<'a> {
    pub(crate) task: Box<dyn Task + 'a>,
    pub(crate) rope_name: String,
    pub(crate) rope: RopeSpec,
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
