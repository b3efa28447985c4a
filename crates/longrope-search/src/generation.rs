//! The report of one generation.

use serde::{Deserialize, Serialize};

use crate::candidate::Candidate;
use crate::loss_json;
use crate::memo::Memo;
use crate::scored::Scored;

/// A failed measurement. Its candidate has an infinite score.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The candidate.
    pub candidate: Candidate,
    /// Index of the sample.
    pub sample: usize,
    /// The reason given by the objective, or the loss if it is not finite.
    pub reason: String,
}

/// What happened in one generation; the history of a search is a list of these.
///
/// All numbers are the same whether or not the search was interrupted on the way: a candidate measured before an
/// interruption counts as an evaluation of its generation, not as a memo hit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generation {
    /// 0 for the first population.
    pub index: usize,
    /// The best candidate so far.
    pub best: Scored,
    /// Whether the best candidate is of this generation.
    pub new_best: bool,
    /// Best score among this generation's proposals, without dropped ones; infinite if there are none.
    #[serde(
        with = "loss_json",
        default = "loss_json::not_measured",
        skip_serializing_if = "loss_json::is_not_finite"
    )]
    pub generation_best: f64,
    /// Median score of this generation's proposals. The scores of dropped ones are estimates.
    #[serde(
        with = "loss_json",
        default = "loss_json::not_measured",
        skip_serializing_if = "loss_json::is_not_finite"
    )]
    pub median: f64,
    /// Candidates proposed, including duplicates.
    pub proposals: usize,
    /// Measurements of seeds with further attention-scale policies, in addition to the proposals.
    pub policy_trials: usize,
    /// Candidates measured.
    pub evaluations: usize,
    /// Proposals and policy trials that were known already.
    pub memo_hits: usize,
    /// Number of (candidate, sample) pairs scored.
    pub sample_evaluations: usize,
    /// Candidates that were dropped before they were scored on all samples.
    pub dropped: usize,
    /// Measurements that failed.
    pub failures: Vec<Failure>,
}

impl Generation {
    /// Summarizes a generation, given the ids of its proposals; `population` is ranked and not empty.
    pub(crate) fn summarize(
        index: usize,
        memo: &Memo,
        proposals: &[usize],
        policy_trials: usize,
        population: &[usize],
    ) -> Self {
        let entries = memo.entries();
        let whole = proposals.iter().filter(|&&id| !entries[id].dropped);
        let generation_best = whole
            .map(|&id| entries[id].score)
            .fold(f64::INFINITY, f64::min);
        let comparable = proposals
            .iter()
            .filter(|&&id| !entries[id].dropped || entries[id].is_comparable());
        let mut scores: Vec<f64> = comparable.map(|&id| entries[id].score).collect();
        scores.sort_by(f64::total_cmp);
        let best = Scored {
            losses: Vec::new(),
            ..entries[population[0]].clone()
        };
        let measured = || entries.iter().filter(|entry| entry.generation == index);
        let evaluations = measured().count();
        let failures = measured().flat_map(|entry| {
            entry.failures.iter().map(|failure| Failure {
                candidate: entry.candidate.clone(),
                sample: failure.sample,
                reason: failure.reason.clone(),
            })
        });
        Self {
            index,
            new_best: best.generation == index,
            best,
            generation_best,
            median: median(&scores),
            proposals: proposals.len(),
            policy_trials,
            evaluations,
            memo_hits: (proposals.len() + policy_trials).saturating_sub(evaluations),
            sample_evaluations: measured().map(|entry| entry.n_samples).sum(),
            dropped: measured().filter(|entry| entry.dropped).count(),
            failures: failures.collect(),
        }
    }
}

/// Median of sorted scores; the mean of the middle two if their number is even.
fn median(sorted: &[f64]) -> f64 {
    let half = sorted.len() / 2;
    match sorted.len() {
        0 => f64::INFINITY,
        n if n % 2 == 1 => sorted[half],
        _ => f64::midpoint(sorted[half - 1], sorted[half]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_by_hand() {
        let close = |a: f64, b: f64| (a - b).abs() < 1e-12;
        assert!(close(median(&[1.0, 2.0, 9.0]), 2.0));
        assert!(close(median(&[1.0, 2.0, 4.0, 9.0]), 3.0));
        assert!(median(&[1.0, f64::INFINITY]).is_infinite());
        assert!(median(&[]).is_infinite());
    }
}
