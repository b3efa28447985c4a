//! What every task has in common, and running one.

use std::ops::Range;
use std::time::{Duration, Instant};

use longrope_rope::RopeSpec;
use serde_json::{Map, Value};

use crate::error::Result;
use crate::language_model::LanguageModel;
use crate::metric::Metric;
use crate::report::{MetricValue, TaskResult, Trial};

/// What a task is and how it measures: everything a result has to say besides the numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskInfo {
    /// Name of the task.
    pub name: String,
    /// Raised whenever prompts or scores change, so that numbers of two versions are not compared.
    pub version: u32,
    /// How it is scored, in a word or two.
    pub protocol: String,
    /// Settings that change the numbers.
    pub settings: Map<String, Value>,
    /// Seed of every random choice.
    pub seed: u64,
    /// Tokens of prompt and answer together.
    pub context: usize,
    /// What is measured; the first is the one people compare.
    pub metrics: Vec<Metric>,
}

/// A list of trials at one context that a model passes or fails.
///
/// Trials are numbered, and what a trial is depends on its number and the task's settings alone:
/// any part can be run at any time, in any order, on any number of devices.
pub trait Task {
    /// What is measured, and how.
    fn info(&self) -> TaskInfo;

    /// Number of trials, at least 1.
    fn n_trials(&self) -> usize;

    /// Trials that should be run by one call, since they share work.
    fn batch_size(&self) -> usize {
        1
    }

    /// Runs the trials of a range; one record each, in their order, with one score per metric.
    ///
    /// # Errors
    /// If the model cannot run them.
    fn run(
        &self,
        trials: Range<usize>,
        model: &mut dyn LanguageModel,
        rope: &RopeSpec,
    ) -> Result<Vec<Trial>>;
}

/// A task in progress, stepped by its caller.
pub struct TaskRun<'a> {
    task: &'a dyn Task,
    rope: &'a RopeSpec,
    rope_name: &'a str,
    trials: Vec<Trial>,
    elapsed: Duration,
}

impl<'a> TaskRun<'a> {
    /// Runs `task` under `rope`, which the result calls `rope_name`.
    pub fn new(task: &'a dyn Task, rope_name: &'a str, rope: &'a RopeSpec) -> Self {
        Self {
            task,
            rope,
            rope_name,
            trials: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }

    /// Goes on behind trials that were run before, in `elapsed_secs`; those beyond the task's own
    /// are left out.
    #[must_use]
    pub fn with_trials(mut self, mut trials: Vec<Trial>, elapsed_secs: f64) -> Self {
        trials.truncate(self.task.n_trials());
        self.trials = trials;
        self.elapsed = Duration::try_from_secs_f64(elapsed_secs).unwrap_or_default();
        self
    }

    /// Runs the next trials; how many, 0 when all are done.
    ///
    /// # Errors
    /// If the model cannot run them.
    pub fn step(&mut self, model: &mut dyn LanguageModel) -> Result<usize> {
        let started = Instant::now();
        let first = self.trials.len();
        let last = (first + self.task.batch_size().max(1)).min(self.task.n_trials());
        if first == last {
            return Ok(0);
        }
        let trials = self.task.run(first..last, model, self.rope)?;
        self.trials.extend(trials);
        self.elapsed += started.elapsed();
        Ok(last - first)
    }

    /// The trials so far.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Time the trials so far have taken, seconds.
    pub fn elapsed_secs(&self) -> f64 {
        self.elapsed.as_secs_f64()
    }

    /// Trials run, and trials in all.
    pub fn progress(&self) -> (usize, usize) {
        (self.trials.len(), self.task.n_trials())
    }

    /// What the trials so far add up to.
    pub fn result(&self) -> TaskResult {
        let info = self.task.info();
        let mut metrics = info
            .metrics
            .iter()
            .enumerate()
            .map(|(i, metric)| {
                let scores: Vec<f64> = self.trials.iter().map(|trial| trial.scores[i]).collect();
                MetricValue::of(metric, &scores)
            })
            .collect::<Vec<_>>()
            .into_iter();
        TaskResult {
            task: info.name,
            task_version: info.version,
            rope: self.rope_name.to_owned(),
            context: info.context,
            n: self.trials.len(),
            metric: metrics.next().unwrap_or_default(),
            other_metrics: metrics.collect(),
            protocol: info.protocol,
            settings: info.settings,
            seed: info.seed,
            elapsed_secs: self.elapsed_secs(),
            trials: self.trials.clone(),
        }
    }
}
