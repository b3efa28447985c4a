//! The evolution, one generation per step.

use tracing::debug;

use crate::candidate::{Candidate, canonical_start_tokens};
use crate::config::SearchConfig;
use crate::error::{Result, StepError};
use crate::generation::Generation;
use crate::objective::Objective;
use crate::problem::SearchProblem;
use crate::round::Round;
use crate::scored::Scored;
use crate::space::Space;
use crate::starts::{SeedScore, Start, starts};
use crate::state::SearchState;

/// How far a search is, in candidates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Candidates measured, including those of an unfinished generation.
    pub evaluations: usize,
    /// Number of (candidate, sample) pairs scored.
    pub sample_evaluations: usize,
    /// Proposals of finished generations that were known already, and so cost nothing.
    pub memo_hits: usize,
    /// Proposals and policy trials of the whole search. Unless it stops early, this is `evaluations + memo_hits` at the end.
    pub planned: usize,
}

/// An evolutionary search, stepped by its caller.
///
/// The first step measures the first population: the seeds, then mutants of them. Every later step proposes mutants and
/// crossovers of the best candidates so far and keeps the best of all.
///
/// If the objective stops in the middle of a step, the search keeps the scores measured so far and is otherwise unchanged.
/// The next step, or a search resumed from [`state`](Self::state), proposes the same candidates again and uses these
/// scores, so the result is the same as without the interruption.
///
/// # Reference
/// LongRoPE, arXiv 2402.13753, algorithm 1.
#[derive(Clone, Debug)]
pub struct Search {
    state: SearchState,
    space: Space,
    starts: Vec<Start>,
}

impl Search {
    /// A search that starts from the configured seeds.
    ///
    /// # Errors
    /// [`Error::InvalidConfig`](crate::Error::InvalidConfig) or [`Error::InvalidProblem`](crate::Error::InvalidProblem) if either is out of range.
    pub fn new(problem: SearchProblem, config: SearchConfig, seed: u64) -> Result<Self> {
        Self::with_init(problem, config, Vec::new(), seed)
    }

    /// A search that also starts from given candidates, such as the result of an earlier search.
    ///
    /// They are measured unchanged (but with 0 start tokens instead of 1, which is the same), with their own
    /// attention-scale policy. Make them with [`Space::nearest`] on the result
    /// of [`SearchConfig::space`].
    ///
    /// # Errors
    /// The errors of [`new`](Self::new), and [`Error::InitOutsideSpace`](crate::Error::InitOutsideSpace).
    pub fn with_init(
        problem: SearchProblem,
        config: SearchConfig,
        mut init: Vec<Candidate>,
        seed: u64,
    ) -> Result<Self> {
        for candidate in &mut init {
            candidate.start_tokens = canonical_start_tokens(candidate.start_tokens);
        }
        Self::set_up(SearchState::new(problem, config.canonical(), init, seed))
    }

    /// Continues a search from its saved state.
    ///
    /// # Errors
    /// [`Error::StateCorrupt`](crate::Error::StateCorrupt) if parts of the state contradict each other, and the errors of [`with_init`](Self::with_init).
    pub fn resume(state: SearchState) -> Result<Self> {
        Self::set_up(state.checked()?)
    }

    /// Derives what is not stored from the state.
    fn set_up(state: SearchState) -> Result<Self> {
        let space = state.space()?;
        let starts = starts(&state.problem, &state.config, &space, &state.init)?;
        let target = state.problem.target_context;
        state.config.check_starts(state.init.len(), target)?;
        Ok(Self {
            state,
            space,
            starts,
        })
    }

