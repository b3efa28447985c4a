//! A candidate with what was measured of it.

use serde::{Deserialize, Serialize};

use crate::block_losses::BlockLosses;
use crate::candidate::Candidate;
use crate::loss_json;
use crate::objective::Outcome;

/// A candidate and its score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scored {
    /// The candidate.
    pub candidate: Candidate,
    /// Mean loss over the samples, nats per token. Infinite, and absent in JSON, if a sample failed or the candidate is
    /// still being scored. An estimate if it was dropped.
    #[serde(
        with = "loss_json",
        default = "loss_json::not_measured",
        skip_serializing_if = "loss_json::is_not_finite"
    )]
    pub score: f64,
    /// Standard error of the estimate, nats per token; only for a dropped candidate. States of version 0.1 have dropped
    /// candidates without it, whose scores are of some samples only and cannot be compared with others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub score_stderr: Option<f64>,
    /// The generation it was measured for.
    pub generation: usize,
    /// The samples that could not be measured.
    pub failures: Vec<SampleFailure>,
    /// Number of samples it was scored on, including failed ones.
    pub n_samples: usize,
    /// Whether it was dropped before it was scored on all samples. It then takes no part in the evolution.
    #[serde(default, skip_serializing_if = "is_false")]
    pub dropped: bool,
    /// Losses by sample and block, kept only while other candidates may be compared with this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<BlockLosses>,
}

impl Scored {
    /// Whether the score is a mean over all samples or an estimate of it.
    pub(crate) fn is_comparable(&self) -> bool {
        self.score.is_finite() && (!self.dropped || self.score_stderr.is_some())
    }

    /// Whether nothing is left to measure.
    pub(crate) fn is_finished(&self, n_samples: usize) -> bool {
        self.dropped || !self.failures.is_empty() || self.n_samples >= n_samples
    }

    /// Records the outcome of the next sample.
    pub(crate) fn add(&mut self, outcome: Outcome) {
        let sample = self.n_samples;
        self.n_samples += 1;
        let failure = match outcome {
            Outcome::Losses(losses) if losses.mean().is_finite() => {
                self.losses.push(losses);
                return;
            }
            Outcome::Loss(nats) if nats.is_finite() => {
                self.losses.push(BlockLosses::mean_only(nats));
                return;
            }
            Outcome::Losses(losses) => format!("loss is {}", losses.mean()),
            Outcome::Loss(nats) => format!("loss is {nats}"),
            Outcome::Failed(reason) => reason,
        };
        self.failures.push(SampleFailure {
            sample,
            reason: failure,
        });
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "the signature serde asks for"
)]
fn is_false(value: &bool) -> bool {
    !value
}

/// A sample on which a candidate could not be measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleFailure {
    /// Index of the sample.
    pub sample: usize,
    /// The reason given by the objective, or the loss if it is not finite.
    pub reason: String,
}
