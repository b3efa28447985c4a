//! The interface to whatever measures the loss of a candidate on a sample.

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

/// The result of a job.
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
    /// This candidate could not be measured, with the reason; the search continues without it.
    Failed(String),
}

/// Measures losses of candidates.
///
/// The search knows no model. An objective may use one model, several devices or a formula.
///
/// The score of a candidate is the mean of its losses over the samples, so all samples should score the same number of
/// tokens. The same job must give the same outcome every time; otherwise a resumed search differs from an uninterrupted
/// one.
pub trait Objective {
    /// Why the objective had to stop.
    type Error: StdError + Send + Sync + 'static;

    /// Number of samples that every candidate is measured on; constant and at least 1.
    fn n_samples(&self) -> usize;

    /// The number of the kind of a sample, such as text or needles; constant. By default, all samples are of one kind.
    ///
    /// The losses of samples of one kind vary alike. A race drops no candidate before samples of every kind were scored,
    /// and weighs kinds by how many samples of each there are.
    fn kind(&self, sample: usize) -> usize {
        let _ = sample;
        0
    }

    /// Measures jobs and returns one outcome per job, in the same order.
    ///
    /// The jobs of a call do not depend on each other and may run in any order, on any number of devices. A
    /// call holds up to [`batch_candidates`](crate::SearchConfig::batch_candidates) candidates.
    ///
    /// # Errors
    /// An error ends the step. Return one for a fatal failure or an interruption by the user. For a single candidate that
    /// cannot be measured, return [`Outcome::Failed`].
    fn evaluate(&mut self, jobs: &[Job<'_>]) -> Result<Vec<Outcome>, Self::Error>;
}

/// An [`Objective`] that calls a function, for analytic objectives and tests.
#[derive(Clone, Debug)]
pub struct FnObjective<F> {
    n_samples: usize,
    loss: F,
}

impl<F: FnMut(&Candidate, usize) -> Outcome> FnObjective<F> {
    /// Measures each (candidate, sample) by calling `loss`.
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
