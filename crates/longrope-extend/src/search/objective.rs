//! The objective of a search: a model on one or more devices.

use std::sync::Arc;

use longrope_eval::Scorer;
use longrope_model::Decoder;
use longrope_rope::RopeSpec;
use longrope_search::{Job, Objective, Outcome, TargetRope};

use super::calibration::{Calibration, CalibrationSample};
use super::events::{SearchEvent, Watch};
use super::measured::{self, NamedSpec};
use super::method_loss::MethodLoss;
use crate::error::{Result, ScoringError};
use crate::interrupt::Interrupt;
use crate::scoring::{Measure, Models, ScoreJob, Scoring, Workers};

/// Tokens that devices are compared on before a search.
const PROBE_TOKENS: usize = 128;

/// Scores candidates by the loss of a frozen model on samples of text.
#[derive(Debug)]
pub struct ModelObjective<'a> {
    scoring: Scoring<'a>,
    target: TargetRope,
    samples: Vec<CalibrationSample>,
    interrupt: Interrupt,
    watch: Watch<'a>,
}

impl<'a> ModelObjective<'a> {
    /// Scores with this model, on its device and on the caller's thread.
    pub fn on<S: Into<CalibrationSample>>(
        model: &'a Decoder,
        target: &TargetRope,
        samples: impl IntoIterator<Item = S>,
    ) -> Self {
        let scoring = Scoring::Here(Box::new(Scorer::new(model)));
        Self::new(scoring, target, samples)
    }

    /// Scores with one worker per device. If devices of several kinds give different losses, logs a warning.
    ///
    /// # Errors
    /// If a worker cannot be started, an interrupt is requested, or all devices fail.
    pub fn on_devices<S: Into<CalibrationSample>>(
        models: &Models,
        target: &TargetRope,
        samples: impl IntoIterator<Item = S>,
        interrupt: &Interrupt,
    ) -> Result<Self> {
        let scoring = Scoring::Workers(Workers::start(models)?);
        let mut objective = Self::new(scoring, target, samples).with_interrupt(interrupt.clone());
        if models.differ() {
            objective.compare_devices()?;
        }
        Ok(objective)
    }

    pub(crate) fn new<S: Into<CalibrationSample>>(
        scoring: Scoring<'a>,
        target: &TargetRope,
        samples: impl IntoIterator<Item = S>,
    ) -> Self {
        Self {
            scoring,
            target: target.clone(),
            samples: samples.into_iter().map(Into::into).collect(),
            interrupt: Interrupt::default(),
            watch: Watch::silent(),
        }
    }

    /// Stops when this interrupt is requested.
    #[must_use]
    pub fn with_interrupt(self, interrupt: Interrupt) -> Self {
        Self { interrupt, ..self }
    }

    /// Reports events to this function.
    #[must_use]
    pub fn with_watch(self, watch: Watch<'a>) -> Self {
        Self { watch, ..self }
    }

    pub(crate) fn event(&mut self, event: &SearchEvent<'_>) {
        self.watch.event(event);
    }

    fn compare_devices(&mut self) -> Result<(), ScoringError> {
        let (Some(sample), Scoring::Workers(workers)) = (self.samples.first(), &mut self.scoring)
        else {
            return Ok(());
        };
        let tokens = sample.tokens();
        let tokens = tokens[..tokens.len().min(PROBE_TOKENS)].to_vec();
        let probe = ScoreJob {
            score_from: 1,
            rope: self.target.base().resolve(tokens.len()),
            sequences: Arc::from([tokens]),
            measure: Measure::Nats,
        };
        workers.compare(probe, &self.interrupt)?;
        Ok(())
    }

    /// Measures losses on samples, each under a RoPE. Losses that are not finite are failures of their candidate.
    fn score(&mut self, asked: &[(usize, &RopeSpec)]) -> Result<Vec<Outcome>, ScoringError> {
        let jobs = asked
            .iter()
            .map(|(sample, spec)| self.samples[*sample].job(Measure::Nats, spec))
            .collect();
        let watch = &mut self.watch;
        let answers = self.scoring.score(jobs, &self.interrupt, &mut |call| {
            watch.event(&SearchEvent::Scoring {
                call,
                planned: true,
            });
        })?;
        let answers = asked.iter().zip(&answers);
        Ok(answers
            .map(
                |((sample, _), answer)| match self.samples[*sample].blocks(&answer.value) {
                    Ok(losses) => Outcome::Losses(losses),
                    Err(error) => Outcome::Failed(error.to_string()),
                },
            )
            .collect())
    }

    /// Measures RoPEs that are not candidates.
    ///
    /// # Errors
    /// If an interrupt is requested, or the model or all devices fail.
    pub fn measure(
        &mut self,
        calibration: &Calibration,
        ropes: &[NamedSpec],
    ) -> Result<Vec<MethodLoss>, ScoringError> {
        let watch = &mut self.watch;
        measured::measure(
            &mut self.scoring,
            calibration,
            ropes,
            &self.interrupt,
            &mut |call| {
                watch.event(&SearchEvent::Scoring {
                    call,
                    planned: false,
                });
            },
        )
    }
}

impl Objective for ModelObjective<'_> {
    type Error = ScoringError;

    fn n_samples(&self) -> usize {
        self.samples.len()
    }

    fn evaluate(&mut self, jobs: &[Job<'_>]) -> Result<Vec<Outcome>, ScoringError> {
        let specs: Vec<_> = jobs
            .iter()
            .map(|job| self.target.candidate_spec(job.candidate))
            .collect();
        let asked: Vec<(usize, &RopeSpec)> = jobs
            .iter()
            .zip(&specs)
            .filter_map(|(job, spec)| Some((job.sample, spec.as_ref().ok()?)))
            .collect();
        let mut scored = self.score(&asked)?.into_iter();
        self.watch
            .event(&SearchEvent::Scored { n_jobs: jobs.len() });
        let outcomes = specs.iter().map(|spec| match spec {
            Ok(_) => scored
                .next()
                .unwrap_or_else(|| Outcome::Failed("the candidate was not measured".to_owned())),
            Err(error) => Outcome::Failed(error.to_string()),
        });
        Ok(outcomes.collect())
    }
}
