//! Searches of the three sources, on formulas.

use longrope_search::{
    Candidate, FnObjective, Outcome, Search, SearchConfig, SearchProblem, Seed, Shape, official,
};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use crate::analytic::{LARGE, SMALL, loss};

fn run(problem: SearchProblem, config: SearchConfig) -> Search {
    let mut search = Search::new(problem, config, 3).expect("valid");
    let scale = problem.scale();
    let mut objective = FnObjective::new(1, |it: &Candidate, _| Outcome::Loss(loss(it, scale)));
    while !search.is_done() {
        search.step(&mut objective).expect("a formula cannot stop");
    }
    search
}

fn short(config: SearchConfig) -> SearchConfig {
    SearchConfig {
        population: 16,
        mutations: 6,
        crossovers: 6,
        parents: 8,
        generations: 8,
        ..config
    }
}

#[test]
fn every_profile_improves_on_its_seeds_inside_its_space() {
    for config in [
        SearchConfig::official(false),
        SearchConfig::official(true),
        SearchConfig::v2(),
        SearchConfig::fast(),
    ] {
        let search = run(SMALL, short(config.clone()));
        let best = search.best().expect("finished");
        assert!(search.seeds().iter().all(|seed| best.score <= seed.score));
        let space = config.space(&SMALL).expect("valid");
        for entry in search.state().scored() {
            assert!(space.contains(&entry.candidate), "{:?}", entry.candidate);
        }
    }
}

#[test]
fn official_searches_have_one_seed_one_policy_and_no_start_tokens() {
    let search = run(SMALL, short(SearchConfig::official(true)));
    assert_eq!(search.seeds().len(), 1);
    assert_eq!(search.seeds()[0].name, "linear-ramp");
    for entry in search.state().scored() {
        assert_eq!(entry.candidate.start_tokens, 0);
        assert!(matches!(entry.candidate.shape, Shape::Piece { .. }));
    }
}

#[test]
fn v2_tries_all_critical_pairs() {
    let search = run(
        LARGE,
        SearchConfig {
            generations: 0,
            ..SearchConfig::v2()
        },
    );
    let pairs: std::collections::BTreeSet<usize> = search
        .state()
        .scored()
        .iter()
        .filter_map(|entry| match entry.candidate.shape {
            Shape::Critical { pair, .. } => Some(pair),
            _ => None,
        })
        .collect();
    // Ten periods fit at pair 30 of LLaMA2, one at 46.
    assert_eq!(
        pairs.into_iter().collect::<Vec<_>>(),
        (30..=46).collect::<Vec<_>>()
    );
}

/// Sweeps until a mutant is in order, of which the original needs 94 on average (30 mutants, standard error about 7).
#[test]
fn mutations_take_as_many_sweeps_as_in_the_original() {
    let config = SearchConfig::official(false);
    let space = config.space(&LARGE).expect("valid");
    let factors = Seed::LinearRamp.factors(&LARGE, &config);
    let parent = space
        .nearest(&factors, 0, config.policies()[0])
        .expect("finite");
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let n = 100;
    let sweeps: usize = (0..n)
        .map(|_| {
            official::mutate(&parent, &space, &config, 32.0, &mut rng, |one| {
                *one == parent
            })
            .1
        })
        .sum();
    let mean = sweeps as f64 / f64::from(n);
    assert!((75.0..110.0).contains(&mean), "{mean}");
}
