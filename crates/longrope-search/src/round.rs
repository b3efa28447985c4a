//! What one generation of a search measures.

use std::collections::HashSet;

use rand_chacha::ChaCha8Rng;

use crate::candidate::Candidate;
use crate::config::SearchConfig;
use crate::error::StepError;
use crate::objective::Objective;
use crate::propose::Breeder;
use crate::proposer::Proposer;
use crate::racing::Race;
use crate::scored::Scored;
use crate::space::Space;
use crate::starts::{SeedScore, Start};
use crate::state::SearchState;

/// The candidates of a generation, measured.
pub(crate) struct Round {
    /// The generator after its proposals.
    pub(crate) rng: ChaCha8Rng,
    /// Ids of its candidates.
    pub(crate) proposals: Vec<usize>,
    /// Trials of attention-scale policies beyond the ones that the seeds are proposed with.
    pub(crate) policy_trials: usize,
    /// Only in the first generation.
    pub(crate) seeds: Vec<SeedScore>,
}

impl Round {
    /// Measures the seeds with every policy, then fills the population with mutants of them.
    pub(crate) fn first<O: Objective>(
        state: &mut SearchState,
        space: &Space,
        starts: &[Start],
        objective: &mut O,
    ) -> Result<Self, StepError<O::Error>> {
        let batch = state.config.batch_candidates;
        let all: Vec<Candidate> = starts
            .iter()
            .flat_map(|start| start.trials.clone())
            .collect();
        let ids = state.memo.measure(&all, 0, batch, None, objective)?;
        let (mut proposals, seeds) = best_of_each(starts, &ids, state.memo.entries());
        let policy_trials = seeds.len() - proposals.len();

        let mut rng = state.rng.clone();
        let elites = state.memo.ranked(proposals.clone());
        let parents = fertile(&elites, state);
        let breeder = breeder(state, space);
        let n_mutants =
            state.config.sizes(state.problem.target_context).population - proposals.len();
        let mut mutants = Proposer::new(state, 0, all.into_iter().collect());
        mutants.add(n_mutants, &mut rng, |index, rng, known| {
            breeder.first(index, &parents, rng, known)
        });
        let mutants = mutants.proposed();
        let (elites, config) = (finite(&elites, state), state.config.clone());
        let race = race(&config, &elites);
        proposals.extend(state.memo.measure(&mutants, 0, batch, race, objective)?);
        Ok(Self {
            rng,
            proposals,
            policy_trials,
            seeds,
        })
    }

    /// Measures mutants and crossovers of the best candidates so far.
    pub(crate) fn later<O: Objective>(
        state: &mut SearchState,
        space: &Space,
        objective: &mut O,
    ) -> Result<Self, StepError<O::Error>> {
        let generation = state.history.len();
        let mut rng = state.rng.clone();
        let parents = fertile(&state.population, state);
        let breeder = breeder(state, space);
        let sizes = state.config.sizes(state.problem.target_context);
        let mut proposer = Proposer::new(state, generation, HashSet::new());
        proposer.add(sizes.mutations, &mut rng, |_, rng, known| {
            breeder.mutant(&parents, rng, known)
        });
        proposer.add(sizes.crossovers, &mut rng, |_, rng, known| {
            breeder.child(&parents, rng, known)
        });
        let proposed = proposer.proposed();
        let (elites, config) = (finite(&state.population, state), state.config.clone());
        let race = race(&config, &elites);
        let proposals = state.memo.measure(
            &proposed,
            generation,
            config.batch_candidates,
            race,
            objective,
        )?;
        Ok(Self {
            rng,
            proposals,
            policy_trials: 0,
            seeds: Vec::new(),
        })
    }
}

/// The id of the best policy of each seed, and the scores of all policies. `ids` are those of the trials, in order.
fn best_of_each(
    starts: &[Start],
    ids: &[usize],
    measured: &[Scored],
) -> (Vec<usize>, Vec<SeedScore>) {
    let (mut best_ids, mut seeds) = (Vec::new(), Vec::new());
    let mut next = 0;
    for start in starts {
        let ids = &ids[next..next + start.trials.len()];
        next += start.trials.len();
        // Not by age: an equal candidate of an earlier seed must not win over this seed's own policies.
        let scores: Vec<f64> = ids.iter().map(|&id| measured[id].score).collect();
        let best = (0..ids.len())
            .min_by(|&a, &b| scores[a].total_cmp(&scores[b]))
            .unwrap_or(0);
        best_ids.push(ids[best]);
        for (trial, candidate) in start.trials.iter().enumerate() {
            seeds.push(SeedScore {
                name: start.name.clone(),
                attention: candidate.attention,
                score: scores[trial],
                kept: trial == best,
            });
        }
    }
    (best_ids, seeds)
}

fn breeder<'a>(state: &'a SearchState, space: &'a Space) -> Breeder<'a> {
    Breeder {
        space,
        config: &state.config,
        scale: state.problem.scale(),
    }
}

/// The race for the places of parents; `None` if racing is off.
fn race<'a>(config: &SearchConfig, elites: &'a [usize]) -> Option<Race<'a>> {
    (config.racing_strictness > 0.0).then_some(Race {
        strictness: config.racing_strictness,
        n_places: config.parents,
        elites,
    })
}

/// The ids of the candidates that could be measured.
fn finite(ids: &[usize], state: &SearchState) -> Vec<usize> {
    let entries = state.memo.entries();
    ids.iter()
        .copied()
        .filter(|&id| entries[id].score.is_finite())
        .collect()
}

/// The candidates that may have descendants: those that could be measured, or all if none could.
fn fertile(ranked: &[usize], state: &SearchState) -> Vec<Candidate> {
    let entries = state.memo.entries();
    let n_finite = ranked
        .iter()
        .take_while(|&&id| entries[id].score.is_finite())
        .count();
    let n_parents = if n_finite == 0 {
        ranked.len()
    } else {
        n_finite
    };
    ranked[..n_parents]
        .iter()
        .map(|&id| entries[id].candidate.clone())
        .collect()
}
