//! New candidates for a generation.

use std::collections::HashSet;

use rand_chacha::ChaCha8Rng;

use crate::candidate::Candidate;
use crate::state::SearchState;

/// Collects proposals that are new, as far as a bounded number of retries gets.
pub(crate) struct Proposer<'a> {
    generation: usize,
    state: &'a SearchState,
    seen: HashSet<Candidate>,
    proposed: Vec<Candidate>,
}

impl<'a> Proposer<'a> {
    /// Starts a generation in which some candidates are known already.
    pub(crate) fn new(state: &'a SearchState, generation: usize, seen: HashSet<Candidate>) -> Self {
        Self {
            generation,
            state,
            seen,
            proposed: Vec::new(),
        }
    }

    /// What was collected.
    pub(crate) fn proposed(self) -> Vec<Candidate> {
        self.proposed
    }

    /// Adds `count` proposals.
    pub(crate) fn add(
        &mut self,
        count: usize,
        rng: &mut ChaCha8Rng,
        mut draw: impl FnMut(&mut ChaCha8Rng) -> Candidate,
    ) {
        for _ in 0..count {
            let mut candidate = draw(rng);
            for _ in 0..self.state.config.max_retries {
                let memo = &self.state.memo;
                if !self.seen.contains(&candidate) && !memo.knew_before(&candidate, self.generation)
                {
                    break;
                }
                candidate = draw(rng);
            }
            self.seen.insert(candidate.clone());
            self.proposed.push(candidate);
        }
    }
}
