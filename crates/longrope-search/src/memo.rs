//! Every candidate measured so far, so that none is measured twice.

use std::collections::{HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::candidate::Candidate;
use crate::error::StepError;
use crate::loss_json;
use crate::objective::{Job, Objective, Outcome};

/// A candidate and what it scored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scored {
    /// The candidate.
    pub candidate: Candidate,
    /// Mean loss over the samples, nats per token; infinite if a sample failed.
    #[serde(with = "loss_json")]
    pub score: f64,
    /// The generation it was measured for.
    pub generation: usize,
    /// The samples that could not be measured.
    pub failures: Vec<SampleFailure>,
}

/// A sample on which a candidate could not be measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SampleFailure {
    /// Index of the sample.
    pub sample: usize,
    /// The objective's reason, or the loss that is no number.
    pub reason: String,
}

/// Scored candidates in the order they were measured, found by their content.
///
/// The order is part of the saved state and the same with and without interruptions; an entry's index is its id.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(from = "Vec<Scored>", into = "Vec<Scored>")]
pub(crate) struct Memo {
    entries: Vec<Scored>,
    ids: HashMap<Candidate, usize>,
}

impl From<Vec<Scored>> for Memo {
    fn from(entries: Vec<Scored>) -> Self {
        let ids = entries
            .iter()
            .enumerate()
            .map(|(id, entry)| (entry.candidate.clone(), id))
            .collect();
        Self { entries, ids }
    }
}

impl From<Memo> for Vec<Scored> {
    fn from(memo: Memo) -> Self {
        memo.entries
    }
}

impl Memo {
    pub(crate) fn entries(&self) -> &[Scored] {
        &self.entries
    }

    /// Whether some candidate is there twice, which only a damaged file can bring about.
    pub(crate) fn has_duplicates(&self) -> bool {
        self.ids.len() != self.entries.len()
    }

    /// Whether a candidate was measured for a generation before this one.
    ///
    /// Measurements for the same generation are left out: after an interruption they are already here, and proposals
    /// must not depend on that.
    pub(crate) fn knew_before(&self, candidate: &Candidate, generation: usize) -> bool {
        self.ids
            .get(candidate)
            .is_some_and(|&id| self.entries[id].generation < generation)
    }

    /// Ids ordered from best to worst, each once; equal scores by age.
    pub(crate) fn ranked(&self, mut ids: Vec<usize>) -> Vec<usize> {
        let key = |&id: &usize| (self.entries[id].score, id);
        ids.sort_by(|a, b| {
            let ((score_a, id_a), (score_b, id_b)) = (key(a), key(b));
            score_a.total_cmp(&score_b).then(id_a.cmp(&id_b))
        });
        ids.dedup();
        ids
    }

    /// Makes sure all candidates are measured, asking the objective for those that are not, and returns their ids.
    ///
    /// Candidates go out `batch` at a time and are kept as soon as they are back.
    pub(crate) fn measure<O: Objective>(
        &mut self,
        candidates: &[Candidate],
        generation: usize,
        batch: usize,
        objective: &mut O,
    ) -> Result<Vec<usize>, StepError<O::Error>> {
        let mut asked = HashSet::new();
        let missing: Vec<&Candidate> = candidates
            .iter()
            .filter(|&one| !self.ids.contains_key(one) && asked.insert(one))
            .collect();
        let n_samples = objective.n_samples();
        for chunk in missing.chunks(batch) {
            let jobs: Vec<Job<'_>> = chunk
                .iter()
                .flat_map(|candidate| (0..n_samples).map(|sample| Job { candidate, sample }))
                .collect();
            let outcomes = objective
                .evaluate(&jobs)
                .map_err(|source| StepError::Objective { generation, source })?;
            if outcomes.len() != jobs.len() {
                return Err(StepError::OutcomeCount {
                    found: outcomes.len(),
                    expected: jobs.len(),
                });
            }
            for (&candidate, outcomes) in chunk.iter().zip(outcomes.chunks(n_samples)) {
                self.insert(score(candidate.clone(), outcomes, generation));
            }
        }
        Ok(candidates
            .iter()
            .map(|candidate| self.ids[candidate])
            .collect())
    }

    fn insert(&mut self, entry: Scored) {
        self.ids.insert(entry.candidate.clone(), self.entries.len());
        self.entries.push(entry);
    }
}

