//! What a search asks of the world: the loss of a candidate on a sample.

use std::convert::Infallible;
use std::error::Error as StdError;

use crate::block_losses::BlockLosses;
use crate::candidate::Candidate;

/// One loss to measure.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// The rescaling to measure.
    pub candidate: &'a Candidate,
    /// Index of the sample, below [`Objective::n_samples`].
    pub sample: usize,
}

/// What came of a job.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// Loss of the sample by blocks of positions, so that candidates can be compared block by block.
    ///
    /// Every candidate has the same blocks on the same sample. A mean that is NaN or infinite counts as a failure.
    Losses(BlockLosses),
    /// Mean loss over the sample's scored tokens, nats per token: a sample of one block. NaN and infinity count as
    /// failures.
    Loss(f64),
    /// This candidate could not be measured, with the reason; the search goes on without it.
    Failed(String),
}

/// Measures losses of candidates.
///
/// The search never sees a model. What answers may be one model, several devices or a formula.
///
/// A candidate's score is the mean of its losses over the samples, so samples should score equally many tokens. The
/// same job must have the same answer every time, or a resumed search will differ from an uninterrupted one.
pub trait Objective {
    /// Why the objective had to stop.
    type Error: StdError + Send + Sync + 'static;

    /// Number of samples every candidate is measured on; constant and at least 1.
    fn n_samples(&self) -> usize;

    /// Answers jobs, one outcome per job in the same order.
    ///
    /// The jobs of a call do not depend on each other and may be answered in any order, on any number of devices. A
    /// call holds up to [`batch_candidates`](crate::SearchConfig::batch_candidates) candidates.
    ///
    /// # Errors
    /// An error ends the step: for a fatal fault, or an interruption by the user. A candidate that merely cannot be
    /// measured is [`Outcome::Failed`].
    fn evaluate(&mut self, jobs: &[Job<'_>]) -> Result<Vec<Outcome>, Self::Error>;
}

/// An [`Objective`] made of a function, for analytic objectives and tests.
#[derive(Clone, Debug)]
pub struct FnObjective<F> {
    n_samples: usize,
    loss: F,
}

impl<F: FnMut(&Candidate, usize) -> Outcome> FnObjective<F> {
    /// Answers each (candidate, sample) with the function.
    pub fn new(n_samples: usize, loss: F) -> Self {
        Self { n_samples, loss }
    }
}

impl<F: FnMut(&Candidate, usize) -> Outcome> Objective for FnObjective<F> {
    type Error = Infallible;

    fn n_samples(&self) -> usize {
        self.n_samples
    }

    fn evaluate(&mut self, jobs: &[Job<'_>]) -> Result<Vec<Outcome>, Self::Error> {
        Ok(jobs
            .iter()
            .map(|job| (self.loss)(job.candidate, job.sample))
            .collect())
    }
}
