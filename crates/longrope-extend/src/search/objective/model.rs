//! The objective of a search: a model on one or more devices.

use std::sync::Arc;

use longrope_model::Decoder;
use longrope_rope::RopeSpec;
use longrope_search::{BlockLosses, Job, Objective, Outcome, TargetRope};

use crate::error::{Error, Result, ScoringError};
use crate::interrupt::Interrupt;
use crate::pool::CallStatus;
use crate::scoring::{Adaptation, Losses, Measure, Measurer, Models, ScoreJob, Scoring, Workers};
use crate::search::calibration::Calibration;
use crate::search::calibration::sample::CalibrationSample;
use crate::search::events::{SearchEvent, Watch};
use crate::search::methods::loss::MethodLoss;
use crate::search::methods::measured::{self, NamedSpec};
use crate::search::saved::journal::{Journal, MethodJournal, Samples};

/// Tokens that devices are compared on before a search.
const PROBE_TOKENS: usize = 128;

/// Scores candidates by the loss of a frozen model, or of copies adapted to each candidate, on samples of text.
#[derive(Debug)]
pub struct ModelObjective<'a> {
    scoring: Scoring<'a>,
    target: TargetRope,
    samples: Vec<CalibrationSample>,
    adaptation: Option<Arc<Adaptation>>,
    interrupt: Interrupt,
    watch: Watch<'a>,
    /// Where losses are saved as they come; `None` to save none.
    journal: Option<Journal>,
    /// Where measured methods are saved as they come; `None` to save none.
    methods: Option<MethodJournal>,
}

