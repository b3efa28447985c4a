//! New candidates for a generation.

use std::collections::HashSet;

use rand_chacha::ChaCha8Rng;

use crate::candidate::Candidate;
use crate::state::SearchState;
use crate::surrogate::{Observation, Surrogate};

/// Collects proposals. Known ones are drawn again, a limited number of times.
pub(crate) struct Proposer<'a> {
    generation: usize,
    state: &'a SearchState,
    surrogate: Option<Surrogate>,
    seen: HashSet<Candidate>,
    proposed: Vec<Candidate>,
}

impl<'a> Proposer<'a> {
    /// Starts a generation; the candidates in `seen` count as known.
    pub(crate) fn new(state: &'a SearchState, generation: usize, seen: HashSet<Candidate>) -> Self {
        let surrogate = (state.config.surrogate_pool > 1)
            .then(|| learn(state, generation))
            .flatten();
        Self {
            generation,
            state,
            surrogate,
            seen,
            proposed: Vec::new(),
        }
    }

    /// The proposals.
    pub(crate) fn proposed(self) -> Vec<Candidate> {
        self.proposed
    }

    /// Adds `count` proposals. With a surrogate, several times as many are drawn and it selects from them.
    ///
    /// `draw` gets the index of the draw, the random number generator, and a test for candidates that are known.
    pub(crate) fn add(
        &mut self,
        count: usize,
        rng: &mut ChaCha8Rng,
        mut draw: impl FnMut(usize, &mut ChaCha8Rng, &dyn Fn(&Candidate) -> bool) -> Candidate,
    ) {
        let pool = match self.surrogate {
            Some(_) => count * self.state.config.surrogate_pool,
            None => count,
        };
        let mut drawn = Vec::with_capacity(pool);
        for index in 0..pool {
            let candidate = {
                let known = |candidate: &Candidate| self.knows(candidate);
                let mut candidate = draw(index, rng, &known);
                for _ in 0..self.state.config.max_retries {
                    if !known(&candidate) {
                        break;
                    }
                    candidate = draw(index, rng, &known);
                }
                candidate
            };
            self.seen.insert(candidate.clone());
            drawn.push(candidate);
        }
        if let Some(surrogate) = &self.surrogate {
            let mut guessed: Vec<(f64, Candidate)> = drawn
                .into_iter()
                .map(|candidate| (surrogate.guess(&candidate), candidate))
                .collect();
            guessed.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (chosen, left): (Vec<_>, Vec<_>) = guessed
                .into_iter()
                .map(|(_, candidate)| candidate)
                .enumerate()
                .partition(|(place, _)| *place < count);
            for (_, candidate) in left {
                self.seen.remove(&candidate);
            }
            drawn = chosen.into_iter().map(|(_, candidate)| candidate).collect();
        }
        self.proposed.extend(drawn);
    }

    fn knows(&self, candidate: &Candidate) -> bool {
        let memo = &self.state.memo;
        self.seen.contains(candidate) || memo.knew_before(candidate, self.generation)
    }
}

/// A model of the scores of earlier generations. Scores of this generation, which may be known after an interruption, must
/// not change the result.
fn learn(state: &SearchState, generation: usize) -> Option<Surrogate> {
    let entries = state.memo.entries();
    let earlier = (0..entries.len())
        .filter(|&id| entries[id].generation < generation && entries[id].is_comparable());
    let mut ids: Vec<usize> = earlier.collect();
    ids.sort_by(|&a, &b| {
        let score = entries[a].score.total_cmp(&entries[b].score);
        score.then(a.cmp(&b))
    });
    Surrogate::fit(ids.into_iter().map(|id| Observation {
        candidate: &entries[id].candidate,
        score: entries[id].score,
        stderr: entries[id].score_stderr.unwrap_or(0.0),
    }))
}
