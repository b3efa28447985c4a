//! The interface of all tasks, and running a task.

use std::ops::Range;
use std::time::{Duration, Instant};

use longrope_model::rope_fingerprint;
use longrope_rope::RopeSpec;
use serde_json::{Map, Value};

use crate::error::{Error, Result};
use crate::language_model::LanguageModel;
use crate::metric::Metric;
use crate::report::{MetricValue, TaskResult, Trial};

/// What a task measures and how: everything in a result besides the numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct TaskInfo {
    /// Name of the task.
    pub name: String,
    /// Version of prompts and scores. Numbers of different versions cannot be compared.
    pub version: u32,
    /// Short name of the way answers are scored.
    pub protocol: String,
    /// Settings that affect the numbers.
    pub settings: Map<String, Value>,
    /// Seed of all random choices.
    pub seed: u64,
    /// Tokens of prompt and answer together.
    pub context: usize,
    /// The metrics. The first is the main one.
    pub metrics: Vec<Metric>,
}

/// A list of numbered trials at one context.
///
/// A trial depends only on its number and the task's settings, so trials can be run at any time, in any
/// order and on any number of devices.
pub trait Task {
    /// What the task measures, and how.
    fn info(&self) -> TaskInfo;

    /// Number of trials, at least 1.
    fn n_trials(&self) -> usize;

    /// Number of trials to run in one call, because they share work.
    fn batch_size(&self) -> usize {
        1
    }

    /// The order in which the trials are run, if the task does not go by their numbers: every number once. Trials that
    /// follow each other may share work.
    fn order(&self) -> Vec<usize> {
        (0..self.n_trials()).collect()
    }

    /// Whether a trial that was saved before is one of this task, as far as its details say: the same number may stand for
    /// another trial under other settings.
    fn is_own(&self, trial: &Trial) -> bool {
        let _ = trial;
        true
    }

    /// Runs a range of trials. Returns one record per trial, in order, with one score per metric.
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

/// A task in progress. The caller steps it batch by batch.
pub struct TaskRun<'a> {
    task: &'a dyn Task,
    rope: &'a RopeSpec,
    rope_name: &'a str,
    /// The numbers of all trials, in the order in which they are run.
    order: Vec<usize>,
    /// The trials so far, in that order.
    trials: Vec<Trial>,
    elapsed: Duration,
}

impl<'a> TaskRun<'a> {
    /// Runs `task` under `rope`. `rope_name` is its name in the result.
    pub fn new(task: &'a dyn Task, rope_name: &'a str, rope: &'a RopeSpec) -> Self {
        Self {
            task,
            rope,
            rope_name,
            order: task.order(),
            trials: Vec::new(),
            elapsed: Duration::ZERO,
        }
    }

    /// Continues after trials that were run before and took `elapsed_secs`. More trials than the task has are
    /// ignored.
    ///
    /// # Errors
    /// [`Error::StateTrials`] if they are not the first trials of the task, or do not have a possible score per metric;
    /// [`Error::StateQuestions`] if they are not [its own](Task::is_own).
    pub fn with_trials(mut self, mut trials: Vec<Trial>, elapsed_secs: f64) -> Result<Self> {
        trials.truncate(self.task.n_trials());
        // They may have been run by their numbers; version 0.1 runs them so.
        if trials.iter().map(|trial| trial.trial).eq(0..trials.len()) {
            self.order.retain(|number| *number >= trials.len());
            self.order.splice(0..0, 0..trials.len());
        }
        let info = self.task.info();
        for (index, (trial, number)) in trials.iter().zip(&self.order).enumerate() {
            let problem = if trial.scores.len() != info.metrics.len() {
                let expected = info.metrics.len();
                format!("has {} scores, expected {expected}", trial.scores.len())
            } else if trial.trial != *number {
                format!("has the number {}", trial.trial)
            } else if let Some((metric, score)) = info
                .metrics
                .iter()
                .zip(&trial.scores)
                .find(|(metric, score)| !metric.allows(**score))
            {
                format!(
                    "has a score of {score} in `scores` for `{}`, expected {}",
                    metric.name,
                    metric.range()
                )
            } else {
                continue;
            };
            return Err(Error::StateTrials {
                task: info.name,
                trial: index,
                problem,
            });
        }
        if let Some(other) = trials.iter().find(|trial| !self.task.is_own(trial)) {
            return Err(Error::StateQuestions {
                task: info.name,
                trial: other.trial,
            });
        }
        self.trials = trials;
        self.elapsed = Duration::try_from_secs_f64(elapsed_secs).unwrap_or_default();
        Ok(self)
    }

    /// Runs the next trials and returns their number, 0 when all are done.
    ///
    /// # Errors
    /// If the model cannot run them.
    pub fn step(&mut self, model: &mut dyn LanguageModel) -> Result<usize> {
        let started = Instant::now();
        let left = &self.order[self.trials.len()..];
        let Some(&first) = left.first() else {
            return Ok(0);
        };
        let batch = first..first + self.task.batch_size().max(1);
        let n = left.iter().zip(batch).take_while(|(a, b)| *a == b).count();
        let trials = self.task.run(first..first + n, model, self.rope)?;
        self.trials.extend(trials);
        self.elapsed += started.elapsed();
        Ok(n)
    }

    /// The trials so far, in the order in which they were run.
    pub fn trials(&self) -> &[Trial] {
        &self.trials
    }

    /// Time that the trials so far took, seconds.
    pub fn elapsed_secs(&self) -> f64 {
        self.elapsed.as_secs_f64()
    }

    /// Trials so far, and trials in total.
    pub fn progress(&self) -> (usize, usize) {
        (self.trials.len(), self.task.n_trials())
    }

    /// The result of the trials so far, ordered by number.
    pub fn result(&self) -> TaskResult {
        let info = self.task.info();
        let mut trials = self.trials.clone();
        trials.sort_by_key(|trial| trial.trial);
        let mut metrics = info
            .metrics
            .iter()
            .enumerate()
            .map(|(i, metric)| {
                let scores: Vec<f64> = trials.iter().map(|trial| trial.scores[i]).collect();
                MetricValue::of(metric, &scores)
            })
            .collect::<Vec<_>>()
            .into_iter();
        TaskResult {
            task: info.name,
            task_version: info.version,
            rope: self.rope_name.to_owned(),
            rope_fingerprint: Some(rope_fingerprint(self.rope)),
            context: info.context,
            original_context: Some(self.rope.original_context),
            n: trials.len(),
            metric: metrics.next().unwrap_or_default(),
            difference: None,
            other_metrics: metrics.collect(),
            protocol: info.protocol,
            settings: info.settings,
            seed: info.seed,
            elapsed_secs: self.elapsed_secs(),
            trials,
        }
    }
}
