//! A search finds the optimum within its budget.

use longrope_rope::AttentionScale;
use longrope_search::{
    AttentionSearch, Candidate, FnObjective, Outcome, Search, SearchConfig, SearchProblem,
    StepError,
};

use crate::analytic::{LARGE, SMALL, loss, small_config, target};

/// Excess loss left after the paper's budget, as a fraction of the best seed's. The worst of 20 seeds leaves 0.08.
const LEFT_OVER: f64 = 0.1;

fn run(search: &mut Search, problem: SearchProblem) {
    let mut objective = FnObjective::new(1, |candidate: &Candidate, _| {
        Outcome::Loss(loss(candidate, problem.scale()))
    });
    while !search.is_done() {
        search.step(&mut objective).expect("a formula cannot stop");
    }
}

#[test]
fn the_default_search_comes_close_to_the_optimum() {
    for seed in 0..3 {
        let mut search = Search::new(LARGE, SearchConfig::default(), seed).expect("valid");
        run(&mut search, LARGE);
        let best = search.best().expect("finished");
        let best_seed = search
            .seeds()
            .iter()
            .map(|seed| seed.score)
            .fold(f64::INFINITY, f64::min);
        assert!(
            best.score < LEFT_OVER * best_seed,
            "seed {seed}: {} of {best_seed}",
            best.score
        );
        assert!(
            best.candidate.start_tokens.abs_diff(8) <= 4,
            "seed {seed}: {}",
            best.candidate.start_tokens
        );
        assert_eq!(
            best.candidate.attention,
            AttentionScale::Su {},
            "seed {seed}"
        );
        assert!(
            search
                .state()
                .scored()
                .iter()
                .all(|scored| search.space().contains(&scored.candidate))
        );
        for (pair, factor) in best.candidate.factors().iter().enumerate() {
            let ratio = factor / target(pair, 64, 32.0);
            assert!(
                (0.4..2.5).contains(&ratio),
                "seed {seed}, pair {pair}: {factor}"
            );
        }
    }
}

#[test]
fn the_best_never_gets_worse() {
    let mut search = Search::new(SMALL, small_config(), 1).expect("valid");
    run(&mut search, SMALL);
    let history = search.state().history();
    assert_eq!(history.len(), 7);
    for pair in history.windows(2) {
        assert!(pair[1].best.score <= pair[0].best.score);
        assert_eq!(pair[1].new_best, pair[1].best.score < pair[0].best.score);
        assert!(
            pair[1].best.score <= pair[1].generation_best
                && pair[1].generation_best <= pair[1].median
        );
    }
}

#[test]
fn the_papers_budget_is_kept_to_the_candidate() {
    let mut calls = 0;
    let mut objective = FnObjective::new(2, |candidate: &Candidate, _| {
        calls += 1;
        Outcome::Loss(loss(candidate, 32.0))
    });
    let mut search = Search::new(LARGE, SearchConfig::default(), 5).expect("valid");
    let mut proposals = 0;
    while !search.is_done() {
        proposals += search
            .step(&mut objective)
            .expect("a formula cannot stop")
            .proposals;
    }
    let finished = search.step(&mut objective);
    assert!(matches!(
        finished,
        Err(StepError::Finished { generations: 40 })
    ));
    assert_eq!(proposals, 1344);
    // Five seeds, each with two policies more than it is proposed with.
    assert_eq!(search.planned_evaluations(), 1344 + 10);
    let progress = search.progress();
    assert_eq!(progress.evaluations + progress.memo_hits, progress.planned);
    assert_eq!(
        calls,
        2 * progress.evaluations,
        "each candidate is measured once"
    );
}

#[test]
fn beyond_512k_the_first_population_is_halved() {
    let problem = SearchProblem {
        target_context: 1_048_576,
        ..LARGE
    };
    let mut search = Search::new(problem, SearchConfig::default(), 0).expect("valid");
    let mut objective = FnObjective::new(1, |candidate: &Candidate, _| {
        Outcome::Loss(loss(candidate, 256.0))
    });
    assert_eq!(
        search
            .step(&mut objective)
            .expect("a formula cannot stop")
            .proposals,
        32
    );
    assert_eq!(
        search
            .step(&mut objective)
            .expect("a formula cannot stop")
            .proposals,
        16
    );
    assert_eq!(search.planned_evaluations(), 672 + 10);
}