/// Averages the outcomes of one candidate; any failure makes the mean infinite.
fn score(candidate: Candidate, outcomes: &[Outcome], generation: usize) -> Scored {
    let mut sum_nats = 0.0;
    let mut failures = Vec::new();
    for (sample, outcome) in outcomes.iter().enumerate() {
        let nats = match outcome {
            Outcome::Losses(losses) => losses.mean(),
            Outcome::Loss(nats) => *nats,
            Outcome::Failed(reason) => {
                failures.push(SampleFailure {
                    sample,
                    reason: reason.clone(),
                });
                continue;
            }
        };
        if nats.is_finite() {
            sum_nats += nats;
        } else {
            failures.push(SampleFailure {
                sample,
                reason: format!("loss is {nats}"),
            });
        }
    }
    let mean = sum_nats / outcomes.len() as f64;
    let score = if failures.is_empty() && mean.is_finite() {
        mean
    } else {
        f64::INFINITY
    };
    Scored {
        candidate,
        score,
        generation,
        failures,
    }
}

#[cfg(test)]
mod tests {
    use longrope_rope::AttentionScale;

    use super::*;
    use crate::candidate::Grid;
    use crate::objective::FnObjective;

    fn candidate(step: u32) -> Candidate {
        let grid = Grid::new(0.01).expect("divides 1");
        Candidate {
            grid,
            steps: vec![step],
            start_tokens: 0,
            attention: AttentionScale::None {},
        }
    }

    #[test]
    fn the_score_is_the_mean_over_samples() {
        let mut memo = Memo::default();
        let mut objective =
            FnObjective::new(4, |_: &Candidate, sample| Outcome::Loss(sample as f64));
        let ids = memo
            .measure(&[candidate(100)], 0, 1, &mut objective)
            .expect("cannot stop");
        assert!((memo.entries()[ids[0]].score - 1.5).abs() < f64::EPSILON);
    }

    #[test]
    fn equal_candidates_are_measured_once() {
        let mut jobs = 0;
        let mut objective = FnObjective::new(2, |_: &Candidate, _| {
            jobs += 1;
            Outcome::Loss(1.0)
        });
        let mut memo = Memo::default();
        let twice = [candidate(100), candidate(101), candidate(100)];
        assert_eq!(
            memo.measure(&twice, 0, 8, &mut objective)
                .expect("cannot stop"),
            [0, 1, 0]
        );
        assert_eq!(
            memo.measure(&twice[1..], 1, 1, &mut objective)
                .expect("cannot stop"),
            [1, 0]
        );
        assert_eq!(jobs, 2 * 2);
    }

    #[test]
    fn failures_and_nan_are_infinite_and_say_why() {
        let mut objective = FnObjective::new(3, |_: &Candidate, sample| match sample {
            0 => Outcome::Loss(1.0),
            1 => Outcome::Loss(f64::NAN),
            _ => Outcome::Failed("out of memory".to_owned()),
        });
        let mut memo = Memo::default();
        memo.measure(&[candidate(100)], 0, 1, &mut objective)
            .expect("cannot stop");
        let entry = &memo.entries()[0];
        assert!(entry.score.is_infinite() && entry.score > 0.0);
        let reasons: Vec<_> = entry
            .failures
            .iter()
            .map(|failure| (failure.sample, &*failure.reason))
            .collect();
        assert_eq!(reasons, [(1, "loss is NaN"), (2, "out of memory")]);
    }

    #[test]
    fn ranking_is_by_score_then_age_without_repeats() {
        let scores = [2.0, f64::INFINITY, 1.0, 2.0];
        let entries = scores.iter().enumerate().map(|(id, &score)| Scored {
            candidate: candidate(100 + u32::try_from(id).expect("small")),
            score,
            generation: 0,
            failures: Vec::new(),
        });
        let memo = Memo::from(entries.collect::<Vec<_>>());
        assert_eq!(memo.ranked(vec![3, 1, 0, 2, 3, 0]), [2, 0, 3, 1]);
    }

    #[test]
    fn a_wrong_number_of_outcomes_is_an_error() {
        struct Mute;
        impl Objective for Mute {
            type Error = std::convert::Infallible;
            fn n_samples(&self) -> usize {
                2
            }
            fn evaluate(&mut self, _: &[Job<'_>]) -> Result<Vec<Outcome>, Self::Error> {
                Ok(vec![Outcome::Loss(1.0)])
            }
        }
        let result = Memo::default().measure(&[candidate(100)], 0, 1, &mut Mute);
        assert!(matches!(
            result,
            Err(StepError::OutcomeCount {
                found: 1,
                expected: 2
            })
        ));
    }
}