impl<'a> ModelObjective<'a> {
    /// Scores with this model, on its device and on the caller's thread.
    pub fn on<S: Into<CalibrationSample>>(
        model: &'a Decoder,
        target: &TargetRope,
        samples: impl IntoIterator<Item = S>,
    ) -> Self {
        let scoring = Scoring::Here(Box::new(Measurer::new(model)));
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
            adaptation: None,
            interrupt: Interrupt::default(),
            watch: Watch::silent(),
            journal: None,
            methods: None,
        }
    }

    /// Adapts the model to each candidate before it is scored.
    #[must_use]
    pub fn with_adaptation(self, adaptation: Option<Arc<Adaptation>>) -> Self {
        Self { adaptation, ..self }
    }

    /// Saves losses as they come, and does not measure those that were saved before an interruption.
    #[must_use]
    pub(crate) fn with_journals(self, scores: Journal, methods: MethodJournal) -> Self {
        Self {
            journal: Some(scores),
            methods: Some(methods),
            ..self
        }
    }

    /// Removes the saved losses of candidates and their adapters: the state with their scores is saved.
    pub(crate) fn clear_scores(&mut self) -> Result<()> {
        if let Some(adaptation) = &self.adaptation {
            adaptation.forget();
        }
        self.journal.as_mut().map_or(Ok(()), Journal::clear)
    }

    /// Removes the saved measurements of methods: the result is written.
    pub(crate) fn clear_methods(&mut self) -> Result<()> {
        self.methods.as_mut().map_or(Ok(()), MethodJournal::clear)
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
            positions: None,
            adapt: None,
        };
        workers.compare(probe, &self.interrupt)?;
        Ok(())
    }

    /// Measures jobs, each under the RoPE of its candidate. Losses that are not finite are failures of their candidate.
    fn score(&mut self, asked: &[(&Job<'_>, &RopeSpec)]) -> Result<Vec<Outcome>, ScoringError> {
        let Self {
            samples,
            watch,
            journal,
            adaptation,
            ..
        } = self;
        let jobs = asked
            .iter()
            .map(|(job, spec)| samples[job.sample].job(Measure::Nats, spec, adaptation.as_ref()))
            .collect();
        let mut show = |call: &CallStatus<'_>| {
            watch.event(&SearchEvent::Scoring {
                call,
                planned: true,
            });
        };
        let mut save = |index: usize, losses: &Losses| {
            let (job, _) = asked[index];
            // Losses that are not finite are measured again.
            match (journal.as_mut(), samples[job.sample].blocks(losses)) {
                (Some(journal), Ok(losses)) => journal
                    .add(job.candidate, job.sample, &losses)
                    .map_err(saving_failed),
                _ => Ok(()),
            }
        };
        let answers = self
            .scoring
            .score_each(jobs, &self.interrupt, &mut show, &mut save)?;
        let answers = asked.iter().zip(&answers);
        Ok(answers
            .map(
                |((job, _), answer)| match samples[job.sample].blocks(&answer.value) {
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
        self.measure_on(Samples::Search, calibration, ropes)
    }

    /// As [`measure`](Self::measure), on the samples of `calibration`, which are known by the name `samples`.
    pub(crate) fn measure_on(
        &mut self,
        samples: Samples,
        calibration: &Calibration,
        ropes: &[NamedSpec],
    ) -> Result<Vec<MethodLoss>, ScoringError> {
        let Self {
            watch,
            methods,
            scoring,
            interrupt,
            ..
        } = self;
        let n_passkeys = calibration.passkeys.len();
        let known = |rope: &NamedSpec| {
            let methods = methods.as_ref()?;
            methods.known(&rope.name, samples, n_passkeys).cloned()
        };
        let known: Vec<Option<MethodLoss>> = ropes.iter().map(known).collect();
        let asked: Vec<NamedSpec> = ropes
            .iter()
            .zip(&known)
            .filter(|(_, known)| known.is_none())
            .map(|(rope, _)| rope.clone())
            .collect();
        let mut show = |call: &CallStatus<'_>| {
            watch.event(&SearchEvent::Scoring {
                call,
                planned: false,
            });
        };
        let mut save = |loss: &MethodLoss| match methods {
            Some(methods) => methods
                .add(loss, samples, n_passkeys)
                .map_err(saving_failed),
            None => Ok(()),
        };
        let measured = measured::measure_each(
            scoring,
            calibration,
            &asked,
            interrupt,
            &mut show,
            &mut save,
        )?;
        let mut measured = measured.into_iter();
        let all = known.into_iter();
        Ok(all
            .filter_map(|known| known.or_else(|| measured.next()))
            .collect())
    }
}

impl Objective for ModelObjective<'_> {
    type Error = ScoringError;

    fn n_samples(&self) -> usize {
        self.samples.len()
    }

    /// Answers about needles have few tokens, whose losses differ far more than those of blocks of text.
    fn kind(&self, sample: usize) -> usize {
        usize::from(self.samples[sample].has_needle)
    }

    fn evaluate(&mut self, jobs: &[Job<'_>]) -> Result<Vec<Outcome>, ScoringError> {
        let specs: Vec<_> = jobs
            .iter()
            .map(|job| self.target.candidate_spec(job.candidate))
            .collect();
        let known: Vec<Option<BlockLosses>> =
            jobs.iter().map(|job| self.known(job).cloned()).collect();
        let asked: Vec<(&Job<'_>, &RopeSpec)> = jobs
            .iter()
            .zip(&specs)
            .zip(&known)
            .filter(|(_, known)| known.is_none())
            .filter_map(|((job, spec), _)| Some((job, spec.as_ref().ok()?)))
            .collect();
        let mut scored = self.score(&asked)?.into_iter();
        self.watch
            .event(&SearchEvent::Scored { n_jobs: jobs.len() });
        let outcomes = specs.iter().zip(known).map(|(spec, known)| match spec {
            Ok(_) => known
                .map(Outcome::Losses)
                .or_else(|| scored.next())
                .unwrap_or_else(|| Outcome::Failed("the candidate was not measured".to_owned())),
            Err(error) => Outcome::Failed(error.to_string()),
        });
        Ok(outcomes.collect())
    }
}

impl ModelObjective<'_> {
    /// The losses of a job that were saved before an interruption.
    fn known(&self, job: &Job<'_>) -> Option<&BlockLosses> {
        self.journal.as_ref()?.known(job.candidate, job.sample)
    }
}

/// An error of saving a loss, in the form of an error of measuring it.
fn saving_failed(error: Error) -> longrope_eval::Error {
    longrope_eval::Error::Io(match error {
        Error::Io(error) => error,
        other => std::io::Error::other(other),
    })
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