#[test]
fn each_seed_keeps_its_best_policy() {
    let mut search = Search::new(SMALL, small_config(), 0).expect("valid");
    let mut objective = FnObjective::new(1, |candidate: &Candidate, _| {
        Outcome::Loss(loss(candidate, 4.0))
    });
    let first = search.step(&mut objective).expect("a formula cannot stop");
    assert_eq!((first.policy_trials, first.proposals), (10, 16));
    let kept: Vec<_> = search.seeds().iter().filter(|seed| seed.kept).collect();
    assert_eq!(
        kept.iter().map(|seed| &*seed.name).collect::<Vec<_>>(),
        ["pi", "ntk", "yarn", "none", "dynamic-ntk"]
    );
    assert!(
        kept.iter()
            .all(|seed| seed.attention == AttentionScale::Su {})
    );
    assert_eq!(search.seeds().len(), 15);
}

#[test]
fn a_fixed_policy_is_never_left() {
    let policy = AttentionScale::Constant { value: 1.1 };
    let config = SearchConfig {
        attention: AttentionSearch::Fixed { policy },
        ..small_config()
    };
    let mut search = Search::new(SMALL, config, 0).expect("valid");
    run(&mut search, SMALL);
    assert!(
        search
            .state()
            .scored()
            .iter()
            .all(|scored| scored.candidate.attention == policy)
    );
    assert_eq!(
        search.planned_evaluations(),
        16 + 6 * 10,
        "nothing to try per seed"
    );
}

#[test]
fn a_policy_that_no_seed_liked_is_found_as_a_gene() {
    // Unscaled attention suits all seeds, yarn suits factors that only the search reaches.
    let loss = |candidate: &Candidate, _| {
        let yarn = candidate.attention == (AttentionScale::Yarn {});
        Outcome::Loss(if yarn {
            0.3 + 0.1 * candidate.factors()[0]
        } else {
            0.5
        })
    };
    let best = |attention| {
        let config = SearchConfig {
            attention,
            seeds: vec![longrope_search::Seed::Pi],
            ..small_config()
        };
        let mut search = Search::new(SMALL, config, 2).expect("valid");
        while !search.is_done() {
            search
                .step(&mut FnObjective::new(1, loss))
                .expect("a formula cannot stop");
        }
        search.best().expect("finished").candidate.attention
    };
    assert_eq!(best(AttentionSearch::Gene {}), AttentionScale::Yarn {});
    assert_eq!(best(AttentionSearch::Seeds {}), AttentionScale::None {});
}

#[test]
fn a_good_start_of_the_caller_is_used() {
    let space = small_config().space(&SMALL).expect("valid");
    let factors: Vec<f64> = (0..8).map(|pair| target(pair, 8, 4.0)).collect();
    let init = space
        .nearest(&factors, 8, AttentionScale::Su {})
        .expect("finite");
    let mut search =
        Search::with_init(SMALL, small_config(), vec![init.clone()], 0).expect("valid");
    run(&mut search, SMALL);
    let first = &search.state().history()[0].best;
    assert_eq!(first.candidate, init);
    assert!(
        search
            .seeds()
            .iter()
            .any(|seed| seed.name == "init-0" && seed.kept)
    );
}

#[test]
fn patience_ends_a_search_that_has_converged() {
    let config = SearchConfig {
        patience: Some(2),
        generations: 50,
        ..small_config()
    };
    let mut search = Search::new(SMALL, config, 0).expect("valid");
    let mut objective = FnObjective::new(1, |_: &Candidate, _| Outcome::Loss(1.0));
    while !search.is_done() {
        search.step(&mut objective).expect("a formula cannot stop");
    }
    assert_eq!(search.state().history().len(), 1 + 2);
}

#[test]
fn a_tiny_space_ends_in_memo_hits_and_not_in_a_loop() {
    // Two pairs, two grid points from 1 to 1.25 and no choice of start tokens: most proposals are known.
    let problem = SearchProblem {
        target_context: 256,
        rotary_dim: 4,
        ..SMALL
    };
    let config = SearchConfig {
        step: 0.25,
        start_tokens: vec![0],
        ..small_config()
    };
    let mut search = Search::new(problem, config, 0).expect("valid");
    run(&mut search, problem);
    let progress = search.progress();
    // Factors 1 and 1.25 in order, times three policies.
    assert!(progress.evaluations <= 9, "{progress:?}");
    assert_eq!(progress.evaluations + progress.memo_hits, progress.planned);
}
