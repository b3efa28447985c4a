//! Every candidate measured so far, so that none is measured twice.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::block_losses::BlockLosses;
use crate::candidate::Candidate;
use crate::error::StepError;
use crate::objective::{Job, Objective};
use crate::racing::{self, Estimate, Race};
use crate::scored::Scored;

/// Scored candidates in the order they were measured, indexed by their content.
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

    /// Whether a candidate is stored twice, which can only happen in a damaged file.
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

    /// The ids from best to worst, without duplicates; equal scores by age, dropped candidates last.
    pub(crate) fn ranked(&self, mut ids: Vec<usize>) -> Vec<usize> {
        ids.sort_by(|&a, &b| {
            let (one, other) = (&self.entries[a], &self.entries[b]);
            let dropped = one.dropped.cmp(&other.dropped);
            let score = one.score.total_cmp(&other.score);
            dropped.then(score).then(a.cmp(&b))
        });
        ids.dedup();
        ids
    }

    /// Deletes the losses of all candidates except these.
    pub(crate) fn keep_losses_of(&mut self, ids: &[usize]) {
        let kept: HashSet<usize> = ids.iter().copied().collect();
        for (id, entry) in self.entries.iter_mut().enumerate() {
            if !kept.contains(&id) {
                entry.losses = Vec::new();
            }
        }
    }

    /// Measures the candidates that are not measured yet, and returns the ids of all.
    ///
    /// In a race, candidates are measured sample by sample, and those that fall behind are dropped in between; otherwise
    /// all samples are measured at once. A call to the objective holds up to `batch` candidates, and the outcomes of every
    /// finished call are kept.
    ///
    /// A race that was interrupted runs again with the known losses and has the same result, because decisions after a
    /// round depend only on the losses of that round and the rounds before.
    pub(crate) fn measure<O: Objective>(
        &mut self,
        candidates: &[Candidate],
        generation: usize,
        batch: usize,
        race: Option<Race<'_>>,
        objective: &mut O,
    ) -> Result<Vec<usize>, StepError<O::Error>> {
        let mut asked = HashSet::new();
        let new: Vec<&Candidate> = candidates
            .iter()
            .filter(|&one| !self.knew_before(one, generation) && asked.insert(one))
            .collect();
        let n_samples = objective.n_samples();
        let kinds: Vec<usize> = (0..n_samples).map(|it| objective.kind(it)).collect();
        let per_round = if race.is_some() { 1 } else { n_samples };
        for first in (0..n_samples).step_by(per_round.max(1)) {
            let samples = first..first + per_round;
            let due: Vec<&Candidate> = new
                .iter()
                .copied()
                .filter(|one| self.is_due(one, samples.start, n_samples))
                .collect();
            for chunk in due.chunks(batch) {
                self.ask(chunk, samples.clone(), generation, n_samples, objective)?;
            }
            if let Some(race) = race
                && samples.end < n_samples
            {
                self.drop_behind(&new, samples.end, &kinds, race);
            }
        }
        if let Some(race) = race {
            self.estimate_dropped(&new, &kinds, race);
        }
        Ok(candidates
            .iter()
            .map(|candidate| self.ids[candidate])
            .collect())
    }

    /// Whether sample `next` of a candidate is still to be measured.
    fn is_due(&self, candidate: &Candidate, next: usize, n_samples: usize) -> bool {
        self.ids.get(candidate).is_none_or(|&id| {
            let entry = &self.entries[id];
            !entry.is_finished(n_samples) && entry.n_samples <= next
        })
    }

    /// Measures candidates on some samples.
    fn ask<O: Objective>(
        &mut self,
        candidates: &[&Candidate],
        samples: Range<usize>,
        generation: usize,
        n_samples: usize,
        objective: &mut O,
    ) -> Result<(), StepError<O::Error>> {
        let jobs: Vec<Job<'_>> = candidates
            .iter()
            .flat_map(|candidate| samples.clone().map(|sample| Job { candidate, sample }))
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
        let mut outcomes = outcomes.into_iter();
        for &candidate in candidates {
            let id = self.id_of(candidate, generation);
            let entry = &mut self.entries[id];
            for outcome in outcomes.by_ref().take(samples.len()) {
                entry.add(outcome);
            }
            if entry.failures.is_empty() && entry.n_samples == n_samples {
                let mean = racing::mean(&entry.losses);
                entry.score = if mean.is_finite() {
                    mean
                } else {
                    f64::INFINITY
                };
            }
        }
        Ok(())
    }

    /// The id of a candidate; unknown candidates get a new one.
    fn id_of(&mut self, candidate: &Candidate, generation: usize) -> usize {
        if let Some(&id) = self.ids.get(candidate) {
            return id;
        }
        let id = self.entries.len();
        self.ids.insert(candidate.clone(), id);
        self.entries.push(Scored {
            candidate: candidate.clone(),
            score: f64::INFINITY,
            score_stderr: None,
            generation,
            failures: Vec::new(),
            n_samples: 0,
            dropped: false,
            losses: Vec::new(),
        });
        id
    }

    /// Drops the candidates that are significantly worse than the border after `n_seen` samples. `kinds` has the kind of
    /// every sample.
    fn drop_behind(
        &mut self,
        racers: &[&Candidate],
        n_seen: usize,
        kinds: &[usize],
        race: Race<'_>,
    ) {
        let ids: Vec<usize> = racers.iter().map(|&one| self.ids[one]).collect();
        let seen = |id: usize| self.entries[id].losses.get(..n_seen);
        let contenders = self.with_losses(&ids, n_seen, race);
        let Some(border) = racing::border(&contenders, race.n_places, kinds) else {
            return;
        };
        let behind: Vec<usize> = ids
            .iter()
            .filter(|&&id| !self.entries[id].dropped && self.entries[id].n_samples == n_seen)
            .filter_map(|&id| {
                let found = racing::difference(seen(id)?, border, kinds)?;
                let is_behind = found.mean > race.strictness * found.stderr && found.mean > 0.0;
                is_behind.then_some(id)
            })
            .collect();
        for id in behind {
            let entry = &mut self.entries[id];
            entry.dropped = true;
            entry.score = f64::INFINITY;
        }
    }

    /// Estimates the scores of the dropped candidates, now that the candidate in the last place is scored on all samples.
    /// `kinds` has the kind of each of them.
    fn estimate_dropped(&mut self, racers: &[&Candidate], kinds: &[usize], race: Race<'_>) {
        let ids: Vec<usize> = racers.iter().map(|&one| self.ids[one]).collect();
        let contenders = self.with_losses(&ids, kinds.len(), race);
        let n_places = race.n_places.min(contenders.len());
        let Some(border) = racing::border(&contenders, n_places, kinds) else {
            return;
        };
        let estimates: Vec<(usize, Estimate)> = ids
            .iter()
            .filter(|&&id| self.entries[id].dropped)
            .filter_map(|&id| {
                let seen = &self.entries[id].losses;
                Some((id, racing::estimate(seen, border, kinds)?))
            })
            .collect();
        for (id, estimate) in estimates {
            let entry = &mut self.entries[id];
            entry.score = estimate.mean;
            entry.score_stderr = Some(estimate.stderr);
        }
    }

    /// The losses on the first samples of the elites and racers that were scored on them all.
    fn with_losses(
        &self,
        racers: &[usize],
        n_samples: usize,
        race: Race<'_>,
    ) -> Vec<&[BlockLosses]> {
        // The seeds of the first generation may be elites and racers both.
        let contenders: BTreeSet<usize> = race.elites.iter().chain(racers).copied().collect();
        let losses = |id: usize| self.entries[id].losses.get(..n_samples);
        contenders.into_iter().filter_map(losses).collect()
    }
}