    /// Measures one generation.
    ///
    /// # Errors
    /// [`StepError::Objective`] if the objective stopped; the step can be repeated. [`StepError::Finished`] if the search is
    /// over, and the other errors if the objective broke its contract.
    pub fn step<O: Objective>(
        &mut self,
        objective: &mut O,
    ) -> std::result::Result<Generation, StepError<O::Error>> {
        let index = self.state.history.len();
        if self.is_done() {
            return Err(StepError::Finished {
                generations: index - 1,
            });
        }
        self.fix_samples(objective)?;
        let round = if index == 0 {
            Round::first(&mut self.state, &self.space, &self.starts, objective)?
        } else {
            Round::later(&mut self.state, &self.space, objective)?
        };

        // The generation is complete: nothing can fail from here on.
        let state = &mut self.state;
        let candidates = [&state.population[..], &round.proposals].concat();
        state.population = state.memo.ranked(candidates);
        let entries = state.memo.entries();
        state.population.retain(|&id| !entries[id].dropped);
        state.population.truncate(state.config.parents);
        let races = state.config.racing_strictness > 0.0;
        let compared = if races { &state.population[..] } else { &[] };
        state.memo.keep_losses_of(compared);
        state.rng = round.rng;
        if index == 0 {
            state.seeds = round.seeds;
        }
        let generation = Generation::summarize(
            index,
            &state.memo,
            &round.proposals,
            round.policy_trials,
            &state.population,
        );
        debug!(
            generation = index,
            best = generation.best.score,
            median = generation.median,
            evaluations = generation.evaluations,
            failures = generation.failures.len(),
            "generation finished"
        );
        state.history.push(generation.clone());
        Ok(generation)
    }

    /// Whether all generations are done, or the last `patience` generations found no new best.
    pub fn is_done(&self) -> bool {
        let history = &self.state.history;
        let stale = history
            .iter()
            .skip(1)
            .rev()
            .take_while(|generation| !generation.new_best)
            .count();
        history.len() > self.state.config.generations
            || self
                .state
                .config
                .patience
                .is_some_and(|patience| stale >= patience)
    }

    /// The best candidate of the finished generations; `None` before the first step.
    ///
    /// Its score is infinite if every candidate so far has failed.
    pub fn best(&self) -> Option<&Scored> {
        self.state.best()
    }

    /// The state to save, with [`SearchState::to_json`].
    pub fn state(&self) -> &SearchState {
        &self.state
    }

    /// The search space.
    pub fn space(&self) -> &Space {
        &self.space
    }

    /// The score of each seed with each attention-scale policy; empty before the first step.
    pub fn seeds(&self) -> &[SeedScore] {
        self.state.seeds()
    }

    /// How far the search is.
    pub fn progress(&self) -> Progress {
        Progress {
            evaluations: self.state.memo.entries().len(),
            sample_evaluations: self
                .state
                .memo
                .entries()
                .iter()
                .map(|entry| entry.n_samples)
                .sum(),
            memo_hits: self
                .state
                .history
                .iter()
                .map(|generation| generation.memo_hits)
                .sum(),
            planned: self.planned_evaluations(),
        }
    }

    /// The largest number of candidates that the search will measure: its proposals, and the seeds with further policies.
    pub fn planned_evaluations(&self) -> usize {
        let config = &self.state.config;
        config.planned_proposals(self.state.problem.target_context) + self.policy_trials()
    }

    /// Trials of attention-scale policies beyond the one each seed is proposed with.
    fn policy_trials(&self) -> usize {
        let config = &self.state.config;
        config.seeds.len() * (config.policies().len() - 1)
    }

    /// Fails if the number of samples has changed, because scores must be means over the same samples.
    fn fix_samples<O: Objective>(
        &mut self,
        objective: &O,
    ) -> std::result::Result<(), StepError<O::Error>> {
        let found = objective.n_samples();
        let fail = |expected| Err(StepError::SampleCount { found, expected });
        match self.state.n_samples {
            _ if found == 0 => fail("at least 1".to_owned()),
            Some(before) if before != found => fail(format!("{before}, as before")),
            _ => {
                self.state.n_samples = Some(found);
                Ok(())
            }
        }
    }
}