#[cfg(test)]
mod tests {
    use longrope_rope::AttentionScale;

    use super::*;
    use crate::candidate::Grid;
    use crate::objective::{FnObjective, Outcome};

    fn candidate(step: u32) -> Candidate {
        let grid = Grid::new(0.01).expect("divides 1");
        Candidate {
            grid,
            steps: vec![step],
            shape: crate::candidate::Shape::Free,
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
            .measure(&[candidate(100)], 0, 1, None, &mut objective)
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
            memo.measure(&twice, 0, 8, None, &mut objective)
                .expect("cannot stop"),
            [0, 1, 0]
        );
        assert_eq!(
            memo.measure(&twice[1..], 1, 1, None, &mut objective)
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
        memo.measure(&[candidate(100)], 0, 1, None, &mut objective)
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
            score_stderr: None,
            generation: 0,
            failures: Vec::new(),
            n_samples: 1,
            dropped: id == 0,
            losses: Vec::new(),
        });
        let memo = Memo::from(entries.collect::<Vec<_>>());
        assert_eq!(memo.ranked(vec![3, 1, 0, 2, 3, 0]), [2, 3, 1, 0]);
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
        let result = Memo::default().measure(&[candidate(100)], 0, 1, None, &mut Mute);
        assert!(matches!(
            result,
            Err(StepError::OutcomeCount {
                found: 1,
                expected: 2
            })
        ));
    }
}
